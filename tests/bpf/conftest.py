"""Fixtures of the datapath's tests; the node they play on is in bpf_lab.py."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from namewall.datapath.kernel import check_support

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))

from bpf_lab import Lab, Pod  # noqa: E402
from packets import Bench  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    problems = [p for p in check_support() if "not compiled" not in p]
    if problems:
        pytest.skip("; ".join(problems))
    subprocess.run([sys.executable, ROOT / "scripts/build_bpf.py"], check=True)


@pytest.fixture
def lab() -> Iterator[Lab]:
    """One of its own for each test."""
    yield from _lab()


@pytest.fixture(scope="module")
def shared_lab() -> Iterator[Lab]:
    """Loaded once for all tests of a module: verifying the programs takes longer than most tests."""
    for lab in _lab():
        lab.load()
        yield lab


@pytest.fixture
def pod(lab: Lab) -> Pod:
    """A new one for each test: its maps are new too."""
    return lab.pod(max(lab.pods, default=0) + 1)


@pytest.fixture
def bench(lab: Lab, pod: Pod) -> Bench:
    return Bench(lab)


def _lab() -> Iterator[Lab]:
    root = tempfile.mkdtemp(prefix="nw-", dir="/tmp")
    lab = None
    try:
        lab = Lab(root)
        yield lab
    finally:
        if lab is not None:
            lab.close()
        shutil.rmtree(root, ignore_errors=True)
