"""What was done for a client over some days: the report its owner asks for.

Every figure is counted from tickets, their service reports and forecasts; what nobody recorded is
not guessed.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, func, select, true

from forewarn_collector.api.principal import Principal
from forewarn_collector.money import Money, recall_money, totals
from forewarn_collector.queries.scope import FIRING_STATES, seen_by
from forewarn_collector.state.report_parts import HOW_BOUGHT
from forewarn_collector.state.tables import (
    alerts,
    clients,
    episodes,
    host_assets,
    hosts,
    service_reports,
    sites,
    tickets,
)
from forewarn_collector.state.tickets import OPEN_STATES

MOST_LISTED = 200
WARRANTY_AHEAD = timedelta(days=90)
_PATCH_RULES = ("PatchesSecurityOverdue", "RebootPending", "PatchStatusUnknown")
_MOST_RULES = 10


@dataclass(frozen=True, slots=True)
class Span:
    """Whole days from `first` to `last`, both included, as the days of a zone are."""

    first: date
    last: date
    zone: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Prevented:
    """A ticket whose condition cleared before the level that was forecast was reached."""

    number: int
    title: str
    client: str
    host: str
    forecast_due: str
    cleared_at: str | None
    days_bought: float | None  # None when the date forecast was over already


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How often a promise was kept among the tickets closed.  `share` is None for none."""

    met: int
    breached: int
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingWarranty:
    """A host whose warranty is over, or ends soon after the period."""

    host: str
    client: str
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodReport:
    """What was done over a span.  `client` is "" for every client one may see."""

    client: str
    first: date
    last: date
    zone: str
    hosts: int
    opened: int
    closed: int
    open_now: int
    false_alarms: int
    closed_by_priority: Mapping[str, int]
    raised_by_rule: Mapping[str, int]
    forecast: int
    reached: int
    prevented: Sequence[Prevented]
    prevented_count: int
    days_bought: float
    days_bought_how: str
    response: Kept
    resolution: Kept
    median_response_seconds: float | None
    median_resolution_seconds: float | None
    labour_minutes: int
    parts_cost: Sequence[str]
    patch_tickets: Mapping[str, int]
    patch_hosts_now: int
    warranties_ending: Sequence[EndingWarranty]


def span_of(
    connection: Connection,
    principal: Principal,
    client: str,
    first: date | None,
    last: date | None,
    now: datetime,
) -> Span:
    """Return the span asked for, by default the 30 days up to today; in the client's own zone.

    A client whose sites are in several zones, and all clients together, are told in UTC.
    """
    query = (
        select(sites.c.zone)
        .join(clients, clients.c.id == sites.c.client_id)
        .where(seen_by(principal, sites.c.client_id), clients.c.name == client)
        .distinct()
    )
    zones = connection.execute(query).scalars().all() if client else []
    name = zones[0] if len(zones) == 1 else "UTC"
    try:
        zone = ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        name, zone = "UTC", ZoneInfo("UTC")
    last = last or now.astimezone(zone).date()
    first = first or last - timedelta(days=29)
    begin = datetime.combine(first, time(), zone).astimezone(UTC)
    end = datetime.combine(last + timedelta(days=1), time(), zone).astimezone(UTC)
    return Span(first, last, name, begin, end)


def knows_client(connection: Connection, principal: Principal, client: str) -> bool:
    """Say whether there is a client of this name that this person may see."""
    query = select(clients.c.id).where(clients.c.name == client, seen_by(principal, clients.c.id))
    return connection.execute(query).first() is not None


def period(connection: Connection, principal: Principal, client: str, span: Span) -> PeriodReport:
    """Return what was done for a client over a span, for every client seen when it is ""."""
    named = select(clients.c.id).where(clients.c.name == client)

    def mine(column: ColumnElement[str]) -> ColumnElement[bool]:
        return seen_by(principal, column) & (column.in_(named) if client else true())

    ended = list(_ended(connection, mine(tickets.c.client_id), span))
    forecast = [one for one in ended if one.get("forecast")]
    prevented = [one for one in forecast if one["forecast"]["happened"] == "prevented"]
    closed = [one for one in ended if one["ticket"]["state"] == "closed"]
    listed = sorted((_prevented(one) for one in prevented), key=lambda one: -(one.days_bought or 0))
    durations = [one["durations"] for one in closed]
    return PeriodReport(
        client=client,
        first=span.first,
        last=span.last,
        zone=span.zone,
        hosts=_count(connection, hosts, mine(hosts.c.client_id) & hosts.c.revoked_at.is_(None)),
        opened=_count(
            connection,
            tickets,
            mine(tickets.c.client_id) & _within(tickets.c.opened_at, span),
        ),
        closed=len(closed),
        open_now=_count(
            connection,
            tickets,
            mine(tickets.c.client_id) & tickets.c.state.in_([str(one) for one in OPEN_STATES]),
        ),
        false_alarms=len(ended) - len(closed),
        closed_by_priority=dict(
            sorted(Counter(one["ticket"]["priority"] for one in closed).items())
        ),
        raised_by_rule=_rules(connection, mine(episodes.c.client_id), span, None),
        forecast=len(forecast),
        reached=sum(1 for one in forecast if one["forecast"]["happened"] == "reached"),
        prevented=listed[:MOST_LISTED],
        prevented_count=len(prevented),
        days_bought=round(sum(one.days_bought or 0.0 for one in listed), 1),
        days_bought_how=HOW_BOUGHT,
        response=_kept(closed, "response"),
        resolution=_kept(closed, "resolution"),
        median_response_seconds=_median(durations, "until_response_seconds"),
        median_resolution_seconds=_median(durations, "until_resolved_seconds"),
        labour_minutes=sum(one["labour_minutes"] or 0 for one in ended),
        parts_cost=[str(one) for one in totals(_prices(ended))],
        patch_tickets=_rules(connection, mine(episodes.c.client_id), span, _PATCH_RULES),
        patch_hosts_now=_behind(connection, mine(alerts.c.client_id)),
        warranties_ending=_warranties(connection, mine(hosts.c.client_id), span),
    )


# -- counting ------------------------------------------------------------------------------------


def _within(column: ColumnElement[datetime], span: Span) -> ColumnElement[bool]:
    return (column >= span.since) & (column < span.until)


def _count(connection: Connection, table: Any, which: ColumnElement[bool]) -> int:
    return connection.execute(select(func.count()).select_from(table).where(which)).scalar() or 0


def _behind(connection: Connection, which: ColumnElement[bool]) -> int:
    """Return how many hosts are behind with patches, wait for a reboot or tell nothing, now."""
    firing = alerts.c.rule.in_(_PATCH_RULES) & alerts.c.state.in_(FIRING_STATES)
    query = select(func.count(alerts.c.host_id.distinct())).where(which, firing)
    return connection.execute(query).scalar() or 0


def _ended(
    connection: Connection, which: ColumnElement[bool], span: Span
) -> Iterator[dict[str, Any]]:
    """Return the latest service report of each ticket that ended in the span."""
    newest = (
        select(func.max(service_reports.c.id).label("id"))
        .join(tickets, tickets.c.id == service_reports.c.ticket_id)
        .where(which, _within(tickets.c.closed_at, span))
        .group_by(service_reports.c.ticket_id)
        .subquery()
    )
    query = select(service_reports.c.document).join(newest, newest.c.id == service_reports.c.id)
    for document in connection.execute(query.order_by(service_reports.c.id)).scalars():
        yield json.loads(document)


def _prevented(says: Mapping[str, Any]) -> Prevented:
    ticket, forecast = says["ticket"], says["forecast"]
    bought = forecast["days_bought"]
    return Prevented(
        number=ticket["number"],
        title=ticket["title"],
        client=ticket["client"],
        host=ticket["host"],
        forecast_due=forecast["last"]["due"],
        cleared_at=ticket["cleared_at"],
        days_bought=None if bought is None else bought["days"],
    )


def _kept(closed: Sequence[Mapping[str, Any]], name: str) -> Kept:
    clocks = [(one["sla"] or {}).get(name) for one in closed]
    paces = Counter(clock["pace"] for clock in clocks if clock)
    met, breached = paces["met"], paces["breached"]
    share = round(met / (met + breached), 4) if met + breached else None
    return Kept(met=met, breached=breached, share=share)


def _median(durations: Sequence[Mapping[str, Any]], name: str) -> float | None:
    known = [one[name] for one in durations if one[name] is not None]
    return median(known) if known else None


def _prices(ended: Sequence[Mapping[str, Any]]) -> Iterator[Money]:
    for one in ended:
        for price in one.get("parts_cost") or ():
            yield recall_money(price)


def _rules(
    connection: Connection,
    which: ColumnElement[bool],
    span: Span,
    only: Sequence[str] | None,
) -> dict[str, int]:
    """Return how often each rule raised in the span, the most frequent first."""
    query = (
        select(episodes.c.rule, func.count().label("count"))
        .where(which, _within(episodes.c.opened_at, span))
        .group_by(episodes.c.rule)
        .order_by(func.count().desc(), episodes.c.rule)
        .limit(_MOST_RULES)
    )
    if only is not None:
        query = query.where(episodes.c.rule.in_(only))
    return {row[0]: row[1] for row in connection.execute(query)}


def _warranties(
    connection: Connection, which: ColumnElement[bool], span: Span
) -> list[EndingWarranty]:
    """Return hosts whose warranty ends before long after the span, those over first."""
    before = (span.last + WARRANTY_AHEAD).isoformat()
    query = (
        select(hosts.c.name, clients.c.name.label("client"), host_assets.c.value)
        .join(hosts, hosts.c.id == host_assets.c.host_id)
        .join(clients, clients.c.id == hosts.c.client_id)
        .where(which, hosts.c.revoked_at.is_(None))
        .where(host_assets.c.name == "warranty_until", host_assets.c.value <= before)
        .order_by(host_assets.c.value, hosts.c.name)
        .limit(MOST_LISTED)
    )
    return [
        EndingWarranty(host=row.name, client=row.client, until=row.value)
        for row in connection.execute(query)
    ]
