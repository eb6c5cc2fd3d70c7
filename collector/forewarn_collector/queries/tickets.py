"""Tickets as people look for them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from forewarn_collector.api.principal import Principal
from forewarn_collector.queries.scope import HealthOf, read_cursor, seen_by, write_cursor
from forewarn_collector.selector import Selector
from forewarn_collector.state import tickets as state
from forewarn_collector.state.tables import clients, hosts, sites, tickets
from forewarn_collector.state.tickets import OPEN_STATES, NotFound, Ticket


class Which(StrEnum):
    """Which tickets a list holds: those not over, all, or those of one state."""

    OPEN = "open"
    ALL = "all"
    NEW = "new"
    ASSIGNED = "assigned"
    IN_PROGRESS = "in_progress"
    WAITING = "waiting"
    RESOLVED = "resolved"
    CLOSED = "closed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class TicketPage:
    """Some tickets, newest first, and the cursor for the next ones, None after the last."""

    tickets: tuple[Ticket, ...]
    next: str | None


def list_tickets(
    connection: Connection,
    principal: Principal,
    selector: Selector,
    *,
    which: Which = Which.ALL,
    host_id: str | None = None,
    priorities: Sequence[str] | None = None,
    wanted: Sequence[ColumnElement[bool]] = (),
    limit: int = 100,
    cursor: str | None = None,
    now: datetime | None = None,
) -> TicketPage:
    """Return up to `limit` tickets of the picked hosts, newest first, without their history.

    `wanted` narrows them down further: `assigned_to`, `of_teams`, `overdue`, `of_client`.

    `now` is the moment their clocks are read at; without it, that of their last change.

    A ticket that many hosts share is in the list of each; what is about a site and carries nothing
    is only in lists without a selector.  Raises BadCursor.
    """
    before = None if cursor is None else int(read_cursor(cursor, (int,))[0])
    found = state.find(
        connection,
        clients=principal.clients,
        states=_STATES[which],
        host_id=host_id,
        among=_picked(selector) if selector.terms else None,
        priorities=priorities,
        where=wanted,
        before=before,
        limit=limit + 1,
        now=now,
    )
    if len(found) <= limit:
        return TicketPage(tuple(found), None)
    return TicketPage(tuple(found[:limit]), write_cursor(found[limit - 1].number))


def assigned_to(name: str) -> ColumnElement[bool]:
    """Return the condition that a ticket is somebody's; for "" that it is nobody's."""
    return tickets.c.assignee == name if name else tickets.c.assignee.is_(None)


def of_teams(names: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a ticket is one of these teams'."""
    return tickets.c.team.in_(sorted(names))


def of_client(name: str) -> ColumnElement[bool]:
    """Return the condition that a ticket is of the client of this name."""
    return tickets.c.client_id.in_(select(clients.c.id).where(clients.c.name == name))


def overdue(now: datetime) -> ColumnElement[bool]:
    """Return the condition that a promise about a ticket is broken at this moment."""
    unanswered = and_(tickets.c.first_response_at.is_(None), tickets.c.response_due_at < now)
    unresolved = and_(tickets.c.resolved_at.is_(None), tickets.c.resolution_due_at < now)
    return and_(tickets.c.state.in_([str(one) for one in OPEN_STATES]), or_(unanswered, unresolved))


def pressing_tickets(
    connection: Connection, principal: Principal, limit: int = 10
) -> tuple[Ticket, ...]:
    """Return what to do first: open tickets by priority, then by age, without their history."""
    return tuple(state.pressing(connection, clients=principal.clients, limit=limit))


def find_ticket(
    connection: Connection, principal: Principal, number: int, now: datetime | None = None
) -> Ticket | None:
    """Return one ticket with its history and episodes."""
    try:
        return state.get(connection, number, clients=principal.clients, now=now)
    except NotFound:
        return None


def count_tickets(
    connection: Connection, principal: Principal, wanted: Sequence[ColumnElement[bool]] = ()
) -> dict[str, int]:
    """Return how many tickets are in each state, of those that `wanted` leaves."""
    query = (
        select(tickets.c.state, func.count().label("tickets"))
        .where(seen_by(principal, tickets.c.client_id), *wanted)
        .group_by(tickets.c.state)
    )
    return {row.state: row.tickets for row in connection.execute(query)}


_STATES = {
    Which.OPEN: OPEN_STATES,
    Which.ALL: None,
    **{Which(str(one)): (one,) for one in state.TicketState},
}


def _picked(selector: Selector) -> Select[tuple[str]]:
    health = HealthOf()
    return (
        select(hosts.c.id)
        .join(clients, clients.c.id == hosts.c.client_id)
        .join(sites, sites.c.id == hosts.c.site_id)
        .join(health.per_host, health.per_host.c.host_id == hosts.c.id, isouter=True)
        .where(selector.condition(health.text))
        .correlate(None)
    )
