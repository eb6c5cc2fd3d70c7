"""Windows that happen: how hosts were before, how they are after, and what is told of it.

All SQL of it is in here.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from forewarn_collector.clock import uuid7
from forewarn_collector.priority import impact_of
from forewarn_collector.state import opening, outbox
from forewarn_collector.state.history import ACTOR
from forewarn_collector.state.hosts import KnownHost, Place
from forewarn_collector.state.opening import NewTicket
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.suppression import read_window, shortened_of
from forewarn_collector.state.tables import (
    alerts,
    held_alerts,
    maintenance_hosts,
    maintenance_occurrences,
    maintenance_windows,
)
from forewarn_collector.suppression.comparing import (
    Comparison,
    Condition,
    Finding,
    FindingKind,
    read_condition,
    write_condition,
)
from forewarn_collector.suppression.windows import Cause, Occurrence, Window

_FIRING = ("firing", "clearing")
_LISTED = 20
_OFTEN_AWAY = ("workstation", "roaming")


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An occurrence whose verdict is still to come."""

    id: str
    window: Window
    occurrence: Occurrence
    seen: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """One host of an occurrence, with what was found on it."""

    host: KnownHost
    comparison: Comparison


def begin(connection: Connection, window: Window, occurrence: Occurrence, now: datetime) -> None:
    """Note that a window began, unless it is known already."""
    same = _same(window.id, occurrence.start)
    if connection.execute(select(maintenance_occurrences.c.id).where(same)).first() is None:
        connection.execute(
            insert(maintenance_occurrences).values(
                id=uuid7(now),
                window_id=window.id,
                starts_at=occurrence.start,
                ends_at=occurrence.end,
            )
        )


def started(
    connection: Connection, window_ids: Sequence[str], since: datetime
) -> set[tuple[str, datetime]]:
    """Return which occurrences that began after `since` are known, as (window, start)."""
    query = select(maintenance_occurrences.c.window_id, maintenance_occurrences.c.starts_at).where(
        maintenance_occurrences.c.starts_at > since,
        maintenance_occurrences.c.window_id.in_(window_ids),
    )
    return {(row.window_id, row.starts_at) for row in connection.execute(query)}


def undecided(connection: Connection) -> list[Begun]:
    """Return every occurrence without a verdict, the one that ends first at first."""
    query = select(maintenance_occurrences).where(maintenance_occurrences.c.decided_at.is_(None))
    found = []
    for row in connection.execute(query.order_by(maintenance_occurrences.c.ends_at)).mappings():
        wanted = maintenance_windows.c.id == row["window_id"]
        kept = connection.execute(select(maintenance_windows).where(wanted)).mappings().one()
        window = read_window(kept, shortened_of(connection, row["window_id"]))
        end = row["ends_at"]
        occurrence = Occurrence(row["starts_at"], end, end + window.settle)
        seen = row["seen_at"] is not None
        found.append(Begun(id=row["id"], window=window, occurrence=occurrence, seen=seen))
    return found


def keep_before(
    connection: Connection, begun: Begun, hosts: Sequence[tuple[KnownHost, Condition]]
) -> None:
    """Keep how hosts were before; a host that is kept already stays as it was."""
    if not hosts:
        return
    ids = [host.id for host, _ in hosts]
    known = select(maintenance_hosts.c.host_id).where(
        maintenance_hosts.c.occurrence_id == begun.id, maintenance_hosts.c.host_id.in_(ids)
    )
    there = set(connection.execute(known).scalars())
    rows = [
        {
            "occurrence_id": begun.id,
            "host_id": host.id,
            "client_id": host.client_id,
            "before": write_condition(condition),
            "findings": [],
        }
        for host, condition in hosts
        if host.id not in there
    ]
    if rows:
        connection.execute(insert(maintenance_hosts), rows)


def seen(connection: Connection, begun: Begun, now: datetime) -> None:
    """Note that every host of an occurrence is kept as it was before."""
    counted = select(func.count()).where(maintenance_hosts.c.occurrence_id == begun.id)
    changed = update(maintenance_occurrences).where(maintenance_occurrences.c.id == begun.id)
    hosts = connection.execute(counted).scalar() or 0
    connection.execute(changed.values(seen_at=now, hosts=hosts))


def next_hosts(
    connection: Connection, begun: Begun, after: str, limit: int
) -> list[tuple[str, Condition]]:
    """Return hosts of an occurrence with how they were, by id, those after `after`."""
    query = (
        select(maintenance_hosts.c.host_id, maintenance_hosts.c.before)
        .where(maintenance_hosts.c.occurrence_id == begun.id, maintenance_hosts.c.host_id > after)
        .order_by(maintenance_hosts.c.host_id)
        .limit(limit)
    )
    return [(row.host_id, read_condition(row.before)) for row in connection.execute(query)]


def decide(
    connection: Connection,
    begun: Begun,
    compared: Sequence[Compared],
    now: datetime,
    telling: Telling,
) -> None:
    """Keep what was found on some hosts, and open a ticket for what no rule tells of.  Repeats
    change nothing: a host has one ticket of an occurrence."""
    ids = [one.host.id for one in compared]
    firing = _firing(connection, ids)
    for one in compared:
        row = (maintenance_hosts.c.occurrence_id == begun.id) & (
            maintenance_hosts.c.host_id == one.host.id
        )
        known = connection.execute(select(maintenance_hosts.c.ticket_id).where(row)).scalar()
        rebooted = one.comparison.rebooted
        values: dict[str, Any] = {
            "findings": [{"kind": str(f.kind), "name": f.name} for f in one.comparison.findings],
            "rebooted": None if rebooted is None else int(rebooted),
        }
        untold = [
            finding
            for finding in one.comparison.findings
            if (one.host.id, finding.component) not in firing and _is_worth(finding, one.host)
        ]
        if untold and known is None and not one.host.revoked:
            values["ticket_id"] = _open(connection, begun, one, untold, now, telling)
        connection.execute(update(maintenance_hosts).where(row).values(values))


def decided(connection: Connection, begun: Begun, now: datetime) -> None:
    """Note that the verdict is complete."""
    hosts = maintenance_hosts.c
    mine = select(hosts.rebooted, hosts.findings).where(hosts.occurrence_id == begun.id)
    rows = connection.execute(mine).all()
    changed = update(maintenance_occurrences).where(maintenance_occurrences.c.id == begun.id)
    connection.execute(
        changed.values(
            decided_at=now,
            hosts=len(rows),
            rebooted=sum(row.rebooted == 1 for row in rows),
            wrong=sum(bool(row.findings) for row in rows),
        )
    )


def forget(connection: Connection, before: datetime) -> int:
    """Delete how hosts were at windows decided before a moment; return of how many hosts.

    What became of a window stays, in numbers.
    """
    old = select(maintenance_occurrences.c.id).where(maintenance_occurrences.c.decided_at < before)
    gone = delete(maintenance_hosts).where(maintenance_hosts.c.occurrence_id.in_(old))
    return connection.execute(gone).rowcount


def read_findings(kept: Sequence[Mapping[str, str]]) -> tuple[Finding, ...]:
    """Return the findings that JSON of ours says."""
    return tuple(Finding(FindingKind(one["kind"]), one["name"]) for one in kept)


# -- telling -------------------------------------------------------------------------------------


def _open(
    connection: Connection,
    begun: Begun,
    one: Compared,
    untold: Sequence[Finding],
    now: datetime,
    telling: Telling,
) -> str:
    host = one.host
    urgency = 1 if untold[0].kind is FindingKind.SILENT else 3
    title = f"{host.name} after its maintenance: {untold[0].text}"
    if len(untold) > 1:
        title += f" (and {len(untold) - 1} more)"
    new = NewTicket(
        # One of each host and occurrence, however often it is decided.
        subject=hashlib.sha256(f"{begun.id}|{host.id}".encode()).hexdigest()[:40],
        ordinal=1,
        place=Place(host.client_id, host.client, host.site_id, host.site),
        host=host,
        component="maintenance",
        title=title,
        description=_description(connection, begun, one),
        severity="high" if urgency == 1 else "warning",
        impact=impact_of(host.host_class, host.tags),
        urgency=urgency,
        condition="reported",
        data={"title": title, "maintenance": begun.window.id},
    )
    row = opening.open_ticket(connection, new, actor=ACTOR, now=now, telling=telling)
    told = opening.body(connection, row, new, (), now=now, telling=telling)
    outbox.tell_new(connection, row["id"], row["client_id"], told, now=now, telling=telling)
    return str(row["id"])


def _description(connection: Connection, begun: Begun, one: Compared) -> str:
    span = f"{_minute(begun.occurrence.start)} to {_minute(begun.occurrence.end)}"
    lines = [
        f"Maintenance {span}: {begun.window.reason}",
        _REBOOTED[one.comparison.rebooted],
        "Not as before:",
        *(f"- {finding.text}" for finding in one.comparison.findings[:_LISTED]),
    ]
    rows = held_of(connection, begun.window.id, begun.occurrence.start, one.host.id)
    if rows:
        lines += ["Held meanwhile:"]
        lines += [
            f"- {row['title']} ({row['rule']}, {row['worst']}): {row['outcome'] or 'lasts'}"
            for row in rows[:_LISTED]
        ]
    return "\n".join(lines)


_REBOOTED = {
    True: "It was restarted.",
    False: "It was not restarted.",
    None: "Whether it was restarted cannot be told.",
}


def held_of(
    connection: Connection, window_id: str, start: datetime, host_id: str | None = None
) -> Sequence[RowMapping]:
    """Return what an occurrence held, on one host or all, the oldest first."""
    columns = held_alerts.c
    query = select(held_alerts).where(
        columns.cause == str(Cause.MAINTENANCE),
        columns.cause_id == window_id,
        columns.cause_start == start,
    )
    if host_id is not None:
        query = query.where(columns.host_id == host_id)
    return connection.execute(query.order_by(columns.id).limit(500)).mappings().all()


def _firing(connection: Connection, host_ids: Sequence[str]) -> set[tuple[str, str]]:
    query = select(alerts.c.host_id, alerts.c.component).where(
        alerts.c.host_id.in_(host_ids), alerts.c.state.in_(_FIRING)
    )
    return {(row.host_id, row.component) for row in connection.execute(query)}


def _is_worth(finding: Finding, host: KnownHost) -> bool:
    """Say whether it is worth a ticket: people switch off what is theirs."""
    return finding.kind is not FindingKind.SILENT or host.host_class not in _OFTEN_AWAY


def _same(window_id: str, start: datetime) -> Any:
    return (maintenance_occurrences.c.window_id == window_id) & (
        maintenance_occurrences.c.starts_at == start
    )


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
