"""Sensors, from files captured on a kernel and written after its documentation."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from forewarn_checks.base import Reading
from forewarn_checks.sensors import readings

Check = Callable[[Path, Callable[[Path], Iterable[Reading]]], None]

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/case.toml"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_samples_of_a_host(case: Path, check_case: Check) -> None:
    """All of them, and the outcome's text."""
    check_case(case, readings)
