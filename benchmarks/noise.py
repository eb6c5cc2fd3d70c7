"""Measure a storm: 10,000 alerts in one pass, at a thousand sites, and what becomes of them.

    python -m benchmarks.noise [--json] [--alerts 10000]

Prints, for each scene, the seconds of the pass that opens everything and of the one that ends it,
and how many tickets and messages there were.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import func, select

from forewarn_checks.base import Check, Component, Metric, Severity, State, Unit
from forewarn_collector.engine import Engine
from forewarn_collector.rules.book import BookedRule, Declared, RuleBook
from forewarn_collector.samples import Newest, Points, Shape
from forewarn_collector.state.database import Database, open_sqlite
from forewarn_collector.state.hosts import Hosts, KnownHost, Place, insert_host, place
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import episodes, metadata, outbox, tickets

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PASSED = Metric("room_passed", Unit.COUNT, "1 if passed.", ("room",))
FAILED = State(
    name="RoomFailed",
    metric=PASSED,
    severity=Severity.HIGH,
    when=0.0,
    title="{room} on {host} failed",
    advice="Look at {room}.",
)
CHECK = Check(
    name="room",
    help="Rooms.",
    every=timedelta(minutes=5),
    timeout=timedelta(seconds=5),
    metrics=(PASSED,),
    component=Component("room", ("room",)),
    read_linux=None,
    read_windows=None,
    rules=(FAILED,),
)


@dataclass(frozen=True)
class Scene:
    """How many sites the hosts are spread over, and how many new tickets an hour there may be."""

    name: str
    sites: int
    per_hour: int | None


class Storm:
    """As much of a store as the engine asks for: one reading a host and commit."""

    def __init__(self, hosts: int) -> None:
        self.hosts = hosts
        self.commits: list[tuple[int, float]] = []

    def shapes(self) -> list[Shape]:
        return [Shape(PASSED.name, (("room", "/srv"),))]

    def newest(self, through: int) -> Newest:
        none = np.empty(0, np.int64)
        return Newest(none, none, none)

    def last_received(self) -> dict[int, int]:
        return {}

    def new_points(self, after: int, limit: int = 500_000) -> Points:
        new = self.commits[after:]
        numbers = np.tile(np.arange(1, self.hosts + 1), len(new))
        at = np.repeat(np.array([at for at, _ in new], np.int64), self.hosts)
        value = np.repeat(np.array([value for _, value in new], np.float64), self.hosts)
        none = np.zeros(len(numbers), np.int64)
        return Points(numbers, none, at, value, at, len(self.commits))


@contextmanager
def house(directory: Path, hosts: int, scene: Scene) -> Iterator[tuple[Database, Storm, Engine]]:
    """Give a collector of one client with so many hosts."""
    database = open_sqlite(directory / "state.sqlite")
    metadata.create_all(database.engine)
    with database.write() as connection:
        sites = [place(connection, "acme", f"site{n}", START) for n in range(scene.sites)]
        for number in range(1, hosts + 1):
            insert_host(connection, _host(number, sites[number % scene.sites]), START)
    book = RuleBook(
        [
            Declared(
                BookedRule(
                    rule=FAILED,
                    check=CHECK.name,
                    component=CHECK.component,
                    every=CHECK.every,
                    metrics={PASSED.name: PASSED},
                )
            )
        ]
    )
    telling = Telling(("desk",), "https://monitor/tickets/", new_per_hour=scene.per_hour)
    store = Storm(hosts)
    engine = Engine(database, store, Hosts(database), book, telling)  # type: ignore[arg-type]
    engine.start(START)
    try:
        yield database, store, engine
    finally:
        database.close()


def _host(number: int, where: Place) -> KnownHost:
    return KnownHost(
        number=number,
        id=f"00000000-0000-7000-8000-{number:012d}",
        client_id=where.client_id,
        site_id=where.site_id,
        name=f"pc{number}",
        public_key=number.to_bytes(32, "big"),
        system="linux",
    )


def measure(scene: Scene, alerts: int) -> dict[str, float | int | str]:
    """Return what one scene came to."""
    with (
        tempfile.TemporaryDirectory() as folder,
        house(Path(folder), alerts, scene) as (database, store, engine),
    ):
        spans = []
        for minute, value in ((1, 0.0), (2, 1.0)):
            now = START + timedelta(minutes=minute)
            store.commits.append(((now - EPOCH) // timedelta(microseconds=1), value))
            began = time.perf_counter()
            passed = engine.pass_(now)
            spans.append(time.perf_counter() - began)
            assert passed.opened + passed.closed == alerts, passed
        with database.read() as connection:
            lasting = select(func.count()).select_from(episodes)
            carried = connection.execute(lasting).scalar()
            lasting = lasting.where(episodes.c.closed_at.is_(None))
            assert (carried, connection.execute(lasting).scalar()) == (alerts, 0)
            count = select(func.count()).select_from(tickets)
            told = select(func.count()).select_from(outbox)
            return {
                "scene": scene.name,
                "alerts": alerts,
                "sites": scene.sites,
                "tickets": connection.execute(count).scalar() or 0,
                "messages": connection.execute(told).scalar() or 0,
                "open_seconds": round(spans[0], 2),
                "close_seconds": round(spans[1], 2),
            }


def main() -> None:
    """Print what storms come to."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--json", action="store_true")
    asked.add_argument("--alerts", type=int, default=10_000)
    given = asked.parse_args()
    count = given.alerts
    scenes = (
        Scene("ten hosts at each site, 20 new tickets an hour", count // 10, 20),
        Scene("ten hosts at each site, any number of tickets", count // 10, None),
        Scene("one site", 1, 20),
        Scene("two hosts at each site, 20 new tickets an hour", count // 2, 20),
    )
    found = [measure(scene, count) for scene in scenes]
    few = count // 10
    found.append(measure(Scene("each a ticket of its own, a tenth", few // 2, None), few))
    if given.json:
        print(json.dumps(found, indent=2))
        return
    for one in found:
        print(
            f"{one['scene']:<50} {one['alerts']} alerts -> {one['tickets']} tickets,"
            f" {one['messages']} messages; opened in {one['open_seconds']} s,"
            f" ended in {one['close_seconds']} s"
        )


if __name__ == "__main__":
    main()
