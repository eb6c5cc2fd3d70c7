"""Many hosts: a collector that restarts a hundred times, and one that is away for a day."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select
from tests.collector.engine.line import FREE, GIB, START, USED, Line, microseconds

from forewarn_collector.state.database import Database, open_sqlite
from forewarn_collector.state.hosts import KnownHost, insert_host, place
from forewarn_collector.state.tables import episodes, metadata, outbox, ticket_events, tickets

MINUTE = 60_000_000
LABELS = {"mountpoint": "/srv"}


@contextmanager
def fleet(directory: Path, count: int, sites: int) -> Iterator[Line]:
    """Make a collector with so many hosts, spread over sites of as many clients."""
    database = open_sqlite(directory / "state.sqlite")
    metadata.create_all(database.engine)
    fill(database, count, sites)
    try:
        yield Line(database)
    finally:
        database.close()


def fill(database: Database, count: int, sites: int) -> None:
    """Enrol so many hosts."""
    with database.write() as connection:
        places = [place(connection, f"client{n}", "hq", START) for n in range(sites)]
        for number in range(1, count + 1):
            where = places[number % sites]
            host = KnownHost(
                number=number,
                id=f"00000000-0000-7000-8000-{number:012d}",
                client_id=where.client_id,
                site_id=where.site_id,
                name=f"web{number}",
                public_key=number.to_bytes(32, "big"),
                system="linux",
            )
            insert_host(connection, host, START)


def read_all(line: Line, used: float, count: int) -> None:
    """Let every host send one run."""
    now = microseconds(line.at)
    shapes = line.store.shape(USED.name, LABELS), line.store.shape(FREE.name, LABELS)
    line.store.commits.append(
        [
            (host, shape, now, value, now)
            for host in range(1, count + 1)
            for shape, value in zip(shapes, (used, 1 * GIB), strict=True)
        ]
    )
    line.store.heard.update(dict.fromkeys(range(1, count + 1), now))


def everything(database: Database) -> list[list[tuple[object, ...]]]:
    """Return every ticket, episode, event and message, whole."""
    with database.read() as connection:
        return [
            [tuple(row) for row in connection.execute(select(table).order_by(table.c.id))]
            for table in (tickets, episodes, ticket_events, outbox)
        ]


def test_a_hundred_restarts_with_500_firing_episodes_change_no_ticket(tmp_path: Path) -> None:
    """Real SQLite; the engine begins anew each time, and every fifth time the hosts send again."""
    count = 500
    with fleet(tmp_path, count, sites=count) as line:
        for _ in range(4):
            line.wait(minutes=5)
            read_all(line, 0.93, count)
            line.pass_()
        before = everything(line.database)
        assert [len(rows) for rows in before] == [count] * 4
        for turn in range(100):
            line.restart()
            line.wait(seconds=5)
            if turn % 5 == 0:
                read_all(line, 0.93, count)
            line.pass_()
            assert len(line.engine._held) == count
        assert everything(line.database) == before
        for _ in range(4):
            line.wait(minutes=5)
            read_all(line, 0.5, count)
            line.pass_()
        assert line.kinds() == ["ticket.opened"] * count + ["ticket.closed"] * count


def test_a_day_without_the_collector_makes_no_host_silent_and_opens_nothing_of_the_past(
    tmp_path: Path,
) -> None:
    """1,000 hosts keep what they read and send it over minutes, some the newest first.

    Half were full for a while in between; ten still are when the collector is back.
    """
    count, still = 1000, set(range(1, 11))
    dice = random.Random(7)
    with fleet(tmp_path, count, sites=count) as line:
        for _ in range(6):
            line.wait(minutes=5)
            read_all(line, 0.5, count)
            line.pass_()
        gone = line.at
        line.wait(hours=24)
        line.restart()
        shapes = line.store.shape(USED.name, LABELS), line.store.shape(FREE.name, LABELS)
        # Each comes back when its back-off lets it: within five minutes, as the agent waits.
        coming = {
            host: line.at + timedelta(seconds=dice.uniform(1, 290)) for host in range(1, count + 1)
        }
        backlog = {}
        for host in coming:
            moments = range(microseconds(gone) + 15 * MINUTE, microseconds(line.at), 15 * MINUTE)
            worst = 0.97 if host % 2 else 0.5
            backlog[host] = [
                (at, worst if 20 <= turn < 40 or (host in still and turn >= 80) else 0.5)
                for turn, at in enumerate(moments)
            ]
        back = line.at
        while line.at - back < timedelta(minutes=40):
            line.wait(seconds=30)
            now = microseconds(line.at)
            for host, since in coming.items():
                if since > line.at:
                    continue
                left = backlog[host]
                sending = left[-40:] if host % 3 == 0 else left[:40]  # one lane or the other first
                backlog[host] = left[:-40] if host % 3 == 0 else left[40:]
                if (line.at - since).seconds % 300 < 30:
                    sending = [*sending, (now, 0.97 if host in still else 0.5)]
                if not sending:
                    continue
                line.store.commits.append(
                    [
                        (host, shape, at, value, now)
                        for at, used in sending
                        for shape, value in zip(shapes, (used, 1 * GIB), strict=True)
                    ]
                )
                line.store.heard[host] = now
            line.pass_()
        found = line.tickets()
        assert {ticket.host for ticket in found} == {f"web{host}" for host in still}
        assert all(ticket.title.endswith("full") for ticket in found), "nobody is silent"
        with line.database.read() as connection:
            opened = connection.execute(select(episodes.c.opened_at)).scalars().all()
        assert len(opened) == len(still)
        assert min(opened) >= back - timedelta(minutes=15)
