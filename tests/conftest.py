"""For all tests."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

# `make test` judges a change by the same examples each time; what chance finds is for `make test-long`.
settings.register_profile("same", derandomize=True)
if "NAMEWALL_EXAMPLES" not in os.environ:
    settings.load_profile("same")


def pytest_configure(config: pytest.Config) -> None:
    """A shell's background job ignores SIGINT, and so would every program that a test interrupts."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
