"""Take over what people did to tickets in other systems.  All SQL of it is in here.

Only what changed there since we last looked counts, so that what we told is never taken for an
answer, and what came from there is not told back there.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, or_, select, update

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
    mine = _asked_about(destination)
    count = select(func.count()).select_from(external_references)
    count = count.join(tickets, tickets.c.id == external_references.c.ticket_id).where(mine)
    return connection.execute(count).scalar_one()


def due(
    connection: Connection, destination: str, *, now: datetime, limit: int
) -> tuple[Known, ...]:
    """Return up to `limit` tickets that are due to be asked about, the longest unasked first.

    Those with a message under way are left out: how they stand there is about to change.
    """
    mine = _asked_about(destination)
    asked_at = external_references.c.asked_at
    query = (
        select(tickets.c.key, external_references.c.reference)
        .join(tickets, tickets.c.id == external_references.c.ticket_id)
        .where(mine, or_(asked_at.is_(None), asked_at <= now - ASK_EVERY), ~_under_way())
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
    query = (
        select(tickets.c.number, tickets.c.id, tickets.c.state, tickets.c.assignee)
        .add_columns(external_references.c.seen_progress, external_references.c.seen_assignee)
        .join(tickets, tickets.c.id == external_references.c.ticket_id)
        .where(_asked_about(destination), tickets.c.key == standing.ticket_key, ~_under_way())
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return False
    mine = and_(
        external_references.c.destination == destination,
        external_references.c.ticket_id == row["id"],
    )
    seen = {"seen_progress": standing.progress, "seen_assignee": standing.assignee}
    if (row["seen_progress"], row["seen_assignee"]) != (standing.progress, standing.assignee):
        connection.execute(update(external_references).where(mine).values(seen))
    return _follow(connection, row, standing, f"{DESTINATION}{destination}", now, telling)


def number_of(
    connection: Connection, destination: str, client: str, *, key: str, reference: str
) -> tuple[int, str]:
    """Return number and key of a client's ticket by our key, or by what `destination` calls it.

    `client` is an id.  Raises NotFound.
    """
    query = (
        select(tickets.c.number, tickets.c.key)
        .join(external_references, external_references.c.ticket_id == tickets.c.id)
        .where(external_references.c.destination == destination, tickets.c.client_id == client)
    )
    named = tickets.c.key == key if key else external_references.c.reference == reference
    row = connection.execute(query.where(named).order_by(tickets.c.number.desc())).first()
    if row is None:
        raise NotFound(f"{destination} has no ticket {key or reference!r} of this client")
    return row.number, row.key


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
    if standing.progress is Progress.ACKNOWLEDGED and fresh and row["seen_progress"] is not None:
        work.acknowledge(
            connection, row["number"], actor=actor, now=now, clients=None, telling=others
        )
        return True
    return changed


def _asked_about(destination: str) -> ColumnElement[bool]:
    return and_(
        external_references.c.destination == destination,
        tickets.c.state.in_([str(state) for state in _UNDONE]),
    )


def _under_way() -> ColumnElement[bool]:
    waits = and_(
        outbox.c.destination == external_references.c.destination,
        outbox.c.ticket_id == external_references.c.ticket_id,
        outbox.c.state == "queued",
    )
    return select(outbox.c.id).where(waits).exists()
