"""What Kubernetes' fields become: command, variables, limits, files."""

from __future__ import annotations

import base64
import os
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from namewall.runtime import bundle, volumes
from namewall.runtime.environment import ConfigError, arguments, expand, hosts_file, variables
from namewall.runtime.quantity import parse
from namewall.runtime.rootfs import HostTree, plan

POD: dict[str, Any] = {
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "uid": "u-1",
        "labels": {"app": "web"},
        "annotations": {"note": "hi"},
    },
    "spec": {},
}
ADDRESSES = (ip_address("10.1.0.2"), ip_address("fd00:1::2"))


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(B)z", "x1y2z"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A} $", "$A ${A} $"),
        ("$(A", "$(A"),
        ("$()", "$()"),
        ("echo $$", "echo $"),
    ],
)
def test_expansion(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expanded


def test_command_and_args() -> None:
    assert arguments({"command": ["a"], "args": ["$(X)", "c"]}, {"X": "b"}) == ["a", "b", "c"]
    assert arguments({"args": ["only"]}, {}) == ["only"]
    with pytest.raises(ConfigError, match="no command specified"):
        arguments({"name": "main"}, {})


def found(*env: dict[str, Any], config_map: dict[str, Any] | None = None) -> dict[str, str]:
    return variables(
        POD, {"env": list(env)}, "node-1", [ip_address("203.0.113.1")], ADDRESSES, lambda _: config_map
    )


def test_variables_are_defined_in_order() -> None:
    made = found({"name": "A", "value": "1"}, {"name": "B", "value": "$(A)$(C)"}, {"name": "C", "value": "3"})
    assert (made["A"], made["B"], made["C"]) == ("1", "1$(C)", "3")
    assert made["HOSTNAME"] == "web-1"
    assert found({"name": "PATH", "value": "$(PATH):/x"})["PATH"].endswith(":/bin:/x")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web-1"),
        ("metadata.namespace", "shop"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['app']", "web"),
        ("metadata.annotations['none']", ""),
        ("spec.nodeName", "node-1"),
        ("spec.serviceAccountName", "default"),
        ("status.podIP", "10.1.0.2"),
        ("status.podIPs", "10.1.0.2,fd00:1::2"),
        ("status.hostIP", "203.0.113.1"),
    ],
)
def test_field_references(path: str, value: str) -> None:
    assert found({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}})["X"] == value


def test_references_to_nothing() -> None:
    with pytest.raises(ConfigError, match=r"fieldRef: `spec\.magic` is not implemented"):
        found({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.magic"}}})
    reference = {"name": "settings", "key": "color"}
    variable = {"name": "X", "valueFrom": {"configMapKeyRef": reference}}
    assert found(variable, config_map={"data": {"color": "blue"}})["X"] == "blue"
    with pytest.raises(ConfigError, match='configmap "settings" not found'):
        found(variable)
    with pytest.raises(ConfigError, match="couldn't find key color in ConfigMap shop/settings"):
        found(variable, config_map={"data": {}})
    assert "X" not in found({"name": "X", "valueFrom": {"configMapKeyRef": {**reference, "optional": True}}})


@pytest.mark.parametrize(
    ("quantity", "number"),
    [
        ("100m", 0.1),
        ("2", 2),
        ("1.5", 1.5),
        ("64Mi", 64 * 2**20),
        ("1G", 10**9),
        ("1e3", 1000),
        (".5", 0.5),
        (3, 3),
    ],
)
def test_quantities(quantity: str, number: float) -> None:
    assert float(parse(quantity)) == number


@pytest.mark.parametrize("quantity", ["", "Mi", "1 Gi", "1MiB", "0x10", "1e", "-"])
def test_no_quantities(quantity: str) -> None:
    with pytest.raises(ValueError, match="is no quantity; write as"):
        parse(quantity)


def config(container: dict[str, Any]) -> dict[str, Any]:
    tree = plan(HostTree(frozenset({"/run"})), "/l", [], [])
    return bundle.config(["a"], {"X": "1"}, container, tree, bundle.Namespaces("/n", "/i", "/u"), "/c/g")


def test_limits_become_cgroup_values() -> None:
    resources = {"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "250m"}}
    rows = config({"resources": resources})["linux"]["resources"]
    assert rows["memory"] == {"limit": 64 * 2**20}
    assert rows["cpu"] == {"shares": 256, "period": 100_000, "quota": 50_000}
    plain = config({})["linux"]["resources"]
    assert "memory" not in plain
    assert "cpu" not in plain
    assert plain["devices"][0] == {"allow": False, "access": "rwm"}


def test_confinement_is_the_same_whatever_the_container_says() -> None:
    made = config(
        {"securityContext": {"privileged": True, "capabilities": {"add": ["SYS_ADMIN"]}}, "workingDir": "/w"}
    )
    assert made == {**config({}), "process": {**config({})["process"], "cwd": "/w"}}
    forbidden = [
        "SYS_ADMIN",
        "NET_ADMIN",
        "SYS_PTRACE",
        "SYS_MODULE",
        "BPF",
        "PERFMON",
        "MKNOD",
        "DAC_READ_SEARCH",
    ]
    for held in made["process"]["capabilities"].values():
        assert not {f"CAP_{name}" for name in forbidden} & set(held)
    assert "inheritable" not in made["process"]["capabilities"]
    assert "ambient" not in made["process"]["capabilities"]
    assert made["process"]["noNewPrivileges"] is True
    assert "rlimits" not in made["process"]
    assert "oomScoreAdj" not in made["process"]
    assert [mount["destination"] for mount in made["mounts"]][:2] == ["/", "/proc"]


def test_hosts_file() -> None:
    lines = hosts_file("web-1", ADDRESSES[::-1]).splitlines()
    assert lines[-2:] == ["10.1.0.2\tweb-1", "fd00:1::2\tweb-1"]
    assert "127.0.0.1\tlocalhost" in lines


CONFIG_MAP = {"data": {"a": "1", "b": "2"}, "binaryData": {"c": base64.b64encode(b"\x00\xff").decode()}}


def test_volume_files() -> None:
    everything = {"a": (b"1", 0o644), "b": (b"2", 0o644), "c": (b"\x00\xff", 0o644)}
    assert volumes.files({"name": "m"}, CONFIG_MAP, "shop") == everything
    items = [{"key": "a", "path": "deep/er/a", "mode": 0o600}]
    chosen = volumes.files({"name": "m", "items": items, "defaultMode": 0o444}, CONFIG_MAP, "shop")
    assert chosen == {"deep/er/a": (b"1", 0o600)}
    assert volumes.files({"name": "m", "optional": True}, None, "shop") == {}
    for source, stored in (
        ({"name": "m"}, None),
        ({"name": "m", "items": [{"key": "none", "path": "x"}]}, CONFIG_MAP),
        ({"name": "m", "items": [{"key": "a", "path": "../../x"}]}, CONFIG_MAP),
        ({"name": "m", "items": [{"key": "a", "path": "/x"}]}, CONFIG_MAP),
    ):
        with pytest.raises(ConfigError):
            volumes.files(source, stored, "shop")


def test_a_volume_changes_all_at_once(tmp_path: Path) -> None:
    directory = str(tmp_path / "volume")
    assert volumes.write(directory, {"a": (b"1", 0o644), "d/b": (b"2", 0o600)})
    inode = os.stat(directory).st_ino
    assert not volumes.write(directory, {"a": (b"1", 0o644), "d/b": (b"2", 0o600)})
    assert volumes.write(directory, {"a": (b"new", 0o644), "z": (b"", 0o644)})
    assert os.stat(directory).st_ino == inode, "a bind mount of it still shows it"
    assert (tmp_path / "volume" / "a").read_bytes() == b"new"
    assert sorted(os.listdir(directory)) == ["..1", "..data", "a", "z"]
    assert volumes.write(directory, {})
    assert sorted(os.listdir(directory)) == ["..2", "..data"]
