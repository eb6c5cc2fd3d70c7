"""What is wrong now: alerts on hosts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, or_, select

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
from forewarn_collector.state.tables import alerts, clients, episodes, hosts, sites, tickets


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
    flapping: bool = False  # it comes and goes, and lasts until it stays over
    flaps: int = 0  # how often its episode would have ended and begun again


@dataclass(frozen=True, slots=True)
class AlertPage:
    """Some alerts, newest first, and the cursor for the next ones, None after the last."""

    alerts: tuple[AlertLine, ...]
    next: str | None


def list_alerts(
    connection: Connection,
    principal: Principal,
    selector: Selector,
    *,
    states: Collection[str] = FIRING_STATES,
    host_id: str | None = None,
    rule: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> AlertPage:
    """Return up to `limit` alerts on the picked hosts, youngest state first.  Raises BadCursor."""
    query = _alerts(principal, selector).where(alerts.c.state.in_(sorted(states)))
    if host_id is not None:
        query = query.where(alerts.c.host_id == host_id)
    if rule is not None:
        query = query.where(alerts.c.rule == rule)
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
        flapping=bool(row.memory.get("flapping")),
        flaps=int(row.memory.get("flaps") or 0),
    )


def _moment_or_never(at: str | int) -> datetime:
    try:
        return moment(int(at))
    except OverflowError:
        return moment(0)
