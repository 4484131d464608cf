"""The kubectl that the lab types with."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import kubectl


@pytest.fixture(scope="session")
def program() -> Path:
    """The real kubectl that scripts/setup fetched."""
    found = kubectl.fetched()
    assert found is not None, f"{kubectl.FETCHED} is missing; scripts/setup fetches it"
    return found.path
