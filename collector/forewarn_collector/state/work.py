"""What people do with tickets.  All SQL of it is in here.

Every change is one row more in the ticket's history and one message to every destination, in
the caller's transaction.  `clients` are the ids of those a person may see, None for all.  All
raise NotFound, and Conflict when the ticket's state does not allow it.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from forewarn_collector.money import Money
from forewarn_collector.priority import computed
from forewarn_collector.sla.policy import Waiting
from forewarn_collector.state import outbox, reports
from forewarn_collector.state.closing import close
from forewarn_collector.state.history import (
    Event,
    Row,
    event,
    happen,
    is_person,
    is_reserved,
)
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import episodes, ticket_events
from forewarn_collector.state.tickets import (
    LONGEST_NOTE,
    Clients,
    Conflict,
    TicketState,
    row_of,
)
from forewarn_collector.tickets import Kind

LONGEST_PART = 200
_DONE = (TicketState.RESOLVED, TicketState.CLOSED, TicketState.CANCELLED)


def acknowledge(
    connection: Connection,
    number: int,
    *,
    actor: str,
    now: datetime,
    clients: Clients,
    telling: Telling,
) -> None:
    """Take a ticket into work; `actor` becomes its assignee if it has none and is a login here."""
    row = _undone(connection, number, clients, "acknowledged")
    sets = {
        "state": TicketState.IN_PROGRESS,
        "waiting_for": None,
        "assignee": row["assignee"] or (None if is_reserved(actor) else actor[:100]),
    }
    _do(connection, row, event("acknowledged", sets=sets), actor, now, telling)


def start(
    connection: Connection,
    number: int,
    *,
    actor: str,
    now: datetime,
    clients: Clients,
    telling: Telling,
) -> None:
    """Go on with a ticket that waited, or begin with it."""
    row = _undone(connection, number, clients, "worked on")
    data = {"from": row["state"], "waited_for": row["waiting_for"]}
    sets = {"state": TicketState.IN_PROGRESS, "waiting_for": None}
    _do(connection, row, event("started", data, sets=sets), actor, now, telling)


def wait(
    connection: Connection,
    number: int,
    *,
    waiting_for: Waiting,
    text: str = "",
    actor: str,
    now: datetime,
    clients: Clients,
    telling: Telling,
) -> None:
    """Say that the work waits for somebody or something else."""
    row = _undone(connection, number, clients, "made to wait")
    data = {"for": str(waiting_for), "text": text[:LONGEST_NOTE]}
    sets = {"state": TicketState.WAITING, "waiting_for": str(waiting_for)}
    _do(connection, row, event("waiting", data, sets=sets), actor, now, telling)


def assign(
    connection: Connection,
    number: int,
    *,
    assignee: str,
    actor: str,
    now: datetime,
    clients: Clients,
    telling: Telling,
) -> None:
    """Give a ticket to somebody."""
    row = _undone(connection, number, clients, "assigned")
    state = row["state"] if row["state"] != TicketState.NEW else TicketState.ASSIGNED
    data = {"from": row["assignee"], "to": assignee[:100]}
    sets = {"state": state, "assignee": assignee[:100]}
    _do(connection, row, event("assigned", data, sets=sets), actor, now, telling)


def note(
    connection: Connection,
    number: int,
    *,
    text: str,
    actor: str,
    now: datetime,
    clients: Clients,
    telling: Telling,
) -> None:
    """Add a note of at most 10,000 characters, to closed tickets, too."""
    row = row_of(connection, number, clients)
    _add(connection, row, event("note", {"text": text[:LONGEST_NOTE]}), actor, now, telling)


def spend(
    connection: Connection,
    number: int,
    *,
    minutes: int,
    text: str = "",
    actor: str,
    now: datetime,
    clients: Clients,
    telling: Telling,
) -> None:
    """Add minutes of labour; negative ones take back what was too much.

    Raises Conflict when less than nothing would be left.
    """
    row = row_of(connection, number, clients)
    spent = sum(one["minutes"] for one in _said(connection, row, "labour"))
    if spent + minutes < 0:
        raise Conflict(f"ticket {number} has {spent} minutes of labour: no more can be taken back")
    data = {"minutes": minutes, "text": text[:LONGEST_NOTE]}
    _add(connection, row, event("labour", data), actor, now, telling)


def use_part(
    connection: Connection,
    number: int,
    *,
    name: str,
    quantity: int = 1,
    unit_cost: Money | None = None,
    actor: str,
    now: datetime,
    clients: Clients,
    telling: Telling,
) -> None:
    """Add parts that were used, at the cost of each."""
    row = row_of(connection, number, clients)
    data = {
        "name": name[:LONGEST_PART],
        "quantity": quantity,
        "unit_cost": None if unit_cost is None else str(unit_cost),
        "cost": None if unit_cost is None else str(unit_cost.times(quantity)),
    }
    _add(connection, row, event("part", data), actor, now, telling)


def explain(
    connection: Connection,
    number: int,
    *,
    text: str,
    actor: str,
    now: datetime,
    clients: Clients,
    telling: Telling,
) -> None:
    """Say what the root cause was; the last word holds."""
    row = row_of(connection, number, clients)
    data = {"root_cause": text[:LONGEST_NOTE]}
    _add(connection, row, event("root_cause", data), actor, now, telling)


def prioritise(
    connection: Connection,
    number: int,
    *,
    priority: str | None,
    actor: str,
    now: datetime,
    clients: Clients,
    telling: Telling,
) -> None:
    """Set a priority that stays whatever is measured; None goes back to impact times urgency.

    Clocks count from the opening under it, with the pauses there were.
    """
    row = _undone(connection, number, clients, "given another priority")
    after = priority or computed(row["impact"], row["urgency"])
    data = {"from": row["priority"], "to": after, "by_hand": priority is not None}
    by = None if priority is None else actor[:100]
    changed = event("priority_changed", data, sets={"priority": after}, priority_by=by)
    _do(connection, row, changed, actor, now, telling)


def resolve(
    connection: Connection,
    number: int,
    *,
    text: str,
    actor: str,
    now: datetime,
    clients: Clients,
    telling: Telling,
) -> None:
    """Say that the work is done.  It closes at once, or once nothing of it fires any more.

    What still fires half an hour later opens it again.
    """
    row = _undone(connection, number, clients, "resolved")
    sets = {"state": TicketState.RESOLVED, "waiting_for": None}
    done = event("resolved", {"text": text[:LONGEST_NOTE]}, sets=sets, resolved_at=now)
    if _fires(connection, row):
        _do(connection, row, done, actor, now, telling)
        return
    after = happen(connection, row, _responded(row, done, actor, now), actor=actor, now=now)
    close(connection, after, "closed", {}, actor=actor, now=now, telling=telling)


def cancel(
    connection: Connection,
    number: int,
    *,
    text: str,
    actor: str,
    now: datetime,
    clients: Clients,
    telling: Telling,
) -> None:
    """Say that it was a false alarm: nothing was, or needs to be, done."""
    row = row_of(connection, number, clients)
    if row["state"] in (TicketState.CLOSED, TicketState.CANCELLED):
        raise Conflict(f"ticket {number} is {row['state']} and cannot be cancelled")
    close(
        connection,
        row,
        "cancelled",
        {"text": text[:LONGEST_NOTE]},
        actor=actor,
        now=now,
        telling=telling,
        state=TicketState.CANCELLED,
        first_response_at=now if is_person(actor) else None,
    )


# -- steps ---------------------------------------------------------------------------------------


def _undone(connection: Connection, number: int, clients: Clients, done: str) -> RowMapping:
    row = row_of(connection, number, clients)
    if row["state"] in _DONE:
        raise Conflict(f"ticket {row['number']} is {row['state']} and cannot be {done}")
    return row


def _do(
    connection: Connection, row: Row, what: Event, actor: str, now: datetime, telling: Telling
) -> None:
    happen(connection, row, _responded(row, what, actor, now), actor=actor, now=now)
    outbox.tell(connection, row["id"], Kind.UPDATED, now=now, telling=telling)


def _add(
    connection: Connection, row: Row, what: Event, actor: str, now: datetime, telling: Telling
) -> None:
    """Write down what changes no state; after a close it makes a new version of the report."""
    if row["state"] not in (TicketState.CLOSED, TicketState.CANCELLED):
        _do(connection, row, what, actor, now, telling)
        return
    happen(connection, row, what, actor=actor, now=now)
    reports.write(connection, [row["id"]], now)
    outbox.tell(connection, row["id"], Kind.UPDATED, now=now, telling=telling)


def _said(connection: Connection, row: Row, kind: str) -> list[dict[str, Any]]:
    """Return the data of all events of one kind."""
    query = select(ticket_events.c.data).where(
        ticket_events.c.ticket_id == row["id"], ticket_events.c.kind == kind
    )
    return [dict(data) for data in connection.execute(query).scalars()]


def _responded(row: Row, what: Event, actor: str, now: datetime) -> Event:
    """Return the event as the first response, if it is."""
    if row["first_response_at"] is not None or not is_person(actor):
        return what
    values: dict[str, Any] = {**what.values, "first_response_at": now}
    return Event(kind=what.kind, data=what.data, sets=what.sets, values=values)


def _fires(connection: Connection, row: Row) -> bool:
    lasting = episodes.c.closed_at.is_(None)
    query = select(episodes.c.id).where(episodes.c.ticket_id == row["id"], lasting).limit(1)
    return connection.execute(query).first() is not None
