"""What 10,000 open tickets cost: opening one, listing them, and looking after what was promised.

`python -m benchmarks.tickets [--json]`.  Beside each absolute time stands that of committing one
row to the same disk, because machines and neighbours differ.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import update

from forewarn_checks.base import Severity
from forewarn_collector.api.principal import Principal, Role
from forewarn_collector.attending import ENOUGH_SECONDS, attend_all
from forewarn_collector.clock import uuid7
from forewarn_collector.queries.tickets import Which, list_tickets
from forewarn_collector.selector import parse
from forewarn_collector.sla.calendars import Calendar, read_spans
from forewarn_collector.sla.policy import ClockName, Policies, Policy, Step, Target, Waiting
from forewarn_collector.state.attending import Attended
from forewarn_collector.state.database import Database, open_sqlite
from forewarn_collector.state.episodes import Opening, alert_key, begin_anew
from forewarn_collector.state.hosts import KnownHost, Place, insert_host, place
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import metadata, tickets

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
WEEK = (read_spans(["08:00-12:00", "13:00-17:00"]),) * 5 + ((), ())
OFFICE = Calendar("Europe/Berlin", WEEK)
POLICY = Policy(
    name="standard",
    targets={
        f"P{n}": Target(response=n * HOUR, resolution=8 * n * HOUR, calendar=OFFICE)
        for n in range(1, 6)
    },
    pauses=frozenset({Waiting.CUSTOMER}),
    warn_at=(0.75,),
    steps=(Step(clock=ClockName.RESOLUTION, at=1.5, to="lead"),),
)
TELLING = Telling(("desk",), "https://monitor/tickets/", Policies(otherwise=POLICY))
EVERYBODY = Principal("bench", Role.ADMIN, None)
EVIDENCE = {
    "title": "/srv is 93 % full", "value": 0.93, "shown": "93 %", "unit": "ratio",
    "advice": "Free space.", "labels": {"mountpoint": "/srv"},
    "readings": [{"at": "2026-03-02T08:00:00.000Z", "value": 0.93, "shown": "93 %"}] * 12,
}  # fmt: skip


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--json", action="store_true")
    asked.add_argument("--tickets", type=int, default=10_000)
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = measure(Path(directory), options.tickets)
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:45} {value:10.2f}")


def measure(directory: Path, count: int) -> dict[str, float]:
    """Return milliseconds by what took them."""
    database = open_sqlite(directory / "state.sqlite")
    metadata.create_all(database.engine)
    with database.write() as connection:
        where = place(connection, "acme", "hq", NOW)
        hosts = [_host(number, where) for number in range(1, count + 1)]
        for host in hosts:
            insert_host(connection, host, NOW)
    found = {"one commit": _median(lambda: _touch(database))}
    found |= _opening(database, hosts)
    for name, select, limit in (
        ("list, first 100 open", "", 100),
        ("list, first 1000 open", "", 1000),
        ("list, 100 of hosts picked by a pattern", "host:pc99* class:server", 100),
    ):
        found[name] = _median(partial(_list, database, select, limit))
    found["look after them, nothing due"] = _look(database, timedelta(minutes=1))
    _wake(database, None)
    _wake(database, NOW, one_in=100)
    found["look after them, 1 in 100 breaching"] = _look(database, timedelta(hours=5))
    _wake(database, NOW)
    passes = _passes(database, timedelta(hours=5))
    found["look after them, all breaching at once"] = sum(passes)
    found["the longest pass of those"] = max(passes)
    database.close()
    return found


def _opening(database: Database, hosts: list[KnownHost]) -> dict[str, float]:
    began, worked = time.perf_counter(), time.process_time()
    for first in range(0, len(hosts), 500):
        with database.write() as connection:
            for host in hosts[first : first + 500]:
                begin_anew(connection, uuid7(NOW), _alert(host), None, NOW, TELLING)
    count = len(hosts)
    return {
        "open one ticket, wall": (time.perf_counter() - began) * 1000 / count,
        "open one ticket, CPU": (time.process_time() - worked) * 1000 / count,
    }


def _alert(host: KnownHost) -> Opening:
    return Opening(
        alert_key=alert_key(host.client_id, host.id, "/srv", "DiskAlmostFull"),
        host=host,
        component="/srv",
        rule="DiskAlmostFull",
        severity=Severity.HIGH,
        title="/srv is 93 % full",
        evidence=EVIDENCE,
        at=NOW,
    )


def _list(database: Database, select: str, limit: int) -> None:
    with database.read() as connection:
        list_tickets(connection, EVERYBODY, parse(select), which=Which.OPEN, limit=limit, now=NOW)


def _wake(database: Database, at: datetime | None, one_in: int = 1) -> None:
    with database.write() as connection:
        some = tickets.c.number % one_in == 0
        connection.execute(update(tickets).where(some).values(wake_at=at))


def _look(database: Database, later: timedelta) -> float:
    return _once(lambda: attend_all(database, NOW + later, TELLING))


def _passes(database: Database, later: timedelta) -> list[float]:
    """Look after all as a running collector does, until nothing is due; return each pass."""
    passes = []
    left = True
    while left:
        began = time.perf_counter()
        left = _bounded(database, later).tickets > 0
        passes.append((time.perf_counter() - began) * 1000)
    return passes


def _bounded(database: Database, later: timedelta) -> Attended:
    return attend_all(database, NOW + later, TELLING, enough_seconds=ENOUGH_SECONDS)


def _host(number: int, where: Place) -> KnownHost:
    return KnownHost(
        number=number,
        id=f"00000000-0000-7000-8000-{number:012d}",
        client_id=where.client_id,
        site_id=where.site_id,
        name=f"pc{number}",
        public_key=number.to_bytes(32, "big"),
        client=where.client,
        site=where.site,
        system="linux",
    )


def _touch(database: Database) -> None:
    with database.write() as connection:
        connection.execute(update(tickets).where(tickets.c.number == -1).values(team=None))


def _median(what: Callable[[], object], times: int = 9) -> float:
    return statistics.median(_once(what) for _ in range(times))


def _once(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
