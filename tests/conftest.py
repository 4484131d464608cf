"""For all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# `make test` judges a change by the same examples each time; what chance finds is for `make test-long`.
settings.register_profile("same", derandomize=True)
if "NAMEWALL_EXAMPLES" not in os.environ:
    settings.load_profile("same")

TOGETHER = {"cases", "compat", "conformance", "docs", "property", "ui", "unit"}
"""Folders whose tests need nothing of the host, but for those marked root. Those marked guest have their own kernel."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share the kernel, its namespaces or its time are `host`: they run one by one."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if "guest" not in item.keywords and (folder not in TOGETHER or "root" in item.keywords):
            item.add_marker("host")


def pytest_configure(config: pytest.Config) -> None:
    """A shell's background job ignores SIGINT, and so would every program that a test interrupts."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
