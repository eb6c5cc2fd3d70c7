"""Maintenance windows, silences and what is held, as people see them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, or_, select

from forewarn_collector.api.principal import Principal
from forewarn_collector.queries.scope import seen_by
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.maintaining import read_findings
from forewarn_collector.state.suppression import (
    is_theirs,
    load_silences,
    load_windows,
    read_window,
    shortened_of,
)
from forewarn_collector.state.tables import (
    clients,
    held_alerts,
    hosts,
    maintenance_hosts,
    maintenance_occurrences,
    maintenance_windows,
    silences,
    tickets,
)
from forewarn_collector.suppression.holds import Hold, Holds
from forewarn_collector.suppression.windows import Window

PAST = timedelta(days=30)
"""How long windows and silences that are over stay in lists."""
_MOST_HOSTS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowLine:
    """One maintenance window.  `state` is coming, running, settling, over or deleted.

    `starts` and `ends` are of the occurrence under way or next; of the last one when it is over.
    """

    id: str
    select: str
    group: str
    reason: str
    author: str
    created_at: datetime
    state: str
    starts: datetime | None
    ends: datetime | None
    settled: datetime | None
    repeat: str
    at: str
    lasts_seconds: int
    zone: str
    settle_seconds: int
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostVerdict:
    """One host of an occurrence: `findings` are in words; `rebooted` is None if not known."""

    host_id: str
    host: str
    client: str
    rebooted: bool | None
    findings: tuple[str, ...]
    ticket: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLine:
    """An alert nobody was told of.  `outcome` is cleared or told, None while it is held."""

    host_id: str
    host: str
    component: str
    rule: str
    title: str
    severity: str
    cause: str
    reason: str
    since: datetime
    until: datetime | None
    ended_at: datetime | None
    outcome: str | None
    rising: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """A window that began: [starts, ends), its verdict once decided, and what it held."""

    starts: datetime
    ends: datetime
    ended_by: str | None
    decided_at: datetime | None
    hosts: int
    rebooted: int
    wrong: int
    verdicts: tuple[HostVerdict, ...] = ()
    held: tuple[HeldLine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowDetail:
    """One window with what happened, the newest first."""

    window: WindowLine
    happened: tuple[Happened, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceLine:
    """One silence.  `state` is active, ended or expired."""

    id: str
    select: str
    group: str
    rule: str
    component: str
    reason: str
    author: str
    created_at: datetime
    expires_at: datetime
    state: str
    ended_by: str | None


def list_windows(
    connection: Connection, principal: Principal, now: datetime
) -> tuple[WindowLine, ...]:
    """Return windows that run, come or were over not long ago, in this order."""
    columns = maintenance_windows.c
    query = select(maintenance_windows).where(
        or_(columns.ends_at.is_(None), columns.ends_at > now - PAST),
        or_(columns.deleted_at.is_(None), columns.deleted_at > now - PAST),
    )
    rows = connection.execute(query.order_by(columns.id)).mappings().all()
    lines = [
        _window_line(row, _window(connection, row), now)
        for row in rows
        if is_theirs(row["clients"], principal.clients)
    ]
    order = {"running": 0, "settling": 1, "coming": 2, "over": 3, "deleted": 4}
    far = now + timedelta(days=100_000)
    return tuple(sorted(lines, key=lambda one: (order[one.state], one.starts or far, one.id)))


def planned(
    connection: Connection, principal: Principal, after: datetime, before: datetime
) -> list[tuple[str, datetime, datetime]]:
    """Return (window id, start, end) of all that happens in a span, for a drawing of it."""
    found = []
    for window in _theirs(connection, principal, after):
        found += [(window.id, one.start, one.end) for one in window.between(after, before)]
    return sorted(found, key=lambda one: (one[1], one[0]))


def find_window(
    connection: Connection, principal: Principal, window_id: str, now: datetime
) -> WindowDetail | None:
    """Return one window with its last occurrences, None when there is none for this person."""
    wanted = select(maintenance_windows).where(maintenance_windows.c.id == window_id)
    row = connection.execute(wanted).mappings().first()
    if row is None or not is_theirs(row["clients"], principal.clients):
        return None
    began = (
        select(maintenance_occurrences)
        .where(maintenance_occurrences.c.window_id == window_id)
        .order_by(maintenance_occurrences.c.starts_at.desc())
        .limit(10)
    )
    happened = tuple(
        _happened(connection, principal, one) for one in connection.execute(began).mappings()
    )
    line = _window_line(row, _window(connection, row), now)
    return WindowDetail(window=line, happened=happened)


def list_silences(
    connection: Connection, principal: Principal, now: datetime
) -> tuple[SilenceLine, ...]:
    """Return silences, those that hold first, and of the others those over not long ago."""
    query = select(silences).where(silences.c.expires_at > now - PAST)
    lines = [
        _silence_line(row, now)
        for row in connection.execute(query.order_by(silences.c.id.desc())).mappings()
        if is_theirs(row["clients"], principal.clients)
    ]
    return tuple(sorted(lines, key=lambda one: one.state != "active"))


def list_held(
    connection: Connection,
    principal: Principal,
    *,
    host_id: str | None = None,
    limit: int = 200,
) -> tuple[HeldLine, ...]:
    """Return what is held at this moment, the worst and oldest first."""
    query = _held(principal).where(held_alerts.c.ended_at.is_(None))
    if host_id is not None:
        query = query.where(held_alerts.c.host_id == host_id)
    rows = connection.execute(query.order_by(held_alerts.c.since).limit(limit)).mappings()
    return tuple(_held_line(row) for row in rows)


def holding(connection: Connection, host: KnownHost, groups: Any, now: datetime) -> Hold | None:
    """Return what holds everything on a host now, the one that lasts longest, or None.

    A silence of one rule does not; what is held by it is listed with what is held.
    """
    everything = [one for one in load_silences(connection, now) if not one.rule + one.component]
    holds = Holds(load_windows(connection, now), everything, groups)
    holds.turn(now)
    return holds.of(host, "", "")


# -- rows ----------------------------------------------------------------------------------------


def _theirs(connection: Connection, principal: Principal, now: datetime) -> list[Window]:
    return [
        window
        for window in load_windows(connection, now)
        if is_theirs(window.scope.clients, principal.clients)
    ]


def _window(connection: Connection, row: RowMapping) -> Window:
    return read_window(row, shortened_of(connection, row["id"]))


def _window_line(row: RowMapping, window: Window, now: datetime) -> WindowLine:
    shown = window.at(now)
    if shown is not None:
        state = "running" if now < shown.end else "settling"
    else:
        shown = window.next(now)
        over = "over" if row["deleted_at"] is None else "deleted"
        state = over if shown is None else "coming"
    if shown is None:
        last = window.between(now - PAST, now)
        shown = last[-1] if last else None
    return WindowLine(
        id=row["id"],
        select=row["selector"],
        group=row["group_name"],
        reason=row["reason"],
        author=row["author"],
        created_at=row["created_at"],
        state=state,
        starts=None if shown is None else shown.start,
        ends=None if shown is None else shown.end,
        settled=None if shown is None else shown.settled,
        repeat=row["repeats"],
        at=row["local_time"],
        lasts_seconds=row["lasts_seconds"],
        zone=row["zone"],
        settle_seconds=row["settle_seconds"],
        until=row["ends_at"] if row["repeats"] else None,
    )


def _happened(connection: Connection, principal: Principal, row: RowMapping) -> Happened:
    there = (
        select(
            maintenance_hosts,
            hosts.c.name.label("host"),
            clients.c.name.label("client"),
            tickets.c.number.label("ticket"),
        )
        .join(hosts, hosts.c.id == maintenance_hosts.c.host_id)
        .join(clients, clients.c.id == maintenance_hosts.c.client_id)
        .join(tickets, tickets.c.id == maintenance_hosts.c.ticket_id, isouter=True)
        .where(
            maintenance_hosts.c.occurrence_id == row["id"],
            seen_by(principal, maintenance_hosts.c.client_id),
        )
        .order_by(hosts.c.name, hosts.c.id)
    )
    verdicts = [_verdict(one) for one in connection.execute(there).mappings()]
    # A host that never came back is what one looks for first.
    verdicts.sort(key=lambda one: (not one.findings, one.rebooted is not None))
    held = (
        _held(principal)
        .where(
            held_alerts.c.cause_id == row["window_id"],
            held_alerts.c.cause_start == row["starts_at"],
        )
        .order_by(held_alerts.c.id)
        .limit(_MOST_HOSTS)
    )
    return Happened(
        starts=row["starts_at"],
        ends=row["ends_at"],
        ended_by=row["ended_by"],
        decided_at=row["decided_at"],
        hosts=row["hosts"],
        rebooted=row["rebooted"],
        wrong=row["wrong"],
        verdicts=tuple(verdicts[:_MOST_HOSTS]),
        held=tuple(_held_line(one) for one in connection.execute(held).mappings()),
    )


def _verdict(row: RowMapping) -> HostVerdict:
    return HostVerdict(
        host_id=row["host_id"],
        host=row["host"],
        client=row["client"],
        rebooted=None if row["rebooted"] is None else bool(row["rebooted"]),
        findings=tuple(finding.text for finding in read_findings(row["findings"])),
        ticket=row["ticket"],
    )


def _held(principal: Principal) -> Any:
    return (
        select(held_alerts, hosts.c.name.label("host"))
        .join(hosts, hosts.c.id == held_alerts.c.host_id)
        .where(seen_by(principal, held_alerts.c.client_id))
    )


def _held_line(row: RowMapping) -> HeldLine:
    return HeldLine(
        host_id=row["host_id"],
        host=row["host"],
        component=row["component"],
        rule=row["rule"],
        title=row["title"],
        severity=row["worst"],
        cause=row["cause"],
        reason=row["reason"],
        since=row["since"],
        until=row["held_until"],
        ended_at=row["ended_at"],
        outcome=row["outcome"],
        rising=row["told"] is not None,
    )


def _silence_line(row: RowMapping, now: datetime) -> SilenceLine:
    state = "active" if row["expires_at"] > now else "expired"
    return SilenceLine(
        id=row["id"],
        select=row["selector"],
        group=row["group_name"],
        rule=row["rule"],
        component=row["component"],
        reason=row["reason"],
        author=row["author"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        state="ended" if row["ended_at"] is not None else state,
        ended_by=row["ended_by"],
    )
