"""A stage of its own for every test."""

from pathlib import Path

import pytest
from tests.scripts.library.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A folder of programs that change nothing."""
    return Stage(tmp_path)
