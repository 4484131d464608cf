"""What the page is played with: its names, ports, namespace and labels, as the page has them or drawn at
random.

Pure: manifests come in as text and go out as text. The page's own scene leaves every manifest as it stands in
lab/manifests, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from random import Random
from typing import Any

import yaml

from lab.names import World

FILES = {
    "workloads": "workloads.yaml",
    "ingress_deny": "backend-ingress-deny.yaml",
    "ingress_allow": "backend-allow-ingress-frontend.yaml",
    "egress_fqdn": "backend-egress-allow-fqdn.yaml",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Field names say the role, values what stands for it. `order` is a permutation of the policies'
    roles."""

    backend: str = "backend"
    frontend: str = "frontend"
    stranger: str = "not-frontend"
    policy: str = "backend-egress-allow-fqdn"
    deny: str = "backend-ingress-deny"
    allow: str = "backend-allow-ingress-frontend"
    label: str = "app"
    namespace: str = "default"
    allowed: str = "kubernetes.io"
    denied: str = "cilium.io"
    service_port: int = 8080
    target_port: int = 8080
    https_port: int = 443
    dns_port: int = 53
    dns_replicas: int = 1
    order: tuple[str, ...] = ("ingress_deny", "ingress_allow", "egress_fqdn")

    def url(self, name: str) -> str:
        return f"https://{name}" if self.https_port == 443 else f"https://{name}:{self.https_port}"


PAGE = Scene()


def random_scene(seed: int, world: World) -> Scene:
    """Everything that could hide a special case, drawn anew; the names are two of `world`'s."""
    random = Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"

    def word() -> str:
        return "".join(random.choices(letters, k=random.randint(4, 10)))

    words = {word() for _ in range(16)}
    while len(words) < 9:  # sets forget twins
        words.add(word())
    backend, frontend, stranger, policy, deny, allow, label, namespace, _ = sorted(words)[:9]
    order = ["ingress_deny", "ingress_allow", "egress_fqdn"]
    random.shuffle(order)
    names = [site.name for site in world.sites[:2]]
    random.shuffle(names)
    return Scene(
        backend=backend,
        frontend=frontend,
        stranger=stranger,
        policy=policy,
        deny=deny,
        allow=allow,
        label=label,
        namespace=namespace,
        allowed=names[0],
        denied=names[1],
        service_port=random.randrange(1024, 30000),
        target_port=random.randrange(1024, 30000),
        https_port=world.port,
        dns_port=random.choice((53, 5353)),
        dns_replicas=random.choice((1, 2)),
        order=tuple(order),
    )


def manifest(scene: Scene, text: str) -> str:
    """A manifest of the page, its words exchanged for the scene's."""
    if scene == PAGE:
        return text
    words = {
        str(getattr(PAGE, f.name)): str(getattr(scene, f.name)) for f in fields(Scene) if f.type == "str"
    }
    documents: list[Any] = [_replaced(document, words) for document in yaml.safe_load_all(text)]
    for document in documents:
        if document["kind"] == "Service":
            document["spec"]["ports"][0].update(port=scene.service_port, targetPort=scene.target_port)
        elif document["kind"] == "CiliumNetworkPolicy":
            document["spec"]["egress"][0]["toPorts"][0]["ports"][0]["port"] = str(scene.dns_port)
        elif document["kind"] == "Deployment":
            for container in document["spec"]["template"]["spec"]["containers"]:
                for port in container.get("ports", []):
                    port["containerPort"] = scene.target_port
                if "args" in container:
                    container["args"] = [a.replace("8080", str(scene.target_port)) for a in container["args"]]
    return str(yaml.safe_dump_all(documents, sort_keys=False))


def _replaced(value: object, words: dict[str, str]) -> object:
    """Whole keys and values only: `app: backend` changes, a sentence that holds the word does not."""
    if isinstance(value, dict):
        return {words.get(key, key): _replaced(item, words) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, words) for item in value]
    return words.get(value, value) if isinstance(value, str) else value
