from __future__ import annotations

import pytest

from tests.compat.cli.twin import Twin
from tests.compat.server import Server


@pytest.fixture(scope="module")
def twin(server: Server) -> Twin:
    return Twin(server)
