"""What is still to be told to destinations, and how they are.  All SQL of it is in here.

A row is written in the transaction of the change it tells of.  Rows of one destination and ticket
leave in the order of their ids, so that a close never overtakes its open.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, insert, or_, select, update

from forewarn_collector.clock import uuid7
from forewarn_collector.routing import Routing
from forewarn_collector.sla.policy import Policies
from forewarn_collector.state import ticket_text
from forewarn_collector.state.tables import (
    destination_health,
    external_references,
    outbox,
    tickets,
)
from forewarn_collector.ticket_body import TicketBody, write
from forewarn_collector.tickets import Kind, Progress

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Telling:
    """What a change of a ticket sets off.

    Whom to tell: names of destinations, and what the address of a ticket begins with.  What is
    promised about a new one, and whose it becomes.
    """

    destinations: tuple[str, ...] = ()
    ticket_url: str = ""
    policies: Policies = field(default_factory=Policies)
    routing: Routing = field(default_factory=Routing)

    def without(self, destination: str) -> "Telling":
        """Return the same for all but one: who said something is not told it."""
        left = tuple(name for name in self.destinations if name != destination)
        return replace(self, destinations=left)


def tell(
    connection: Connection, ticket_id: str, kind: Kind, *, now: datetime, telling: Telling
) -> None:
    """Put a message about a ticket, as it is now, into the outbox of every destination.

    An update that nobody has tried to send yet is replaced by a newer one.
    """
    if not telling.destinations:
        return
    client_id, ticket = ticket_text.read(connection, ticket_id, telling.ticket_url, now)
    body = write(kind, ticket, now)
    _put(connection, ticket_id, client_id, kind, body, now=now, telling=telling)


def tell_new(
    connection: Connection,
    ticket_id: str,
    client_id: str,
    ticket: TicketBody,
    *,
    now: datetime,
    telling: Telling,
) -> None:
    """Tell of a ticket that was opened in this very transaction, and is known whole."""
    body = write(Kind.OPENED, ticket, now)
    _put(connection, ticket_id, client_id, Kind.OPENED, body, now=now, telling=telling, first=True)


def _put(
    connection: Connection,
    ticket_id: str,
    client_id: str,
    kind: Kind,
    body: str,
    *,
    now: datetime,
    telling: Telling,
    first: bool = False,
) -> None:
    """Queue one body for every destination; `first`: there can be nothing before it."""
    message_id: str | None = None
    for destination in telling.destinations:
        last = None if first else _last(connection, destination, ticket_id)
        if kind is Kind.UPDATED and last is not None and _is_untried_update(last):
            changed = update(outbox).where(outbox.c.id == last["id"])
            connection.execute(changed.values(body=body))
            continue
        message_id = _id_after(message_id, last, now)
        values = {
            "id": message_id,
            "destination": destination,
            "ticket_id": ticket_id,
            "client_id": client_id,
            "kind": str(kind),
            "body": body,
            "created_at": now,
            "next_at": now,
        }
        connection.execute(insert(outbox), values)


# -- sending -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A leased row: what is to be sent, and how often it was tried before."""

    id: str
    destination: str
    ticket_id: str
    ticket_key: str
    kind: Kind
    body: str
    attempts: int
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a destination is: failures in a row, and until when nothing is tried."""

    failures: int = 0
    failing_since: datetime | None = None
    open_until: datetime | None = None
    disabled_at: datetime | None = None


def waiting(connection: Connection, destination: str) -> bool:
    """Say whether anything is queued: asking costs no lock, leasing does."""
    mine = and_(outbox.c.destination == destination, outbox.c.state == "queued")
    return connection.execute(select(outbox.c.id).where(mine).limit(1)).first() is not None


def lease(
    connection: Connection, destination: str, *, now: datetime, until: datetime, limit: int
) -> list[Due]:
    """Take rows that may be sent now: of every ticket the oldest one only."""
    older = outbox.alias("older")
    first = ~(
        select(older.c.id)
        .where(
            older.c.destination == outbox.c.destination,
            older.c.ticket_id == outbox.c.ticket_id,
            older.c.state == "queued",
            older.c.id < outbox.c.id,
        )
        .exists()
    )
    # What was never tried is due whatever the clock says: it may have been set back since.
    due = or_(outbox.c.attempts == 0, outbox.c.next_at <= now)
    free = or_(outbox.c.lease_until.is_(None), outbox.c.lease_until <= now)
    query = (
        select(outbox, tickets.c.key.label("ticket_key"), external_references.c.reference)
        .join(tickets, tickets.c.id == outbox.c.ticket_id)
        .outerjoin(
            external_references,
            and_(
                external_references.c.destination == outbox.c.destination,
                external_references.c.ticket_id == outbox.c.ticket_id,
            ),
        )
        .where(outbox.c.state == "queued", outbox.c.destination == destination, due, free, first)
        .order_by(outbox.c.id)
        .limit(limit)
    )
    rows = connection.execute(query).mappings().all()
    if rows:
        taken = update(outbox).where(outbox.c.id.in_([row["id"] for row in rows]))
        connection.execute(taken.values(lease_until=until))
    return [
        Due(
            id=row["id"],
            destination=row["destination"],
            ticket_id=row["ticket_id"],
            ticket_key=row["ticket_key"],
            kind=Kind(row["kind"]),
            body=row["body"],
            attempts=row["attempts"],
            reference=row["reference"] or "",
        )
        for row in rows
    ]


def release(connection: Connection, ids: Sequence[str]) -> None:
    """Give back rows that were leased and not tried."""
    if ids:
        connection.execute(update(outbox).where(outbox.c.id.in_(ids)).values(lease_until=None))


def release_all(connection: Connection) -> None:
    """Give back every row: nothing is under way when a collector starts."""
    held = outbox.c.lease_until.is_not(None)
    connection.execute(update(outbox).where(held).values(lease_until=None))


def settle(
    connection: Connection, due: Due, *, state: str, answer: str, now: datetime, reference: str = ""
) -> None:
    """Finish a row as ``delivered`` or ``dead``; keep the other system's name for the ticket."""
    connection.execute(
        update(outbox)
        .where(outbox.c.id == due.id)
        .values(
            state=state,
            attempts=due.attempts + 1,
            lease_until=None,
            last_answer=answer[:500],
            settled_at=now,
        )
    )
    if state == "delivered":
        _keep_reference(connection, due, reference, now)


def postpone(connection: Connection, due: Due, *, answer: str, next_at: datetime) -> None:
    """Leave a row for another attempt at `next_at`."""
    connection.execute(
        update(outbox)
        .where(outbox.c.id == due.id)
        .values(
            attempts=due.attempts + 1,
            lease_until=None,
            last_answer=answer[:500],
            next_at=next_at,
        )
    )


def hasten(connection: Connection, destination: str, now: datetime) -> None:
    """Make everything queued for a destination that came back due at once."""
    waiting = and_(outbox.c.destination == destination, outbox.c.state == "queued")
    connection.execute(update(outbox).where(waiting).values(next_at=now))


def health(connection: Connection, destination: str) -> Health:
    """Return how a destination is."""
    row = (
        connection.execute(
            select(destination_health).where(destination_health.c.name == destination)
        )
        .mappings()
        .first()
    )
    if row is None:
        return Health()
    return Health(
        failures=row["failures"],
        failing_since=row["failing_since"],
        open_until=row["open_until"],
        disabled_at=row["disabled_at"],
    )


def save_health(connection: Connection, destination: str, found: Health) -> None:
    """Keep how a destination is."""
    values = {
        "failures": found.failures,
        "failing_since": found.failing_since,
        "open_until": found.open_until,
        "disabled_at": found.disabled_at,
    }
    changed = update(destination_health).where(destination_health.c.name == destination)
    if connection.execute(changed.values(values)).rowcount == 0:
        connection.execute(insert(destination_health).values(name=destination, **values))


# -- looking and mending -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A row of the outbox as an operator sees it."""

    id: str
    destination: str
    ticket_number: int
    kind: Kind
    state: str  # queued | delivered | dead | dropped
    attempts: int
    created_at: datetime
    next_at: datetime
    last_answer: str


def find(
    connection: Connection,
    *,
    states: Sequence[str] = ("queued", "dead"),
    destination: str | None = None,
    limit: int = 1000,
) -> list[Queued]:
    """Return rows, the oldest first."""
    query = (
        select(outbox, tickets.c.number)
        .join(tickets, tickets.c.id == outbox.c.ticket_id)
        .where(outbox.c.state.in_(states))
        .order_by(outbox.c.id)
        .limit(limit)
    )
    if destination is not None:
        query = query.where(outbox.c.destination == destination)
    return [
        Queued(
            id=row["id"],
            destination=row["destination"],
            ticket_number=row["number"],
            kind=Kind(row["kind"]),
            state=row["state"],
            attempts=row["attempts"],
            created_at=row["created_at"],
            next_at=row["next_at"],
            last_answer=row["last_answer"],
        )
        for row in connection.execute(query).mappings()
    ]


def replay(connection: Connection, ids: Sequence[str], now: datetime) -> int:
    """Queue dead or dropped rows again, under their old ids; return how many.

    A destination that had said it is gone is tried again.
    """
    settled = and_(outbox.c.id.in_(ids), outbox.c.state.in_(("dead", "dropped")))
    names = set(connection.execute(select(outbox.c.destination).where(settled)).scalars())
    done = connection.execute(
        update(outbox)
        .where(settled)
        .values(state="queued", attempts=0, next_at=now, lease_until=None, settled_at=None)
    )
    for name in names:
        save_health(connection, name, Health())
    return done.rowcount


def drop(connection: Connection, ids: Sequence[str], now: datetime) -> int:
    """Give up queued or dead rows; return how many."""
    unsettled = and_(outbox.c.id.in_(ids), outbox.c.state.in_(("queued", "dead")))
    done = connection.execute(
        update(outbox).where(unsettled).values(state="dropped", lease_until=None, settled_at=now)
    )
    return done.rowcount


# -- rows ----------------------------------------------------------------------------------------


def _last(connection: Connection, destination: str, ticket_id: str) -> RowMapping | None:
    """Return the newest row of one destination and ticket."""
    mine = and_(outbox.c.destination == destination, outbox.c.ticket_id == ticket_id)
    query = select(
        outbox.c.id, outbox.c.kind, outbox.c.state, outbox.c.attempts, outbox.c.lease_until
    )
    newest = query.where(mine).order_by(outbox.c.id.desc()).limit(1)
    return connection.execute(newest).mappings().first()


def _is_untried_update(row: RowMapping) -> bool:
    """Say whether another text may take this one's place: nobody can have seen it."""
    return (
        row["kind"] == Kind.UPDATED
        and row["state"] == "queued"
        and row["attempts"] == 0
        and row["lease_until"] is None
    )


def _keep_reference(connection: Connection, due: Due, reference: str, now: datetime) -> None:
    """Keep what the ticket is called there, and how it stands there by what we did to it."""
    values: dict[str, Any] = {}
    if reference and reference != due.reference:
        values = {"reference": reference[:300], "asked_at": now, "seen_progress": Progress.OPEN}
    elif due.kind is Kind.OPENED:
        # What it is after a reopening is our doing, whatever that system calls it.
        values = {"asked_at": now, "seen_progress": None}
    elif due.kind is Kind.CLOSED:
        values = {"seen_progress": Progress.RESOLVED}
    mine = and_(
        external_references.c.destination == due.destination,
        external_references.c.ticket_id == due.ticket_id,
    )
    if not values:
        return
    done = connection.execute(update(external_references).where(mine).values(values)).rowcount
    if done == 0 and reference:
        row = {"destination": due.destination, "ticket_id": due.ticket_id}
        connection.execute(insert(external_references).values(**row, **values))


def _id_after(before: str | None, last: RowMapping | None, now: datetime) -> str:
    """Return a new id above both, though all be of one millisecond or the clock set back."""
    floor = max(before or "", "" if last is None else last["id"])
    made = uuid7(now)
    if made > floor:
        return made
    milliseconds = int(floor.replace("-", "")[:12], 16) + 1
    # The half keeps a float of it from falling back into the millisecond before.
    return uuid7(_EPOCH + timedelta(milliseconds=milliseconds, microseconds=500))
