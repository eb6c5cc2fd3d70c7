"""Say what holds an alert back at a moment: a look-up, not a search.

Selectors are matched once a host, and only for hosts to which something happens; what holds is
worked out again when a window or silence begins, ends or is changed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from forewarn_collector.selector import Selector
from forewarn_collector.suppression.matching import Matching
from forewarn_collector.suppression.windows import Cause, Placed, Silence, Window


class Numbered(Placed, Protocol):
    """A host with the short key of its samples."""

    @property
    def number(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Hold:
    """What holds an alert back.  `until` is None when no clock ends it.

    `id` is that of the window or silence, "" for a dependency.  `start` is when this occurrence
    of the window began.
    """

    cause: Cause
    id: str
    reason: str
    until: datetime | None
    start: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Active:
    windows: tuple[tuple[Window, Hold], ...] = ()
    silences: tuple[tuple[Silence, Hold], ...] = ()


NOTHING = _Active()


class Holds:
    """All windows and silences, by the moment it was last told.  For one thread."""

    def __init__(
        self,
        windows: Iterable[Window] = (),
        silences: Iterable[Silence] = (),
        groups: Mapping[str, Selector] | None = None,
    ) -> None:
        self._windows = tuple(windows)
        self._silences = tuple(silences)
        self._groups = groups or {}
        self._active = NOTHING
        self._matching = Matching((), {})
        self._by_host: dict[int, _Active] = {}

    def turn(self, now: datetime) -> None:
        """Take `now` for the present moment of all look-ups."""
        windows = tuple(
            (window, Hold(Cause.MAINTENANCE, window.id, window.reason, one.settled, one.start))
            for window in self._windows
            if (one := window.at(now)) is not None
        )
        silences = tuple(
            (silence, Hold(Cause.SILENCE, silence.id, silence.reason, silence.expires))
            for silence in self._silences
            if silence.starts <= now < silence.expires
        )
        active = _Active(windows, silences)
        if [hold for _, hold in self._active.windows] != [hold for _, hold in windows] or [
            hold for _, hold in self._active.silences
        ] != [hold for _, hold in silences]:
            self._active = active
            scopes = [(window.id, window.scope) for window, _ in windows]
            scopes += [(silence.id, silence.scope) for silence, _ in silences]
            self._matching = Matching(scopes, self._groups)
            self._by_host.clear()

    def forget_hosts(self) -> None:
        """Match every host anew: one may have another name, class or tag by now."""
        self._by_host.clear()

    def of(self, host: Numbered, rule: str, component: str) -> Hold | None:
        """Return what holds this rule on this component, the one that lasts longest, or None."""
        if not self._active.windows and not self._active.silences:
            return None
        mine = self._by_host.get(host.number)
        if mine is None:
            mine = self._by_host[host.number] = self._matched(host)
        found = [hold for _, hold in mine.windows]
        found += [hold for silence, hold in mine.silences if silence.concerns(rule, component)]
        return max(found, key=_ends, default=None)

    def _matched(self, host: Numbered) -> _Active:
        covering = self._matching.covering(host)
        return _Active(
            tuple(one for one in self._active.windows if one[0].id in covering),
            tuple(one for one in self._active.silences if one[0].id in covering),
        )


def _ends(hold: Hold) -> datetime:
    assert hold.until is not None, hold
    return hold.until
