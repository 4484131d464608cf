"""`namewall explain` of the running host: names before and after their lookup, and a patch that works when applied."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from lab.cluster import Lab
from lab.play import Reader

pytestmark = pytest.mark.root


def explain(lab: Lab, target: str, *more: str) -> dict[str, Any]:
    done = lab.namewall(
        "explain", "--from", f"pod/{pod(lab)}", "-n", "default", "--to", target, "-o", "json", *more
    )
    assert done.returncode in (0, 1), done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode == 0) == (told["verdict"] == "allow")
    return told


def pod(lab: Lab) -> str:
    done = lab.namewall("get", "pods", "-l", "app=backend", "-o", "jsonpath={.items[0].metadata.name}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def curl(lab: Lab, name: str) -> int:
    command = ["curl", "-sIk", "--connect-timeout", "2", "-o", "/dev/null", f"https://{name}"]
    return lab.namewall("exec", pod(lab), "--", *command).returncode


def texts(told: dict[str, Any]) -> str:
    return "\n".join(step["text"] for step in told["steps"])


def test_the_host_explains_its_own_policy(lab: Lab, prepared: Reader) -> None:
    assert explain(lab, "kubernetes.io:443")["reason"] == "no_policy"
    for file in ("backend-egress-allow-fqdn.yaml",):
        done = lab.namewall("apply", "-f", str(prepared.directory / file))
        assert done.returncode == 0, done.stderr

    unheard = explain(lab, "kubernetes.io:443")
    assert unheard["verdict"] == "allow"
    assert "asks" in texts(unheard)
    assert unheard["rules"][0]["policy"] == "backend-egress-allow-fqdn"

    assert curl(lab, "kubernetes.io") == 0
    heard = explain(lab, "kubernetes.io:443")
    assert heard["verdict"] == "allow"
    assert "looked up as kubernetes.io" in texts(heard)

    assert curl(lab, "cilium.io") == 28
    denied = explain(lab, "cilium.io:443")
    assert denied["verdict"] == "deny"
    assert (denied["nearest"]["field"], denied["nearest"]["got"]) == ("spec.egress[1].toFQDNs", "cilium.io")

    patched = json.dumps({"apiVersion": "v1", "kind": "List", "items": denied["patch"]["policies"]})
    applied = subprocess.run(
        ["kubectl", "apply", "-f", "-"],
        input=patched,
        text=True,
        capture_output=True,
        check=False,
        env=prepared.variables,
    )
    assert applied.returncode == 0, applied.stderr
    assert explain(lab, "cilium.io:443")["verdict"] == "allow"
    assert curl(lab, "cilium.io") == 0
    assert explain(lab, "cilium.io:80")["verdict"] == "deny"


def test_who_is_not_there_is_wrong_input(lab: Lab) -> None:
    done = lab.namewall("explain", "--from", "pod/nobody", "--to", "kubernetes.io:443")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--from: `pod/nobody` is no endpoint" in done.stderr
