"""Server-side apply, strategic merge, and what survives kill -9."""

from __future__ import annotations

import json
import signal

from tests.compat import manifests
from tests.compat.server import Server, to_yaml


def test_server_side_apply_owns_conflicts_and_removes(server: Server) -> None:
    config = manifests.config_map("shared", a="1", b="2")
    applied = server.ok("apply", "--server-side", "--field-manager=one", "-f", "-", input=to_yaml(config))
    assert applied == "configmap/shared serverside-applied\n"
    other = manifests.config_map("shared", b="3")
    refused = server.kubectl("apply", "--server-side", "--field-manager=two", "-f", "-", input=to_yaml(other))
    assert refused.code == 1
    assert 'Apply failed with 1 conflict: conflict with "one": .data.b' in refused.err
    assert server.get("cm", "shared")["data"] == {"a": "1", "b": "2"}

    forced = server.kubectl(
        "apply", "--server-side", "--field-manager=two", "--force-conflicts", "-f", "-", input=to_yaml(other)
    )
    assert forced.code == 0
    assert server.get("cm", "shared")["data"] == {"a": "1", "b": "3"}
    # `one` leaves out both: its `a` goes, `b` belongs to `two` now and stays.
    server.ok(
        "apply",
        "--server-side",
        "--field-manager=one",
        "-f",
        "-",
        input=to_yaml(manifests.config_map("shared")),
    )
    assert server.get("cm", "shared")["data"] == {"b": "3"}
    shown = json.loads(server.ok("get", "cm", "shared", "-o", "json", "--show-managed-fields"))
    owners = {entry["manager"]: entry["fieldsV1"] for entry in shown["metadata"]["managedFields"]}
    assert owners == {"two": {"f:data": {"f:b": {}}}, "one": {"f:data": {}}}
    server.ok("delete", "cm", "shared")


def test_client_side_apply_moves_over_to_server_side_once(server: Server) -> None:
    policy = manifests.cnp("moving")
    server.ok("apply", "-f", "-", input=to_yaml(policy))
    server.ok("apply", "--server-side", "-f", "-", input=to_yaml(policy))
    managers = _managers(server)
    assert ("kubectl", "Apply") in managers
    assert ("kubectl-client-side-apply", "Update") not in managers
    version = server.get("cnp", "moving")["metadata"]["resourceVersion"]
    server.ok("apply", "--server-side", "-f", "-", input=to_yaml(policy))
    assert server.get("cnp", "moving")["metadata"]["resourceVersion"] == version
    server.ok("delete", "cnp", "moving")


def _managers(server: Server) -> set[tuple[str, str]]:
    shown = json.loads(server.ok("get", "cnp", "moving", "-o", "json", "--show-managed-fields"))
    return {(entry["manager"], entry["operation"]) for entry in shown["metadata"]["managedFields"]}


def test_server_side_apply_of_a_deployment_twice_changes_nothing(server: Server) -> None:
    deployment = manifests.deployment("ssa", 0)
    server.ok("apply", "--server-side", "-f", "-", input=to_yaml(deployment))
    generation = server.get("deploy", "ssa")["metadata"]["generation"]
    server.ok("apply", "--server-side", "-f", "-", input=to_yaml(deployment))
    assert server.get("deploy", "ssa")["metadata"]["generation"] == generation
    ran = server.kubectl("scale", "deploy/ssa", "--replicas=1")
    assert ran.code == 0
    again = server.kubectl("apply", "--server-side", "-f", "-", input=to_yaml(deployment))
    assert ".spec.replicas" in again.err
    server.ok("delete", "deploy", "ssa")


def test_lists_merge_by_their_keys(server: Server) -> None:
    server.ok("apply", "-f", "-", input=to_yaml(manifests.deployment("merge", 0)))
    server.ok("set", "env", "deploy/merge", "B=2")
    server.ok(
        "patch",
        "deploy",
        "merge",
        "-p",
        '{"spec":{"template":{"spec":{"containers":[{"name":"side","command":["x"]}]}}}}',
    )
    containers = server.get("deploy", "merge")["spec"]["template"]["spec"]["containers"]
    assert [container["name"] for container in containers] == ["side", "main"]
    main = next(container for container in containers if container["name"] == "main")
    assert main["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    server.ok("set", "env", "deploy/merge", "-c", "main", "A-")
    remove = '{"spec":{"template":{"spec":{"containers":[{"name":"side","$patch":"delete"}]}}}}'
    server.ok("patch", "deploy", "merge", "-p", remove)
    (only,) = server.get("deploy", "merge")["spec"]["template"]["spec"]["containers"]
    assert only["env"] == [{"name": "B", "value": "2"}]
    json_patch = (
        '[{"op":"test","path":"/spec/replicas","value":0},{"op":"replace","path":"/spec/replicas","value":1}]'
    )
    server.ok("patch", "deploy", "merge", "--type=json", "-p", json_patch)
    assert server.get("deploy", "merge")["spec"]["replicas"] == 1
    strategic = server.kubectl("patch", "cnp", "none", "--type=strategic", "-p", "{}")
    assert strategic.code == 1
    server.ok("delete", "deploy", "merge")


def test_what_was_answered_survives_kill_9(server: Server) -> None:
    names = [f"durable-{number}" for number in range(20)]
    for name in names:
        server.ok("create", "configmap", name)
        if name == names[10]:
            server.stop(signal.SIGKILL)
            port = server.kubeconfig.read_text()
            server.start()
            assert server.kubeconfig.read_text() == port
    version = server.get("cm", names[-1])["metadata"]["resourceVersion"]
    server.stop(signal.SIGKILL)
    server.start()
    found = {item["metadata"]["name"] for item in server.get("cm")["items"]}
    assert set(names) <= found
    server.ok("create", "configmap", "later")
    assert int(server.get("cm", "later")["metadata"]["resourceVersion"]) > int(version)
    server.ok("delete", "cm", "later", *names)


def test_a_watch_from_before_a_restart_is_told_410(server: Server) -> None:
    version = json.loads(server.ok("get", "--raw", "/api/v1/configmaps"))["metadata"]["resourceVersion"]
    server.ok("create", "cm", "gap")
    server.ok("delete", "cm", "gap")
    server.stop(signal.SIGKILL)
    server.start()
    raw = server.kubectl(
        "get", "--raw", f"/api/v1/configmaps?watch=true&resourceVersion={version}&timeoutSeconds=1"
    )
    event = json.loads(raw.out)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
