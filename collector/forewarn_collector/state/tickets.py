"""What people ask of tickets.  All SQL of it is in here; `work` is what they do with them.

`clients` are the ids of those a person may see, None for all.

    NotFound     there is no such ticket, or not for this person
    Conflict     the ticket is not in a state that allows what is asked
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, case, or_, select

from forewarn_collector.sla.shown import Sla
from forewarn_collector.state import ticket_text
from forewarn_collector.state.tables import (
    episodes,
    hosts,
    ticket_events,
    ticket_links,
    tickets,
)

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
    CANCELLED = "cancelled"  # a false alarm


OPEN_STATES = (
    TicketState.NEW,
    TicketState.ASSIGNED,
    TicketState.IN_PROGRESS,
    TicketState.WAITING,
    TicketState.RESOLVED,
)
ENDED_STATES = (TicketState.CLOSED, TicketState.CANCELLED)


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
    host_id: str
    host: str
    component: str
    severity: str
    opened_at: datetime
    closed_at: datetime | None
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A ticket that belongs to another.

    `kind`: ``absorbed`` (into it), ``absorbs`` (it), ``root_cause`` (of it), ``caused_by`` (it).
    """

    number: int
    title: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A ticket as people see it.  Client, site and host are names; `host_id` is None for a site's.

    `kind` is None for a ticket of one component or by hand; one of many hosts (``site``,
    ``overflow``) or of many tickets (``root_cause``) has none or one `rule`.  `events` (oldest
    first), `episodes` (1,000 at most) and `links` are filled by `get` alone.  `sla` is None where
    nothing was promised; its remaining seconds are of the moment that was asked for, else of
    `changed_at`.
    """

    id: str
    number: int
    key: str
    title: str
    state: TicketState
    waiting_for: str | None
    condition: str  # firing | cleared | stale | reported
    severity: str
    impact: int
    urgency: int
    priority: str
    priority_by: str | None
    client_id: str
    client: str
    site: str
    host_id: str | None
    host: str
    component: str
    assignee: str | None
    team: str | None
    description: str
    opened_at: datetime
    first_response_at: datetime | None
    cleared_at: datetime | None
    resolved_at: datetime | None
    closed_at: datetime | None
    changed_at: datetime
    sla: Sla | None
    kind: str | None = None
    rule: str | None = None
    episodes: tuple[Episode, ...] = ()
    events: tuple[TicketEvent, ...] = ()
    links: tuple[Link, ...] = ()


# -- asking --------------------------------------------------------------------------------------


def find(
    connection: Connection,
    *,
    clients: Clients,
    states: Sequence[TicketState] | None = None,
    host_id: str | None = None,
    among: Select[tuple[str]] | None = None,
    priorities: Sequence[str] | None = None,
    where: Sequence[ColumnElement[bool]] = (),
    before: int | None = None,
    limit: int = 100,
    now: datetime | None = None,
) -> list[Ticket]:
    """Return tickets, the newest first; `before` is the lowest number of the page before.

    `among` is a query for the ids of the hosts they may be of, or carry episodes of; `where` is
    what else is asked of them.
    """
    query = _scoped(clients).where(*where).order_by(tickets.c.number.desc()).limit(limit)
    if priorities is not None:
        query = query.where(tickets.c.priority.in_(list(priorities)))
    if states is not None:
        query = query.where(tickets.c.state.in_([str(state) for state in states]))
    if host_id is not None:
        shared = select(episodes.c.ticket_id).where(episodes.c.host_id == host_id)
        query = query.where(or_(tickets.c.host_id == host_id, tickets.c.id.in_(shared)))
    if among is not None:
        carries = (episodes.c.ticket_id == tickets.c.id) & episodes.c.host_id.in_(among)
        lent = tickets.c.kind.is_not(None) & select(episodes.c.id).where(carries).exists()
        query = query.where(or_(tickets.c.host_id.in_(among), lent))
    if before is not None:
        query = query.where(tickets.c.number < before)
    return [_ticket(connection, row, now) for row in connection.execute(query).mappings()]


def pressing(
    connection: Connection, *, clients: Clients, limit: int = 10, now: datetime | None = None
) -> list[Ticket]:
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
    return [_ticket(connection, row, now) for row in connection.execute(query).mappings()]


def get(
    connection: Connection, number: int, *, clients: Clients, now: datetime | None = None
) -> Ticket:
    """Return one ticket with its episodes and its history.  Raises NotFound."""
    row = row_of(connection, number, clients)
    carried = (
        select(episodes, hosts.c.name.label("host"))
        .join(hosts, hosts.c.id == episodes.c.host_id)
        .where(episodes.c.ticket_id == row["id"])
        # What lasts first, where a ticket carries more than anybody reads.
        .order_by(episodes.c.closed_at.is_not(None), episodes.c.id)
        .limit(_MOST_EPISODES)
    )
    found = sorted(connection.execute(carried).mappings(), key=lambda one: str(one["id"]))
    history = (
        select(ticket_events)
        .where(ticket_events.c.ticket_id == row["id"])
        .order_by(ticket_events.c.id)
    )
    return _ticket(
        connection,
        row,
        now,
        tuple(_episode(one) for one in found),
        tuple(_event(one) for one in connection.execute(history).mappings()),
        _links(connection, row["id"]),
    )


def _links(connection: Connection, ticket_id: str) -> tuple[Link, ...]:
    """Return what a ticket belongs to and what belongs to it, by number."""
    mine = ticket_links.c.ticket_id == ticket_id
    other = case((mine, ticket_links.c.other_id), else_=ticket_links.c.ticket_id)
    query = (
        select(tickets.c.number, tickets.c.title, ticket_links.c.kind, mine.label("mine"))
        .join(tickets, tickets.c.id == other)
        .where(or_(mine, ticket_links.c.other_id == ticket_id))
        .order_by(tickets.c.number)
        .limit(_MOST_EPISODES)
    )
    return tuple(
        Link(number=row.number, title=row.title, kind=_KINDS[row.kind, bool(row.mine)])
        for row in connection.execute(query)
    )


_MOST_EPISODES = 1000
_KINDS = {
    ("absorbed", True): "absorbed",
    ("absorbed", False): "absorbs",
    ("root_cause", True): "caused_by",
    ("root_cause", False): "root_cause",
}


# -- rows ----------------------------------------------------------------------------------------


def _scoped(clients: Clients) -> Select[Any]:
    query = ticket_text.named()
    return query if clients is None else query.where(tickets.c.client_id.in_(list(clients)))


def row_of(connection: Connection, number: int, clients: Clients) -> RowMapping:
    """Return the row of one ticket with the names of client, site and host.  Raises NotFound."""
    query = _scoped(clients).where(tickets.c.number == number)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound(f"there is no ticket {number}")
    return row


def _ticket(
    connection: Connection,
    row: RowMapping,
    now: datetime | None,
    carried: tuple[Episode, ...] = (),
    history: tuple[TicketEvent, ...] = (),
    links: tuple[Link, ...] = (),
) -> Ticket:
    return Ticket(
        id=row["id"],
        number=row["number"],
        key=row["key"],
        title=row["title"],
        state=TicketState(row["state"]),
        waiting_for=row["waiting_for"],
        condition=row["condition"],
        severity=row["severity"],
        impact=row["impact"],
        urgency=row["urgency"],
        priority=row["priority"],
        priority_by=row["priority_by"],
        client_id=row["client_id"],
        client=row["client"],
        site=row["site"],
        host_id=row["host_id"],
        host=row["host"] or "",
        component=row["component"],
        assignee=row["assignee"],
        team=row["team"],
        description=row["description"],
        opened_at=row["opened_at"],
        first_response_at=row["first_response_at"],
        cleared_at=row["cleared_at"],
        resolved_at=row["resolved_at"],
        closed_at=row["closed_at"],
        changed_at=row["changed_at"],
        sla=ticket_text.sla_of(connection, row, now or row["changed_at"]),
        kind=row["kind"],
        rule=row["rule"],
        episodes=carried,
        events=history,
        links=links,
    )


def _episode(row: RowMapping) -> Episode:
    return Episode(
        id=row["id"],
        rule=row["rule"],
        host_id=row["host_id"],
        host=row["host"],
        component=row["component"],
        severity=row["severity"],
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        evidence=row["evidence"],
    )


def _event(row: RowMapping) -> TicketEvent:
    return TicketEvent(at=row["at"], actor=row["actor"], kind=row["kind"], data=row["data"])
