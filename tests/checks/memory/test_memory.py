"""Memory, from files captured on real kernels."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_checks.base import Fact, Sample
from forewarn_checks.linux.meminfo import parse_kills, parse_meminfo
from forewarn_checks.linux.pressure import parse_pressure
from forewarn_checks.memory import CHECK, readings

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/case.toml"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_samples_of_a_captured_host(case: Path) -> None:
    """All of them, to six places."""
    expected = tomllib.loads((case / "case.toml").read_text())
    pressure = case / "pressure"
    found = readings(
        parse_meminfo((case / "meminfo").read_text()),
        parse_pressure(pressure.read_text()) if pressure.exists() else None,
    )
    samples = {each.metric: each.value for each in found if isinstance(each, Sample)}
    assert samples == pytest.approx(expected["samples"], abs=1e-6), expected["fact"]


@pytest.mark.parametrize("text", ["", "MemFree: 1 kB", "MemTotal: 0 kB", "MemTotal: much kB"])
def test_no_total_is_refused(text: str) -> None:
    """Nothing can be said of a share of nothing."""
    with pytest.raises(ValueError, match="no MemTotal"):
        parse_meminfo(text)


def test_more_available_than_total_is_all_of_it() -> None:
    """As a container is told whose limit is below what the host has left."""
    memory = parse_meminfo("MemTotal: 1000 kB\nMemAvailable: 3000 kB\n")
    assert memory.available_bytes == memory.total_bytes == 1_024_000


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("some avg10=1.00 avg60=2.50 avg300=0.15 total=35\nfull avg60=9.00", 0.025),
        ("full avg10=1.00 avg60=2.50 avg300=0.15 total=35", None),
        ("some avg10=1.00", None),
        ("some avg60=nan", None),
        ("some avg60=", None),
        ("some avg60=100.02", 1.0),
        ("", None),
    ],
)
def test_pressure_is_the_share_of_the_last_minute(text: str, share: float | None) -> None:
    """The line `some`; None, never 0, where the kernel does not say."""
    assert parse_pressure(text) == share


@pytest.mark.parametrize(
    ("text", "kills"),
    [
        ("oom_kill_other 3\noom_kill 12\n", 12),
        ("nr_free_pages 1\n", None),
        ("oom_kill many", None),
        ("", None),
    ],
)
def test_kills_are_counted_where_the_kernel_does(text: str, kills: int | None) -> None:
    """None, never 0, before Linux 4.13."""
    assert parse_kills(text) == kills


def test_kills_are_told() -> None:
    """As a counter, for the rule that judges its growth."""
    memory = parse_meminfo("MemTotal: 1000 kB\n")
    assert Sample("memory_oom_kills", 2.0) in list(readings(memory, None, 2))


@given(st.text(st.sampled_from("MemTotalSwapFree:0123456789 kB\n-²"), max_size=80))
def test_any_text_is_parsed_or_refused_in_words(text: str) -> None:
    """ValueError is the only error."""
    try:
        memory = parse_meminfo(text)
    except ValueError:
        return
    assert 0 <= memory.available_bytes <= memory.total_bytes


def test_this_host_has_memory() -> None:
    """The reader itself, on whatever the tests run on."""
    assert CHECK.read_linux is not None
    found = list(CHECK.read_linux({}))
    samples = {each.metric: each.value for each in found if isinstance(each, Sample)}
    assert samples["memory_total_bytes"] > 2**24
    assert 0 < samples["memory_used_ratio"] < 1
    assert Fact("memory_bytes", int(samples["memory_total_bytes"])) in found
