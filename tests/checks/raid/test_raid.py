"""Arrays, from files captured while real ones failed."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_checks._asking import Asking, NoAnswer
from forewarn_checks.base import CannotRead, Reading, Sample
from forewarn_checks.linux.arrays import parse_errors, parse_progress
from forewarn_checks.raid import readings

Check = Callable[[Path, Callable[[Path], Iterable[Reading]]], None]

POOL = "proc/spl/kstat/zfs/tank/state"
Answer = TypeVar("Answer")


class Wedged(Asking):
    """A kernel that holds the lock of md0 for ever."""

    def ask(self, key: str, question: Callable[[], Answer], seconds: float) -> Answer:
        if key.endswith("md0"):
            raise NoAnswer
        return question()


CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/case.toml"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_samples_of_a_host(case: Path, check_case: Check) -> None:
    """All of them, and the outcome's text."""
    check_case(case, readings)


def test_a_wedged_array_does_not_hide_the_others(tmp_path: Path) -> None:
    """Reading it may never come back; the whole pool beside it is still told."""
    for path, text in (("sys/block/md0/md/array_state", "active\n"), (POOL, "ONLINE\n")):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    found: list[Reading] = []
    with pytest.raises(CannotRead, match="md0: the kernel does not answer"):
        for reading in readings(tmp_path, Wedged()):
            found.append(reading)
    assert {each.metric for each in found if isinstance(each, Sample)} == {
        "raid_degraded",
        "raid_stopped",
    }


@pytest.mark.parametrize(
    ("text", "share"),
    [("1280 / 64000", 0.02), ("none", None), ("delayed", None), ("5 / 0", None), ("", None)],
)
def test_progress_is_a_share_or_unknown(text: str, share: float | None) -> None:
    """As sync_completed writes it."""
    assert parse_progress(text) == share


@given(st.text(st.sampled_from("write_errs read 0123456789\n-²"), max_size=60))
def test_any_error_statistics_are_parsed(text: str) -> None:
    """Counters, or nothing."""
    parse_errors(text)
