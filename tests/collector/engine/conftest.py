"""A collector in memory for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.collector.engine.line import Line, new_line


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with new_line(tmp_path) as made:
        yield made
