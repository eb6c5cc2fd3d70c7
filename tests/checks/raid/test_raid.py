"""Arrays, from files captured while real ones failed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_checks._asking import Asking, NoAnswer
from forewarn_checks.base import CannotRead, Reading, Sample
from forewarn_checks.linux.arrays import parse_errors, parse_progress, parse_scrubs
from forewarn_checks.linux.zpool import parse_list, parse_status
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


NOW = datetime(2026, 11, 20, 12).astimezone()  # zpool writes moments in the zone of the host
BTRFS = "7a9b91bd-b798-4deb-a9ed-b2680789ccf8"


def read(root: Path) -> Iterator[Reading]:
    """Read a case; what zpool prints for ``list -Hp …`` lies in a file named ``zpool list``."""

    def ask_zpool(arguments: Sequence[str]) -> str:
        answer = root / f"zpool {arguments[0]}"
        return answer.read_text("utf-8") if answer.exists() else ""

    return readings(root, NOW, ask_zpool)


CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/case.toml"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_samples_of_a_host(case: Path, check_case: Check) -> None:
    """All of them, and the outcome's text."""
    check_case(case, read)


def test_a_wedged_array_does_not_hide_the_others(tmp_path: Path) -> None:
    """Reading it may never come back; the whole pool beside it is still told."""
    for path, text in (("sys/block/md0/md/array_state", "active\n"), (POOL, "ONLINE\n")):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    found: list[Reading] = []
    with pytest.raises(CannotRead, match="md0: the kernel does not answer"):
        for reading in readings(tmp_path, NOW, lambda _: "", Wedged()):
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


SCRUB = (
    "scrub status:1\n"
    "{id}:1|data_errors:0|canceled:{canceled}|finished:{finished}|t_start:1790000000|duration:60\n"
    "{id}:2|data_errors:0|canceled:0|finished:1|t_start:1790000000|t_resumed:0|duration:90\n"
)


def test_a_scrub_of_btrfs_ended_where_it_ended_first() -> None:
    """One of its drives may have been left out of a later one."""
    text = SCRUB.format(id=BTRFS, canceled=0, finished=1)
    assert parse_scrubs(text) == datetime.fromtimestamp(1790000060, UTC)


@pytest.mark.parametrize(("canceled", "finished"), [(1, 1), (0, 0)])
def test_a_scrub_that_did_not_run_through_is_none(canceled: int, finished: int) -> None:
    assert parse_scrubs(SCRUB.format(id=BTRFS, canceled=canceled, finished=finished)) is None


@given(st.text(st.sampled_from("scrub status:1|finished:1|t_start:-²9\n"), max_size=80))
def test_any_scrub_status_is_parsed(text: str) -> None:
    parse_scrubs(text)


@given(st.text(st.sampled_from("pool: tank\n\tscan: scrub repaired 0 with errors on ONLINE²")))
def test_whatever_zpool_prints_is_parsed(text: str) -> None:
    parse_status(text)
    parse_list(text)
