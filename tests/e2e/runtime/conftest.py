"""A runtime of its own for each test: root directory, monitor process, addresses; all gone afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from namewall.model.instance import Instance
from tests.e2e.runtime.harness import Lab


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    here = str(Path(__file__).parent)
    reason = "needs root" if os.geteuid() else "" if shutil.which("runc") else "needs runc (apt install runc)"
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.root)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    root = tempfile.mkdtemp(prefix="nw-rt-", dir="/tmp")
    lab = Lab(Instance(root))
    lab.start_monitor()
    try:
        await lab.monitor_ready()
        yield lab
    finally:
        try:
            await lab.runtime.remove_all()
        finally:
            if lab.monitor is not None:
                lab.end_monitor()
            shutil.rmtree(root)
