"""Decide what of an alert is told, held or let go.  One mechanism, whatever the reason.

Opening and rising are held.  State never is: nothing here is asked before an alert has moved, and
nothing here is told to it.  A close always passes; what was never told needs none.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from forewarn_checks.base import Severity
from forewarn_collector.rules.kind import Alert, AlertState, Data
from forewarn_collector.rules.step import Event, EventKind
from forewarn_collector.suppression.holds import Hold


class Act(StrEnum):
    """What is done to an alert's episode."""

    OPEN = "open"
    CHANGE = "change"
    CLOSE = "close"
    NOTE = "note"  # that it flaps
    NOTHING = "nothing"


class Outcome(StrEnum):
    """What became of what was held."""

    CLEARED = "cleared"  # it was over before anybody had to be told
    TOLD = "told"  # it was still so when the hold ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One alert that is held back.

    `told` is the severity its episode was told with, None when it has no episode: then opening is
    held, else rising.  `severity` is the one it would have now, `worst` the worst it had.  `since`
    is the event time of what was held first, in microseconds.
    """

    hold: Hold
    since: int
    severity: Severity
    worst: Severity
    told: Severity | None


@dataclass(frozen=True, slots=True)
class Met:
    """What to do, and what is held from now on (None: nothing)."""

    act: Act
    held: Held | None


def meet(event: Event, told: Severity | None, held: Held | None, hold: Hold | None) -> Met:
    """Return what comes of an event.

    `told` is the severity of the alert's open episode, None when it has none; `held` what is held
    of it already; `hold` what holds it at this moment.
    """
    if event.kind is EventKind.FLAPPING:
        return Met(Act.NOTHING if told is None else Act.NOTE, held)
    if event.kind is EventKind.CLOSED:
        return Met(Act.NOTHING if told is None else Act.CLOSE, None)
    if told is None:
        if hold is None:
            return Met(Act.OPEN, None)
        return Met(Act.NOTHING, _holding(event, None, held, hold))
    if event.severity.rank > told.rank and hold is not None:
        return Met(Act.NOTHING, _holding(event, told, held, hold))
    return Met(Act.NOTHING if event.severity is told else Act.CHANGE, None)


def let_go(held: Held, alert: Alert, hold: Hold | None) -> Met:
    """Return what comes of what is held, by what holds it now.

    What clears, or was not read for long, waits: it opens with the reading that shows it still
    fires, or ends.
    """
    if hold is not None:
        return Met(Act.NOTHING, held if hold == held.hold else replace(held, hold=hold))
    if alert.state is not AlertState.FIRING or alert.data is Data.STALE:
        return Met(Act.NOTHING, held)
    return Met(Act.OPEN if held.told is None else Act.CHANGE, None)


def _holding(event: Event, told: Severity | None, held: Held | None, hold: Hold) -> Held:
    if held is None:
        return Held(
            hold=hold, since=event.at, severity=event.severity, worst=event.severity, told=told
        )
    worst = max(held.worst, event.severity, key=lambda one: one.rank)
    return replace(held, hold=hold, severity=event.severity, worst=worst)
