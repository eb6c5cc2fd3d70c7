"""A collector with as many hosts at as many sites as a test asks for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import select
from tests.collector.engine.line import START, Line, microseconds, new_line

from forewarn_collector.state.hosts import KnownHost, insert_host, place
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import episodes, tickets


@contextmanager
def crowd(
    directory: Path,
    hosts: int,
    *,
    sites: int = 1,
    per_hour: int | None = None,
    host_class: str = "server",
) -> Iterator[Line]:
    """Make a collector with hosts 101, 102, …, spread over sites of acme in turn."""
    with new_line(directory) as line:
        with line.database.write() as connection:
            places = [place(connection, "acme", f"site{n}", START) for n in range(sites)]
            for number in range(101, 101 + hosts):
                where = places[number % sites]
                host = KnownHost(
                    number=number,
                    id=f"00000000-0000-7000-8000-{number:012d}",
                    client_id=where.client_id,
                    site_id=where.site_id,
                    name=f"pc{number}",
                    public_key=number.to_bytes(32, "big"),
                    system="linux",
                    host_class=host_class,
                )
                insert_host(connection, host, START)
        line.revoke(1)  # nobody is to miss web1
        line.telling = replace(line.telling, new_per_hour=per_hour)
        line.restart()
        yield line


def fail(line: Line, *numbers: int, value: float = 0.0) -> None:
    """Let the self-tests of hosts fail (or pass: 1.0), all in one commit."""
    labels = {"mountpoint": "/srv"}
    shape, at = line.store.shape("self_test_passed", labels), microseconds(line.at)
    line.store.commits.append([(number, shape, at, value, at) for number in numbers])
    for number in numbers:
        line.store.heard[number] = at


def standing(line: Line) -> list[tuple[str | None, str, str]]:
    """Return kind, state and title of every ticket, the oldest first."""
    with line.database.read() as connection:
        query = select(tickets.c.kind, tickets.c.state, tickets.c.title).order_by(tickets.c.number)
        return [tuple(row) for row in connection.execute(query)]


def check_whole(line: Line) -> None:
    """Every lasting episode is on an open ticket, and every firing alert has one episode."""
    with line.database.read() as connection:
        rows: list[Any] = list(
            connection.execute(
                select(episodes.c.alert_key, episodes.c.closed_at, tickets.c.state).join(
                    tickets, tickets.c.id == episodes.c.ticket_id, isouter=True
                )
            )
        )
        lasting = [row for row in rows if row.closed_at is None]
        assert all(row.state not in (None, "closed", "cancelled") for row in lasting)
        assert len({row.alert_key for row in lasting}) == len(lasting)
        idle = select(tickets.c.number).where(
            tickets.c.state.not_in(("closed", "cancelled")),
            tickets.c.first_response_at.is_(None),
            tickets.c.condition == "firing",
            tickets.c.id.not_in(select(episodes.c.ticket_id).where(episodes.c.closed_at.is_(None))),
        )
        assert connection.execute(idle).all() == []


def telling(per_hour: int | None) -> Telling:
    """Return whom to tell, and how many new tickets an hour there may be."""
    return Telling(("receiver",), "https://monitor/tickets/", new_per_hour=per_hour)
