"""`namewall get` says, byte for byte, what kubectl get says."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from tests.compat import manifests
from tests.compat.cli.twin import COMMAND, Twin
from tests.compat.server import KUBECTL, Server, to_yaml

TEXTS = {
    "a": "yes",
    "b": "one\ntwo\n",
    "c": "1",
    "d": "2020-01-01",
    "e": "a: b",
    "f": "<é>&",
    "g": "",
    "h": "*x",
}


@pytest.fixture(scope="module", autouse=True)
def _objects(server: Server) -> None:
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "empty"}},
        manifests.pod("solo", app="solo", tier="back"),
        manifests.deployment("web"),
        manifests.service("web"),
        manifests.config_map("texts", **TEXTS),
        *(manifests.config_map(name, size=size) for name, size in (("x-2", "2Gi"), ("x-10", "100Mi"))),
        manifests.network_policy("deny"),
        manifests.cnp("backend-egress-allow-fqdn"),
        manifests.cnp("wide", kind="CiliumClusterwideNetworkPolicy"),
    ]
    server.ok("apply", "-f", "-", input=to_yaml(*objects))
    server.ok("wait", "--for=condition=Available", "deployment/web", "--timeout=20s")
    server.ok("wait", "--for=condition=Ready", "pod/solo", "--timeout=20s")


LINES = """
get pods
get pods -o wide
get pods -A
get pods -n empty
get pods -l app=solo --show-labels
get pods -l nosuch=x -A
get pods -L app,tier
get pods --no-headers
get pods --show-kind
get pods --field-selector metadata.name=solo
get pods --field-selector nosuch=1
get pods -l x===
get pod solo
get pod solo -o json
get pod solo -o yaml
get pod solo -o yaml --show-managed-fields
get pod solo nosuch
get pod nosuch
get pod nosuch --ignore-not-found
get pod nosuch -o json
get pods -o json
get pods -o yaml
get pods -n empty -o json
get pod,svc
get all
get all -A
get deploy,rs,ep,endpointslices,sa,runtimeclass,cep,ciliumid -A
get deploy,cnp,netpol -o name
get nodes,ns
get cnp
get cnp -o=wide
get ccnp
get cm texts -o yaml
get cm texts -o json
get deployments.apps
get deployments.v1.apps/web
get Pod/solo svc/web
get pod/solo web
get pod/solo -A
get pod solo -A
get pod solo -l a=b
get nosuch
get svc,nosuch
get pods,
get cm --sort-by=.metadata.name
get cm --sort-by={.data.size}
get cm -o name --sort-by=.data.size
get pods -o custom-columns=NAME:.metadata.name,IMG:.spec.containers[*].image,X:.nosuch,L:.metadata.labels
get pods -o custom-columns=NAME
get pods -o jsonpath
get --raw /readyz
get --raw /nosuch
get events
get ns default nosuch kube-system -o name
""".strip().splitlines()


@pytest.mark.parametrize("line", LINES)
def test_the_same_words_say_the_same(twin: Twin, line: str) -> None:
    twin.same(*line.split())


TEMPLATES = r"""
{.items[0].metadata.name}
{.items[*].metadata.name}
{range .items[*]}{.metadata.name}{"\t"}{$.kind}{"\n"}{end}
{range .items[*]}{range .spec.containers[*]}{.name},{end};{end}
{.items[?(@.kind=="Deployment")].metadata.name}
{.items[?(@.metadata.labels.app=='web')].metadata.name}
{.items[?(@.spec.replicas>1)].metadata.name}
{.items[?(@.spec.replicas)].metadata.name}
{.items[0].status.conditions[?(@.type=="Ready")].status}
{.items[99].x}
{.items[5:1].kind}
{.items[-1].metadata.name}
{.items[0:3:2].metadata.name}
{.items[0]['metadata.name','kind']}
{.items[0].metadata.annotations['kubectl\.kubernetes\.io/last-applied-configuration']}
{.items[0].metadata.annotations.kubectl\.kubernetes\.io/last-applied-configuration}
{.items[0].metadata}
{.items..podIP}
{.items[1,0].kind}
{.kind .apiVersion}
{.items[*]["metadata"]}
text {.kind} more
{.nosuch}
{end}
{kind}
{}
{.items[0].metadata.name
{.items[x]}
{.items[*].metadata.name[0]}
{.items[?(@.metadata.name=~"web.*")].kind}
{.items[0].spec.containers[0].ports[?(@.containerPort=="80")].name}
""".strip().splitlines()


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates_give_the_same(twin: Twin, template: str) -> None:
    twin.same("get", "pod,deploy", "-o", f"jsonpath={template}")


def test_a_pod_of_the_page_is_found_as_the_page_finds_it(twin: Twin) -> None:
    words = ("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    assert twin.same(*words).out.startswith("web-")


@pytest.mark.parametrize("output", ["", "name", "json", "jsonpath={.metadata.name}:{.data.v} "])
def test_watching(twin: Twin, output: str) -> None:
    """Two watchers of one type see the same: the list, a change, a deletion."""
    server, name = twin.server, f"watched-{len(output)}"
    words = ["get", "cm", "-w", "-l", f"test={name}", *(["-o", output] if output else [])]
    obj = manifests.config_map(name, v="1")
    obj["metadata"]["labels"] = {"test": name}
    server.ok("apply", "-f", "-", input=to_yaml(obj))
    watchers = [
        subprocess.Popen([*command, *words], env=twin.environment(), stdout=subprocess.PIPE, text=True)
        for command in ([str(KUBECTL)], COMMAND)
    ]
    try:
        time.sleep(1)
        server.ok("patch", "cm", name, "--type=merge", "-p", json.dumps({"data": {"v": "2", "w": ""}}))
        server.ok("delete", "cm", name)
        time.sleep(0.5)
    finally:
        for watcher in watchers:
            watcher.terminate()
    theirs, ours = (watcher.communicate()[0] for watcher in watchers)
    assert ours.replace("2s", "1s").replace("0s", "1s") == theirs.replace("2s", "1s").replace("0s", "1s")
    assert theirs


def test_a_quick_start_loads_nothing_it_does_not_need(twin: Twin) -> None:
    """Time itself depends on the machine's load (make bench-lab measures it); what is loaded does not."""
    code = (
        "import sys, atexit\n"
        "heavy = {'httpx', 'asyncio', 'websockets', 'cryptography', 'namewall.apiserver', 'namewall.kube.client'}\n"
        "atexit.register(lambda: print(sorted(heavy & set(sys.modules)), file=sys.stderr))\n"
        "from namewall.cli.main import main; main(prog_name='namewall')"
    )
    ran = subprocess.run(
        [COMMAND[0], "-c", code, "get", "pods"],
        env=twin.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr == "[]\n"
