"""Clocks of tickets: what ran, what paused, what was promised, and what is told on the way."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.collector.sla.made import calendars, moments

from forewarn_collector.sla.calendars import Calendar, read_spans
from forewarn_collector.sla.clocks import Clock, MarkKind, Pace, Turn, read_clocks, read_marks
from forewarn_collector.sla.policy import (
    ClockName,
    Policy,
    Step,
    Target,
    Waiting,
    read_policy,
)

HOUR = timedelta(hours=1)
CET = timezone(HOUR)
MONDAY = datetime(2026, 3, 2, 9, tzinfo=CET)  # nine in the morning in Berlin
OFFICE = Calendar("Europe/Berlin", (read_spans(["08:00-12:00", "13:00-17:00"]),) * 5 + ((), ()))
POLICY = Policy(
    name="standard",
    targets={
        "P1": Target(response=HOUR, resolution=2 * HOUR),
        "P3": Target(response=2 * HOUR, resolution=8 * HOUR, calendar=OFFICE),
    },
    pauses=frozenset({Waiting.CUSTOMER}),
    warn_at=(0.75,),
    steps=(Step(clock=ClockName.RESOLUTION, at=1.5, to="lead"),),
)


def turn(
    after: float,
    state: str = "new",
    *,
    waiting_for: str | None = None,
    priority: str = "P3",
    person: bool = False,
) -> Turn:
    """Return how a ticket stood some hours after Monday nine o'clock."""
    at = MONDAY + after * HOUR
    return Turn(at=at, state=state, waiting_for=waiting_for, priority=priority, person=person)


def clock(name: str, history: list[Turn], after: float) -> Clock:
    """Return one clock some hours after the opening."""
    found = {one.name: one for one in read_clocks(history, POLICY, MONDAY + after * HOUR)}
    return found[ClockName(name)]


def test_business_hours_are_what_counts() -> None:
    resolution = clock("resolution", [turn(0)], after=4)
    assert (resolution.spent, resolution.remaining) == (3 * HOUR, 5 * HOUR)
    assert resolution.due_at == MONDAY + 24 * HOUR
    assert resolution.pace is Pace.RUNNING


def test_what_forewarn_does_is_no_response_and_what_a_person_does_is() -> None:
    routed = turn(0.5, "assigned")
    assert clock("response", [turn(0), routed], after=1).pace is Pace.RUNNING
    response = clock("response", [turn(0), routed, turn(1, "in_progress", person=True)], after=9)
    assert (response.pace, response.spent, response.stopped) == (Pace.MET, HOUR, True)


def test_opening_a_ticket_by_hand_is_no_response_to_it() -> None:
    assert clock("response", [turn(0, person=True)], after=1).pace is Pace.RUNNING


def test_waiting_for_the_customer_stops_the_resolution_clock() -> None:
    history = [turn(0), turn(1, "waiting", waiting_for="customer", person=True)]
    resolution = clock("resolution", history, after=30)
    assert (resolution.pace, resolution.spent, resolution.due_at) == (Pace.PAUSED, HOUR, None)
    again = [*history, turn(24, "in_progress", person=True)]
    assert clock("resolution", again, after=25).spent == 2 * HOUR
    assert clock("resolution", again, after=25).due_at == MONDAY + 32 * HOUR


def test_waiting_for_what_the_policy_does_not_name_runs_on() -> None:
    history = [turn(0), turn(1, "waiting", waiting_for="parts", person=True)]
    assert clock("resolution", history, after=2).spent == 2 * HOUR


def test_a_higher_priority_counts_from_the_opening_with_the_pauses_there_were() -> None:
    history = [
        turn(0),
        turn(0.5, "waiting", waiting_for="customer", person=True),
        turn(1.5, "in_progress", person=True),
        turn(2, "in_progress", priority="P1", person=True),
    ]
    resolution = clock("resolution", history, after=2)
    assert (resolution.target, resolution.spent) == (2 * HOUR, HOUR)
    assert resolution.due_at == MONDAY + 3 * HOUR


def test_a_reopened_ticket_goes_on_where_it_stopped() -> None:
    history = [turn(0), turn(2, "resolved", person=True), turn(4, "assigned"), turn(5, "resolved")]
    resolution = clock("resolution", history, after=100)
    assert (resolution.spent, resolution.pace) == (3 * HOUR, Pace.MET)


def test_what_took_longer_than_promised_is_breached_from_then_on() -> None:
    history = [turn(0), turn(26, "resolved", person=True)]
    resolution = clock("resolution", history, after=100)
    assert (resolution.pace, resolution.spent) == (Pace.BREACHED, 10 * HOUR)
    assert resolution.due_at == MONDAY + 24 * HOUR
    assert clock("resolution", history[:1], after=24).pace is Pace.RUNNING, "just used up"


def test_no_promise_no_clock() -> None:
    assert read_clocks([turn(0, priority="P5")], POLICY, MONDAY) == ()


def test_marks_come_in_their_order_and_steps_after_the_breach() -> None:
    marks = read_marks([turn(0, person=True), turn(0.5, "assigned", person=True)], POLICY)
    told = [(mark.kind, mark.clock, mark.at - MONDAY, mark.to) for mark in marks]
    assert told == [
        (MarkKind.WARNING, "resolution", 7 * HOUR, ""),
        (MarkKind.BREACH, "resolution", 24 * HOUR, ""),
        (MarkKind.STEP, "resolution", 29 * HOUR, "lead"),
    ]


def test_a_clock_that_stands_still_reaches_no_mark() -> None:
    history = [turn(0), turn(1, "waiting", waiting_for="customer", person=True)]
    assert read_marks(history, POLICY) == []


def test_a_policy_is_read_again_as_it_was_written() -> None:
    again = read_policy(POLICY.written())
    assert again.version == POLICY.version
    assert read_marks([turn(0)], again) == read_marks([turn(0)], POLICY)


@settings(deadline=None)
@given(
    calendars(),
    st.lists(
        st.tuples(moments, st.sampled_from(["new", "waiting", "resolved", "in_progress"])),
        min_size=1,
        max_size=6,
    ),
    moments,
)
def test_spent_is_the_target_when_it_is_due(
    calendar: Calendar, turns: list[tuple[datetime, str]], now: datetime
) -> None:
    """Whatever went before: at `due_at` a clock that runs has spent just its target."""
    target = Target(resolution=20 * HOUR, calendar=calendar)
    policy = Policy(name="x", targets={"P3": target}, pauses=frozenset({Waiting.VENDOR}))
    history = [
        Turn(at=at, state=state, waiting_for="vendor", priority="P3", person=True)
        for at, state in sorted(turns)
    ]
    (found,) = read_clocks(history, policy, max(now, history[-1].at))
    if found.due_at is None:
        assert found.stopped
        assert found.spent <= found.target
    elif not found.stopped and found.due_at >= history[-1].at:
        (then,) = read_clocks(history, policy, found.due_at)
        assert then.spent == then.target
    else:
        assert found.spent >= found.target or not found.stopped


@pytest.mark.parametrize("name", list(ClockName))
def test_every_clock_has_a_target_of_its_own(name: ClockName) -> None:
    assert POLICY.targets["P1"].of(name) == {"response": HOUR, "resolution": 2 * HOUR}[name]
