"""What is promised: how soon somebody answers, how soon it is mended, and who hears of delays.

A policy is kept whole, with its calendars, under a hash of its content: a ticket is held to what
was promised when it was opened, whatever the configuration says since.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from forewarn_collector.sla.calendars import Calendar, read_calendar


class ClockName(StrEnum):
    """What is timed: until somebody answers, and until it is mended."""

    RESPONSE = "response"
    RESOLUTION = "resolution"


class Waiting(StrEnum):
    """What a waiting ticket waits for."""

    CUSTOMER = "customer"
    VENDOR = "vendor"
    MAINTENANCE = "maintenance"
    PARTS = "parts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is promised for one priority; None is no promise.  No calendar: around the clock."""

    response: timedelta | None = None
    resolution: timedelta | None = None
    calendar: Calendar | None = None

    def of(self, clock: ClockName) -> timedelta | None:
        """Return how long this clock may run."""
        return self.response if clock is ClockName.RESPONSE else self.resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Whom a delay is escalated to, at a fraction of a clock's target: 1.5 is half as long again.

    `reassign`: the ticket becomes theirs.
    """

    clock: ClockName
    at: float
    to: str
    reassign: bool = False


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Targets by priority (P1 to P5), what stops the resolution clock, and what happens on the way.

    `warn_at` are the fractions of a target at which a warning is given.
    """

    name: str
    targets: Mapping[str, Target]
    pauses: frozenset[Waiting] = frozenset()
    warn_at: tuple[float, ...] = ()
    steps: tuple[Step, ...] = ()

    @cached_property
    def version(self) -> str:
        """The hash of all it says, calendars included."""
        return hashlib.sha256(self.written().encode()).hexdigest()

    def written(self) -> str:
        """Return it as a JSON text, to be kept and read again by `read_policy`."""
        return json.dumps(
            {
                "name": self.name,
                "targets": {name: _target(one) for name, one in sorted(self.targets.items())},
                "pauses": sorted(self.pauses),
                "warn_at": list(self.warn_at),
                "steps": [
                    {"clock": s.clock, "at": s.at, "to": s.to, "reassign": s.reassign}
                    for s in self.steps
                ],
                "calendars": {
                    calendar.version: calendar.written()
                    for calendar in (one.calendar for one in self.targets.values())
                    if calendar is not None
                },
            },
            sort_keys=True,
        )


@dataclass(frozen=True, slots=True)
class Policies:
    """Every policy in force: by the client's name, and the one for all others, if any."""

    by_client: Mapping[str, Policy] = field(default_factory=dict)
    otherwise: Policy | None = None

    def of(self, client: str) -> Policy | None:
        """Return what is promised to a client."""
        return self.by_client.get(client, self.otherwise)


def read_policy(text: str) -> Policy:
    """Return what `Policy.written` wrote."""
    written: dict[str, Any] = json.loads(text)
    calendars = {name: read_calendar(one) for name, one in written["calendars"].items()}
    return Policy(
        name=written["name"],
        targets={
            priority: Target(
                response=_span(one["response_seconds"]),
                resolution=_span(one["resolution_seconds"]),
                calendar=calendars.get(one["calendar"]),
            )
            for priority, one in written["targets"].items()
        },
        pauses=frozenset(Waiting(one) for one in written["pauses"]),
        warn_at=tuple(written["warn_at"]),
        steps=_steps(written["steps"]),
    )


def _steps(written: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    return tuple(
        Step(clock=ClockName(one["clock"]), at=one["at"], to=one["to"], reassign=one["reassign"])
        for one in written
    )


def _target(target: Target) -> dict[str, object]:
    return {
        "response_seconds": _seconds(target.response),
        "resolution_seconds": _seconds(target.resolution),
        "calendar": None if target.calendar is None else target.calendar.version,
    }


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()


def _span(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
