"""What the engine knows of suppression between two passes: what holds, and what is held.

What changes is staged and taken over once the engine's transaction is on disk, so that a pass that
fails leaves nothing behind.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from forewarn_collector.clock import rfc3339
from forewarn_collector.judgement import AlertId, Happening, Judgement
from forewarn_collector.rules.book import RuleBook
from forewarn_collector.rules.kind import AlertState
from forewarn_collector.selector import parse
from forewarn_collector.state import held as kept
from forewarn_collector.state import suppression
from forewarn_collector.state.alerts import AlertRow
from forewarn_collector.state.database import Database
from forewarn_collector.state.held import HeldRow
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.suppression.dependency import hold_of
from forewarn_collector.suppression.holding import Act, Held, Met, Outcome, let_go, meet
from forewarn_collector.suppression.holds import Hold, Holds

_LOOK_AGAIN = timedelta(hours=1)

HostOf = Callable[[int], KnownHost | None]


@dataclass(slots=True)
class Staged:
    """What one transaction changes of what is held; None: nothing is held any more."""

    rows: dict[AlertId, HeldRow | None] = field(default_factory=dict)


class Withholding:
    """For one thread: the engine's."""

    def __init__(self, database: Database, book: RuleBook) -> None:
        self._database = database
        self._book = book
        self._holds = Holds()
        self._edition = -1
        self._read_at: datetime | None = None
        self._held: dict[AlertId, HeldRow] = {}

    # -- what is known ---------------------------------------------------------------------------

    def recall(
        self, connection: Connection, rows: Mapping[AlertId, AlertRow], now: datetime
    ) -> None:
        """Begin with what was held when the collector last ran."""
        ids = {row.key: alert_id for alert_id, row in rows.items()}
        self._held = {}
        for key, row in kept.load(connection).items():
            if key in ids:
                self._held[ids[key]] = row
            else:
                kept.end(connection, row, Outcome.CLEARED, now)

    def use(self, book: RuleBook) -> None:
        """Know the groups of another book."""
        self._book = book
        self._edition = -1

    def hosts_changed(self) -> None:
        """Ask again which hosts are meant."""
        self._holds.forget_hosts()

    def turn(self, now: datetime) -> None:
        """Take `now` for the present, and read windows and silences if any was changed."""
        with self._database.read() as connection:
            edition = suppression.edition(connection)
            old = self._read_at is None or not timedelta(0) <= now - self._read_at < _LOOK_AGAIN
            if edition != self._edition or old:
                windows = suppression.load_windows(connection, now)
                silences = suppression.load_silences(connection, now)
                groups = {name: parse(text) for name, text in self._book.groups.items()}
                self._holds = Holds(windows, silences, groups)
                self._edition, self._read_at = edition, now
        self._holds.turn(now)

    def taken(self, staged: Staged) -> None:
        """Remember what is on disk now."""
        for alert_id, row in staged.rows.items():
            if row is None:
                self._held.pop(alert_id, None)
            else:
                self._held[alert_id] = row

    # -- deciding --------------------------------------------------------------------------------

    def hold_of(self, judgement: Judgement, row: AlertRow, host: KnownHost) -> Hold | None:
        """Return what holds an alert back now, or None."""
        return hold_of(self._holds, judgement, row, host)

    def meet(
        self,
        connection: Connection,
        judgement: Judgement,
        staged: Staged,
        happening: Happening,
        episode_id: str | None,
        title: str,
        now: datetime,
    ) -> Act:
        """Say what to do about an event, and write down what is held of it."""
        row = happening.row
        before = self._row(staged, _id(row))
        told = None if before is None else before.held.told
        if before is None and episode_id is not None:
            told = kept.severity_of(connection, episode_id)
        hold = self.hold_of(judgement, row, happening.host)
        met = meet(happening.event, told, None if before is None else before.held, hold)
        self._stage(connection, staged, before, met, row, title, now)
        return met.act

    def waiting(self, judgement: Judgement, host_of: HostOf) -> bool:
        """Say whether anything held is to be told, or its hold is another one by now."""
        return any(
            self._let_go(judgement, alert_id, row, host_of) != Met(Act.NOTHING, row.held)
            for alert_id, row in self._held.items()
        )

    def let_go(
        self,
        connection: Connection,
        judgement: Judgement,
        staged: Staged,
        host_of: HostOf,
        now: datetime,
    ) -> Iterator[tuple[AlertRow, Held, Act]]:
        """Yield what is to be told because nothing holds it any more: open or change it."""
        for alert_id in list(self._held):
            row = self._row(staged, alert_id)
            if row is None:
                continue
            met = self._let_go(judgement, alert_id, row, host_of)
            alert = judgement.row(alert_id)
            if met.held is None:
                staged.rows[alert_id] = None
                told = met.act is not Act.NOTHING
                kept.end(connection, row, Outcome.TOLD if told else Outcome.CLEARED, now)
                if told and alert is not None:
                    yield alert, row.held, met.act
            elif met.held != row.held and alert is not None:
                staged.rows[alert_id] = kept.rehold(connection, row, met.held)

    def _let_go(
        self, judgement: Judgement, alert_id: AlertId, row: HeldRow, host_of: HostOf
    ) -> Met:
        alert, host = judgement.row(alert_id), host_of(alert_id[0])
        if alert is None or host is None or alert.alert.state is AlertState.OK:
            return Met(Act.NOTHING, None)
        return let_go(row.held, alert.alert, self.hold_of(judgement, alert, host))

    def _stage(
        self,
        connection: Connection,
        staged: Staged,
        before: HeldRow | None,
        met: Met,
        row: AlertRow,
        title: str,
        now: datetime,
    ) -> None:
        if met.held is not None:
            staged.rows[_id(row)] = kept.keep(connection, before, met.held, row, title, now)
        elif before is not None:
            staged.rows[_id(row)] = None
            kept.end(connection, before, _outcome(met, before.held, row), now)

    def _row(self, staged: Staged, alert_id: AlertId) -> HeldRow | None:
        return staged.rows[alert_id] if alert_id in staged.rows else self._held.get(alert_id)


def told_of(held: Held, others: list[str], now: datetime) -> dict[str, Any]:
    """Return what evidence says of having been held: since when, by what, and what besides."""
    return {
        "since": rfc3339(kept.moment(held.since)),
        "until": rfc3339(now),
        "by": str(held.hold.cause),
        "reason": held.hold.reason[:200],
        "with": others,
    }


def _outcome(met: Met, held: Held, row: AlertRow) -> Outcome:
    if met.act is Act.OPEN:
        return Outcome.TOLD
    rose = held.told is not None and row.alert.severity.rank > held.told.rank
    return Outcome.TOLD if met.act is Act.CHANGE and rose else Outcome.CLEARED


def _id(row: AlertRow) -> AlertId:
    return row.host_number, row.component, row.rule
