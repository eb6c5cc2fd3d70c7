"""Processors, from files captured on real kernels."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_checks.base import Fact, Sample
from forewarn_checks.cpu import CHECK, Utilisation
from forewarn_checks.linux.processor import (
    Shares,
    Times,
    parse_loadavg,
    parse_model,
    parse_stat,
    shares_between,
)
from forewarn_checks.linux.throttle import read_throttled

HERE = Path(__file__).parent


def test_half_busy_between_two_captured_readings() -> None:
    """One of two processors spun; guest time is not counted a second time."""
    before = parse_stat((HERE / "one_of_two_spins/stat.before").read_text())
    after = parse_stat((HERE / "one_of_two_spins/stat.after").read_text())
    assert shares_between(before, after) == Shares(used=0.5, iowait=0.0, steal=0.0)


def test_stolen_time_is_used_time() -> None:
    """The host had work for it; waiting for a disk is idle time."""
    before = parse_stat("cpu 0 0 0 0 0 0 0 0 0 0")
    after = parse_stat("cpu 30 0 10 20 20 0 0 20 30 0")
    assert shares_between(before, after) == Shares(used=0.6, iowait=0.2, steal=0.2)


def test_a_kernel_without_steal_has_none() -> None:
    """Linux before 2.6.11 writes seven columns."""
    assert parse_stat("cpu 1 2 3 4 5 6 7\n") == Times(idle=4, iowait=5, steal=0, total=28)


@pytest.mark.parametrize("text", ["", "cpu0 1 2 3", "intr 5", "cpu one two"])
def test_no_usable_line_is_refused(text: str) -> None:
    """ValueError, which the reader turns into words."""
    with pytest.raises(ValueError, match=r"cpu|invalid literal"):
        parse_stat(text)


@pytest.mark.parametrize(
    ("why", "after"),
    [
        ("no tick has passed", Times(idle=10, iowait=5, steal=1, total=100)),
        ("a restored guest counts from less", Times(idle=1, iowait=1, steal=0, total=10)),
    ],
)
def test_counters_that_did_not_grow_say_nothing(why: str, after: Times) -> None:
    """No sample is better than 0 or 100 per cent made up."""
    assert shares_between(Times(idle=10, iowait=5, steal=1, total=100), after) is None, why


_TICKS = st.integers(0, 1000)
_TIMES = st.builds(Times, idle=_TICKS, iowait=_TICKS, steal=_TICKS, total=_TICKS)


@given(_TIMES, _TIMES)
def test_shares_stay_between_nothing_and_all(before: Times, after: Times) -> None:
    """Whatever the counters do."""
    shares = shares_between(before, after)
    if shares is not None:
        assert all(0 <= share <= 1 for share in (shares.used, shares.iowait, shares.steal))


def busy(*used_ticks: int) -> Iterator[Times]:
    """Yield readings 100 ticks apart in which this many more were used each time."""
    total = idle = 0
    yield Times(idle=0, iowait=0, steal=0, total=0)
    for used in used_ticks:
        total, idle = total + 100, idle + 100 - used
        yield Times(idle=idle, iowait=0, steal=0, total=total)


def test_the_first_reading_spans_an_interval_of_its_own() -> None:
    """One `once` on a fresh process gives a number of now, not an average since boot."""
    readings, slept = busy(30, 70), list[float]()
    utilisation = Utilisation(readings.__next__, sleep=slept.append, clock=iter([0, 60]).__next__)
    first = utilisation.shares()
    assert first is not None
    assert first.used == pytest.approx(0.3)
    assert slept == [0.5]


def test_later_readings_span_the_time_since_the_one_before() -> None:
    """Without sleeping: nothing that happened between two runs is missed."""
    readings, slept = busy(30, 70), list[float]()
    utilisation = Utilisation(
        readings.__next__, sleep=slept.append, clock=iter([0, 60, 60]).__next__
    )
    utilisation.shares()
    second = utilisation.shares()
    assert second is not None
    assert second.used == pytest.approx(0.7)
    assert slept == [0.5]


def test_two_readings_in_quick_succession_do_not_judge_by_a_tick_or_two() -> None:
    """The second waits for an interval of its own."""
    readings, slept = busy(30, 70, 10), list[float]()
    clock = iter([0.0, 0.1, 0.6]).__next__
    utilisation = Utilisation(readings.__next__, sleep=slept.append, clock=clock)
    utilisation.shares()
    second = utilisation.shares()
    assert second is not None
    assert second.used == pytest.approx(0.1)
    assert slept == [0.5, 0.5]


@pytest.mark.parametrize(
    ("text", "load"), [("0.24 0.06 0.02 1/94 7642\n", 0.24), ("", None), ("high", None)]
)
def test_load_of_the_last_minute(text: str, load: float | None) -> None:
    """The first of the three."""
    assert parse_loadavg(text) == load


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\n", "AMD EPYC"),
        ("model name\t: Intel(R)  Core(TM)   i5\n", "Intel(R) Core(TM) i5"),
        ("processor : 0\nHardware : BCM2835\nModel : Raspberry Pi 4\n", "Raspberry Pi 4"),
        ("processor\t: 0\nBogoMIPS\t: 50.00\nCPU part\t: 0xd0c\n", ""),
        ("", ""),
    ],
)
def test_model_where_the_system_names_it(text: str, model: str) -> None:
    """Many ARM servers do not; the architecture stands in then."""
    assert parse_model(text) == model


def test_this_host_has_processors() -> None:
    """The reader itself, on whatever the tests run on."""
    assert CHECK.read_linux is not None
    found = list(CHECK.read_linux({}))
    samples = {each.metric: each.value for each in found if isinstance(each, Sample)}
    assert 0 <= samples["cpu_used_ratio"] <= 1
    assert any(isinstance(each, Fact) and each.name == "cpu_threads" for each in found)


def test_the_core_held_back_longest_counts(tmp_path: Path) -> None:
    """One slow core slows whoever runs on it; a core that is off has no counter."""
    for cpu, millis in (("cpu0", "1500\n"), ("cpu1", "92500\n"), ("cpu2", "")):
        counter = tmp_path / "sys/devices/system/cpu" / cpu / "thermal_throttle"
        counter.mkdir(parents=True)
        (counter / "core_throttle_total_time_ms").write_text(millis)
    assert read_throttled(tmp_path) == 92.5


def test_nothing_is_held_back_where_nothing_counts(tmp_path: Path) -> None:
    """None, not 0: in a guest the hypervisor alone would know."""
    assert read_throttled(tmp_path) is None
