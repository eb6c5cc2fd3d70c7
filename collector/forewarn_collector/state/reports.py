"""Write a ticket's service report when it closes: what was seen, what was done, how long it took.

A report is a JSON document that is never changed.  It names the hash of the one before it of the
same client, so that none can be altered, left out or slipped in later without it showing.  What
is added after a close makes a new version; the older ones stay.  All SQL of it is in here, and
in `report_parts`.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, RowMapping, case, func, insert, select

from forewarn_checks.base import Severity
from forewarn_collector.clock import rfc3339
from forewarn_collector.sla.shown import sla_json
from forewarn_collector.state import report_parts, ticket_text
from forewarn_collector.state.history import events_of, is_person
from forewarn_collector.state.tables import (
    clients,
    episodes,
    hosts,
    service_reports,
    sites,
    tickets,
)

BEGINNING = "0" * 64
"""What the first report of a client names as the one before it."""
MOST_EPISODES = 200
"""Episodes that a report tells of; `raised_by_count` says how many there were."""
MOST_ACTIONS = 500
"""Lines of history that a report tells of; `actions_count` says how many there were."""
_AT_ONCE = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReport:
    """A report as it was told: the document's exact text, and its hash."""

    made_at: datetime
    document: str
    sha256: str
    previous: str


def write(connection: Connection, ids: Sequence[str], now: datetime) -> None:
    """Write the reports of tickets that were just closed, or closed before, in this order.

    Many take few statements more than one.
    """
    for begin in range(0, len(ids), _AT_ONCE):
        _write(connection, ids[begin : begin + _AT_ONCE], now)


def _write(connection: Connection, ids: Sequence[str], now: datetime) -> None:
    parts = _parts(connection, ids)
    last: dict[str, str] = {}
    made = []
    for ticket_id in ids:
        row = parts.rows[ticket_id]
        client_id = row["client_id"]
        previous = last.get(client_id) or _newest_of(connection, client_id)
        document = _json(_document(connection, row, parts, previous, now))
        last[client_id] = hashlib.sha256(document.encode()).hexdigest()
        made.append(
            {
                "ticket_id": ticket_id,
                "client_id": client_id,
                "made_at": now,
                "document": document,
                "sha256": last[client_id],
                "previous": previous,
            }
        )
    if made:
        connection.execute(insert(service_reports), made)


def _newest_of(connection: Connection, client_id: str) -> str:
    """Return the hash that the next report of a client names."""
    mine = select(service_reports.c.sha256).where(service_reports.c.client_id == client_id)
    last = connection.execute(mine.order_by(service_reports.c.id.desc()).limit(1)).scalar()
    return last or BEGINNING


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
    connection: Connection, row: RowMapping, parts: "_Parts", previous: str, now: datetime
) -> dict[str, Any]:
    events, earlier, known = parts.events[row["id"]], parts.earlier[row["id"]], parts.known
    sla = ticket_text.sla_of(connection, row, now)
    today = now.astimezone(_zone(row["zone"])).date()
    return {
        "schema": 2,
        "made_at": rfc3339(now),
        "previous": previous,
        "version": len(earlier) + 1,
        "supersedes": earlier[-1] if earlier else None,
        "zone": row["zone"],
        "ticket": _ticket(row),
        "asset": report_parts.asset(row, known, today),
        "raised_by": [_episode(one) for one in parts.episodes[row["id"]]],
        "raised_by_count": parts.episode_counts.get(row["id"], 0),
        "forecast": report_parts.forecast(connection, row, known, now),
        "scripts": report_parts.runs(connection, row, known),
        "actions": [_action(one) for one in _weightiest(events)],
        "actions_count": len(events),
        "sla": None if sla is None else sla_json(sla),
        "durations": _durations(row),
        **report_parts.outlay(events),
        "next_expected": report_parts.next_expected(connection, row, known, now),
    }


def _weightiest(events: Sequence[RowMapping]) -> list[RowMapping]:
    """Return the lines of a history that are told of: what people did, and what moved the ticket.

    A ticket that a thousand hosts come to and leave has more lines than anybody reads.
    """
    if len(events) <= MOST_ACTIONS:
        return list(events)
    order = sorted(
        range(len(events)),
        key=lambda at: (not is_person(events[at]["actor"]), not events[at]["sets"], at),
    )
    return [events[at] for at in sorted(order[:MOST_ACTIONS])]


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
        "host": row["host"],
        "component": row["component"],
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


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the reports of some tickets are made of, by the ticket's id."""

    rows: Mapping[str, RowMapping]
    episodes: Mapping[str, Sequence[RowMapping]]
    episode_counts: Mapping[str, int]
    events: Mapping[str, Sequence[RowMapping]]
    earlier: Mapping[str, Sequence[str]]
    known: report_parts.Known


def _parts(connection: Connection, ids: Sequence[str]) -> _Parts:
    rows = _rows(connection, ids)
    mine = select(service_reports.c.ticket_id, service_reports.c.sha256)
    mine = mine.where(service_reports.c.ticket_id.in_(ids)).order_by(service_reports.c.id)
    earlier: dict[str, list[str]] = {ticket_id: [] for ticket_id in ids}
    for one in connection.execute(mine):
        earlier[one.ticket_id].append(one.sha256)
    counts = select(episodes.c.ticket_id, func.count()).where(episodes.c.ticket_id.in_(ids))
    counts = counts.group_by(episodes.c.ticket_id)
    return _Parts(
        rows=rows,
        episodes=_episodes(connection, ids),
        episode_counts={one[0]: one[1] for one in connection.execute(counts)},
        events=events_of(connection, ids),
        earlier=earlier,
        known=report_parts.known(connection, list(rows.values())),
    )


def _episodes(connection: Connection, ids: Sequence[str]) -> dict[str, list[RowMapping]]:
    """Return what raised each ticket, in its order: where it is too much, the worst, then oldest.

    They are ranked by narrow columns: evidence is large, and that of most is not needed.
    """
    worst = case({str(one): -one.rank for one in Severity}, value=episodes.c.severity)
    rank = func.row_number().over(
        partition_by=episodes.c.ticket_id, order_by=(worst, episodes.c.id)
    )
    ranked = select(episodes.c.id, rank.label("rank")).where(episodes.c.ticket_id.in_(ids))
    first = ranked.subquery()
    query = (
        select(episodes, hosts.c.name.label("host"))
        .join(first, first.c.id == episodes.c.id)
        .join(hosts, hosts.c.id == episodes.c.host_id)
        .where(first.c.rank <= MOST_EPISODES)
    )
    found: dict[str, list[RowMapping]] = {ticket_id: [] for ticket_id in ids}
    for one in connection.execute(query.order_by(episodes.c.id)).mappings():
        found[one["ticket_id"]].append(one)
    return found


def _rows(connection: Connection, ids: Sequence[str]) -> dict[str, RowMapping]:
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
        .where(tickets.c.id.in_(ids))
    )
    return {row["id"]: row for row in connection.execute(query).mappings()}


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
