"""An endpoint of its own for every test, alone or with a collector before it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.redteam.house import House
from tests.redteam.way import Way, made_way


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """An endpoint whose policy lets Ann run sh."""
    made = House(tmp_path)
    yield made
    made.restart()


@pytest.fixture
def way(house: House, tmp_path: Path) -> Iterator[Way]:
    """The same, with the collector and the agent between it and Ann."""
    with made_way(house, tmp_path) as made:
        yield made
