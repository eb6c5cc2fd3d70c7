"""What drives did between two readings, from the counters the system keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from forewarn_checks import disk_io
from forewarn_checks.base import NothingToRead, Sample
from forewarn_checks.disk_io import Count, Counts, Traffic, counts, samples
from forewarn_checks.linux.drives import Drive

START = Count(
    reads=1000,
    writes=2000,
    read_bytes=10**9,
    written_bytes=2 * 10**9,
    read_seconds=50,
    write_seconds=80,
    busy_seconds=100,
)
SDA = ("WD1", "sda")


@dataclass(frozen=True)
class Counter:
    """What psutil gives on Windows: no busy time."""

    read_count: int = 1
    write_count: int = 2
    read_bytes: int = 3
    write_bytes: int = 4
    read_time: int = 5000
    write_time: int = 6000


def values(found: Sequence[Sample]) -> Mapping[str, float]:
    return {one.metric.removeprefix("disk_io_"): one.value for one in found}


def traffic(*answers: Counts) -> Traffic:
    """Return a Traffic that counts these in turn, ten seconds apart."""
    told, moments = iter(answers), iter(range(0, 1000, 10))
    return Traffic(lambda: next(told), pause=lambda _: None, clock=lambda: float(next(moments)))


def test_a_drive_is_told_of_by_what_it_did_in_between() -> None:
    after = replace(
        START,
        reads=1100,
        writes=2300,
        read_bytes=10**9 + 10**6,
        written_bytes=2 * 10**9 + 3 * 10**6,
        read_seconds=52,
        write_seconds=98,
        busy_seconds=109,
    )
    got = list(samples(START, after, 10, drive="WD1", device="sda"))
    assert values(got) == pytest.approx(
        {
            "busy_ratio": 0.9,
            "queue": 2.0,
            "wait_seconds": 0.05,
            "read_wait_seconds": 0.02,
            "write_wait_seconds": 0.06,
            "reads_per_second": 10,
            "writes_per_second": 30,
            "read_per_second_bytes": 1e5,
            "written_per_second_bytes": 3e5,
        }
    )
    assert {one.metric for one in got} == {metric.name for metric in disk_io.CHECK.metrics}


def test_without_a_request_nothing_was_waited_for() -> None:
    """An idle drive has no latency; 0 would be the best of all."""
    got = values(list(samples(START, START, 10, drive="WD1", device="sda")))
    assert not [name for name in got if name.endswith("wait_seconds")]
    assert got["queue"] == got["busy_ratio"] == 0


def test_a_counter_that_went_back_is_another_drive() -> None:
    after = replace(START, reads=3, busy_seconds=0)
    assert list(samples(START, after, 10, drive="WD1", device="sda")) == []


def test_busy_time_never_passes_the_time_that_went_by() -> None:
    """The kernel counts it in ticks, the clock does not."""
    after = replace(START, busy_seconds=111)
    assert values(list(samples(START, after, 10, drive="", device="")))["busy_ratio"] == 1


def test_the_first_reading_spans_an_interval_of_its_own() -> None:
    later = replace(START, reads=1010)
    got = list(traffic({SDA: START}, {SDA: later}).readings())
    assert values(got)["reads_per_second"] == 1


def test_a_name_that_passed_to_another_drive_is_a_new_drive() -> None:
    """sda was pulled and another one plugged in: their counters have nothing in common."""
    other = {("WD2", "sda"): replace(START, reads=10**6)}
    assert list(traffic({SDA: START}, other).readings()) == []


def test_only_drives_are_counted_and_each_by_its_serial() -> None:
    drives = [Drive("sda", "WD", "WD1", 1, True), Drive("sdb", "", "", 1, False)]
    found = counts(
        drives, {"sda": Counter(), "sda1": Counter(), "sdb": Counter(), "dm-0": Counter()}
    )
    assert set(found) == {SDA, ("sdb", "sdb")}
    assert found[SDA].busy_seconds is None
    assert found[SDA].read_seconds == 5


def test_no_drive_is_nothing_and_not_a_failure() -> None:
    with pytest.raises(NothingToRead):
        list(traffic({}, {}).readings())


def test_hundreds_of_drives_stay_bounded() -> None:
    many = {(f"S{number}", f"sd{number}"): START for number in range(500)}
    got = list(traffic(many, many).readings())
    assert len({one.labels["drive"] for one in got}) == 64


@pytest.mark.skipif(not Path("/proc/diskstats").exists(), reason="reads this very host")
def test_this_host_can_be_read() -> None:
    """Or has no drive of its own, as a container."""
    try:
        got = list(disk_io.CHECK.read_linux({})) if disk_io.CHECK.read_linux else []
    except NothingToRead:
        return
    assert all(isinstance(one, Sample) and one.value >= 0 for one in got)
