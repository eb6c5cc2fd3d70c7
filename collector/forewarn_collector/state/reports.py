"""Write a ticket's service report when it closes: what was seen, what was done, how long it took.

A report is a JSON document that is never changed.  It names the hash of the one before it of the
same client, so that none can be altered, left out or slipped in later without it showing.  What
is added after a close makes a new version; the older ones stay.  All SQL of it is in here, and
in `report_parts`.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, RowMapping, func, insert, select

from forewarn_collector.clock import rfc3339
from forewarn_collector.sla.shown import sla_json
from forewarn_collector.state import report_parts, ticket_text
from forewarn_collector.state.tables import (
    clients,
    episodes,
    hosts,
    service_reports,
    sites,
    ticket_events,
    tickets,
)

BEGINNING = "0" * 64
"""What the first report of a client names as the one before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReport:
    """A report as it was told: the document's exact text, and its hash."""

    made_at: datetime
    document: str
    sha256: str
    previous: str


def write(connection: Connection, ticket_id: str, now: datetime) -> str:
    """Write the report of a ticket that was just closed, or closed before; return its hash."""
    row = _row(connection, ticket_id)
    newest = select(service_reports.c.sha256).where(service_reports.c.client_id == row["client_id"])
    last = connection.execute(newest.order_by(service_reports.c.id.desc()).limit(1)).scalar()
    previous = last or BEGINNING
    document = _json(_document(connection, row, previous, now))
    sha256 = hashlib.sha256(document.encode()).hexdigest()
    connection.execute(
        insert(service_reports).values(
            ticket_id=ticket_id,
            client_id=row["client_id"],
            made_at=now,
            document=document,
            sha256=sha256,
            previous=previous,
        )
    )
    return sha256


def newest(connection: Connection, ticket_id: str) -> ServiceReport | None:
    """Return the latest report of a ticket, None before its first close."""
    found = versions(connection, ticket_id)
    return found[-1] if found else None


def versions(connection: Connection, ticket_id: str) -> Sequence[ServiceReport]:
    """Return every report of a ticket, the first version first."""
    query = select(service_reports).where(service_reports.c.ticket_id == ticket_id)
    rows = connection.execute(query.order_by(service_reports.c.id)).mappings()
    return [_report(row) for row in rows]


def faults(connection: Connection) -> Iterator[str]:
    """Check the chain of every client; give a sentence for each report that is not as written."""
    before: dict[str, str] = {}
    for row in connection.execute(
        select(service_reports).order_by(service_reports.c.id)
    ).mappings():
        name = f"report {row['id']} of ticket {row['ticket_id']}"
        if hashlib.sha256(row["document"].encode()).hexdigest() != row["sha256"]:
            yield f"{name}: the text is not the one that was hashed"
        stated = _stated(row["document"])
        expected = before.get(row["client_id"], BEGINNING)
        if not stated == row["previous"] == expected:
            yield f"{name}: does not follow the report before it"
        before[row["client_id"]] = row["sha256"]


def count(connection: Connection) -> int:
    """Return how many reports there are, of all clients."""
    return connection.execute(select(func.count()).select_from(service_reports)).scalar() or 0


def _stated(document: str) -> object:
    """Return which report a document says is the one before it; None when it says nothing."""
    try:
        says = json.loads(document)
    except ValueError:
        return None
    return says.get("previous") if isinstance(says, dict) else None


# -- what it says --------------------------------------------------------------------------------


def _document(
    connection: Connection, row: RowMapping, previous: str, now: datetime
) -> dict[str, Any]:
    carried = select(episodes).where(episodes.c.ticket_id == row["id"]).order_by(episodes.c.id)
    history = select(ticket_events).where(ticket_events.c.ticket_id == row["id"])
    found = connection.execute(carried).mappings().all()
    events = connection.execute(history.order_by(ticket_events.c.id)).mappings().all()
    sla = ticket_text.sla_of(connection, row, now)
    earlier = _earlier(connection, row["id"])
    today = now.astimezone(_zone(row["zone"])).date()
    return {
        "schema": 2,
        "made_at": rfc3339(now),
        "previous": previous,
        "version": len(earlier) + 1,
        "supersedes": earlier[-1] if earlier else None,
        "zone": row["zone"],
        "ticket": _ticket(row),
        "asset": report_parts.asset(connection, row, today),
        "raised_by": [_episode(one) for one in found],
        "forecast": report_parts.forecast(connection, row, now),
        "scripts": report_parts.runs(connection, row),
        "actions": [_action(one) for one in events],
        "sla": None if sla is None else sla_json(sla),
        "durations": _durations(row),
        **report_parts.outlay(events),
        "next_expected": report_parts.next_expected(connection, row, now),
    }


def _earlier(connection: Connection, ticket_id: str) -> Sequence[str]:
    """Return the hashes of a ticket's reports before, oldest first."""
    mine = select(service_reports.c.sha256).where(service_reports.c.ticket_id == ticket_id)
    return connection.execute(mine.order_by(service_reports.c.id)).scalars().all()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def _ticket(row: RowMapping) -> dict[str, Any]:
    names = ("number", "key", "title", "description", "state", "severity", "priority")
    moments = ("opened_at", "first_response_at", "cleared_at", "resolved_at", "closed_at")
    return {
        **{name: row[name] for name in names},
        "client": row["client"],
        "site": row["site"],
        "host": row["host"] or "",
        "component": row["component"],
        "assignee": row["assignee"],
        **{name: _moment(row[name]) for name in moments},
    }


def _episode(row: RowMapping) -> dict[str, Any]:
    """Return what raised a ticket: the reading before and, once it cleared, the one after."""
    evidence = row["evidence"]
    names = ("title", "metric", "labels", "unit", "raises", "advice", "forecast", "grown")
    return {
        "rule": row["rule"],
        "severity": row["severity"],
        "opened_at": _moment(row["opened_at"]),
        "closed_at": _moment(row["closed_at"]),
        **{name: evidence[name] for name in names if name in evidence},
        "before": {"value": evidence.get("value"), "shown": evidence.get("shown", "")},
        "after": evidence.get("cleared"),
        "readings": evidence.get("readings", []),
    }


def _action(row: RowMapping) -> dict[str, Any]:
    return {
        "at": _moment(row["at"]),
        "actor": row["actor"],
        "what": row["kind"],
        "data": row["data"],
    }


def _durations(row: RowMapping) -> dict[str, float | None]:
    """Return how long things took by the wall clock, in seconds."""
    opened = row["opened_at"]
    return {
        f"until_{name}_seconds": None if row[at] is None else (row[at] - opened).total_seconds()
        for name, at in (
            ("response", "first_response_at"),
            ("cleared", "cleared_at"),
            ("resolved", "resolved_at"),
            ("closed", "closed_at"),
        )
    }


# -- rows ----------------------------------------------------------------------------------------


def _row(connection: Connection, ticket_id: str) -> RowMapping:
    query = (
        select(
            tickets,
            clients.c.name.label("client"),
            sites.c.name.label("site"),
            sites.c.zone,
            hosts.c.name.label("host"),
            hosts.c.host_class,
            hosts.c.system,
            hosts.c.enrolled_at,
        )
        .join(clients, clients.c.id == tickets.c.client_id)
        .join(sites, sites.c.id == tickets.c.site_id)
        .outerjoin(hosts, hosts.c.id == tickets.c.host_id)
        .where(tickets.c.id == ticket_id)
    )
    return connection.execute(query).mappings().one()


def _report(row: RowMapping) -> ServiceReport:
    return ServiceReport(
        made_at=row["made_at"],
        document=row["document"],
        sha256=row["sha256"],
        previous=row["previous"],
    )


def _moment(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
