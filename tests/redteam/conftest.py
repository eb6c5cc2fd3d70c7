"""An endpoint of its own for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.redteam.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """An endpoint whose policy lets Ann run sh."""
    made = House(tmp_path)
    yield made
    made.restart()
