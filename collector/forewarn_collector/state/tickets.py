"""What people do with tickets, and what they ask of them.  All SQL of it is in here.

Every change is one row more in the ticket's history and one message to every destination, in
the caller's transaction.  `clients` are the ids of those a person may see, None for all.

    NotFound     there is no such ticket, or not for this person
    Conflict     the ticket is not in a state that allows it
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, insert, select, update

from forewarn_collector.state import outbox
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import (
    clients as clients_table,
)
from forewarn_collector.state.tables import (
    episodes,
    hosts,
    sites,
    ticket_events,
    tickets,
)
from forewarn_collector.tickets import Kind

Clients = Collection[str] | None
LONGEST_NOTE = 10_000


class TicketState(StrEnum):
    """How far the work on a ticket is.  What is measured is its condition, not its state."""

    NEW = "new"
    ASSIGNED = "assigned"
    IN_PROGRESS = "in_progress"
    WAITING = "waiting"
    RESOLVED = "resolved"
    CLOSED = "closed"


OPEN_STATES = (
    TicketState.NEW,
    TicketState.ASSIGNED,
    TicketState.IN_PROGRESS,
    TicketState.WAITING,
    TicketState.RESOLVED,
)


class NotFound(LookupError):
    """There is no such ticket, or this person may not see it."""


class Conflict(Exception):
    """The ticket is in a state that does not allow this; the text says which would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketEvent:
    """One line of a ticket's history.  `actor` is a person's name or ``forewarn``."""

    at: datetime
    actor: str
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One firing of one rule, from open to close (None while it lasts).

    `evidence` is that of the ticket's messages: readings, marks, advice.
    """

    id: str
    rule: str
    component: str
    severity: str
    opened_at: datetime
    closed_at: datetime | None
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A ticket as people see it.  Client, site and host are names; `host_id` is None for a site's.

    `events` (oldest first) and `episodes` are filled by `get` alone.
    """

    id: str
    number: int
    key: str
    title: str
    state: TicketState
    condition: str  # firing | cleared | stale
    severity: str
    priority: str
    client_id: str
    client: str
    site: str
    host_id: str | None
    host: str
    component: str
    assignee: str | None
    opened_at: datetime
    first_response_at: datetime | None
    resolved_at: datetime | None
    closed_at: datetime | None
    changed_at: datetime
    episodes: tuple[Episode, ...] = ()
    events: tuple[TicketEvent, ...] = ()


# -- asking --------------------------------------------------------------------------------------


def find(
    connection: Connection,
    *,
    clients: Clients,
    states: Sequence[TicketState] | None = None,
    host_id: str | None = None,
    among: Select[tuple[str]] | None = None,
    priorities: Sequence[str] | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Ticket]:
    """Return tickets, the newest first; `before` is the lowest number of the page before.

    `among` is a query for the ids of the hosts they may be of.
    """
    query = _scoped(clients).order_by(tickets.c.number.desc()).limit(limit)
    if priorities is not None:
        query = query.where(tickets.c.priority.in_(list(priorities)))
    if states is not None:
        query = query.where(tickets.c.state.in_([str(state) for state in states]))
    if host_id is not None:
        query = query.where(tickets.c.host_id == host_id)
    if among is not None:
        query = query.where(tickets.c.host_id.in_(among))
    if before is not None:
        query = query.where(tickets.c.number < before)
    return [_ticket(row) for row in connection.execute(query).mappings()]


def pressing(connection: Connection, *, clients: Clients, limit: int = 10) -> list[Ticket]:
    """Return the tickets somebody ought to see to first: open ones, by priority, then by age.

    Those that say their work is done, and wait for the condition to clear, are left out.
    """
    undone = [str(state) for state in OPEN_STATES if state is not TicketState.RESOLVED]
    query = (
        _scoped(clients)
        .where(tickets.c.state.in_(undone))
        .order_by(tickets.c.priority, tickets.c.number)
        .limit(limit)
    )
    return [_ticket(row) for row in connection.execute(query).mappings()]


def get(connection: Connection, number: int, *, clients: Clients) -> Ticket:
    """Return one ticket with its episodes and its history.  Raises NotFound."""
    row = _row(connection, number, clients)
    carried = select(episodes).where(episodes.c.ticket_id == row["id"]).order_by(episodes.c.id)
    history = (
        select(ticket_events)
        .where(ticket_events.c.ticket_id == row["id"])
        .order_by(ticket_events.c.id)
    )
    return _ticket(
        row,
        tuple(_episode(one) for one in connection.execute(carried).mappings()),
        tuple(_event(one) for one in connection.execute(history).mappings()),
    )


# -- doing ---------------------------------------------------------------------------------------


def acknowledge(
    connection: Connection,
    number: int,
    *,
    actor: str,
    now: datetime,
    clients: Clients,
    telling: Telling,
) -> None:
    """Take a new ticket into work; `actor` becomes its assignee if it has none.

    Raises NotFound, or Conflict when it is resolved or closed.
    """
    row = _row(connection, number, clients)
    _must_be_open(row, "acknowledged")
    values = {
        "state": TicketState.IN_PROGRESS,
        "assignee": row["assignee"] or actor,
        **_first_response(row, now),
    }
    _change(connection, row, values, now)
    _record(connection, row, "acknowledged", {}, actor=actor, now=now, telling=telling)


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
    """Give a ticket to somebody.  Raises NotFound, or Conflict when it is resolved or closed."""
    row = _row(connection, number, clients)
    _must_be_open(row, "assigned")
    state = row["state"] if row["state"] != TicketState.NEW else TicketState.ASSIGNED
    values = {"state": state, "assignee": assignee[:100], **_first_response(row, now)}
    _change(connection, row, values, now)
    data = {"from": row["assignee"], "to": assignee[:100]}
    _record(connection, row, "assigned", data, actor=actor, now=now, telling=telling)


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
    """Add a note of at most 10,000 characters, to closed tickets, too.  Raises NotFound."""
    row = _row(connection, number, clients)
    _change(connection, row, _first_response(row, now), now)
    data = {"text": text[:LONGEST_NOTE]}
    _record(connection, row, "note", data, actor=actor, now=now, telling=telling)


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
    """Say that the work is done.  It closes once nothing of it fires any more, at once if so.

    Raises NotFound, or Conflict when it is resolved or closed already.
    """
    row = _row(connection, number, clients)
    _must_be_open(row, "resolved")
    values = {"state": TicketState.RESOLVED, "resolved_at": now, **_first_response(row, now)}
    _change(connection, row, values, now)
    data = {"text": text[:LONGEST_NOTE]}
    still = select(episodes.c.id).where(
        episodes.c.ticket_id == row["id"], episodes.c.closed_at.is_(None)
    )
    if connection.execute(still.limit(1)).first() is not None:
        _record(connection, row, "resolved", data, actor=actor, now=now, telling=telling)
        return
    record(connection, row, "resolved", data, actor=actor, now=now)
    _change(connection, row, {"state": TicketState.CLOSED, "closed_at": now}, now)
    record(connection, row, "closed", {}, actor=actor, now=now)
    outbox.tell(connection, row["id"], Kind.CLOSED, now=now, telling=telling)


def record(
    connection: Connection,
    ticket: RowMapping | Mapping[str, Any],
    kind: str,
    data: Mapping[str, Any],
    *,
    actor: str,
    now: datetime,
) -> None:
    """Append to a ticket's history; `ticket` needs its id and client_id."""
    connection.execute(
        insert(ticket_events).values(
            ticket_id=ticket["id"],
            client_id=ticket["client_id"],
            at=now,
            actor=actor[:100],
            kind=kind,
            data=dict(data),
        )
    )


# -- rows ----------------------------------------------------------------------------------------


def _scoped(clients: Clients) -> Select[Any]:
    query = (
        select(
            tickets,
            clients_table.c.name.label("client"),
            sites.c.name.label("site"),
            hosts.c.name.label("host"),
        )
        .join(clients_table, clients_table.c.id == tickets.c.client_id)
        .join(sites, sites.c.id == tickets.c.site_id)
        .outerjoin(hosts, hosts.c.id == tickets.c.host_id)
    )
    return query if clients is None else query.where(tickets.c.client_id.in_(list(clients)))


def _row(connection: Connection, number: int, clients: Clients) -> RowMapping:
    query = _scoped(clients).where(tickets.c.number == number)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound(f"there is no ticket {number}")
    return row


def _must_be_open(row: RowMapping, done: str) -> None:
    if row["state"] in (TicketState.RESOLVED, TicketState.CLOSED):
        raise Conflict(f"ticket {row['number']} is {row['state']} and cannot be {done}")


def _first_response(row: RowMapping, now: datetime) -> dict[str, Any]:
    return {} if row["first_response_at"] is not None else {"first_response_at": now}


def _change(
    connection: Connection, row: RowMapping, values: Mapping[str, Any], now: datetime
) -> None:
    changed = update(tickets).where(tickets.c.id == row["id"])
    connection.execute(changed.values(**values, changed_at=now))


def _record(
    connection: Connection,
    row: RowMapping,
    kind: str,
    data: Mapping[str, Any],
    *,
    actor: str,
    now: datetime,
    telling: Telling,
) -> None:
    record(connection, row, kind, data, actor=actor, now=now)
    outbox.tell(connection, row["id"], Kind.UPDATED, now=now, telling=telling)


def _ticket(
    row: RowMapping, carried: tuple[Episode, ...] = (), history: tuple[TicketEvent, ...] = ()
) -> Ticket:
    return Ticket(
        id=row["id"],
        number=row["number"],
        key=row["key"],
        title=row["title"],
        state=TicketState(row["state"]),
        condition=row["condition"],
        severity=row["severity"],
        priority=row["priority"],
        client_id=row["client_id"],
        client=row["client"],
        site=row["site"],
        host_id=row["host_id"],
        host=row["host"] or "",
        component=row["component"],
        assignee=row["assignee"],
        opened_at=row["opened_at"],
        first_response_at=row["first_response_at"],
        resolved_at=row["resolved_at"],
        closed_at=row["closed_at"],
        changed_at=row["changed_at"],
        episodes=carried,
        events=history,
    )


def _episode(row: RowMapping) -> Episode:
    return Episode(
        id=row["id"],
        rule=row["rule"],
        component=row["component"],
        severity=row["severity"],
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        evidence=row["evidence"],
    )


def _event(row: RowMapping) -> TicketEvent:
    return TicketEvent(at=row["at"], actor=row["actor"], kind=row["kind"], data=row["data"])
