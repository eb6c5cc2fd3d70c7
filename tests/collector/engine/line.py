"""A collector without network, files and clock: readings in, tickets and messages out."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from tests.collector.state.open_state import open_state

from forewarn_checks.base import (
    Check,
    Component,
    Condition,
    Lane,
    Level,
    Metric,
    Severity,
    State,
    Threshold,
    Unit,
)
from forewarn_collector.engine import Engine, Passed
from forewarn_collector.rules.book import BookedRule, Declared, RuleBook, declared
from forewarn_collector.rules.change import RuleChange
from forewarn_collector.samples import (
    Arrival,
    CheckStatus,
    Histories,
    Newest,
    Points,
    Reading,
    Series,
    Shape,
    Span,
)
from forewarn_collector.samples.memory import Memory
from forewarn_collector.state import tickets
from forewarn_collector.state.database import Database
from forewarn_collector.state.hosts import Hosts, KnownHost, insert_host, place, revoke
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import metadata, outbox

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

USED = Metric("room_used_ratio", Unit.RATIO, "How full.", ("mountpoint",))
FREE = Metric("room_free_bytes", Unit.BYTES, "What is left.", ("mountpoint",))
PASSED = Metric("self_test_passed", Unit.COUNT, "1 if passed.", ("mountpoint",))
GIB = 1024.0**3

ROOM_FULL = Threshold(
    name="RoomFull",
    metric=USED,
    severity=Severity.HIGH,
    above=0.90,
    clear_at=0.85,
    hold_for=timedelta(minutes=10),
    clear_for=timedelta(minutes=10),
    and_=Condition(metric=FREE, below=20 * GIB),
    levels={
        Severity.CRITICAL: Level(
            above=0.98, clear_at=0.95, and_=Condition(metric=FREE, below=5 * GIB)
        )
    },
    title="{mountpoint} on {host} is {value} full",
    advice="Free space on {mountpoint} of {host}.",
)
TEST_FAILED = State(
    name="TestFailed",
    metric=PASSED,
    severity=Severity.CRITICAL,
    when=0.0,
    title="{mountpoint} on {host} failed its test",
    advice="Replace it.",
)
CHECK = Check(
    name="room",
    help="Rooms.",
    every=timedelta(minutes=5),
    timeout=timedelta(seconds=20),
    metrics=(USED, FREE, PASSED),
    component=Component("room", ("mountpoint",)),
    read_linux=None,
    read_windows=None,
    rules=(ROOM_FULL, TEST_FAILED),
)


def booked(rule: Threshold | State) -> BookedRule:
    """Return a rule as the check of rooms books it."""
    return BookedRule(
        rule=rule,
        check=CHECK.name,
        component=CHECK.component,
        every=CHECK.every,
        metrics={metric.name: metric for metric in CHECK.metrics},
    )


def rules() -> tuple[Declared, ...]:
    """Return the rules of rooms and the collector's own."""
    own = tuple(one for one in declared() if one.booked.check == "collector")
    return (Declared(booked(ROOM_FULL)), Declared(booked(TEST_FAILED)), *own)


def microseconds(moment: datetime) -> int:
    """Return a moment as the store counts it."""
    return (moment - EPOCH) // timedelta(microseconds=1)


@dataclass
class MemoryStore:
    """As much of a SampleStore as the engine asks for.  A commit is a list of points."""

    commits: list[list[tuple[int, int, int, float, int]]] = field(default_factory=list)
    known: list[Shape] = field(default_factory=list)
    heard: dict[int, int] = field(default_factory=dict)

    def shape(self, metric: str, labels: Mapping[str, str]) -> int:
        wanted = Shape(metric, tuple(sorted(labels.items())))
        if wanted not in self.known:
            self.known.append(wanted)
        return self.known.index(wanted)

    def shapes(self) -> Sequence[Shape]:
        return self.known

    def last_received(self) -> Mapping[int, int]:
        return self.heard

    def new_points(self, after: int, limit: int = 500_000) -> Points:
        new = [point for commit in self.commits[after:] for point in commit]
        columns = list(zip(*new, strict=True)) or [(), (), (), (), ()]
        return Points(
            host=np.array(columns[0], np.int64),
            shape=np.array(columns[1], np.int64),
            at=np.array(columns[2], np.int64),
            value=np.array(columns[3], np.float64),
            received=np.array(columns[4], np.int64),
            through=len(self.commits),
        )

    def append(self, arrivals: Sequence[Arrival]) -> None:
        raise NotImplementedError

    def mark(self, host: int, spool: str, lane: Lane) -> int:
        raise NotImplementedError

    def newest(self, through: int) -> Newest:
        new = [point for commit in self.commits[:through] for point in commit]
        columns = list(zip(*new, strict=True)) or [(), (), ()]
        return Newest(*(np.array(column, np.int64) for column in columns[:3]))

    def latest(self, host: int) -> Sequence[Reading]:
        raise NotImplementedError

    def latest_of(self, hosts: Collection[int]) -> Mapping[int, Sequence[Reading]]:
        raise NotImplementedError

    def statuses(self, host: int | None = None) -> Mapping[int, Sequence[CheckStatus]]:
        raise NotImplementedError

    def history(
        self, host: int, metric: str, since: int, until: int, steps: int = 500
    ) -> Sequence[Series]:
        raise NotImplementedError

    def histories(
        self,
        host: NDArray[np.int64],
        shape: NDArray[np.int64],
        until: NDArray[np.int64],
        span: Span,
    ) -> Histories:
        memory, points = Memory(), self.new_points(0)
        memory.take(points.host, points.shape, points.at, points.value)
        return memory.histories(host, shape, until, span)

    def sequences(self, host: int) -> Sequence[tuple[str, Lane, int]]:
        raise NotImplementedError

    def forget(self, before: int) -> int:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


@dataclass
class Line:
    """A collector with a clock the test turns, and its hosts web1 and web2 of acme."""

    database: Database
    at: datetime = START
    store: MemoryStore = field(default_factory=MemoryStore)
    book: RuleBook = field(default_factory=lambda: RuleBook(rules()))
    telling: Telling = field(
        default_factory=lambda: Telling(("receiver",), "https://monitor/tickets/")
    )
    hosts: Hosts = field(init=False)
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.hosts = Hosts(self.database)
        self.restart()

    def restart(self) -> None:
        """Begin again with nothing but what the database holds."""
        self.hosts = Hosts(self.database)
        self.engine = Engine(self.database, self.store, self.hosts, self.book, self.telling)
        self.engine.start(self.at)

    def wait(self, **span: float) -> None:
        """Let time go by."""
        self.at += timedelta(**span)

    def read(self, used: float, *, free: float = 1 * GIB, host: int = 1, ago: float = 0) -> None:
        """Take in one run of a room, as fresh as `ago` seconds."""
        at = microseconds(self.at) - round(ago * 1_000_000)
        received = microseconds(self.at)
        labels = {"mountpoint": "/srv"}
        self.store.commits.append(
            [
                (host, self.store.shape(USED.name, labels), at, used, received),
                (host, self.store.shape(FREE.name, labels), at, free, received),
            ]
        )
        self.store.heard[host] = received

    def sample(self, metric: str, value: float, *, host: int = 1, **labels: str) -> None:
        """Take in one value."""
        moment = microseconds(self.at)
        shape = self.store.shape(metric, labels)
        self.store.commits.append([(host, shape, moment, value, moment)])
        self.store.heard[host] = moment

    def pass_(self) -> Passed:
        """Let the engine judge."""
        return self.engine.pass_(self.at)

    def hold(self, used: float, minutes: int, **options: Any) -> None:
        """Read the same every five minutes, judging each time."""
        for _ in range(minutes // 5):
            self.wait(minutes=5)
            self.read(used, **options)
            self.pass_()

    def change(self, changes: Mapping[str, RuleChange]) -> None:
        """Take another configuration."""
        self.book = RuleBook(rules(), changes)
        self.engine.use(self.book, self.telling)

    def tickets(self) -> list[tickets.Ticket]:
        """Return every ticket with its history, the oldest first."""
        with self.database.read() as connection:
            found = tickets.find(connection, clients=None)
            return [tickets.get(connection, one.number, clients=None) for one in reversed(found)]

    def told(self) -> list[tuple[str, dict[str, Any]]]:
        """Return what destinations are told, in order: kind and ticket."""
        with self.database.read() as connection:
            rows = connection.execute(select(outbox).order_by(outbox.c.id)).mappings().all()
        return [(row["kind"], json.loads(row["body"])["data"]["ticket"]) for row in rows]

    def kinds(self) -> list[str]:
        """Return the kinds of what is told, in order."""
        return [kind for kind, _ in self.told()]

    def revoke(self, number: int) -> None:
        """Refuse a host from now on."""
        host = self.hosts.by_number(number)
        assert host is not None
        with self.database.write() as connection:
            revoke(connection, host.id, self.at)


@contextmanager
def new_line(directory: Path, **options: Any) -> Iterator[Line]:
    """Make a collector with two hosts; closes its database at the end."""
    database = open_state(directory)
    metadata.create_all(database.engine)
    with database.write() as connection:
        where = place(connection, "acme", "hq", START)
        for number in (1, 2):
            host = KnownHost(
                number=number,
                id=f"00000000-0000-7000-8000-00000000000{number}",
                client_id=where.client_id,
                site_id=where.site_id,
                name=f"web{number}",
                public_key=bytes([number]) * 32,
                system="linux",
                host_class=options.get("host_class", "server"),
            )
            # Nobody misses web2 before it was heard.
            insert_host(connection, host, START if number == 1 else START + timedelta(days=3650))
    try:
        yield Line(database)
    finally:
        database.close()
