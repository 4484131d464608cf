"""Bad input: the messages are the usual ones, and nothing is stored."""

from __future__ import annotations

import json

import pytest

from tests.compat import manifests
from tests.compat.manifests import Object
from tests.compat.server import Server, to_yaml


def _refused(server: Server, obj: Object | str, *words: str) -> str:
    text = obj if isinstance(obj, str) else to_yaml(obj)
    ran = server.kubectl("apply", "-f", "-", input=text)
    assert ran.code == 1, ran
    for word in words:
        assert word in ran.err, ran.err
    if isinstance(obj, dict):
        kind, name = obj["kind"], obj["metadata"]["name"]
        assert "NotFound" in server.kubectl("get", kind, name).err
    return ran.err


def test_a_policy_cilium_would_refuse_is_refused_with_its_field(server: Server) -> None:
    bad = manifests.cnp("bad", "exa mple.io")
    error = _refused(
        server, bad, 'The CiliumNetworkPolicy "bad" is invalid', "spec.egress[0].toFQDNs[0].matchName"
    )
    assert "exa mple.io" in error


def test_all_problems_are_told_at_once(server: Server) -> None:
    bad = manifests.cnp("worse", "a b")
    bad["spec"]["egress"].append({"toCIDR": ["10.0.0.0/99"]})
    _refused(server, bad, "* spec.egress[0].toFQDNs[0].matchName", "* spec.egress[1].toCIDR[0]")


def test_an_unknown_field_is_a_strict_decoding_error(server: Server) -> None:
    bad = manifests.cnp("typo")
    bad["spec"]["egress"][0] = {"toFQDN": [{"matchName": "a.io"}]}
    _refused(server, bad, 'strict decoding error: unknown field "spec.egress[0].toFQDN"')
    wrong = manifests.deployment("typo")
    wrong["spec"]["replica"] = 3
    _refused(server, wrong, 'unknown field "spec.replica"')


def test_an_unknown_field_is_pruned_with_a_warning_if_asked(server: Server) -> None:
    loose = manifests.config_map("loose", a="b")
    loose["extra"] = {"x": 1}
    ran = server.kubectl("apply", "--validate=warn", "-f", "-", input=to_yaml(loose))
    assert ran.code == 0
    assert 'Warning: unknown field "extra"' in ran.err
    assert "extra" not in server.get("cm", "loose")
    server.ok("delete", "cm", "loose")


def test_an_annotation_of_ours_that_means_nothing_is_refused(server: Server) -> None:
    policy = manifests.cnp("mistyped")
    policy["metadata"]["annotations"] = {"namewall.io/verfy-name": "sni"}
    words = "metadata.annotations[namewall.io/verfy-name]: no such annotation", "`namewall.io/verify-name`?"
    _refused(server, policy, *words)
    del policy["metadata"]["annotations"]
    assert server.kubectl("apply", "-f", "-", input=to_yaml(policy)).code == 0
    ran = server.kubectl("annotate", "cnp", "mistyped", "namewall.io/audit=true")
    assert (ran.code, "no such annotation" in ran.err) == (1, True)
    server.ok("annotate", "cnp", "mistyped", "example.com/x=y")
    server.ok("delete", "cnp", "mistyped")


def test_metadata_is_told_of_in_kubernetes_words(server: Server) -> None:
    bad = manifests.cnp("Foo_Bar")
    bad["metadata"]["labels"] = {"a": "a b"}
    ran = server.kubectl("apply", "-f", "-", input=to_yaml(bad))
    assert ran.code == 1
    for words in (
        "* metadata.name: Invalid value",
        "a lowercase RFC 1123 subdomain must",
        "* metadata.labels[a]",
    ):
        assert ran.err.count(words) == 1, ran.err


def test_wrong_types_are_told_in_the_decoders_words(server: Server) -> None:
    bad = manifests.deployment("typed")
    bad["spec"]["replicas"] = "three"
    _refused(
        server, bad, "cannot unmarshal string into Go struct field Deployment.spec.replicas of type int32"
    )


def _object(version: str, kind: str) -> str:
    return json.dumps({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}})


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("just words\n", "invalid object to validate"),
        (_object("cilium.io/v3", "CiliumNetworkPolicy"), "no matches for kind"),
        (_object("v1", "Wombat"), 'no matches for kind "Wombat" in version "v1"'),
        ('{"apiVersion": "v1", "metadata": {"name": "x"}}', "kind"),
        ("a: [", "error"),
    ],
)
def test_what_is_no_object_gets_kubectls_usual_message(server: Server, text: str, word: str) -> None:
    assert word in _refused(server, text)


_FIELDS = {
    "hostNetwork": True,
    "hostPID": True,
    "hostIPC": True,
    "hostUsers": False,
    "initContainers": [{"name": "i", "command": ["true"]}],
    "dnsPolicy": "Default",
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}],
    "dnsConfig": {"nameservers": ["10.0.0.1"]},
    "securityContext": {"runAsUser": 0},
    "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
}


@pytest.mark.parametrize("field", _FIELDS)
@pytest.mark.parametrize("workload", ["pod", "deployment"])
def test_pod_fields_that_are_not_implemented_are_refused(server: Server, field: str, workload: str) -> None:
    obj = manifests.pod("risky") if workload == "pod" else manifests.deployment("risky")
    spec = obj["spec"] if workload == "pod" else obj["spec"]["template"]["spec"]
    spec[field] = _FIELDS[field]
    path = f"spec.{field}" if workload == "pod" else f"spec.template.spec.{field}"
    _refused(server, obj, path)


@pytest.mark.parametrize(
    "context",
    [
        {"privileged": True},
        {"capabilities": {"add": ["NET_ADMIN"]}},
        {"runAsUser": 1000},
        {"runAsGroup": 1000},
        {"allowPrivilegeEscalation": True},
        {"procMount": "Unmasked"},
        {"seccompProfile": {"type": "Unconfined"}},
        {"readOnlyRootFilesystem": True},
    ],
    ids=lambda context: next(iter(context)),
)
def test_security_settings_that_are_not_implemented_are_refused(server: Server, context: Object) -> None:
    obj = manifests.pod("risky")
    obj["spec"]["containers"][0]["securityContext"] = context
    _refused(server, obj, f"spec.containers[0].securityContext.{next(iter(context))}")


def test_namewalls_own_runtime_class_is_for_kube_system(server: Server) -> None:
    obj = manifests.pod("own")
    obj["spec"]["runtimeClassName"] = "namewall"
    _refused(server, obj, "spec.runtimeClassName", "kube-system")
    server.ok("apply", "-n", "kube-system", "-f", "-", input=to_yaml(obj))
    server.ok("delete", "pod", "-n", "kube-system", "own")


def test_the_usual_refusals(server: Server) -> None:
    assert 'namespaces "nowhere" not found' in server.kubectl("create", "cm", "x", "-n", "nowhere").err
    server.ok("create", "cm", "twice")
    again = server.kubectl("create", "cm", "twice")
    assert 'configmaps "twice" already exists' in again.err
    stale = server.get("cm", "twice")
    server.ok("label", "cm/twice", "a=b")
    stale["data"] = {"x": "y"}
    conflict = server.kubectl("replace", "-f", "-", input=json.dumps(stale))
    assert "the object has been modified; please apply your changes to the latest version" in conflict.err
    bad = manifests.config_map("Bad_Name")
    assert "a lowercase RFC 1123 subdomain" in server.kubectl("apply", "-f", "-", input=to_yaml(bad)).err
    moved = manifests.deployment("fixed", 0)
    server.ok("apply", "-f", "-", input=to_yaml(moved))
    moved["spec"]["selector"]["matchLabels"] = {"app": "other"}
    moved["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    assert "spec.selector" in server.kubectl("apply", "-f", "-", input=to_yaml(moved)).err
    assert "field is immutable" in server.kubectl("apply", "-f", "-", input=to_yaml(moved)).err
    for verb in (("attach", "x"), ("port-forward", "x", "1:1")):
        assert server.kubectl(*verb).code == 1
    server.ok("delete", "cm", "twice")
    server.ok("delete", "deploy", "fixed")


def test_a_null_is_left_out(server: Server) -> None:
    """Whoever sends it: `apply` takes nulls out itself, unless the server is to apply."""
    policy = manifests.cnp("half")
    policy["spec"] |= {"ingress": None, "description": None}
    policy["spec"]["egress"][0]["toPorts"] = None
    for verb in (["create", "--save-config"], ["apply"], ["apply", "--server-side", "--force-conflicts"]):
        server.ok(*verb, "-f", "-", input=to_yaml(policy))
        stored = server.get("cnp", "half")["spec"]
        assert not {"ingress", "description"} & stored.keys(), verb
        assert "toPorts" not in stored["egress"][0], verb
    server.ok("delete", "cnp", "half")


def test_a_label_that_is_null_and_a_null_field_that_nobody_knows_are_refused(server: Server) -> None:
    policy = manifests.cnp("unlabelled")
    policy["spec"]["endpointSelector"] = {"matchLabels": {"app": None}}
    for verb in (["create"], ["apply", "--server-side"]):
        ran = server.kubectl(*verb, "-f", "-", input=to_yaml(policy))
        assert ran.code == 1, verb
        assert "spec.endpointSelector.matchLabels.app" in ran.err
    policy = manifests.cnp("unknown")
    policy["spec"]["egres"] = None
    ran = server.kubectl("create", "-f", "-", input=to_yaml(policy))
    assert ran.code == 1
    assert 'unknown field "spec.egres"' in ran.err
