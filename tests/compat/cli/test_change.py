"""`namewall apply` and `delete` say and do what kubectl's say and do: each plays the same in a fresh namespace."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compat import manifests
from tests.compat.cli.twin import Twin
from tests.compat.server import Ran, Server, to_yaml

Object = dict[str, Any]
_NUMBERS = itertools.count()
KINDS = "deployments,services,configmaps,networkpolicies,ciliumnetworkpolicies"


class World:
    """A namespace of one of the two, and its words in it."""

    def __init__(self, twin: Twin, ours: bool) -> None:
        self.twin, self.ours = twin, ours
        self.name = f"world-{next(_NUMBERS)}"
        twin.server.ok(
            "create", "-f", "-", input=self.fill({"kind": "Namespace", "metadata": {"name": "NS"}})
        )

    def fill(self, *objects: Object) -> str:
        whole = "\n---\n".join(json.dumps({"apiVersion": "v1", **obj}) for obj in objects)
        return whole.replace('"NS"', f'"{self.name}"')

    def run(self, *arguments: str, input: str | None = None) -> Ran:
        words = [argument.replace("NS", self.name) for argument in arguments]
        if self.ours:
            return self.twin.namewall(*words, "-n", self.name, input=input)
        return self.twin.server.kubectl(*words, "-n", self.name, input=input)

    def state(self) -> list[Object]:
        items = self.twin.server.get(KINDS, "-n", self.name)["items"]
        return [
            _comparable(item, self.name) for item in items if item["metadata"]["name"] != "kube-root-ca.crt"
        ]

    def told(self, ran: Ran) -> tuple[int, str, str]:
        return ran.code, ran.out.replace(self.name, "NS"), ran.err.replace(self.name, "NS")


_MOVING = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "clusterIP", "clusterIPs")


def _comparable(value: Any, namespace: str) -> Any:
    if isinstance(value, dict):
        return {
            key: _comparable(item, namespace)
            for key, item in value.items()
            if key not in _MOVING and key != "status" and key != "deployment.kubernetes.io/revision"
        }
    if isinstance(value, list):
        return [_comparable(item, namespace) for item in value]
    return value.replace(namespace, "NS") if isinstance(value, str) else value


@pytest.fixture
def worlds(twin: Twin) -> Iterator[tuple[World, World]]:
    pair = World(twin, ours=False), World(twin, ours=True)
    yield pair
    for world in pair:
        twin.server.ok("delete", "ns", world.name, "--wait=false")


def both(worlds: tuple[World, World], *arguments: str, objects: list[Object] | None = None) -> Ran:
    """Both end alike, say alike and leave the same behind."""
    kept: list[tuple[Any, ...]] = []
    for world in worlds:
        ran = world.run(*arguments, input=world.fill(*objects) if objects is not None else None)
        kept.append((world.told(ran), world.state()))
    assert kept[1] == kept[0], " ".join(arguments)
    return ran


def base() -> list[Object]:
    return [
        manifests.deployment("web"),
        manifests.service("web"),
        manifests.config_map("cm", a="<1>", b="two"),
        manifests.network_policy("deny"),
        manifests.cnp("allow"),
    ]


def changed() -> list[Object]:
    objects = base()
    container = objects[0]["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}]
    del container["ports"]
    objects[0]["metadata"]["labels"] = {"other": "label"}
    objects[1]["spec"]["ports"].append({"name": "dns", "port": 53, "protocol": "UDP"})
    objects[2]["data"] = {"b": "2", "c": "3"}
    objects[4]["spec"]["egress"] = [{"toFQDNs": [{"matchName": "cilium.io"}]}]
    return objects


def test_created_unchanged_configured(worlds: tuple[World, World]) -> None:
    assert "created" in both(worlds, "apply", "-f", "-", objects=base()).out
    assert "configured" not in both(worlds, "apply", "-f", "-", objects=base()).out
    for world in worlds:  # what others did in between
        world.twin.server.ok("scale", "deploy/web", "--replicas=3", "-n", world.name)
        world.twin.server.ok("set", "env", "deploy/web", "MINE=1", "-n", world.name)
        world.twin.server.ok("label", "cm/cm", "mine=too", "-n", world.name)
    assert "configured" in both(worlds, "apply", "-f", "-", objects=changed()).out
    # Still "configured", in kubectl too, for the list that now has an item of another's.
    assert both(worlds, "apply", "-f", "-", objects=changed()).out.count("configured") == 1
    both(worlds, "apply", "-f", "-", "-o", "name", objects=base())


@pytest.mark.parametrize("mode", ["client", "server"])
def test_dry_runs_change_nothing(worlds: tuple[World, World], mode: str) -> None:
    both(worlds, "apply", "-f", "-", f"--dry-run={mode}", objects=base())
    assert worlds[1].state() == []
    both(worlds, "apply", "-f", "-", objects=base())
    both(worlds, "apply", "-f", "-", f"--dry-run={mode}", objects=changed())


def test_server_side(worlds: tuple[World, World]) -> None:
    both(worlds, "apply", "-f", "-", "--server-side", objects=base())
    both(worlds, "apply", "-f", "-", "--server-side", objects=changed())
    both(worlds, "apply", "-f", "-", "--server-side", "--field-manager=other", objects=base())
    both(
        worlds,
        "apply",
        "-f",
        "-",
        "--server-side",
        "--field-manager=other",
        "--force-conflicts",
        objects=base(),
    )


def test_what_was_created_otherwise_is_warned_of(worlds: tuple[World, World]) -> None:
    for world in worlds:
        world.twin.server.ok(
            "create", "-n", world.name, "-f", "-", input=world.fill(manifests.config_map("cm", a="1"))
        )
    ran = both(worlds, "apply", "-f", "-", objects=[manifests.config_map("cm", a="2")])
    assert "is missing the kubectl.kubernetes.io/last-applied-configuration annotation" in ran.err


def test_each_may_go_on_where_the_other_stopped(worlds: tuple[World, World]) -> None:
    kubectl, ours = worlds
    kubectl.run("apply", "-f", "-", input=kubectl.fill(*base()))
    name, ours.name = ours.name, kubectl.name
    assert "unchanged" in ours.run("apply", "-f", "-", input=ours.fill(base()[2])).out
    assert "configured" in ours.run("apply", "-f", "-", input=ours.fill(changed()[2])).out
    assert "unchanged" in kubectl.run("apply", "-f", "-", input=kubectl.fill(changed()[2])).out
    ours.name = name


def refused() -> list[Object]:
    empty = manifests.cnp("bad")
    empty["spec"]["egress"][0]["toFQDNs"][0]["matchName"] = "exa mple"
    unknown = manifests.cnp("bad")
    unknown["spec"]["egres"] = []
    return [
        empty,
        unknown,
        {**manifests.config_map("bad"), "data": {"a": 1}},
        {**manifests.config_map("Not_A_Name")},
        {"apiVersion": "x/v1", "kind": "Foo", "metadata": {"name": "x"}},
        {"apiVersion": "v9", "kind": "Pod", "metadata": {"name": "x"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "elsewhere"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}},
    ]


def test_what_is_refused_is_refused_alike(worlds: tuple[World, World]) -> None:
    for obj in refused():
        ran = both(worlds, "apply", "-f", "-", objects=[obj])
        assert ran.code == 1, obj
        assert ran.err
    assert worlds[1].state() == []


def test_a_change_that_is_refused(worlds: tuple[World, World]) -> None:
    good, bad = manifests.cnp("bad"), refused()[1]
    both(worlds, "apply", "-f", "-", objects=[good])
    assert "error when applying patch" in both(worlds, "apply", "-f", "-", objects=[bad]).err


def test_the_rest_goes_on_after_a_problem(worlds: tuple[World, World]) -> None:
    ran = both(worlds, "apply", "-f", "-", objects=[refused()[0], base()[2], refused()[2]])
    assert (ran.code, ran.out) == (1, "configmap/cm created\n")


@pytest.mark.parametrize(
    "text",
    ["hello\n", "a: b\n c: d\n", "kind: X\n", "", "apiVersion: v1\nmetadata: {name: x}\n", "\tx: y\n"],
)
def test_what_is_no_manifest(twin: Twin, tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert twin.same("apply", "-f", str(path)).code == 1
    twin.same("delete", "-f", str(path))
    assert twin.same("apply", "-f", str(tmp_path / "nosuch.yaml")).code == 1


DELETIONS = """
delete cnp/allow deploy/web
delete cnp,cm allow cm
delete cm,cnp --all
delete deploy -l app=web
delete cm cm --now
delete cm cm --force
delete cm cm --grace-period=0
delete cm cm --wait=false
delete cm cm -o name
delete cm cm nosuch
delete pod solo
delete pod solo --force
""".strip().splitlines()


@pytest.mark.parametrize("line", DELETIONS)
def test_deletions(worlds: tuple[World, World], line: str) -> None:
    for world in worlds:
        given = world.fill(*base(), manifests.pod("solo"))
        world.twin.server.ok("apply", "-n", world.name, "-f", "-", input=given)
    both(worlds, *line.split())


NO_DELETIONS = """
delete cnp nosuch
delete cnp nosuch --ignore-not-found
delete cm -l x=y
delete cm cm --dry-run=client
delete cm cm --dry-run=server
delete cm cm -o json
delete cm
delete nosuch x
delete cm cm/cm
delete cm cm -l a=b
delete cm cm --all
delete cm -l a=b --all
delete cm cm --now --grace-period=3
""".strip().splitlines()


def test_what_deletes_nothing(worlds: tuple[World, World]) -> None:
    for world in worlds:
        given = world.fill(manifests.config_map("cm"))
        world.twin.server.ok("apply", "-n", world.name, "-f", "-", input=given)
    for line in NO_DELETIONS:
        both(worlds, *line.split())
    assert worlds[1].state()


def test_delete_by_file_and_again(worlds: tuple[World, World]) -> None:
    for world in worlds:
        world.twin.server.ok("apply", "-n", world.name, "-f", "-", input=world.fill(*base()))
    both(worlds, "delete", "-f", "-", objects=base())
    assert both(worlds, "delete", "-f", "-", objects=base()).code == 1
    assert both(worlds, "delete", "-f", "-", "--ignore-not-found", objects=base()).code == 0


def test_deleting_waits_for_the_end(server: Server, twin: Twin) -> None:
    obj = manifests.config_map("held")
    obj["metadata"]["finalizers"] = ["test.namewall.io/hold"]
    server.ok("apply", "-f", "-", input=to_yaml(obj))
    ran = twin.namewall("delete", "cm", "held", "--timeout=1s")
    theirs = server.kubectl("delete", "cm", "held", "--timeout=1s")
    assert (ran.code, ran.out, ran.err) == (theirs.code, theirs.out, f"{theirs.err.splitlines()[-1]}\n")
    assert "timed out waiting for the condition" in ran.err
    server.ok("patch", "cm", "held", "--type=merge", "-p", json.dumps({"metadata": {"finalizers": None}}))
    assert "NotFound" in twin.namewall("get", "cm", "held").err
