"""The one place of the agent that asks what time it is, and that notices a clock being set.

Two clocks matter.  The wall clock is for people and may be wrong or set at any moment; the boot
clock only ever moves forward, and goes on while the host sleeps.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from forewarn_agent import paths

STEP_SECONDS = 1.0
"""Clocks that part by less than this were slewed or read apart, not set."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When something happened, by both clocks."""

    wall: str  # RFC 3339 in UTC, milliseconds, a Z
    boot: str  # names the boot that boottime_seconds counts from
    boottime_seconds: float


@dataclass(frozen=True, slots=True)
class Tick:
    """The clocks read together, in seconds."""

    wall: float
    boottime: float
    awake: float  # stands still while the host sleeps


def now() -> Moment:
    """Return the present moment by both clocks."""
    return Moment(
        wall=rfc3339(datetime.now(UTC)),
        boot=_boot(),
        boottime_seconds=round(paths.boottime_seconds(), 3),
    )


def tick() -> Tick:
    """Read all clocks."""
    return Tick(time.time(), paths.boottime_seconds(), paths.awake_seconds())


def wall_jump(before: Tick, after: Tick) -> float:
    """Return by how many seconds the wall clock was set between two ticks, 0.0 if it was not."""
    jump = (after.wall - before.wall) - (after.boottime - before.boottime)
    return jump if abs(jump) >= STEP_SECONDS else 0.0


def slept(before: Tick, after: Tick) -> float:
    """Return for how many seconds the host was suspended between two ticks, 0.0 if it was not."""
    asleep = (after.boottime - before.boottime) - (after.awake - before.awake)
    return asleep if asleep >= STEP_SECONDS else 0.0


def rfc3339(moment: datetime) -> str:
    """Return ``2026-11-21T08:00:00.123Z``."""
    utc = moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def _boot() -> str:
    return paths.boot_id()
