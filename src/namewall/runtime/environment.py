"""A container's environment and command line as Kubernetes defines them (pure).

`$(NAME)` stands for a variable defined before it (in `env`) or any (in command and args); `$$` is a dollar
sign; a reference to an unknown name stays as it is.
Source: kubernetes/third_party/forked/golang/expansion, kubelet_pods.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any

from namewall.model.net import Address

Object = dict[str, Any]

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_REFERENCE = re.compile(r"\$(?:(\$)|\(([^()]*)\))")


class ConfigError(Exception):
    """The container's spec names what is not there; Kubernetes' reason is CreateContainerConfigError."""


def expand(text: str, variables: Mapping[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        return variables.get(match[2], match[0])

    return _REFERENCE.sub(replace, text)


def arguments(container: Object, variables: Mapping[str, str]) -> list[str]:
    """`command` then `args`: there is no image that could have an entry point of its own."""
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    if not words:
        raise ConfigError("no command specified: runtime class `host` has no image, give `command`")
    return [expand(word, variables) for word in words]


def variables(
    pod: Object,
    container: Object,
    node_name: str,
    host_addresses: Sequence[Address],
    addresses: Sequence[Address],
    config_map: Callable[[str], Object | None],
) -> dict[str, str]:
    """In the order of definition. Raises ConfigError for a reference to nothing that is not `optional`."""
    found = {"PATH": PATH, "HOSTNAME": pod["metadata"]["name"], "HOME": "/root"}
    for item in container.get("env") or []:
        source = item.get("valueFrom")
        if not source:
            found[item["name"]] = expand(item.get("value") or "", found)
        elif "fieldRef" in source:
            path = source["fieldRef"]["fieldPath"]
            found[item["name"]] = _field(pod, path, node_name, host_addresses, addresses)
        elif "configMapKeyRef" in source:
            value = _from_config_map(source["configMapKeyRef"], pod, config_map)
            if value is not None:
                found[item["name"]] = value
        else:
            kinds = ", ".join(f"`{kind}`" for kind in source)
            raise ConfigError(f"env[{item['name']}].valueFrom: {kinds} is not implemented; use `fieldRef`")
    return found


def _from_config_map(
    reference: Object, pod: Object, config_map: Callable[[str], Object | None]
) -> str | None:
    name, key = reference.get("name") or "", reference.get("key") or ""
    stored = config_map(name)
    value = ((stored or {}).get("data") or {}).get(key)
    if isinstance(value, str) or reference.get("optional"):
        return value
    if stored is None:
        raise ConfigError(f'configmap "{name}" not found')
    raise ConfigError(f"couldn't find key {key} in ConfigMap {pod['metadata']['namespace']}/{name}")


def _field(
    pod: Object, path: str, node_name: str, host_addresses: Sequence[Address], addresses: Sequence[Address]
) -> str:
    metadata = pod["metadata"]
    subscript = re.fullmatch(r"metadata\.(labels|annotations)\['(.*)'\]", path)
    if subscript:
        return str((metadata.get(subscript[1]) or {}).get(subscript[2], ""))
    values = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": node_name,
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName") or "default",
        "status.podIP": str(addresses[0]) if addresses else "",
        "status.podIPs": ",".join(map(str, addresses)),
        "status.hostIP": str(host_addresses[0]) if host_addresses else "",
        "status.hostIPs": ",".join(map(str, host_addresses)),
    }
    if path not in values:
        raise ConfigError(f"fieldRef: `{path}` is not implemented; use one of {', '.join(sorted(values))}")
    return str(values[path])


def hosts_file(name: str, addresses: Sequence[Address]) -> str:
    """/etc/hosts as the kubelet writes it."""
    lines = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
        *(
            f"{address}\t{name}"
            for address in sorted(addresses, key=lambda a: not isinstance(a, IPv4Address))
        ),
    ]
    return "\n".join(lines) + "\n"
