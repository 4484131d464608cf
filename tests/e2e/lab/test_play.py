"""The page against real processes: by bash and the real kubectl, in a pseudo-terminal and without one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lab import cluster, netns, page
from lab.cluster import Lab
from lab.names import BOTH, random_world
from lab.page import Step
from lab.play import Reader, play
from lab.scene import random_scene

pytestmark = pytest.mark.root
REPOSITORY = Path(page.__file__).resolve().parent.parent


def _differences(reader: Reader, steps: list[Step], lab: Lab) -> list[str]:
    _, differences = play(reader, steps, print)
    if differences:
        print(lab.logs())
    return differences


def test_make_lab_plays_the_page_leaves_nothing_and_disturbs_nobody() -> None:
    with cluster.lab() as other:  # a Namewall that runs already
        before = other.status()
        done = _lab()
        assert other.status()["processes"] == before["processes"]
        assert other.status()["pods"] == before["pods"]
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    match = re.fullmatch(r"lab: (\d+) steps, (\d+) as the page says", last)
    assert match, last
    assert match.group(1) == match.group(2)
    assert "$ kubectl apply -f backend-egress-allow-fqdn.yaml" in done.stdout
    assert "ciliumnetworkpolicy.cilium.io/backend-egress-allow-fqdn created" in done.stdout
    kubeconfig = re.search(r"KUBECONFIG=(\S+)", done.stdout)
    assert kubeconfig
    assert not Path(kubeconfig.group(1)).parent.parent.exists()


def test_a_reader_types_the_page_in_the_lab_s_shell() -> None:
    typed = "\n".join(
        [
            "kubectl apply -f backend-egress-allow-fqdn.yaml",
            "kubectl get cnp --no-headers",
            "namewall get cnp --no-headers",
            "echo $KUBECONFIG",
        ]
    )
    done = _lab("--shell", typed=typed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ciliumnetworkpolicy.cilium.io/backend-egress-allow-fqdn created" in done.stdout
    assert len(re.findall(r"^backend-egress-allow-fqdn +\d+s +True", done.stdout, re.MULTILINE)) == 2
    kubeconfig = Path(done.stdout.splitlines()[-1])
    assert kubeconfig.name == "kubeconfig"
    assert not kubeconfig.exists()


def test_a_kubectl_too_old_is_answered_with_the_cure(tmp_path: Path) -> None:
    old = tmp_path / "kubectl"
    old.write_text("""#!/bin/sh\necho '{"clientVersion": {"gitVersion": "v1.20.2"}}'\n""")
    old.chmod(0o755)
    done = _lab("--shell", typed="kubectl version --client", path=f"{tmp_path}:{os.environ['PATH']}")
    assert f"{old} (version 1.20.2) is too old: `kubectl exec` needs 1.31 or newer" in done.stdout
    assert "use " in done.stdout
    assert "v1.35" in done.stdout


def _lab(*arguments: str, typed: str = "", path: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lab.play", *arguments],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env={**os.environ, "PATH": path or os.environ["PATH"]},
        timeout=240,
    )


@pytest.mark.parametrize(
    ("seed", "families", "dns"),
    [(1, BOTH, (5353, 2)), (2, (4,), (53, 1)), (3, (6,), (5353, 2))],
    ids=["both", "ipv4-only", "ipv6-only"],
)
def test_the_page_holds_with_everything_drawn_at_random(
    seed: int, families: tuple[int, ...], dns: tuple[int, int], program: Path
) -> None:
    """Also with kube-dns on another target port and two replicas. A failure prints what was drawn."""
    world = random_world(seed, netns.free_slot(), families)
    scene = replace(random_scene(seed, world), dns_port=dns[0], dns_replicas=dns[1])
    print(f"seed {seed}: {scene}\n{world}")
    with cluster.lab(world) as lab:
        reader = Reader(lab, program)
        reader.write(scene)
        assert _differences(reader, page.shuffled(scene), lab) == []
