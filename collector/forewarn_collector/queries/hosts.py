"""Hosts as people look for them: lists by health, and all there is to know of one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select

from forewarn_checks.base import Outcome
from forewarn_collector.api.principal import Principal
from forewarn_collector.queries.alerts import AlertLine, list_alerts
from forewarn_collector.queries.scope import (
    HealthOf,
    count_by_health,
    moment,
    read_cursor,
    seen_by,
    write_cursor,
)
from forewarn_collector.rules.own import BEHIND, CLOCK_ERROR
from forewarn_collector.samples import SampleStore
from forewarn_collector.selector import Health, Selector
from forewarn_collector.state import assets
from forewarn_collector.state.tables import clients, host_facts, hosts, sites


class Order(StrEnum):
    """How a list of hosts is sorted."""

    WORST = "worst"  # worst health first, then by name
    NAME = "name"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLine:
    """One host in a list.  `last_seen` is by the collector's clock, None for never."""

    id: str
    name: str
    client: str
    site: str
    host_class: str
    system: str
    tags: tuple[str, ...]
    health: Health
    firing: int  # alerts that fire
    last_seen: datetime | None
    agent_version: str


@dataclass(frozen=True, slots=True)
class HostPage:
    """Some hosts, and the cursor to ask with for the next ones, None after the last."""

    hosts: tuple[HostLine, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class HostFact:
    """One slow-changing thing about a host, and since when it is so."""

    name: str
    value: JsonValue
    since: datetime


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """How the latest run of one check went."""

    check: str
    outcome: Outcome
    error: str
    at: datetime
    received: datetime
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class LatestReading:
    """The latest value of one series."""

    metric: str
    labels: Mapping[str, str]
    value: float
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HostDetail(HostLine):
    """One host whole, with the alerts that fire on it.  `number` keys its samples."""

    client_id: str
    site_id: str
    number: int
    zone: str  # IANA name of the site's time zone
    enrolled_at: datetime
    revoked_at: datetime | None
    clock_ahead_seconds: float | None = None  # negative: behind; None while not known
    facts: tuple[HostFact, ...] = ()
    checks: tuple[CheckOutcome, ...] = ()
    readings: tuple[LatestReading, ...] = ()
    alerts: tuple[AlertLine, ...] = ()
    asset: Mapping[str, str] = field(default_factory=dict)  # what people said; see `assets.FIELDS`


@dataclass(frozen=True, slots=True)
class SpanSeries:
    """One series over a span: `low` and `high` are the extremes of each step, `value` its mean."""

    labels: Mapping[str, str]
    at: list[datetime] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)


def list_hosts(
    connection: Connection,
    store: SampleStore,
    principal: Principal,
    selector: Selector,
    *,
    order: Order = Order.NAME,
    limit: int = 100,
    cursor: str | None = None,
) -> HostPage:
    """Return up to `limit` hosts that the selector picks.  Raises BadCursor."""
    health = HealthOf()
    query = _joined(health, principal).where(selector.condition(health.text))
    if order is Order.WORST:
        query = query.order_by(health.rank.desc(), hosts.c.name, hosts.c.id)
    else:
        query = query.order_by(hosts.c.name, hosts.c.id)
    if cursor is not None:
        query = query.where(_after(health, order, cursor))
    rows = connection.execute(query.limit(limit + 1)).all()
    heard = store.last_received()
    lines = tuple(HostLine(**_shared(row, heard)) for row in rows[:limit])
    if len(rows) <= limit:
        return HostPage(lines, None)
    last = rows[limit - 1]
    return HostPage(lines, write_cursor(order, int(last.rank), last.name, last.id))


def count_hosts(
    connection: Connection, principal: Principal, selector: Selector
) -> dict[Health, int]:
    """Return how many of the picked hosts are in each health, worst first."""
    health = HealthOf()
    picked = (
        _joined(health, principal)
        .where(selector.condition(health.text))
        .with_only_columns(health.text.label("health"), func.count().label("hosts"))
        .group_by("health")
    )
    return count_by_health({row.health: row.hosts for row in connection.execute(picked)})


def find_host(
    connection: Connection, store: SampleStore, principal: Principal, host_id: str
) -> HostDetail | None:
    """Return one host with its facts, outcomes and latest readings; revoked ones too."""
    query = _joined(HealthOf(), principal, revoked=True).where(hosts.c.id == host_id)
    row = connection.execute(query).first()
    if row is None:
        return None
    facts = connection.execute(
        select(host_facts).where(host_facts.c.host_id == host_id).order_by(host_facts.c.name)
    )
    readings = _latest(store, row.number)
    return HostDetail(
        **_shared(row, store.last_received()),
        client_id=row.client_id,
        site_id=row.site_id,
        number=row.number,
        zone=row.zone,
        enrolled_at=row.enrolled_at,
        revoked_at=row.revoked_at,
        facts=tuple(HostFact(fact.name, fact.value, fact.since) for fact in facts),
        checks=_outcomes(store, row.number),
        clock_ahead_seconds=_clock_ahead(readings),
        readings=readings,
        alerts=list_alerts(connection, principal, Selector(), host_id=host_id, limit=1000).alerts,
        asset=assets.fields_of(connection, host_id),
    )


def host_number(connection: Connection, principal: Principal, host_id: str) -> int | None:
    """Return the short key of a host's samples, None when it does not exist for them."""
    query = select(hosts.c.number).where(
        hosts.c.id == host_id, seen_by(principal, hosts.c.client_id)
    )
    return connection.execute(query).scalar()


def latest_readings(store: SampleStore, number: int) -> tuple[LatestReading, ...]:
    """Return the latest value of every series of the host with this number."""
    return _latest(store, number)


def read_history(
    store: SampleStore, number: int, metric: str, since: datetime, until: datetime, steps: int
) -> tuple[SpanSeries, ...]:
    """Return every series of `metric` in [since, until), at most `steps` points each."""
    begin, end = (int(at.timestamp() * 1_000_000) for at in (since, until))
    return tuple(
        SpanSeries(
            labels=dict(series.labels),
            at=[moment(at) for at in series.at.tolist()],
            value=series.value.tolist(),
            low=series.low.tolist(),
            high=series.high.tolist(),
        )
        for series in store.history(number, metric, begin, end, steps)
    )


def _joined(health: HealthOf, principal: Principal, *, revoked: bool = False) -> Select[Any]:
    query = (
        select(
            hosts,
            clients.c.name.label("client"),
            sites.c.name.label("site"),
            sites.c.zone,
            *health.columns(),
        )
        .join(clients, clients.c.id == hosts.c.client_id)
        .join(sites, sites.c.id == hosts.c.site_id)
        .join(health.per_host, health.per_host.c.host_id == hosts.c.id, isouter=True)
        .where(seen_by(principal, hosts.c.client_id))
    )
    return query if revoked else query.where(hosts.c.revoked_at.is_(None))


def _after(health: HealthOf, order: Order, cursor: str) -> ColumnElement[bool]:
    given, rank, name, host_id = read_cursor(cursor, (str, int, str, str))
    later = or_(hosts.c.name > name, and_(hosts.c.name == name, hosts.c.id > host_id))
    if order is Order.NAME or given != order:
        return later
    return or_(health.rank < rank, and_(health.rank == rank, later))


def _shared(row: Row[Any], heard: Mapping[int, int]) -> dict[str, Any]:
    received = heard.get(row.number)
    return {
        "id": row.id,
        "name": row.name,
        "client": row.client,
        "site": row.site,
        "host_class": row.host_class,
        "system": row.system,
        "tags": tuple(row.tags),
        "health": Health(row.health),
        "firing": row.firing,
        "last_seen": None if received is None else moment(received),
        "agent_version": row.agent_version,
    }


def _outcomes(store: SampleStore, number: int) -> tuple[CheckOutcome, ...]:
    return tuple(
        CheckOutcome(
            status.check,
            status.outcome,
            status.error,
            moment(status.at),
            moment(status.received),
            status.duration_seconds,
        )
        for status in sorted(store.statuses(number).get(number, ()), key=lambda s: s.check)
    )


def _clock_ahead(readings: tuple[LatestReading, ...]) -> float | None:
    """Return how far a host's clock is ahead of ours, by the newest that was told of it."""
    told = [one for one in readings if one.metric == CLOCK_ERROR.name]
    if not told:
        return None
    newest = max(told, key=lambda one: one.at)
    return -newest.value if newest.labels.get("direction") == BEHIND else newest.value


def _latest(store: SampleStore, number: int) -> tuple[LatestReading, ...]:
    found = store.latest(number)
    ordered = sorted(found, key=lambda r: (r.metric, sorted(r.labels.items())))
    return tuple(LatestReading(r.metric, dict(r.labels), r.value, moment(r.at)) for r in ordered)
