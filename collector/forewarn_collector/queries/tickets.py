"""What is wrong and who sees to it: alerts, tickets and their history."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Connection, Row, Select, and_, func, or_, select

from forewarn_collector.api.principal import Principal
from forewarn_collector.queries.scope import (
    FIRING_STATES,
    HealthOf,
    microseconds,
    moment,
    read_cursor,
    seen_by,
    write_cursor,
)
from forewarn_collector.selector import Selector
from forewarn_collector.state.tables import (
    alerts,
    clients,
    episodes,
    hosts,
    sites,
    ticket_events,
    tickets,
)


class TicketState(StrEnum):
    """Which tickets a list holds: those of one state, those still open, or all."""

    OPEN = "open"
    ALL = "all"
    NEW = "new"
    ASSIGNED = "assigned"
    IN_PROGRESS = "in_progress"
    WAITING = "waiting"
    RESOLVED = "resolved"
    CLOSED = "closed"
    CANCELLED = "cancelled"


ENDED = (TicketState.RESOLVED, TicketState.CLOSED, TicketState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLine:
    """The life of one rule on one component, as it stands."""

    key: str
    host_id: str
    host: str
    client: str
    site: str
    component: str
    rule: str
    labels: Mapping[str, str]
    state: str
    severity: str
    data: str
    value: float | None
    since: datetime
    seen_until: datetime
    ticket: int | None  # number of the ticket that carries its episode


@dataclass(frozen=True, slots=True)
class AlertPage:
    """Some alerts, newest first, and the cursor for the next ones, None after the last."""

    alerts: tuple[AlertLine, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketLine:
    """One ticket in a list.  A site's ticket has no host."""

    number: int
    key: str
    title: str
    state: str
    condition: str
    severity: str
    priority: str
    assignee: str | None
    client: str
    site: str
    host_id: str | None
    host: str | None
    component: str
    opened_at: datetime
    first_response_at: datetime | None
    resolved_at: datetime | None
    closed_at: datetime | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class TicketPage:
    """Some tickets, newest first, and the cursor for the next ones, None after the last."""

    tickets: tuple[TicketLine, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class TicketEvent:
    """One thing that happened to a ticket; `actor` is a person's name or ``forewarn``."""

    at: datetime
    actor: str
    kind: str
    data: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeLine:
    """One firing, from open to close, that a ticket carries."""

    id: str
    rule: str
    component: str
    severity: str
    opened_at: datetime
    closed_at: datetime | None
    evidence: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class TicketDetail:
    """One ticket with all its history, oldest first."""

    line: TicketLine
    events: tuple[TicketEvent, ...]
    episodes: tuple[EpisodeLine, ...]


def list_alerts(
    connection: Connection,
    principal: Principal,
    selector: Selector,
    *,
    states: Collection[str] = FIRING_STATES,
    host_id: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> AlertPage:
    """Return up to `limit` alerts on the picked hosts, youngest state first.  Raises BadCursor."""
    query = _alerts(principal, selector).where(alerts.c.state.in_(sorted(states)))
    if host_id is not None:
        query = query.where(alerts.c.host_id == host_id)
    if cursor is not None:
        at, key = read_cursor(cursor, (int, str))
        since = _moment_or_never(at)
        same = and_(alerts.c.since == since, alerts.c.key > key)
        query = query.where(or_(alerts.c.since < since, same))
    query = query.order_by(alerts.c.since.desc(), alerts.c.key).limit(limit + 1)
    rows = connection.execute(query).all()
    lines = tuple(_alert(row) for row in rows[:limit])
    if len(rows) <= limit:
        return AlertPage(lines, None)
    return AlertPage(lines, write_cursor(microseconds(lines[-1].since), lines[-1].key))


def list_tickets(
    connection: Connection,
    principal: Principal,
    selector: Selector,
    *,
    state: TicketState = TicketState.OPEN,
    host_id: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> TicketPage:
    """Return up to `limit` tickets of the picked hosts, newest first.

    Site tickets, which have no host, are only in lists without a selector.  Raises BadCursor.
    """
    query = _tickets(principal)
    if state is TicketState.OPEN:
        query = query.where(tickets.c.state.not_in(ENDED))
    elif state is not TicketState.ALL:
        query = query.where(tickets.c.state == state)
    if host_id is not None:
        query = query.where(tickets.c.host_id == host_id)
    if selector.terms:
        query = query.where(tickets.c.host_id.in_(_picked(selector)))
    if cursor is not None:
        (before,) = read_cursor(cursor, (int,))
        query = query.where(tickets.c.number < before)
    rows = connection.execute(query.order_by(tickets.c.number.desc()).limit(limit + 1)).all()
    lines = tuple(_ticket(row) for row in rows[:limit])
    if len(rows) <= limit:
        return TicketPage(lines, None)
    return TicketPage(lines, write_cursor(lines[-1].number))


def count_tickets(connection: Connection, principal: Principal) -> dict[str, int]:
    """Return how many tickets are in each state."""
    query = (
        select(tickets.c.state, func.count().label("tickets"))
        .where(seen_by(principal, tickets.c.client_id))
        .group_by(tickets.c.state)
    )
    return {row.state: row.tickets for row in connection.execute(query)}


def find_ticket(connection: Connection, principal: Principal, number: int) -> TicketDetail | None:
    """Return one ticket with its events and episodes."""
    row = connection.execute(_tickets(principal).where(tickets.c.number == number)).first()
    if row is None:
        return None
    happened = connection.execute(
        select(ticket_events)
        .where(ticket_events.c.ticket_id == row.id)
        .order_by(ticket_events.c.at, ticket_events.c.id)
    )
    carried = connection.execute(
        select(episodes).where(episodes.c.ticket_id == row.id).order_by(episodes.c.opened_at)
    )
    return TicketDetail(
        _ticket(row),
        tuple(TicketEvent(event.at, event.actor, event.kind, event.data) for event in happened),
        tuple(_episode(episode) for episode in carried),
    )


def _alerts(principal: Principal, selector: Selector) -> Select[Any]:
    health = HealthOf()
    return (
        select(
            alerts,
            hosts.c.name.label("host"),
            clients.c.name.label("client"),
            sites.c.name.label("site"),
            tickets.c.number.label("ticket"),
        )
        .join(hosts, hosts.c.id == alerts.c.host_id)
        .join(clients, clients.c.id == hosts.c.client_id)
        .join(sites, sites.c.id == hosts.c.site_id)
        .join(episodes, episodes.c.id == alerts.c.episode_id, isouter=True)
        .join(tickets, tickets.c.id == episodes.c.ticket_id, isouter=True)
        .join(health.per_host, health.per_host.c.host_id == hosts.c.id, isouter=True)
        .where(seen_by(principal, alerts.c.client_id), selector.condition(health.text))
    )


def _tickets(principal: Principal) -> Select[Any]:
    return (
        select(
            tickets,
            clients.c.name.label("client"),
            sites.c.name.label("site"),
            hosts.c.name.label("host"),
        )
        .join(clients, clients.c.id == tickets.c.client_id)
        .join(sites, sites.c.id == tickets.c.site_id)
        .join(hosts, hosts.c.id == tickets.c.host_id, isouter=True)
        .where(seen_by(principal, tickets.c.client_id))
    )


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


def _alert(row: Row[Any]) -> AlertLine:
    return AlertLine(
        key=row.key,
        host_id=row.host_id,
        host=row.host,
        client=row.client,
        site=row.site,
        component=row.component,
        rule=row.rule,
        labels=row.labels,
        state=row.state,
        severity=row.severity,
        data=row.data,
        value=row.value,
        since=row.since,
        seen_until=row.seen_until,
        ticket=row.ticket,
    )


def _ticket(row: Row[Any]) -> TicketLine:
    return TicketLine(
        number=row.number,
        key=row.key,
        title=row.title,
        state=row.state,
        condition=row.condition,
        severity=row.severity,
        priority=row.priority,
        assignee=row.assignee,
        client=row.client,
        site=row.site,
        host_id=row.host_id,
        host=row.host,
        component=row.component,
        opened_at=row.opened_at,
        first_response_at=row.first_response_at,
        resolved_at=row.resolved_at,
        closed_at=row.closed_at,
        changed_at=row.changed_at,
    )


def _episode(row: Row[Any]) -> EpisodeLine:
    return EpisodeLine(
        id=row.id,
        rule=row.rule,
        component=row.component,
        severity=row.severity,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        evidence=row.evidence,
    )


def _moment_or_never(at: str | int) -> datetime:
    try:
        return moment(int(at))
    except OverflowError:
        return moment(0)
