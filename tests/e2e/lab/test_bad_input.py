"""What cannot be done is refused in one sentence that names the cause and the cure, and leaves nothing
behind."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from lab import cluster, kubectl
from lab.cluster import Lab
from lab.play import Reader

pytestmark = pytest.mark.root

NOBODY = 65534


def test_up_without_root_says_so() -> None:
    done = subprocess.run(
        [kubectl.NAMEWALL, "up", "--detach"],
        capture_output=True,
        text=True,
        check=False,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
    )
    assert done.returncode == 3, done.stderr
    assert "needs root" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_up_with_its_port_taken_names_the_port_and_leaves_nothing() -> None:
    with socket.socket() as holder, cluster.lab(start=False) as lab:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = lab.namewall("up", "--detach", "--listen", f"127.0.0.1:{port}")
        assert done.returncode == 3, done.stderr
        assert f"127.0.0.1:{port}" in done.stderr
        assert "--listen" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert not Path(lab.instance.run_dir).exists()
        assert not Path(lab.instance.pin_dir).exists()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--dns-upstream", "nonsense"), "`nonsense` is no resolver"),
        (("--pod-cidr", "10.0.0.0/33"), "--pod-cidr: `10.0.0.0/33` is no network"),
        (
            ("--pod-cidr", "127.0.0.0/16", "--service-cidr", "10.99.0.0/24"),
            "--pod-cidr: 127.0.0.0/16 overlaps",
        ),
    ],
)
def test_up_refuses_options_that_cannot_be(options: tuple[str, ...], named: str) -> None:
    with cluster.lab(start=False) as lab:
        done = lab.namewall("up", "--detach", *options)
        assert done.returncode in (2, 3), done.stderr
        assert named in done.stderr
        assert not Path(lab.instance.run_dir).exists()


def _apply(reader: Reader, text: str) -> tuple[int, str]:
    (reader.directory / "bad.yaml").write_text(text)
    outcome = reader.type("kubectl apply -f bad.yaml", terminal=False)
    return outcome.code, outcome.output + outcome.errors


def test_a_policy_cilium_would_refuse_is_refused_with_its_field_and_not_stored(reader: Reader) -> None:
    text = (reader.directory / "backend-egress-allow-fqdn.yaml").read_text()
    code, said = _apply(reader, text.replace("matchName: kubernetes.io", "matchPattern: 'exa mple.*'"))
    assert code == 1
    assert 'The CiliumNetworkPolicy "backend-egress-allow-fqdn" is invalid' in said
    assert "spec.egress[1].toFQDNs[0].matchPattern" in said
    assert "No resources found" in reader.type("kubectl get cnp", terminal=False).errors


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n- b\n", "error"),
        ("just words\n", "error"),
        (
            "apiVersion: cilium.io/v2\nkind: CiliumNoSuchPolicy\nmetadata: {name: x}\n",
            'no matches for kind "CiliumNoSuchPolicy"',
        ),
        (
            "apiVersion: cilium.io/v9\nkind: CiliumNetworkPolicy\nmetadata: {name: x}\n",
            'no matches for kind "CiliumNetworkPolicy" in version "cilium.io/v9"',
        ),
        ("apiVersion: v1\nmetadata: {name: x}\n", "kind"),
    ],
    ids=["list", "words", "unknown kind", "wrong version", "no kind"],
)
def test_what_is_no_object_of_ours_gets_kubectl_s_usual_message(reader: Reader, text: str, said: str) -> None:
    code, words = _apply(reader, text)
    assert code == 1
    assert said in words


def test_a_pod_that_asks_for_the_host_s_network_is_refused(reader: Reader) -> None:
    code, words = _apply(
        reader,
        "apiVersion: v1\nkind: Pod\nmetadata: {name: nosy}\n"
        "spec: {runtimeClassName: host, hostNetwork: true, containers: [{name: a, command: [sleep, '9']}]}\n",
    )
    assert code == 1
    assert "spec.hostNetwork" in words
    assert "NotFound" in reader.type("kubectl get pod nosy", terminal=False).errors


def test_other_options_for_what_runs_are_refused(lab: Lab) -> None:
    done = lab.namewall("up", "--detach", "--min-ttl", "7")
    assert done.returncode == 3, done.stderr
    assert "`namewall down` first" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
