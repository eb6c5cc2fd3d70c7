"""What one rule pass over a whole fleet costs, and the first one after a restart.

`python -m benchmarks.rule_pass [--hosts N] [--json]`.  Every host sends 30 series at once; all
default rules judge them through the engine, with its real SQLite.  Of the hosts 1 % have an alert
that is not ok, and in the second table of the series 1 %.  Beside each time stands the processor
time, because neighbours differ.  Not in it: reading the points out of the sample store, and
forecasts, which look at history once an hour; `forewarn-collector bench` has both.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert

from forewarn_checks.base import Forecast
from forewarn_collector.engine import Engine
from forewarn_collector.garbage import sweep_less
from forewarn_collector.rules.book import RuleBook, declared
from forewarn_collector.samples import Newest, Points, Shape
from forewarn_collector.samples.memory import Memory
from forewarn_collector.state.database import Database, open_sqlite
from forewarn_collector.state.hosts import Hosts, place
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import hosts as hosts_table
from forewarn_collector.state.tables import metadata

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVERY = timedelta(minutes=5)
PASSES = 5
MOUNTS = ("/", "/boot", "/home", "/srv", "/var")


def shapes() -> list[Shape]:
    """Return what 30 series of a host measure; the first two say whether ``/`` is full."""
    found: list[Shape] = []
    for mount in MOUNTS:
        labels = (("device", "/dev/sda1"), ("fstype", "ext4"), ("mountpoint", mount))
        names = ("used_ratio", "free_bytes", "inodes_free_ratio", "read_only")
        found += [Shape(f"disk_{name}", labels) for name in names]
    plain = ("memory_used_ratio", "memory_available_bytes", "swap_used_ratio", "cpu_used_ratio")
    found += [Shape(name, ()) for name in plain]
    checks = ("disk", "memory", "cpu", "uptime", "smart", "patches")
    found += [Shape("check_failed", (("check", check),)) for check in checks]
    return found


@dataclass(slots=True)
class Stretch:
    """A sample store that holds one reading of every series, 500,000 points a commit or fewer."""

    count: int
    bad: float
    known: list[Shape]
    now: datetime = BEGIN
    turn: int = 0

    def shapes(self) -> Sequence[Shape]:
        return self.known

    def newest(self, through: int) -> Newest:
        none = np.empty(0, np.int64)
        return Newest(none, none, none)

    def last_received(self) -> Mapping[int, int]:
        return dict.fromkeys(range(1, self.count + 1), microseconds(self.now))

    def new_points(self, after: int, limit: int = 500_000) -> Points:
        """Return the readings of as many hosts as fit; a cursor is a turn and a host."""
        turn, done = divmod(after, self.count + 1)
        first = done if turn == self.turn else 0
        hosts = np.arange(first, min(first + limit // len(self.known), self.count)) + 1
        at = microseconds(self.now)
        width = len(self.known)
        value = np.tile(calm(self.known), len(hosts))
        full = hosts <= self.count * self.bad
        value[::width][full] = 0.93
        value[1::width][full] = 5e9
        through = self.turn * (self.count + 1) + (int(hosts[-1]) if len(hosts) else first)
        return Points(
            host=np.repeat(hosts, width),
            shape=np.tile(np.arange(width), len(hosts)),
            at=np.full(len(value), at),
            value=value,
            received=np.full(len(value), at),
            through=through,
        )

    def histories(self, *asked: object) -> object:
        return Memory().histories(*asked)  # type: ignore[arg-type]


def calm(known: Sequence[Shape]) -> NDArray[np.float64]:
    """Return values at which nothing is wrong."""
    usual = {"disk_free_bytes": 1e12, "disk_inodes_free_ratio": 0.9}
    usual |= {"memory_available_bytes": 8e9, "disk_read_only": 0.0, "check_failed": 0.0}
    return np.array([usual.get(shape.metric, 0.3) for shape in known])


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def enrol(database: Database, count: int) -> None:
    """Write the hosts, a hundred a site."""
    with database.write() as connection:
        sites = [
            place(connection, f"client{n // 10}", f"site{n}", BEGIN)
            for n in range(count // 100 + 1)
        ]
        rows = [
            {
                "id": f"00000000-0000-7000-8000-{number:012d}",
                "number": number,
                "client_id": sites[number // 100].client_id,
                "site_id": sites[number // 100].site_id,
                "name": f"host{number}",
                "host_class": "server",
                "system": "linux",
                "tags": [],
                "public_key": number.to_bytes(32, "big"),
                "agent_version": "1",
                "enrolled_at": BEGIN,
            }
            for number in range(1, count + 1)
        ]
        connection.execute(insert(hosts_table), rows)


@dataclass(frozen=True, slots=True)
class Measured:
    """One pass: what it was, wall and processor seconds, points, alerts that are not ok."""

    what: str
    seconds: float
    cpu_seconds: float
    points: int
    alerts: int


def measure(count: int, bad: float) -> Iterator[Measured]:
    """Let it settle, then measure passes, and the first one of an engine that begins anew."""
    chosen = [one for one in declared() if not isinstance(one.booked.rule, Forecast)]
    book, telling = RuleBook(chosen), Telling((), "")
    with tempfile.TemporaryDirectory() as directory:
        database = open_sqlite(Path(directory) / "state.sqlite")
        metadata.create_all(database.engine)
        enrol(database, count)
        known = Hosts(database)
        store = Stretch(count, bad, shapes())
        engine = Engine(database, store, known, book, telling)  # type: ignore[arg-type]
        engine.start(store.now)
        found = []
        for turn in range(PASSES + 8):
            if turn == PASSES + 4:
                engine = Engine(database, store, Hosts(database), book, telling)  # type: ignore[arg-type]
                engine.start(store.now)
            store.now += EVERY
            store.turn += 1
            began, cpu = time.perf_counter(), time.process_time()
            done = engine.pass_(store.now)
            took = time.perf_counter() - began, time.process_time() - cpu
            alerts = len(engine._held)
            # The first passes open; those are bursts of tickets, measured elsewhere.
            if turn >= 4:
                what = "after a restart" if turn == PASSES + 4 else "a pass"
                found.append(Measured(what, *took, done.points, alerts))
        database.close()
    usual = sorted((one for one in found if one.what == "a pass"), key=lambda one: one.seconds)
    yield usual[len(usual) // 2]
    yield next(one for one in found if one.what == "after a restart")


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--hosts", type=int, default=100_000)
    asked.add_argument("--json", action="store_true")
    given = asked.parse_args()
    sweep_less()  # as the collector does
    told = []
    for bad, whose in ((0.01, "1 % of hosts"), (0.30, "1 % of series")):
        for one in measure(given.hosts, bad):
            told.append({"not_ok": whose, **{n: getattr(one, n) for n in one.__slots__}})
            if not given.json:
                print(
                    f"{whose} not ok, {one.what}: {one.points:,} points, {one.alerts:,} alerts, "
                    f"{one.seconds:.2f} s ({one.cpu_seconds:.2f} s of processor)",
                    flush=True,
                )
    if given.json:
        print(json.dumps({"hosts": given.hosts, "passes": told}, indent=2))


if __name__ == "__main__":
    main()
