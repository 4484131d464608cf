"""What more examples ask for, the clock must give."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.property.examples import ENOUGH, EXAMPLES

SECONDS = 900 if EXAMPLES <= ENOUGH else 0
"""Zero is no limit."""
LONGEST = "test_laws.py"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For this folder, though pytest hands over all items. What takes longest begins first: cores end together."""

    def place(item: pytest.Item) -> int:
        if not item.path.is_relative_to(Path(__file__).parent):
            return 2
        return 0 if item.path.name == LONGEST else 1

    for item in items:
        if place(item) < 2:
            item.add_marker(pytest.mark.timeout(SECONDS))
    if EXAMPLES > ENOUGH:
        items.sort(key=place)
