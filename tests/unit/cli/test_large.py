"""Ten megabytes of policies, good and bad, are answered with their lines in under 15 seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
POLICY = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: p{0}
spec:
  endpointSelector:
    matchLabels:
      app: web
  egress:
  - toFQDNs:
    - matchName: a{0}.example.com
    - matchPattern: "*.example{0}.com"
    toPorts:
    - ports:
      - port: "443"
        protocol: TCP
"""
SECONDS = {3_400: 5, 34_000: 15}


def policies(count: int) -> str:
    return "---\n".join(POLICY.format(number) for number in range(count))


def a_list(count: int) -> str:
    items = (POLICY.format(number).replace("\n", "\n  ").rstrip() for number in range(count))
    return "apiVersion: v1\nkind: List\nitems:\n" + "".join(f"- {item}\n" for item in items)


def wrong_names(count: int) -> str:
    names = "".join(f"    - matchName: a {number}.example.com\n" for number in range(8 * count))
    return POLICY.format(0) + "  - toFQDNs:\n" + names


def wrong_labels(count: int) -> str:
    labels = "".join(f"    _{number}: +\n" for number in range(24 * count))
    return POLICY.format(0).replace("spec:\n", "  labels:\n" + labels + "spec:\n")


MAKERS = {
    "policies": policies,
    "list": a_list,
    "wrong": wrong_names,
    "labels": wrong_labels,
    "broken": policies,
}


@pytest.mark.parametrize(
    "count", [3_400, pytest.param(34_000, marks=pytest.mark.long)], ids=["a-megabyte", "ten-megabytes"]
)
@pytest.mark.parametrize("kind", MAKERS)
def test_a_large_file_is_answered_in_time(kind: str, count: int, tmp_path: Path) -> None:
    good = MAKERS[kind](count)
    text = good + "---\nkind: [\n" if kind == "broken" else good
    assert len(text) > count * 290
    path = tmp_path / "large.yaml"
    path.write_text(text, encoding="utf-8")
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-m", "namewall", "validate", str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    after = os.times()
    # Of processor time, so that a busy machine is no failure.
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < SECONDS[count]
    lines = done.stdout.splitlines()
    assert done.returncode == (0 if kind in ("policies", "list") else 2), done.stderr
    if kind == "wrong":
        assert len(lines) == 8 * count
        last = text.count("\n")
        assert lines[-1].startswith(f"{path}:{last}: spec.egress[1].toFQDNs[{8 * count - 1}].matchName: ")
    elif kind == "labels":
        assert len(lines) == 10_001
        assert any(
            line.endswith("metadata: more than 10000 problems: the others are not said") for line in lines
        )
    elif kind == "broken":
        assert lines == [f"{path}:{text.count(chr(10)) + 1}: did not find expected node content"]
    else:
        assert lines == []
