"""The pure step from one reading to the next state of an alert.

``step(alert, observation, booked, now) -> (alert, events)``: no clock, no I/O.  The daemon, the
trials of rules and the tests all call this one.

Event time decides.  Data that is missing never resolves an alert and never counts towards
`hold_for`; data that is late moves the state and opens nothing: what still holds opens with the
first reading that is not late.

What is raised and over again and again is one episode: from the third time within 6 h on it has to
stay over for twice as long, and for twice that again with each time more.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from forewarn_checks.base import Absence, Forecast, Growth, Severity, State, Threshold, Wear
from forewarn_collector.rules.book import BookedRule
from forewarn_collector.rules.kind import OK, Alert, AlertState, Data, Observation, Verdict
from forewarn_collector.rules.kinds import kind_of

MICROSECOND = timedelta(microseconds=1)
LATE = timedelta(minutes=15) // MICROSECOND
"""A transition older than this opens nothing and raises no severity."""
GAP = 3
"""A distance of more than so many intervals is a gap, not a rhythm."""
_NONE = timedelta(0)
RECENT = 8
"""How many readings an alert keeps as evidence."""
FLAPS = 3
"""Raised and over this often within `FLAPPING_WITHIN`, and an alert flaps."""
FLAPPING_WITHIN = timedelta(hours=6) // MICROSECOND
LONGEST_CLEAR = timedelta(hours=24) // MICROSECOND
"""No alert has to be over for longer than this before it ends, unless its rule says so."""
_MOST_CYCLES = 16
"""More doublings than that of any interval are past `LONGEST_CLEAR`."""


class EventKind(StrEnum):
    """What an alert has to tell."""

    OPENED = "opened"
    CHANGED = "changed"  # its severity
    FLAPPING = "flapping"  # it would have ended, but it comes and goes: it goes on
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to an alert, at event time `at`."""

    kind: EventKind
    at: int
    severity: Severity
    value: float


Events = tuple[Event, ...]


def step(
    alert: Alert, observation: Observation, booked: BookedRule, now: int
) -> tuple[Alert, Events]:
    """Return the alert after one reading, and what there is to tell.

    A reading at or before the newest one seen changes nothing, nor does one that cannot be judged.
    """
    if observation.at <= alert.seen_until:
        return alert, ()
    verdict = kind_of(booked.rule).judge(booked.rule, observation, alert)
    return advance(alert, observation, verdict, booked, now)


def advance(
    alert: Alert, observation: Observation, verdict: Verdict, booked: BookedRule, now: int
) -> tuple[Alert, Events]:
    """Return the alert after one reading that was judged already."""
    if verdict.holds is None or (alert.state is AlertState.OK and not verdict.holds):
        return alert, ()
    if verdict.value != observation.value:
        observation = replace(observation, value=verdict.value)  # by how much, not how high
    if alert.state is AlertState.OK:
        moved = _begin(alert, observation, verdict)
    elif verdict.holds:
        moved = _go_on(_seen(alert, observation, booked), alert, observation, verdict)
    else:
        moved = _stop(_seen(alert, observation, booked), alert, observation)
    if verdict.due is not None:
        moved = replace(moved, due=verdict.due)
    if verdict.grown:
        moved = replace(moved, grown=verdict.grown)
    moved = _ripen(moved, observation, booked)
    moved, told = _tell(moved, observation, now)
    if moved.flapping and not alert.flapping:
        told = (Event(EventKind.FLAPPING, observation.at, moved.severity, moved.value), *told)
    return moved, told


# -- one reading ---------------------------------------------------------------------------------


def _begin(before: Alert, observation: Observation, verdict: Verdict) -> Alert:
    """Start from nothing but how often it was over of late: the condition holds."""
    return replace(
        OK,
        state=AlertState.PENDING,
        severity=verdict.severity,
        since=observation.at,
        began=observation.at,
        seen_until=observation.at,
        readings=1,
        value=observation.value,
        companion=observation.companion,
        recent=((observation.at, observation.value),),
        cycles=before.cycles,
    )


def _seen(alert: Alert, observation: Observation, booked: BookedRule) -> Alert:
    """Take in the reading itself: the clock goes on, unless there was a gap."""
    gap = observation.at - alert.seen_until
    return replace(
        alert,
        seen_until=observation.at,
        held=alert.held + _counted(gap, alert.gaps, booked.every // MICROSECOND),
        readings=alert.readings + 1,
        gaps=(alert.gaps[1], gap),
        value=observation.value,
        companion=observation.companion,
        recent=(*alert.recent, (observation.at, observation.value))[-RECENT:],
        data=Data.FRESH,
    )


def _counted(gap: int, before: tuple[int, int], every: int) -> int:
    """Return how much of the time since the last reading counts: all of it, or none.

    An agent may be set to read far more rarely than its check asks: three like distances in a row
    are its rhythm, not an outage.
    """
    if gap <= GAP * every:
        return gap
    rhythm = all(earlier * 4 >= gap * 3 and earlier * 3 <= gap * 4 for earlier in before)
    return gap if rhythm else 0


def _go_on(seen: Alert, before: Alert, observation: Observation, verdict: Verdict) -> Alert:
    """The condition holds: as before or at another severity, or again while it was clearing."""
    if before.state is AlertState.CLEARING:
        again = replace(
            seen, state=AlertState.FIRING, since=observation.at, held=0, severity=verdict.severity
        )
        return replace(again, flaps=seen.flaps + 1) if _was_over(before) else again
    if before.flapping and observation.at - before.cycles[-1] > FLAPPING_WITHIN:
        seen = replace(seen, flapping=False)  # it fires steadily by now
    return seen if seen.severity is verdict.severity else replace(seen, severity=verdict.severity)


def _stop(seen: Alert, before: Alert, observation: Observation) -> Alert:
    """The condition does not hold: forget a pending one, begin to clear a firing one."""
    if before.state is AlertState.PENDING:
        return replace(
            OK,
            since=observation.at,
            seen_until=observation.at,
            value=observation.value,
            cycles=before.cycles,
        )
    if before.state is AlertState.FIRING:
        return replace(seen, state=AlertState.CLEARING, since=observation.at, held=0)
    return seen


def _ripen(alert: Alert, observation: Observation, booked: BookedRule) -> Alert:
    """Fire what was pending, and end what was clearing, for long enough."""
    hold_for, readings, clear_for = _patience(booked)
    if alert.state is AlertState.PENDING and alert.held >= hold_for and alert.readings >= readings:
        return replace(alert, state=AlertState.FIRING, since=observation.at, held=0)
    if alert.state is AlertState.CLEARING and alert.held >= clear_for:
        return _end(alert, observation, max(clear_for, booked.every // MICROSECOND), clear_for)
    return alert


def _end(alert: Alert, observation: Observation, usual: int, clear_for: int) -> Alert:
    """End what was over for long enough, unless it comes and goes: then it must be so for longer.

    `usual` is what is doubled; a rule without `clear_for` doubles its interval.  What nobody was
    told of just ends.
    """
    if alert.told is not None and not _was_over(alert):
        late = [at for at in alert.cycles if observation.at - at < FLAPPING_WITHIN]
        alert = replace(alert, cycles=(*late, observation.at)[-_MOST_CYCLES:])
    times = len(alert.cycles)
    patience = max(min(usual << max(times - FLAPS + 1, 0), LONGEST_CLEAR), clear_for)
    if alert.told is not None and times >= FLAPS and alert.held < patience:
        return replace(alert, flapping=True)
    return replace(alert, state=AlertState.OK, since=observation.at, held=0, flapping=False)


def _was_over(alert: Alert) -> bool:
    """Say whether a clearing alert would have ended already, were it not flapping."""
    return bool(alert.cycles) and alert.cycles[-1] >= alert.since


def _tell(alert: Alert, observation: Observation, now: int) -> tuple[Alert, Events]:
    """Return what differs from what was told, unless it is too late to act on."""
    if alert.state is AlertState.OK:
        if alert.told is None:
            return alert, ()
        # A close always passes, however late.
        closed = Event(EventKind.CLOSED, observation.at, alert.told, observation.value)
        return replace(alert, told=None), (closed,)
    if alert.state is not AlertState.FIRING or alert.told is alert.severity:
        return alert, ()
    if now - observation.at > LATE:
        return alert, ()
    kind = EventKind.OPENED if alert.told is None else EventKind.CHANGED
    event = Event(kind, observation.at, alert.severity, observation.value)
    return replace(alert, told=alert.severity), (event,)


_WITH_HOLD = (Threshold, Wear)


def _patience(booked: BookedRule) -> tuple[int, int, int]:
    """Return `hold_for` in microseconds, the readings that must hold, and `clear_for`."""
    rule = booked.rule
    if isinstance(rule, _WITH_HOLD):
        return rule.hold_for // MICROSECOND, 1, rule.clear_for // MICROSECOND
    if isinstance(rule, Forecast):
        # Looks are an hour apart but for the rhythm of the readings they are made at.
        waver = booked.every // 4
        return max(rule.hold_for - waver, _NONE) // MICROSECOND, 1, rule.clear_for // MICROSECOND
    if isinstance(rule, State):
        return rule.hold_for // MICROSECOND, rule.hold_readings, rule.clear_for // MICROSECOND
    assert isinstance(rule, Absence | Growth), rule
    return 0, 1, 0
