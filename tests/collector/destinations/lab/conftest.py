"""The systems are installed once for all modules of this folder."""

from collections.abc import Iterator

import pytest
from tests.collector.destinations.lab.house import House, house


@pytest.fixture(scope="session")
def systems() -> Iterator[House]:
    with house() as made:
        yield made
