"""What is still to be told to destinations, and how they are.  All SQL of it is in here.

A row is written in the transaction of the change it tells of.  Rows of one destination and ticket
leave in the order of their ids, so that a close never overtakes its open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

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
    promised about a new one, and whose it becomes.  How many new ones rules may open for a client
    within an hour, None for any number.
    """

    destinations: tuple[str, ...] = ()
    ticket_url: str = ""
    policies: Policies = field(default_factory=Policies)
    routing: Routing = field(default_factory=Routing)
    new_per_hour: int | None = None

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
    tell_all(connection, [ticket_id], kind, now=now, telling=telling)


def tell_all(
    connection: Connection, ids: Sequence[str], kind: Kind, *, now: datetime, telling: Telling
) -> None:
    """Tell of many tickets in as many statements as of one."""
    if not telling.destinations or not ids:
        return
    found = ticket_text.read(connection, ids, telling.ticket_url, now)
    texts = [
        _Text(ticket_id, found[ticket_id][0], write(kind, found[ticket_id][1], now))
        for ticket_id in ids
    ]
    last = {name: _last(connection, name, ids) for name in telling.destinations}
    _put(connection, texts, kind, last, now)


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
    text = _Text(ticket_id, client_id, write(Kind.OPENED, ticket, now))
    # There can be nothing before it.
    _put(connection, [text], Kind.OPENED, {name: {} for name in telling.destinations}, now)


@dataclass(frozen=True, slots=True)
class _Text:
    """What is told of one ticket."""

    ticket_id: str
    client_id: str
    body: str


_REPLACE = update(outbox).where(outbox.c.id == bindparam("replaced_id"))


def _put(
    connection: Connection,
    texts: Sequence[_Text],
    kind: Kind,
    last: Mapping[str, Mapping[str, RowMapping]],
    now: datetime,
) -> None:
    """Queue texts for every destination of `last`, which knows the newest row of each ticket."""
    queued: list[dict[str, Any]] = []
    replaced: list[dict[str, Any]] = []
    for text in texts:
        message_id: str | None = None
        for destination, newest in last.items():
            before = newest.get(text.ticket_id)
            if kind is Kind.UPDATED and before is not None and _is_untried_update(before):
                replaced.append({"replaced_id": before["id"], "body": text.body})
                continue
            message_id = _id_after(message_id, before, now)
            queued.append(
                {
                    "id": message_id,
                    "destination": destination,
                    "ticket_id": text.ticket_id,
                    "client_id": text.client_id,
                    "kind": str(kind),
                    "body": text.body,
                    "created_at": now,
                    "next_at": now,
                }
            )
    if queued:
        connection.execute(insert(outbox), queued)
    if replaced:
        connection.execute(_REPLACE, replaced)


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


def messages() -> Select[Any]:
    """Return a query for rows as `due_of` reads them."""
    mine = and_(
        external_references.c.destination == outbox.c.destination,
        external_references.c.ticket_id == outbox.c.ticket_id,
    )
    return (
        select(outbox, tickets.c.key.label("ticket_key"), external_references.c.reference)
        .join(tickets, tickets.c.id == outbox.c.ticket_id)
        .outerjoin(external_references, mine)
    )


def due_of(row: RowMapping) -> Due:
    """Return a row of `messages` as what is to be sent."""
    return Due(
        id=row["id"],
        destination=row["destination"],
        ticket_id=row["ticket_id"],
        ticket_key=row["ticket_key"],
        kind=Kind(row["kind"]),
        body=row["body"],
        attempts=row["attempts"],
        reference=row["reference"] or "",
    )


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
        messages()
        .where(outbox.c.state == "queued", outbox.c.destination == destination, due, free, first)
        .order_by(outbox.c.id)
        .limit(limit)
    )
    rows = connection.execute(query).mappings().all()
    if rows:
        taken = update(outbox).where(outbox.c.id.in_([row["id"] for row in rows]))
        connection.execute(taken.values(lease_until=until))
    return [due_of(row) for row in rows]


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

    A destination that had said it is gone is tried again.  A ticket whose close is behind them is
    closed there once more: an opening that comes after it would stand there for ever.
    """
    settled = and_(outbox.c.id.in_(ids), outbox.c.state.in_(("dead", "dropped")))
    _close_again(connection, settled, now)
    names = set(connection.execute(select(outbox.c.destination).where(settled)).scalars())
    done = connection.execute(
        update(outbox)
        .where(settled)
        .values(state="queued", attempts=0, next_at=now, lease_until=None, settled_at=None)
    )
    for name in names:
        save_health(connection, name, Health())
    return done.rowcount


def _close_again(connection: Connection, replayed: ColumnElement[bool], now: datetime) -> None:
    """Queue the last message of each ticket once more, where it is a close that was sent."""
    pairs = select(outbox.c.destination, outbox.c.ticket_id).where(replayed).distinct()
    for destination, ticket_id in connection.execute(pairs).all():
        last = _last(connection, destination, [ticket_id])[ticket_id]
        if last["kind"] != Kind.CLOSED or last["state"] != "delivered":
            continue
        row = connection.execute(select(outbox).where(outbox.c.id == last["id"])).mappings().one()
        again = {name: row[name] for name in ("destination", "ticket_id", "client_id", "body")}
        again |= {"id": _id_after(None, last, now), "kind": row["kind"]}
        connection.execute(insert(outbox).values(**again, created_at=now, next_at=now))


def drop(connection: Connection, ids: Sequence[str], now: datetime) -> int:
    """Give up queued or dead rows; return how many."""
    unsettled = and_(outbox.c.id.in_(ids), outbox.c.state.in_(("queued", "dead")))
    done = connection.execute(
        update(outbox).where(unsettled).values(state="dropped", lease_until=None, settled_at=now)
    )
    return done.rowcount


# -- rows ----------------------------------------------------------------------------------------


def _last(connection: Connection, destination: str, ids: Sequence[str]) -> dict[str, RowMapping]:
    """Return the newest row of one destination and each ticket, by the ticket's id."""
    mine = and_(outbox.c.destination == destination, outbox.c.ticket_id.in_(ids))
    newest = select(func.max(outbox.c.id)).where(mine).group_by(outbox.c.ticket_id)
    query = select(
        outbox.c.id,
        outbox.c.ticket_id,
        outbox.c.kind,
        outbox.c.state,
        outbox.c.attempts,
        outbox.c.lease_until,
    ).where(outbox.c.id.in_(newest))
    return {row["ticket_id"]: row for row in connection.execute(query).mappings()}


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
