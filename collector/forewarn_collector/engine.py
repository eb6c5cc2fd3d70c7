"""Judge what is new and open, raise and close episodes: one pass, one transaction.

The state of every alert is a row, written together with the ticket, its history, the messages to
destinations and the cursor in the samples.  So a restart changes nothing, and judging the same
points again changes nothing either.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from forewarn_collector.judgement import AlertId, Happening, Judgement
from forewarn_collector.rounds import REMEMBERED, Rounds
from forewarn_collector.rules.book import RuleBook
from forewarn_collector.rules.counters import Accepted
from forewarn_collector.rules.evidence import gather
from forewarn_collector.rules.kind import AlertState
from forewarn_collector.rules.step import Event, EventKind
from forewarn_collector.samples import Points, SampleStore
from forewarn_collector.state import acceptance, counters, forecasts, overflow, remedies
from forewarn_collector.state import alerts as memory
from forewarn_collector.state import held as withheld
from forewarn_collector.state.alerts import AlertRow
from forewarn_collector.state.database import Database
from forewarn_collector.state.episodes import Opening
from forewarn_collector.state.hosts import Hosts, KnownHost
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.register import Register
from forewarn_collector.suppression.holding import Act, Held
from forewarn_collector.withholding import Staged, Withholding, told_of

_log = logging.getLogger(__name__)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BEAT = timedelta(seconds=10)
_AWAY = timedelta(seconds=60)
"""Longer between two passes, and the collector is taken to have been away."""
_COMING_BACK = timedelta(minutes=5)
"""How long after an absence of ours agents may take to be heard again."""
_LONGEST_AWAY = timedelta(days=30)
_SWEEP = timedelta(minutes=1)
_MOST_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Passed:
    """What one pass did: points looked at, points that mattered, episodes opened and closed."""

    points: int = 0
    mattered: int = 0
    opened: int = 0
    closed: int = 0


class Engine:
    """Judges what became durable since the last pass.  Passes come from one thread at a time.

    `telling` names the destinations that are told.  Call `start` once before the first pass.
    """

    def __init__(
        self,
        database: Database,
        store: SampleStore,
        hosts: Hosts,
        book: RuleBook,
        telling: Telling,
    ) -> None:
        self._database = database
        self._store = store
        self._hosts = hosts
        self._book = book
        self._telling = telling
        self._next: tuple[RuleBook, Telling] | None = None
        self._rounds = Rounds(book, store, self._host)
        self._withholding = Withholding(database, book)
        self._held: dict[AlertId, AlertRow] = {}
        self._cursor = 0
        self._beaten: datetime | None = None
        self._swept: datetime | None = None
        self._downtimes: list[tuple[int, int]] = []
        self._accepted: list[Accepted] = []
        self._accepted_through = 0

    def start(self, now: datetime) -> None:
        """Load what was known when the collector last ran, and note how long it was away."""
        with self._database.write() as connection:
            held = memory.load(connection, ended_after=now - REMEMBERED)
            self._held = {_id(row): row for row in held}
            self._cursor = memory.cursor(connection)
            self._recall(connection)
            self._withholding.recall(connection, self._held, now)
            before = memory.heartbeat(connection)
            if before is not None and now - before > _BEAT:
                memory.add_downtime(connection, before, now + _COMING_BACK)
            self._beat(connection, now)

    def use(self, book: RuleBook, telling: Telling) -> None:
        """Judge by another book, and tell others, from the next pass on.  From any thread."""
        self._next = (book, telling)

    @property
    def cursor(self) -> int:
        """Up to which commit of the store everything is judged, and that is on disk."""
        return self._cursor

    def pass_(self, now: datetime) -> Passed:
        """Judge everything new; return what it came to.

        Each round of points is one transaction.  When one fails nothing of it is remembered, and
        the next pass judges the same points again.
        """
        self._prepare(now)
        done = Passed()
        for _ in range(_MOST_ROUNDS):
            points = self._store.new_points(self._cursor)
            if points.through == self._cursor:
                break
            done = _sum(done, self._round(points, now))
        return _sum(done, self._listen(now))

    # -- one round -------------------------------------------------------------------------------

    def _round(self, points: Points, now: datetime) -> Passed:
        """Judge one stretch of points and commit what comes of it."""
        judgement = Judgement(self._held, _microseconds(now))
        mattered = 0
        if len(points.at):
            mattered = self._rounds.judge(judgement, points, self._store.shapes())
        self._commit(judgement, now, points.through)
        self._rounds.settle()
        return _counted(judgement, len(points.at), mattered)

    def _listen(self, now: datetime) -> Passed:
        """Judge who is silent, and now and then what went stale or lost its rule."""
        judgement = Judgement(self._held, _microseconds(now))
        heard = self._store.last_received()
        unheard = {one: _microseconds(at) for one, at in self._hosts.unheard(heard).items()}
        self._rounds.listen(judgement, heard, self._downtimes, unheard)
        self._sweep(judgement, now)
        self._rounds.end_accepted(judgement, self._accepted)
        over = self._withholding.waiting(judgement, self._host)
        if judgement.changed or over or self._is_due(now):
            self._commit(judgement, now, None, let_go=over)
        self._accepted = []
        return _counted(judgement, 0, 0)

    # -- keeping ---------------------------------------------------------------------------------

    def _commit(
        self, judgement: Judgement, now: datetime, through: int | None, *, let_go: bool = False
    ) -> None:
        """Write it all in one transaction; only then remember it."""
        staged = Staged()
        with self._database.write() as connection:
            register = Register(connection, now, self._telling)
            episodes = self._tell(register, judgement, staged, now)
            if let_go:
                episodes |= self._let_go(register, judgement, staged, now)
            register.finish()
            remedies.want(connection, register.opened, now)
            rows = judgement.changed | {
                alert_id: replace(judgement.changed[alert_id], episode_id=episode_id)
                for alert_id, episode_id in episodes.items()
                if alert_id in judgement.changed
            }
            # What never fired leaves no trace once it is over.
            gone = {
                alert_id
                for alert_id, row in rows.items()
                if row.alert.state is AlertState.OK and row.episode_id is None
            }
            kept = {alert_id: row for alert_id, row in rows.items() if alert_id not in gone}
            memory.save(connection, kept.values(), self._written(kept), now)
            memory.remove(connection, (rows[alert_id].key for alert_id in gone))
            forecasts.keep(connection, judgement.made, now)
            counters.save(connection, judgement.counted)
            acceptance.keep_inherited(connection, judgement.inherited, self._host)
            if through is not None:
                memory.move_cursor(connection, through)
            if self._is_due(now):
                self._beat(connection, now)
        self._withholding.taken(staged)
        self._held.update(rows)
        for alert_id in gone:
            self._held.pop(alert_id, None)
        if through is not None:
            self._cursor = through

    def _written(self, rows: Mapping[AlertId, AlertRow]) -> set[str]:
        """Return the keys of those alerts of which there is a row with these labels."""
        return {
            row.key
            for alert_id, row in rows.items()
            for held in [self._held.get(alert_id)]
            if held is not None and held.labels == row.labels
        }

    def _tell(
        self, register: Register, judgement: Judgement, staged: Staged, now: datetime
    ) -> dict[AlertId, str]:
        """Open, change and close episodes in the order things happened; return their ids."""
        episodes: dict[AlertId, str] = {}
        for happening in sorted(judgement.happenings, key=lambda one: one.event.at):
            alert_id = _id(happening.row)
            episode = episodes.get(alert_id, happening.row.episode_id)
            if alert_id in episodes:
                register.place_those_of(happening.host)
            title, told = _evidence(happening)
            act = self._withholding.meet(
                register.connection, judgement, staged, happening, episode, title, now
            )
            done = self._act(register, act, happening, episode or "", (title, told))
            if done:
                episodes[alert_id] = done
        return episodes

    def _let_go(
        self, register: Register, judgement: Judgement, staged: Staged, now: datetime
    ) -> dict[AlertId, str]:
        """Tell of what was held and still is so; return the ids of the episodes."""
        episodes: dict[AlertId, str] = {}
        connection = register.connection
        over = self._withholding.let_go(connection, judgement, staged, self._host, now)
        for row, held, act in over:
            host = self._host(row.host_number)
            assert host is not None, row
            booked = self._rounds.effective(row.rule, host)
            kind = EventKind.OPENED if act is Act.OPEN else EventKind.CHANGED
            event = Event(kind, _microseconds(now), row.alert.severity, row.alert.value)
            happening = Happening(row, host, booked, event)
            judgement.happenings.append(happening)
            told = self._told_late(connection, happening, held, now)
            alert_id = _id(row)
            judgement.changed.setdefault(alert_id, row)
            episodes[alert_id] = self._act(register, act, happening, row.episode_id or "", told)
        return episodes

    def _told_late(
        self, connection: Connection, happening: Happening, held: Held, now: datetime
    ) -> tuple[str, Mapping[str, Any]]:
        title, told = _evidence(happening)
        others = withheld.others(connection, happening.row, held)
        return title, {**told, "held": told_of(held, others, now)}

    def _act(
        self,
        register: Register,
        act: Act,
        happening: Happening,
        episode: str,
        evidence: tuple[str, Mapping[str, Any]],
    ) -> str:
        """Do what was decided; return the id of the episode it is about, "" for none."""
        row, host, event = happening.row, happening.host, happening.event
        title, told = evidence
        told = forecasts.with_record(register.connection, row.client_id, row.rule, told)
        if act is Act.OPEN:
            opening = Opening(
                alert_key=row.key,
                host=host,
                component=row.component,
                rule=row.rule,
                severity=event.severity,
                title=title,
                evidence=told,
                at=_moment(event.at),
            )
            return register.open(opening)
        if act is Act.CHANGE:
            register.change(episode, host, event.severity, told)
        elif act is Act.NOTE:
            register.note_flapping(episode, host, told)
        elif act is Act.CLOSE:
            register.close(episode, host, told, _moment(event.at))
        return "" if act is Act.NOTHING else episode

    def _is_due(self, now: datetime) -> bool:
        """Say whether it is time to note that we are here; also when the clock was set back."""
        return self._beaten is None or not timedelta(0) <= now - self._beaten < _BEAT

    def _beat(self, connection: Connection, now: datetime) -> None:
        memory.beat(connection, now)
        self._beaten = now
        away = memory.downtimes_since(connection, now - _LONGEST_AWAY)
        self._downtimes = [(_microseconds(began), _microseconds(ended)) for began, ended in away]

    # -- now and then ----------------------------------------------------------------------------

    def _prepare(self, now: datetime) -> None:
        """Take over a new book and changed hosts, and note when we stood still."""
        if self._beaten is not None and now - self._beaten > _AWAY:
            # A suspended machine, a stopped process: nobody was there to hear.
            with self._database.write() as connection:
                memory.add_downtime(connection, self._beaten, now + _COMING_BACK)
                self._beat(connection, now)
        if self._next is not None:
            (self._book, self._telling), self._next = self._next, None
            self._rounds = Rounds(self._book, self._store, self._host)
            self._withholding.use(self._book)
            with self._database.read() as connection:
                self._recall(connection)
            self._swept, self._accepted_through = None, 0
        if self._hosts.refresh():
            self._rounds.hosts_changed()
            self._withholding.hosts_changed()
            self._swept = None
        self._withholding.turn(now)
        with self._database.read() as connection:
            new, self._accepted_through = acceptance.load(connection, after=self._accepted_through)
        self._rounds.accept(new)
        self._accepted += new

    def _recall(self, connection: Connection) -> None:
        """Begin new rounds with what was counted, and with what is overtaken already."""
        self._rounds.recall(counters.load(connection))
        self._rounds.overtake(self._store.newest(self._cursor), self._store.shapes())

    def _sweep(self, judgement: Judgement, now: datetime) -> None:
        """End alerts that no rule stands for any more, mark stale ones, forget old ones."""
        if self._swept is not None and now - self._swept < _SWEEP:
            return
        self._swept = now
        for alert_id in self._rounds.sweep(judgement):
            del self._held[alert_id]
        with self._database.write() as connection:
            forecasts.end_forgotten(connection, now)
            overflow.spread(connection, self._hosts.get, now, self._telling)

    def _host(self, number: int) -> KnownHost | None:
        return self._hosts.by_number(number)


def _evidence(happening: Happening) -> tuple[str, Mapping[str, Any]]:
    title, told = _found(happening)
    return title, {**told, "because": happening.because} if happening.because else told


def _found(happening: Happening) -> tuple[str, Mapping[str, Any]]:
    row, alert = happening.row, happening.row.alert
    if happening.booked is None:
        return row.rule, {"value": alert.value, "shown": f"{alert.value:g}"}
    labels = dict(row.labels)
    found = gather(happening.booked, labels, happening.host.name, row.component, alert)
    return found.title, found.told


def _counted(judgement: Judgement, points: int, mattered: int) -> Passed:
    kinds = [happening.event.kind for happening in judgement.happenings]
    return Passed(points, mattered, kinds.count(EventKind.OPENED), kinds.count(EventKind.CLOSED))


def _sum(one: Passed, other: Passed) -> Passed:
    return Passed(
        one.points + other.points,
        one.mattered + other.mattered,
        one.opened + other.opened,
        one.closed + other.closed,
    )


def _id(row: AlertRow) -> AlertId:
    return row.host_number, row.component, row.rule


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
