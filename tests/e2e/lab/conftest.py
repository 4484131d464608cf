"""A lab a test can stand in: its own instance, ranges and world, gone after the tests that share it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import cluster, kubectl, netns
from lab.cluster import Lab
from lab.names import page_world
from lab.page import prepare
from lab.play import Reader
from lab.scene import PAGE


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `root` skip with the reason where they cannot run; the others run everywhere."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(
                pytest.mark.skip(reason="needs root: makes network namespaces and loads BPF programs")
            )


@pytest.fixture(scope="session")
def program() -> Path:
    """The real kubectl that scripts/setup fetched."""
    found = kubectl.fetched()
    assert found is not None, f"{kubectl.FETCHED} is missing; scripts/setup fetches it"
    assert found.too_old is None, found.too_old
    return found.path


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab that is up, with the page's world and nothing applied."""
    with cluster.lab(page_world(netns.free_slot())) as here:
        yield here


@pytest.fixture(scope="module")
def reader(lab: Lab, program: Path) -> Reader:
    """Types lines in that lab; the page's files are written."""
    reader = Reader(lab, program)
    reader.write(PAGE)
    return reader


@pytest.fixture(scope="module")
def prepared(reader: Reader) -> Reader:
    """As `reader`, the page's workloads and ingress policies applied, the pods' names known."""
    for step in prepare():
        _, difference = reader.take(step)
        assert difference is None, f"{step.line}: {difference}"
    return reader
