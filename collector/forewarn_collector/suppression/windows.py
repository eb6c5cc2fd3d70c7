"""Maintenance windows and silences: what they cover, and when they hold.

A window holds from its start until it has settled: a reboot takes a while to be over, and only
then can be told what is still wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from forewarn_collector.selector import Selectable, Selector
from forewarn_collector.suppression.repeats import Repeat

SETTLE = timedelta(minutes=10)
LONGEST_SETTLE = timedelta(hours=6)
LONGEST_WINDOW = timedelta(days=30)
LONGEST_SILENCE = timedelta(days=90)
"""Nobody remembers longer what was silenced, and why."""


class Cause(StrEnum):
    """Why nothing is told."""

    MAINTENANCE = "maintenance"
    SILENCE = "silence"
    DEPENDENCY = "dependency"


class Placed(Selectable, Protocol):
    """A host with the id of the client it belongs to."""

    @property
    def client_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Scope:
    """Which hosts are meant.

    `clients` are the ids of the clients its author could see, None for all.  `group` is the name
    of a group of the configuration, "" for none; a host must be picked by both.
    """

    clients: frozenset[str] | None
    selector: Selector
    group: str = ""

    def covers(self, host: Placed, groups: Mapping[str, Selector]) -> bool:
        """Say whether a host is meant; a group that is gone means none."""
        if self.clients is not None and host.client_id not in self.clients:
            return False
        if self.group:
            group = groups.get(self.group)
            if group is None or not group.matches(host):
                return False
        return self.selector.matches(host)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A window happening once, as it is meant to: [start, end), and what settles after it."""

    start: datetime
    end: datetime
    settled: datetime

    def holds(self, now: datetime) -> bool:
        """Say whether it holds at a moment."""
        return self.start <= now < self.settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A maintenance window.

    Without `repeat` it is [starts, ends).  With it, it begins again from `starts` on and before
    `ends`, None for ever.  `shortened` are the ends of those ended early, by their start.
    `deleted_at` ends what was to come.
    """

    id: str
    scope: Scope
    reason: str
    starts: datetime
    ends: datetime | None
    repeat: Repeat | None = None
    settle: timedelta = SETTLE
    shortened: Mapping[datetime, datetime] = field(default_factory=dict)
    deleted_at: datetime | None = None

    def between(self, after: datetime, before: datetime) -> list[Occurrence]:
        """Return what happens, or settles, within [after, before), the earliest first."""
        return [one for one in self._from(after, before) if one.settled > after]

    def at(self, now: datetime) -> Occurrence | None:
        """Return what holds at a moment, the one that holds longest, or None."""
        held = [one for one in self._from(now, now + timedelta(microseconds=1)) if one.holds(now)]
        return max(held, key=lambda one: one.settled, default=None)

    def next(self, now: datetime) -> Occurrence | None:
        """Return what begins next after a moment, None when nothing does."""
        if self.repeat is None:
            return (
                self._one(self.starts) if self._comes(self.starts) and self.starts > now else None
            )
        start = self.repeat.next_start(max(self.starts, now + timedelta(microseconds=1)))
        return None if start is None or not self._comes(start) else self._one(start)

    def _from(self, after: datetime, before: datetime) -> list[Occurrence]:
        if self.repeat is None:
            starts = [self.starts] if self.starts < before else []
        else:
            longest = self.repeat.lasts + self.settle
            starts = list(self.repeat.starts(max(after - longest, self.starts), before))
        return [self._one(start) for start in starts if self._comes(start)]

    def _comes(self, start: datetime) -> bool:
        if self.deleted_at is not None and start > self.deleted_at:
            return False
        return self.repeat is None or self.ends is None or start < self.ends

    def _one(self, start: datetime) -> Occurrence:
        if self.repeat is not None:
            end = start + self.repeat.lasts
        else:
            assert self.ends is not None, self.id
            end = self.ends
        end = self.shortened.get(start, end)
        return Occurrence(start, end, end + self.settle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Nothing is told of some hosts until `expires`; `rule` and `component` narrow it, "" all."""

    id: str
    scope: Scope
    reason: str
    starts: datetime
    expires: datetime
    rule: str = ""
    component: str = ""

    def concerns(self, rule: str, component: str) -> bool:
        """Say whether it is about this rule on this component of a host it covers."""
        return self.rule in ("", rule) and self.component in ("", component)
