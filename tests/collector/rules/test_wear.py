"""What is used up in steps gets a date only from enough steps, with an interval that holds."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_checks.base import Severity, Wear
from forewarn_collector.rules import wear
from forewarn_collector.rules.book import BadRule, BookedRule, RuleBook, declared
from forewarn_collector.rules.change import RuleChange
from forewarn_collector.rules.counters import Counter, count
from forewarn_collector.rules.forecast import Date, Error, Insufficient, Never, Tier
from forewarn_collector.rules.kind import OK, Alert, AlertState, Observation
from forewarn_collector.rules.step import EventKind, step
from forewarn_collector.rules.wear import exhaustion

HOUR = 3_600_000_000
DAY = 24 * HOUR
(BOOKED,) = (one.booked for one in declared() if one.booked.name == "SsdWillWearOut")


def _wear(booked: BookedRule) -> Wear:
    assert isinstance(booked.rule, Wear)
    return booked.rule


RULE = _wear(BOOKED)


def counted(used: Sequence[float], every: int = HOUR) -> Counter:
    """Return the counter after these readings, in whole percents as drives tell them."""
    counter: Counter | None = None
    for turn, value in enumerate(used):
        counter = count(counter, turn * every, float(np.floor(value * 100) / 100))
    assert counter is not None
    return counter


def worn(days: float, start: float, a_day: float) -> tuple[Counter, int]:
    turns = round(days * 24)
    return counted([start + a_day * turn / 24 for turn in range(turns + 1)]), turns * HOUR


def test_steady_wear_is_dated_and_its_interval_holds_the_day() -> None:
    """0.5 % a day from 70.3 %: the rated life is used up on day 59.4."""
    counter, now = worn(40, 0.703, 0.005)
    date = exhaustion(counter, 1.0, now)
    assert isinstance(date, Date)
    assert date.tier is Tier.STEPS
    true = (0.297 / 0.005 - 40) * 86400
    assert date.earliest <= true <= date.latest
    assert date.seconds == pytest.approx(true, abs=2.5 * 86400)


@pytest.mark.parametrize(
    ("fact", "counter", "now", "kind"),
    [
        ("four steps are too few", *worn(40, 0.9, 0.001), Insufficient),
        ("five steps within two days are a burst", *worn(2, 0.5, 0.03), Insufficient),
        ("a drive at rest has none", *worn(40, 0.5, 0.0), Insufficient),
        ("what took 10 days a step is not foretold for years", *worn(80, 0.1, 0.001), Never),
        ("wear that stopped is over", worn(20, 0.8, 0.005)[0], 60 * DAY, Never),
        ("a level of nothing is no level", Counter(0.0, 0), 0, Insufficient),
    ],
)
def test_what_carries_no_date(fact: str, counter: Counter, now: int, kind: type) -> None:
    assert isinstance(exhaustion(counter, 1.0, now), kind), fact


def test_what_is_used_up_already_is_not_foretold_and_nonsense_is_an_error() -> None:
    counter, now = worn(40, 0.9, 0.004)
    assert counter.value > 1
    assert exhaustion(counter, 1.0, now) == Never()
    assert isinstance(exhaustion(counter, 0.0, now), Error)


def test_a_step_that_is_overdue_puts_the_date_off() -> None:
    counter, now = worn(30, 0.9, 0.003)
    dates = [exhaustion(counter, 1.0, now + day * DAY) for day in range(9)]
    known = [date for date in dates if isinstance(date, Date)]
    assert len(known) == len(dates)
    # In absolute time the latest moment only moves away while no step comes.
    latest = [day + date.latest / 86400 for day, date in enumerate(known)]
    assert all(earlier <= later + 1e-6 for earlier, later in pairwise(latest))


rates = st.floats(0.002, 0.03)


@given(rates, st.floats(0.3, 0.7), st.integers(0, 2**31))
def test_intervals_hold_where_the_pace_wavers(a_day: float, start: float, seed: int) -> None:
    """Days of half and double work; the true moment is inside as often as not far off."""
    random = np.random.default_rng(seed)
    paces = a_day * random.uniform(0.6, 1.4, 600)
    used = start + np.cumsum(paces)
    full = int(np.searchsorted(used, 1.0))
    for day in range(30, min(full, 90), 7):
        hours = np.interp(np.arange(day * 24) / 24, np.arange(len(used)), used)
        date = exhaustion(counted(hours.tolist()), 1.0, day * DAY)
        if isinstance(date, Date):
            assert 0 <= date.earliest <= date.seconds <= date.latest
            # Never wilder than the paces were.
            left = (1 - hours[-1]) / a_day * 86400
            assert left / 2 - 3 * 86400 / (a_day * 100) <= date.seconds
            assert date.seconds <= 2 * left + 3 * 86400 / (a_day * 100)


@given(
    st.lists(st.tuples(st.integers(1, 90), st.floats(0, 0.05)), max_size=40),
    st.floats(0.5, 1.0),
)
def test_only_a_date_within_the_time_given_can_raise(
    steps: list[tuple[int, float]], level: float
) -> None:
    counter, at = Counter(0.4, 0), 0
    alert = OK
    for hours, by in steps:
        at += hours * HOUR
        counter = count(counter, at, counter.value + by)
        ahead = exhaustion(counter, level, at)
        seen = Observation(
            at, counter.value, received=at, counters={RULE.metric.name: counter}, ahead=ahead
        )
        alert, events = step(alert, seen, BOOKED, at)
        if any(one.kind is EventKind.OPENED for one in events):
            assert isinstance(ahead, Date)
            assert ahead.seconds <= RULE.within.total_seconds()
    assert isinstance(alert, Alert)


@given(st.lists(st.integers(0, 3), min_size=3, max_size=60), st.data())
def test_how_readings_are_batched_changes_no_date(rises: list[int], data: st.DataObject) -> None:
    """A reading told twice, or one that is older, is as if it had not come."""
    values = (np.cumsum(rises) / 100).tolist()
    once: Counter | None = None
    again: Counter | None = None
    for turn, value in enumerate(values):
        once = count(once, turn * DAY, value)
        again = count(again, turn * DAY, value)
        for _ in range(data.draw(st.integers(0, 2))):
            older = data.draw(st.integers(0, turn))
            again = count(again, older * DAY, values[older])
    assert once is not None
    assert again is not None
    now = (len(values) - 1) * DAY
    assert exhaustion(again, 1.0, now) == exhaustion(once, 1.0, now)


def test_an_alert_rises_with_less_time_and_falls_two_days_after_wear_stopped() -> None:
    counter: Counter | None = None
    alert: Alert = OK
    told: list[tuple[EventKind, Severity]] = []
    for turn in range(24 * 90):
        used = np.floor(min(0.5 + 0.008 * turn / 24, 0.95) * 100 + 1e-9) / 100
        counter = count(counter, turn * HOUR, float(used))
        ahead = exhaustion(counter, 1.0, turn * HOUR)
        seen = Observation(
            turn * HOUR,
            counter.value,
            received=turn * HOUR,
            counters={RULE.metric.name: counter},
            ahead=ahead,
        )
        alert, events = step(alert, seen, BOOKED, turn * HOUR)
        told += [(one.kind, one.severity) for one in events]
    assert [kind for kind, _ in told] == [EventKind.OPENED, EventKind.CHANGED, EventKind.CLOSED]
    assert [severity for _, severity in told[:2]] == [Severity.INFO, Severity.WARNING]
    assert alert.state is AlertState.OK


def test_the_rule_is_changed_by_name_like_any_forecast() -> None:
    book = RuleBook(declared(), {"SsdWillWearOut": RuleChange.model_validate({"within": "60d"})})
    (changed,) = book.variants("SsdWillWearOut")
    assert isinstance(changed, BookedRule)
    assert "reach 100 % within 60d, by 5 steps or more" in wear.explain(_wear(changed))
    with pytest.raises(BadRule, match="180d ahead at most"):
        RuleBook(declared(), {"SsdWillWearOut": RuleChange.model_validate({"within": "300d"})})
