"""May a standing order be handed to a host now?  Hours and maintenance windows of clients say.

The collector may hold back; a host has hours of its own besides (policy.toml), which it cannot
widen.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from forewarn_collector.selector import Selector, parse
from forewarn_collector.sla.policy import Policies
from forewarn_collector.state import suppression
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.suppression.windows import Window
from forewarn_scripts.order import Within

_LOOK_AGAIN: Final = timedelta(hours=1)


def _no_groups() -> Mapping[str, str]:
    return {}


@dataclass(slots=True)
class Gate:
    """Safe to share between threads.  `groups` and `policies` give what is configured now."""

    groups: Callable[[], Mapping[str, str]] = _no_groups
    policies: Callable[[], Policies] = Policies
    _windows: Sequence[Window] = ()
    _edition: int = -1
    _read_at: datetime | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def why_held(
        self, connection: Connection, within: str, host: KnownHost, now: datetime, *, remedy: bool
    ) -> str:
        """Return why this host is not to have it now, "" when it may have it.

        A remedy never comes where people are at work: whatever is wrong then may be their doing.
        """
        if within == Within.MAINTENANCE:
            return "" if self._at_work(connection, host, now) else "no maintenance window is open"
        if remedy and self._held(connection, host, now):
            return "the host is in maintenance"
        return self._business(host, now) if within == Within.OUT_OF_HOURS else ""

    def _business(self, host: KnownHost, now: datetime) -> str:
        policy = self.policies().of(host.client)
        targets = policy.targets.values() if policy is not None else ()
        calendars = [one.calendar for one in targets if one.calendar is not None]
        if not calendars:
            return "no business hours are known of this client"
        return "business hours" if any(one.is_open(now) for one in calendars) else ""

    def _at_work(self, connection: Connection, host: KnownHost, now: datetime) -> bool:
        """Say whether a window is open, not merely settling."""
        return any(
            one.start <= now < one.end
            for window in self._covering(connection, host, now)
            for one in window.between(now, now + timedelta(microseconds=1))
        )

    def _held(self, connection: Connection, host: KnownHost, now: datetime) -> bool:
        return any(window.at(now) for window in self._covering(connection, host, now))

    def _covering(self, connection: Connection, host: KnownHost, now: datetime) -> Sequence[Window]:
        groups: dict[str, Selector] = {name: parse(text) for name, text in self.groups().items()}
        with self._lock:
            edition = suppression.edition(connection)
            old = self._read_at is None or not timedelta(0) <= now - self._read_at < _LOOK_AGAIN
            if edition != self._edition or old:
                self._windows = suppression.load_windows(connection, now)
                self._edition, self._read_at = edition, now
            windows = self._windows
        return [
            one for one in windows if one.at(now) is not None and one.scope.covers(host, groups)
        ]
