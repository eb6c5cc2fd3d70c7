"""Look after maintenance windows: see how hosts are before, and say what is wrong after.

A few hosts are written in one transaction, so that others who write wait no longer than these take.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from forewarn_collector.queries.scope import microseconds
from forewarn_collector.rules.book import RuleBook
from forewarn_collector.rules.silence import silences
from forewarn_collector.samples import CheckStatus, Reading, SampleStore
from forewarn_collector.selector import parse
from forewarn_collector.state import alerts as memory
from forewarn_collector.state import held, maintaining, suppression
from forewarn_collector.state.database import Database
from forewarn_collector.state.hosts import Hosts, KnownHost
from forewarn_collector.state.maintaining import Begun, Compared
from forewarn_collector.state.outbox import Telling
from forewarn_collector.suppression.comparing import Condition, compare, observe
from forewarn_collector.suppression.windows import Window

AT_ONCE = 200
"""Hosts in one transaction."""
MOST_READ = 1000
"""Hosts of one window whose readings are compared, too; of the others silence and checks."""
KEPT = timedelta(days=400)
"""How long is known which alerts were held, and how each host of a window was."""
_BACK = timedelta(days=31)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Maintained:
    """What one turn did: windows that began, and verdicts that were reached."""

    begun: int = 0
    decided: int = 0


@dataclass(slots=True)
class Maintainer:
    """For one thread.  `groups` of the configuration may change between two turns."""

    database: Database
    store: SampleStore
    hosts: Hosts
    _forgot: datetime | None = None

    def turn(self, book: RuleBook, telling: Telling, now: datetime) -> Maintained:
        """Begin what begins, and decide what has settled."""
        begun = self._begin(now)
        with self.database.read() as connection:
            waiting = maintaining.undecided(connection)
        decided = 0
        for one in waiting:
            if not one.seen and now < one.occurrence.end:
                self._see(one, book, now)
            if now >= one.occurrence.settled:
                self._decide(one, telling, now)
                decided += 1
        self._forget(now)
        return Maintained(begun, decided)

    def _forget(self, now: datetime) -> None:
        if self._forgot is None or now - self._forgot >= _DAY:
            self._forgot = now
            with self.database.write() as connection:
                held.forget(connection, now - KEPT)
                maintaining.forget(connection, now - KEPT)

    def _begin(self, now: datetime) -> int:
        with self.database.read() as connection:
            windows = suppression.load_windows(connection, now)
            running = [
                (window, one)
                for window in windows
                for one in window.between(now, now + timedelta(microseconds=1))
                if one.start <= now < one.end
            ]
            ids = [window.id for window, _ in running]
            known = maintaining.started(connection, ids, now - _BACK) if ids else set()
        new = [(window, one) for window, one in running if (window.id, one.start) not in known]
        if new:
            with self.database.write() as connection:
                for window, one in new:
                    maintaining.begin(connection, window, one, now)
        return len(new)

    def _see(self, begun: Begun, book: RuleBook, now: datetime) -> None:
        """Write down how every host of a window is."""
        covered = _covered(begun.window, self.hosts, book)
        statuses, silent = self._all(now)
        for first in range(0, len(covered), AT_ONCE):
            hosts = covered[first : first + AT_ONCE]
            read = self._read(hosts if first < MOST_READ else ())
            part = [(host, _condition(host, read, statuses, silent)) for host in hosts]
            with self.database.write() as connection:
                maintaining.keep_before(connection, begun, part)
        with self.database.write() as connection:
            maintaining.seen(connection, begun, now)

    def _decide(self, begun: Begun, telling: Telling, now: datetime) -> None:
        """Compare every host of an occurrence with how it was before."""
        statuses, silent = self._all(now)
        after, done = "", 0
        while True:
            with self.database.read() as connection:
                part = maintaining.next_hosts(connection, begun, after, AT_ONCE)
            if not part:
                break
            known = [
                (host, before)
                for host_id, before in part
                for host in [self.hosts.get(host_id)]
                if host is not None
            ]
            # What was not read before cannot be compared.
            read = self._read(
                host
                for host, before in known
                if before.mounts is not None or before.booted is not None or done < MOST_READ
            )
            start = microseconds(begun.occurrence.start)
            compared = []
            for host, before in known:
                there = _condition(host, read, statuses, silent)
                comparison = compare(before, there, start, microseconds(now))
                compared.append(Compared(host, comparison))
            with self.database.write() as connection:
                maintaining.decide(connection, begun, compared, now, telling)
            after, done = part[-1][0], done + len(part)
        with self.database.write() as connection:
            maintaining.decided(connection, begun, now)

    def _read(self, hosts: Iterable[KnownHost]) -> Mapping[int, Sequence[Reading]]:
        """Return what was last read on hosts, by number."""
        return self.store.latest_of([host.number for host in hosts])

    def _all(self, now: datetime) -> tuple[dict[int, Sequence[CheckStatus]], dict[int, int]]:
        """Return how checks of every host went, and for how long each is silent."""
        with self.database.read() as connection:
            away = memory.downtimes_since(connection, now - _BACK)
        downtimes = [(microseconds(began), microseconds(ended)) for began, ended in away]
        numbers, silent = silences(self.store.last_received(), downtimes, microseconds(now))
        heard = dict(zip(numbers.tolist(), silent.tolist(), strict=True))
        return dict(self.store.statuses()), heard


def _condition(
    host: KnownHost,
    read: Mapping[int, Sequence[Reading]],
    statuses: Mapping[int, Sequence[CheckStatus]],
    silent: Mapping[int, int],
) -> Condition:
    number, never = host.number, int(np.iinfo(np.int64).max)
    return observe(read.get(number, ()), statuses.get(number, ()), silent.get(number, never))


def _covered(window: Window, hosts: Hosts, book: RuleBook) -> list[KnownHost]:
    groups = {name: parse(text) for name, text in book.groups.items()}
    found = [host for host in hosts.all() if not host.revoked and window.scope.covers(host, groups)]
    return sorted(found, key=lambda host: host.id)
