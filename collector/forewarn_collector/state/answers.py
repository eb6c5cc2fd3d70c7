"""Take over what people did to tickets in other systems.  All SQL of it is in here.

Only what changed there since we last looked counts, so that what we told is never taken for an
answer, and what came from there is not told back there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    func,
    insert,
    or_,
    select,
    update,
)

from forewarn_collector.state import work
from forewarn_collector.state.history import DESTINATION
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import external_references, outbox, tickets
from forewarn_collector.state.tickets import NotFound, TicketState
from forewarn_collector.tickets import Known, Progress, Standing

ASK_EVERY = timedelta(minutes=15)
"""How old what is known of a ticket's standing elsewhere may become."""

# What is done here is not asked about: nobody waits for an answer.
_UNDONE = (
    TicketState.NEW,
    TicketState.ASSIGNED,
    TicketState.IN_PROGRESS,
    TicketState.WAITING,
)


def open_there(connection: Connection, destination: str) -> int:
    """Return how many tickets that are not done are in another system."""
    count = select(func.count()).select_from(external_references)
    count = count.join(tickets, tickets.c.id == external_references.c.ticket_id)
    mine = external_references.c.destination == destination
    return connection.execute(count.where(mine, _undone())).scalar_one()


def due(
    connection: Connection, destination: str, *, now: datetime, limit: int
) -> tuple[Known, ...]:
    """Return up to `limit` tickets that are due to be asked about, the longest unasked first.

    Those with a message under way are left out: how they stand there is about to change.
    """
    mine = external_references.c.destination == destination
    free = ~_under_way(destination, external_references.c.ticket_id)
    asked_at = external_references.c.asked_at
    query = (
        select(tickets.c.key, external_references.c.reference)
        .join(tickets, tickets.c.id == external_references.c.ticket_id)
        .where(mine, external_references.c.reference != "", _undone(), free)
        .where(or_(asked_at.is_(None), asked_at <= now - ASK_EVERY))
        .order_by(asked_at.is_not(None), asked_at)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    return tuple(Known(ticket_key=row.key, reference=row.reference) for row in rows)


def asked(connection: Connection, destination: str, known: Sequence[Known], now: datetime) -> None:
    """Note that tickets were asked about, whatever the answer was."""
    keys = [one.ticket_key for one in known]
    ids = select(tickets.c.id).where(tickets.c.key.in_(keys))
    mine = and_(
        external_references.c.destination == destination,
        external_references.c.ticket_id.in_(ids),
    )
    connection.execute(update(external_references).where(mine).values(asked_at=now))


def take(
    connection: Connection,
    destination: str,
    standing: Standing,
    *,
    now: datetime,
    telling: Telling,
) -> bool:
    """Take over what is new about a ticket; return whether anything was.

    A ticket that is done here, or has a message under way, is left as it is.
    """
    there = and_(
        external_references.c.destination == destination,
        external_references.c.ticket_id == tickets.c.id,
    )
    query = (
        select(tickets.c.number, tickets.c.id, tickets.c.state, tickets.c.assignee)
        .add_columns(
            external_references.c.reference,
            external_references.c.seen_progress,
            external_references.c.seen_assignee,
        )
        .outerjoin(external_references, there)
        .where(tickets.c.key == standing.ticket_key, _undone())
        .where(~_under_way(destination, tickets.c.id))
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return False
    _see(connection, destination, row, standing)
    return _follow(connection, row, standing, f"{DESTINATION}{destination}", now, telling)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """The ticket somebody speaks of."""

    id: str
    number: int
    key: str


def find(
    connection: Connection, destination: str, client_id: str, *, key: str, reference: str
) -> Meant:
    """Return a client's ticket by our key, or by what `destination` calls it.

    Raises NotFound.
    """
    query = select(tickets.c.id, tickets.c.number, tickets.c.key)
    query = query.where(tickets.c.client_id == client_id)
    if key:
        query = query.where(tickets.c.key == key)
    else:
        mine = external_references.c.ticket_id == tickets.c.id
        query = query.join(external_references, mine).where(
            external_references.c.destination == destination,
            external_references.c.reference == reference,
        )
    row = connection.execute(query.order_by(tickets.c.number.desc())).first()
    if row is None:
        raise NotFound(f"{destination} has no ticket {key or reference!r} of this client")
    return Meant(id=row.id, number=row.number, key=row.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What another system says of a ticket by itself; what it leaves out is as it was."""

    ticket: Meant
    progress: Progress | None = None
    assignee: str = ""
    text: str = ""


def hear(
    connection: Connection, destination: str, said: Said, *, now: datetime, telling: Telling
) -> None:
    """Take over what another system says by itself, its words as a note."""
    mine = and_(
        external_references.c.destination == destination,
        external_references.c.ticket_id == said.ticket.id,
    )
    seen = select(external_references.c.seen_progress, external_references.c.seen_assignee)
    before = connection.execute(seen.where(mine)).first()
    if said.text:
        work.note(
            connection,
            said.ticket.number,
            text=said.text,
            actor=f"{DESTINATION}{destination}",
            now=now,
            clients=None,
            telling=telling.without(destination),
        )
    progress = said.progress or (before and before.seen_progress) or Progress.OPEN
    assignee = said.assignee or (before and before.seen_assignee) or ""
    standing = Standing(ticket_key=said.ticket.key, progress=Progress(progress), assignee=assignee)
    take(connection, destination, standing, now=now, telling=telling)


def _follow(
    connection: Connection,
    row: RowMapping,
    standing: Standing,
    actor: str,
    now: datetime,
    telling: Telling,
) -> bool:
    """Do here what was done there."""
    others = telling.without(actor.removeprefix(DESTINATION))
    who, changed = standing.assignee, False
    if who and who not in (row["seen_assignee"], row["assignee"]):
        work.assign(
            connection,
            row["number"],
            assignee=who,
            actor=actor,
            now=now,
            clients=None,
            telling=others,
        )
        changed = True
    if standing.progress == row["seen_progress"]:
        return changed
    if standing.progress is Progress.RESOLVED:
        work.resolve(
            connection,
            row["number"],
            text="",
            actor=actor,
            now=now,
            clients=None,
            telling=others,
        )
        return True
    fresh = row["state"] in (TicketState.NEW, TicketState.ASSIGNED)
    # After a reopening of ours it may be anything: what it is then is no answer yet.
    known = row["reference"] is None or row["seen_progress"] is not None
    if standing.progress is Progress.ACKNOWLEDGED and fresh and known:
        work.acknowledge(
            connection, row["number"], actor=actor, now=now, clients=None, telling=others
        )
        return True
    return changed


def _see(connection: Connection, destination: str, row: RowMapping, standing: Standing) -> None:
    """Keep how a ticket was seen to stand there."""
    seen = {"seen_progress": standing.progress, "seen_assignee": standing.assignee}
    mine = {"destination": destination, "ticket_id": row["id"]}
    if row["reference"] is None:
        # A place that gives tickets no names of its own: it goes by our key.
        connection.execute(insert(external_references).values(**mine, reference="", **seen))
    elif (row["seen_progress"], row["seen_assignee"]) != tuple(seen.values()):
        same = [external_references.c[name] == value for name, value in mine.items()]
        connection.execute(update(external_references).where(*same).values(seen))


def _undone() -> ColumnElement[bool]:
    return tickets.c.state.in_([str(state) for state in _UNDONE])


def _under_way(destination: str, ticket_id: ColumnElement[str]) -> ColumnElement[bool]:
    waits = and_(
        outbox.c.destination == destination,
        outbox.c.ticket_id == ticket_id,
        outbox.c.state == "queued",
    )
    return select(outbox.c.id).where(waits).exists()
