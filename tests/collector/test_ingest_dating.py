"""When a run happened: by the boot clock, or else by the wall clock's own distances."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_checks.base import SCHEMA, Batch, Lane, Outcome, Run
from forewarn_collector.dating import date_runs, microseconds

SENT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
RECEIVED = microseconds(SENT) + 1_500_000


def a_run(*, boot: str = "b1", boottime: float = 900.0, started: datetime = SENT) -> Run:
    return Run(
        sequence=0,
        check="disk",
        started_at=started.isoformat(),
        boot=boot,
        boottime_seconds=boottime,
        duration_seconds=0.1,
        outcome=Outcome.OK,
    )


def a_batch(*runs: Run, sent: datetime = SENT, boot: str = "b1", boottime: float = 1000.0) -> Batch:
    return Batch(
        schema=SCHEMA,
        host="h",
        spool="s",
        lane=Lane.LIVE,
        runs=runs,
        sent_at=sent.isoformat(),
        sent_boot=boot,
        sent_boottime_seconds=boottime,
    )


def test_a_run_of_this_boot_is_as_old_as_the_boot_clock_says() -> None:
    run = a_run(boottime=900.0, started=SENT - timedelta(days=999))
    assert date_runs(a_batch(run), RECEIVED) == [RECEIVED - 100_000_000]


def test_a_run_of_an_earlier_boot_is_as_old_as_the_wall_clock_says() -> None:
    run = a_run(boot="b0", boottime=5.0, started=SENT - timedelta(hours=2))
    assert date_runs(a_batch(run), RECEIVED) == [RECEIVED - 7200 * 1_000_000]


@given(
    offset=st.timedeltas(timedelta(days=-300), timedelta(days=300)),
    ages=st.lists(st.floats(0, 1e6), min_size=1, max_size=5),
    same_boot=st.booleans(),
)
def test_a_wall_clock_that_is_wrong_by_a_constant_changes_nothing(
    offset: timedelta, ages: list[float], same_boot: bool
) -> None:
    runs = tuple(
        a_run(
            boot="b1" if same_boot else "b0",
            boottime=1000.0 - age,
            started=SENT - timedelta(seconds=age),
        )
        for age in ages
    )
    right = a_batch(*runs)
    shifted = tuple(
        replace(run, started_at=(datetime.fromisoformat(run.started_at) + offset).isoformat())
        for run in runs
    )
    wrong = a_batch(*shifted, sent=SENT + offset)
    assert date_runs(right, RECEIVED) == date_runs(wrong, RECEIVED)


@given(
    boottime=st.floats(allow_nan=False, allow_infinity=False),
    sent=st.floats(allow_nan=False, allow_infinity=False),
)
def test_no_boot_clock_dates_a_run_into_the_future_or_before_all_time(
    boottime: float, sent: float
) -> None:
    (at,) = date_runs(a_batch(a_run(boottime=boottime), boottime=sent), RECEIVED)
    assert RECEIVED - 400 * 86_400_000_000 - 1000 <= at <= RECEIVED + 5_000_000


@given(started=st.datetimes(timezones=st.just(UTC)), sent=st.datetimes(timezones=st.just(UTC)))
def test_no_wall_clock_does_either(started: datetime, sent: datetime) -> None:
    batch = a_batch(a_run(boot="b0", started=started), sent=sent)
    (at,) = date_runs(batch, RECEIVED)
    assert RECEIVED - 400 * 86_400_000_000 - 1000 <= at <= RECEIVED + 5_000_000


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-21T08:00:00", "2026-13-01T00:00:00Z"])
def test_a_time_that_is_none_is_refused_in_words(text: str) -> None:
    batch = replace(a_batch(a_run(boot="b0")), sent_at=text)
    with pytest.raises(ValueError, match=r"RFC 3339|zone"):
        date_runs(batch, RECEIVED)
