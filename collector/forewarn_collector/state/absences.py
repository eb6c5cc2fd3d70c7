"""When people are away, so that new tickets pass them by.  All SQL of it is in here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from forewarn_collector.state.tables import absences


@dataclass(frozen=True, slots=True)
class Absence:
    """Somebody is away from `since` until `until`, that moment not included."""

    person: str
    since: datetime
    until: datetime
    set_by: str


def away(connection: Connection, at: datetime) -> frozenset[str]:
    """Return the names of those who are away at a moment."""
    query = select(absences.c.person).where(absences.c.since <= at, absences.c.until > at)
    return frozenset(connection.execute(query).scalars())


def ahead(connection: Connection, now: datetime) -> Sequence[Absence]:
    """Return the absences that are not over, the nearest first."""
    query = select(absences).where(absences.c.until > now)
    return [
        Absence(row.person, row.since, row.until, row.set_by)
        for row in connection.execute(query.order_by(absences.c.since, absences.c.person))
    ]


def put(connection: Connection, one: Absence, now: datetime) -> None:
    """Say that somebody is away; it takes the place of what was said of them before."""
    end(connection, one.person)
    row = {"person": one.person, "since": one.since, "until": one.until}
    connection.execute(insert(absences).values(**row, set_by=one.set_by[:100], set_at=now))


def end(connection: Connection, person: str) -> bool:
    """Say that somebody is there; return whether they were, or were to be, away."""
    return connection.execute(delete(absences).where(absences.c.person == person)).rowcount > 0
