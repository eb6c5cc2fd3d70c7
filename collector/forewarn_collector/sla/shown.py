"""A ticket's clocks as they are kept on its row, and as they stand at any moment after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from forewarn_collector.clock import rfc3339
from forewarn_collector.sla.calendars import business_between
from forewarn_collector.sla.clocks import Clock, Pace
from forewarn_collector.sla.policy import ClockName, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockShown:
    """How one clock stands: seconds of business time, negative once a target is overrun.

    `due_at` is when the target is, or was, used up; None while it stands still before that.
    """

    pace: Pace
    running: bool
    target_seconds: float
    remaining_seconds: float
    due_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sla:
    """What was promised by which policy; None for a clock that nothing is promised about."""

    policy: str
    response: ClockShown | None
    resolution: ClockShown | None


def write_clocks(clocks: Sequence[Clock], now: datetime) -> list[dict[str, Any]]:
    """Return clocks as JSON for a ticket's row."""
    return [
        {
            "clock": str(clock.name),
            "pace": str(clock.pace),
            "target_seconds": clock.target.total_seconds(),
            "spent_seconds": clock.spent.total_seconds(),
            "due_at": None if clock.due_at is None else clock.due_at.timestamp(),
            "running": not clock.stopped,
            "at": now.timestamp(),
        }
        for clock in clocks
    ]


def read_sla(
    written: Sequence[Mapping[str, Any]], policy: Policy, priority: str, now: datetime
) -> Sla:
    """Return the clocks of a row as they stand at `now`, nothing having happened since."""
    shown = {one["clock"]: _shown(one, policy, priority, now) for one in written}
    return Sla(
        policy=policy.name,
        response=shown.get(ClockName.RESPONSE),
        resolution=shown.get(ClockName.RESOLUTION),
    )


def sla_json(sla: Sla) -> dict[str, Any]:
    """Return clocks as destinations are told them."""
    return {
        "policy": sla.policy,
        "response": None if sla.response is None else _clock_json(sla.response),
        "resolution": None if sla.resolution is None else _clock_json(sla.resolution),
    }


def _shown(one: Mapping[str, Any], policy: Policy, priority: str, now: datetime) -> ClockShown:
    target = policy.targets.get(priority)
    spent, promised, pace = one["spent_seconds"], one["target_seconds"], Pace(one["pace"])
    if one["running"] and target is not None:
        since = datetime.fromtimestamp(one["at"], UTC)
        spent += business_between(target.calendar, since, now) / timedelta(seconds=1)
        if spent > promised:
            pace = Pace.BREACHED
    due = one["due_at"]
    return ClockShown(
        pace=pace,
        running=one["running"],
        target_seconds=promised,
        remaining_seconds=round(promised - spent, 3),
        due_at=None if due is None else datetime.fromtimestamp(due, UTC),
    )


def _clock_json(clock: ClockShown) -> dict[str, Any]:
    return {
        "pace": str(clock.pace),
        "running": clock.running,
        "target_seconds": clock.target_seconds,
        "remaining_seconds": clock.remaining_seconds,
        "due_at": None if clock.due_at is None else rfc3339(clock.due_at),
    }
