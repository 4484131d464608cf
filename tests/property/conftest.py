"""What more examples ask for, the clock must give."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.property.examples import ENOUGH, EXAMPLES

SECONDS = 900 if EXAMPLES <= ENOUGH else 0
"""Zero is no limit."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For this folder, though pytest hands over all items."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(SECONDS))
