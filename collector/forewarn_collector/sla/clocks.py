"""How long it took and how long is left: a ticket's clocks, as a function of its history.

A clock is never stored as something that ticks.  The history says when it ran; the calendar the
ticket was opened under says how much of that was business time.  So a higher priority counts from
the opening (with the pauses there were), and a reopened ticket goes on where it stopped.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from forewarn_collector.sla.calendars import Calendar, add_business, business_between
from forewarn_collector.sla.policy import ClockName, Policy, Waiting

OVER = frozenset({"resolved", "closed", "cancelled"})
"""The states in which nobody is waited for any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """How a ticket stood from `at` on.  `person`: it was a human being who turned it."""

    at: datetime
    state: str
    waiting_for: str | None
    priority: str
    person: bool


class Pace(StrEnum):
    """How a clock is.  Breached ones may run on: `Clock.stopped` tells."""

    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    BREACHED = "breached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """One clock at one moment.

    `due_at` is when its target is, or was, used up: None while it stands still before that.
    `stopped`: it does not run now.  `spent` is business time.
    """

    name: ClockName
    pace: Pace
    target: timedelta
    spent: timedelta
    due_at: datetime | None
    stopped: bool

    @property
    def remaining(self) -> timedelta:
        """What is left of the target; negative once it is overrun."""
        return self.target - self.spent


class MarkKind(StrEnum):
    """What happens when a clock gets somewhere."""

    WARNING = "sla_warning"
    BREACH = "sla_breached"
    STEP = "escalated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something to be told once when a clock reaches a fraction of its target, at `at`.

    `key` names it within a ticket: under another priority it is another mark.
    """

    kind: MarkKind
    clock: ClockName
    fraction: float
    key: str
    at: datetime
    to: str = ""
    reassign: bool = False


@dataclass(frozen=True, slots=True)
class _Run:
    """A stretch in which a clock ran; `until` is None while it lasts."""

    since: datetime
    until: datetime | None


def read_clocks(history: Sequence[Turn], policy: Policy, now: datetime) -> tuple[Clock, ...]:
    """Return a ticket's clocks, of those that are promised.  `history` begins with the opening."""
    return tuple(reading.clock(now) for reading in _readings(history, policy))


def read_marks(history: Sequence[Turn], policy: Policy) -> list[Mark]:
    """Return every mark that was or will be reached, as things stand, the earliest first."""
    found = []
    for reading in _readings(history, policy):
        for kind, fraction, to, reassign in _planned(policy, reading.name):
            at = reading.reaches(fraction)
            if at is not None:
                key = f"{history[-1].priority}:{reading.name}:{kind}:{fraction:g}:{to}"
                found.append(
                    Mark(
                        kind=kind,
                        clock=reading.name,
                        fraction=fraction,
                        key=key,
                        at=at,
                        to=to,
                        reassign=reassign,
                    )
                )
    return sorted(found, key=lambda mark: mark.at)


def _planned(policy: Policy, name: ClockName) -> Iterator[tuple[MarkKind, float, str, bool]]:
    for fraction in policy.warn_at:
        yield MarkKind.WARNING, fraction, "", False
    yield MarkKind.BREACH, 1.0, "", False
    for step in policy.steps:
        if step.clock is name:
            yield MarkKind.STEP, step.at, step.to, step.reassign


@dataclass(frozen=True, slots=True)
class _Reading:
    """A clock as its history lets it be reckoned."""

    name: ClockName
    target: timedelta
    calendar: Calendar | None
    runs: Sequence[_Run]
    over: bool  # it stopped for good, as things stand

    def clock(self, now: datetime) -> Clock:
        spent = sum((self._length(run, now) for run in self.runs), timedelta(0))
        stopped = not self.runs or self.runs[-1].until is not None
        pace = Pace.PAUSED if stopped else Pace.RUNNING
        if spent > self.target:
            pace = Pace.BREACHED
        elif self.over:
            pace = Pace.MET
        return Clock(
            name=self.name,
            pace=pace,
            target=self.target,
            spent=spent,
            due_at=self.reaches(1.0),
            stopped=stopped,
        )

    def reaches(self, fraction: float) -> datetime | None:
        """Return when a fraction of the target is used up; None if it stopped before."""
        left = self.target * fraction
        for run in self.runs:
            if run.until is None:
                return add_business(self.calendar, run.since, left)
            length = business_between(self.calendar, run.since, run.until)
            if left < length:
                return add_business(self.calendar, run.since, left)
            left -= length
        return None

    def _length(self, run: _Run, now: datetime) -> timedelta:
        return business_between(self.calendar, run.since, now if run.until is None else run.until)


def _readings(history: Sequence[Turn], policy: Policy) -> Iterator[_Reading]:
    promised = policy.targets.get(history[-1].priority)
    if promised is None:
        return
    answered = next((index for index, turn in enumerate(history) if turn.person and index), None)
    if promised.response is not None:
        known = history if answered is None else history[: answered + 1]
        runs = _runs(known, lambda turn: turn.state not in OVER)
        if answered is not None and runs and runs[-1].until is None:
            runs[-1] = _Run(runs[-1].since, history[answered].at)
        over = answered is not None or history[-1].state in OVER
        yield _Reading(ClockName.RESPONSE, promised.response, promised.calendar, runs, over)
    if promised.resolution is not None:
        runs = _runs(history, lambda turn: _is_worked_on(turn, policy.pauses))
        over = history[-1].state in OVER
        yield _Reading(ClockName.RESOLUTION, promised.resolution, promised.calendar, runs, over)


def _runs(history: Sequence[Turn], running: Callable[[Turn], bool]) -> list[_Run]:
    """Return the stretches in which a clock ran; one that lasts has no end."""
    runs: list[_Run] = []
    since: datetime | None = None
    for turn in history:
        if running(turn):
            since = since or turn.at
        elif since is not None:
            runs.append(_Run(since, turn.at))
            since = None
    return runs if since is None else [*runs, _Run(since, None)]


def _is_worked_on(turn: Turn, pauses: frozenset[Waiting]) -> bool:
    return turn.state not in OVER and not (turn.state == "waiting" and turn.waiting_for in pauses)
