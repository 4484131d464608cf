"""Deployments, ReplicaSets, pods, Services and namespaces, as kubectl's users drive them."""

from __future__ import annotations

from tests.compat import manifests
from tests.compat.server import Server, eventually, to_yaml


def test_a_deployment_is_created_scaled_rolled_out_and_undone(server: Server) -> None:
    name = "web"
    assert (
        server.ok("apply", "-f", "-", input=to_yaml(manifests.deployment(name)))
        == f"deployment.apps/{name} created\n"
    )
    assert "successfully rolled out" in server.ok("rollout", "status", f"deploy/{name}", "--timeout=20s")
    assert server.ok("get", "deploy", name, "--no-headers").split()[1:4] == ["2/2", "2", "2"]
    assert (
        server.ok("apply", "-f", "-", input=to_yaml(manifests.deployment(name)))
        == f"deployment.apps/{name} unchanged\n"
    )

    assert server.ok("scale", f"deploy/{name}", "--replicas=4") == f"deployment.apps/{name} scaled\n"
    server.ok("rollout", "status", f"deploy/{name}", "--timeout=20s")
    assert len(server.get("pods", "-l", f"app={name}")["items"]) == 4

    before = {pod["metadata"]["uid"] for pod in server.get("pods", "-l", f"app={name}")["items"]}
    assert server.ok("rollout", "restart", f"deploy/{name}") == f"deployment.apps/{name} restarted\n"
    server.ok("rollout", "status", f"deploy/{name}", "--timeout=20s")
    running = eventually(lambda: _uids(server, name, 4))
    assert not running & before
    assert [
        line.split()[0] for line in server.ok("rollout", "history", f"deploy/{name}").splitlines()[2:4]
    ] == ["1", "2"]

    assert "rolled back" in server.ok("rollout", "undo", f"deploy/{name}")
    server.ok("rollout", "status", f"deploy/{name}", "--timeout=20s")
    sets = server.get("rs", "-l", f"app={name}")["items"]
    assert sorted(item["spec"]["replicas"] for item in sets) == [0, 4]
    assert server.get("deploy", name)["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"

    described = server.ok("describe", "deploy", name)
    assert "NewReplicaSetAvailable" in described
    assert "Scaled up replica set" in described
    assert server.ok("delete", "deploy", name) == f'deployment.apps "{name}" deleted from default namespace\n'
    eventually(lambda: not server.get("pods,rs", "-l", f"app={name}")["items"])


def _uids(server: Server, name: str, number: int) -> set[str] | None:
    items = server.get("pods", "-l", f"app={name}")["items"]
    uids = {pod["metadata"]["uid"] for pod in items if not pod["metadata"].get("deletionTimestamp")}
    return uids if len(uids) == number == len(items) else None


def test_a_rollout_that_never_gets_ready_keeps_the_old_pods(server: Server) -> None:
    server.ok("apply", "-f", "-", input=to_yaml(manifests.deployment("careful", 3)))
    server.ok("rollout", "status", "deploy/careful", "--timeout=20s")
    broken = manifests.deployment("careful", 3, ["broken"])
    server.ok("apply", "-f", "-", input=to_yaml(broken))
    eventually(lambda: server.get("deploy", "careful")["status"].get("updatedReplicas") == 1)
    status = server.get("deploy", "careful")["status"]
    assert status["availableReplicas"] == 3
    assert status["replicas"] == 4
    ran = server.kubectl("rollout", "status", "deploy/careful", "--timeout=1s")
    assert ran.code == 1
    assert "1 out of 3 new replicas have been updated" in ran.out
    server.ok("delete", "deploy", "careful")


def test_a_deleted_pod_is_replaced(server: Server) -> None:
    server.ok("apply", "-f", "-", input=to_yaml(manifests.deployment("tough", 1)))
    server.ok("wait", "deploy/tough", "--for=condition=Available", "--timeout=20s")
    (first,) = server.get("pods", "-l", "app=tough")["items"]
    server.ok("delete", "pod", first["metadata"]["name"])
    server.ok("wait", "pod", "-l", "app=tough", "--for=condition=Ready", "--timeout=20s")
    (second,) = server.get("pods", "-l", "app=tough")["items"]
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    server.ok("delete", "deploy", "tough", "--cascade=foreground")
    assert not server.get("rs", "-l", "app=tough")["items"]


def test_orphaned_pods_are_adopted_again(server: Server) -> None:
    server.ok("apply", "-f", "-", input=to_yaml(manifests.deployment("lost", 1)))
    server.ok("rollout", "status", "deploy/lost", "--timeout=20s")
    (before,) = server.get("pods", "-l", "app=lost")["items"]
    server.ok("delete", "deploy", "lost", "--cascade=orphan")
    assert "ownerReferences" not in server.get("rs", "-l", "app=lost")["items"][0]["metadata"]
    server.ok("apply", "-f", "-", input=to_yaml(manifests.deployment("lost", 1)))
    server.ok("rollout", "status", "deploy/lost", "--timeout=20s")
    (after,) = server.get("pods", "-l", "app=lost")["items"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    server.ok("delete", "deploy", "lost")


def test_a_pod_of_another_runtime_stays_pending_and_says_why(server: Server) -> None:
    server.ok("run", "engine", "--image=nginx")
    pod = eventually(
        lambda: server.get("pod", "engine")["status"].get("conditions") and server.get("pod", "engine")
    )
    assert pod["status"]["phase"] == "Pending"
    (condition,) = pod["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == (
        "PodScheduled",
        "False",
        "Unschedulable",
    )
    assert "runtimeClassName: host" in condition["message"]
    assert "FailedScheduling" in server.ok("describe", "pod", "engine")
    assert "pod/engine" in server.ok("get", "events", "--field-selector", "reason=FailedScheduling")
    server.ok("delete", "pod", "engine")


def test_services_get_addresses_of_both_families_and_slices_of_ready_pods(server: Server) -> None:
    dual = manifests.service("shop", ipFamilyPolicy="PreferDualStack")
    server.ok("apply", "-f", "-", input=to_yaml(manifests.deployment("shop", 2), dual))
    server.ok("rollout", "status", "deploy/shop", "--timeout=20s")
    spec = server.get("svc", "shop")["spec"]
    assert spec["ipFamilies"] == ["IPv4", "IPv6"]
    assert spec["clusterIPs"][0].startswith("10.77.")
    assert spec["clusterIPs"][1].startswith("fd77::")

    def complete() -> bool:
        slices = server.get("endpointslices", "-l", "kubernetes.io/service-name=shop")["items"]
        return {item["addressType"]: len(item["endpoints"] or []) for item in slices} == {
            "IPv4": 2,
            "IPv6": 2,
        }

    eventually(complete)
    slices = server.get("endpointslices", "-l", "kubernetes.io/service-name=shop")["items"]
    assert all(item["ports"] == [{"name": "web", "port": 8080, "protocol": "TCP"}] for item in slices)
    assert server.ok("get", "svc", "shop", "--no-headers").split()[1:5:3] == ["ClusterIP", "80/TCP"]
    ran = server.kubectl("get", "endpoints", "shop", "--no-headers")
    assert ran.out.count(":8080") == 2
    assert "Endpoints:" in server.ok("describe", "svc", "shop")
    server.ok("delete", "svc,deploy", "shop")
    eventually(lambda: not server.get("endpointslices", "-l", "kubernetes.io/service-name=shop")["items"])


def test_fixed_cluster_ips_are_kept_and_taken_or_foreign_ones_refused(server: Server) -> None:
    dns = manifests.service("kube-dns", clusterIP="10.77.0.10")
    server.ok("apply", "-n", "kube-system", "-f", "-", input=to_yaml(dns))
    assert server.get("svc", "-n", "kube-system", "kube-dns")["spec"]["clusterIP"] == "10.77.0.10"
    taken = server.kubectl(
        "apply", "-f", "-", input=to_yaml(manifests.service("other", clusterIP="10.77.0.10"))
    )
    assert taken.code == 1
    assert "provided IP is already allocated" in taken.err
    foreign = server.kubectl(
        "apply", "-f", "-", input=to_yaml(manifests.service("other", clusterIP="10.1.2.3"))
    )
    assert "not in the valid range" in foreign.err
    assert server.kubectl("get", "svc", "other").code == 1


def test_a_namespace_takes_everything_along(server: Server) -> None:
    server.ok("create", "namespace", "team")
    eventually(lambda: server.kubectl("get", "sa", "default", "-n", "team").code == 0)
    server.ok(
        "apply",
        "-n",
        "team",
        "-f",
        "-",
        input=to_yaml(manifests.deployment("app"), manifests.config_map("c", a="b")),
    )
    server.ok("rollout", "status", "deploy/app", "-n", "team", "--timeout=20s")
    assert server.ok("delete", "ns", "team") == 'namespace "team" deleted\n'
    assert server.get("pods,cm,deploy,sa", "-n", "team")["items"] == []
    refused = server.kubectl("delete", "ns", "kube-system")
    assert refused.code == 1
    assert "this namespace may not be deleted" in refused.err
