"""Open, raise and close episodes on the ticket of their component.  All SQL of it is in here.

A ticket carries the episodes of one component of one host.  It closes when its last one does, and
one that comes back within a day opens the same ticket again.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, literal, select, update

from forewarn_checks.base import Severity
from forewarn_collector.clock import uuid7
from forewarn_collector.priority import priority
from forewarn_collector.state import outbox
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import Moment, episodes, tickets
from forewarn_collector.state.tickets import TicketState, record
from forewarn_collector.tickets import Kind

REOPEN_WITHIN = timedelta(hours=24)
ACTOR = "forewarn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """An alert that begins to be told.  `at` is event time; `evidence` goes into messages."""

    alert_key: str
    host: KnownHost
    component: str
    rule: str
    severity: Severity
    title: str
    evidence: Mapping[str, Any]
    at: datetime


def alert_key(client_id: str, host_id: str, component: str, rule: str) -> str:
    """Return the stable name of one rule on one component."""
    return _hash(client_id, host_id, component, rule)


def open_episode(connection: Connection, opening: Opening, now: datetime, telling: Telling) -> str:
    """Begin an episode on the ticket of its component; return the episode's id."""
    subject = _hash(opening.host.client_id, opening.host.id, opening.component)[:40]
    last = _last_ticket(connection, subject)
    if last is None or (
        last["state"] == TicketState.CLOSED and now - last["closed_at"] > REOPEN_WITHIN
    ):
        ticket_id, kind = _new_ticket(connection, opening, subject, last, now), "opened"
    elif last["state"] in (TicketState.CLOSED, TicketState.RESOLVED):
        ticket_id, kind = _reopen(connection, last, now), "reopened"
    else:
        ticket_id, kind = last["id"], "episode_opened"
    episode_id = uuid7(now)
    connection.execute(
        insert(episodes).values(
            id=episode_id,
            alert_key=opening.alert_key,
            ticket_id=ticket_id,
            client_id=opening.host.client_id,
            host_id=opening.host.id,
            component=opening.component,
            rule=opening.rule,
            severity=str(opening.severity),
            opened_at=opening.at,
            evidence=dict(opening.evidence),
        )
    )
    if kind != "opened":
        _weigh(connection, ticket_id, opening.host, now)
    data = {"rule": opening.rule, "severity": str(opening.severity), "title": opening.title}
    _record(connection, ticket_id, opening.host, kind, data, now)
    was_closed = last is not None and last["state"] == TicketState.CLOSED
    told = Kind.OPENED if kind == "opened" or was_closed else Kind.UPDATED
    outbox.tell(connection, ticket_id, told, now=now, telling=telling)
    return episode_id


def change_episode(
    connection: Connection,
    episode_id: str,
    host: KnownHost,
    severity: Severity,
    evidence: Mapping[str, Any],
    now: datetime,
    telling: Telling,
) -> None:
    """Give an episode another severity."""
    row = _episode(connection, episode_id)
    changed = update(episodes).where(episodes.c.id == episode_id)
    connection.execute(changed.values(severity=str(severity), evidence=dict(evidence)))
    _weigh(connection, row["ticket_id"], host, now)
    data = {"rule": row["rule"], "from": row["severity"], "to": str(severity)}
    _record(connection, row["ticket_id"], host, "severity_changed", data, now)
    outbox.tell(connection, row["ticket_id"], Kind.UPDATED, now=now, telling=telling)


def close_episode(
    connection: Connection,
    episode_id: str,
    host: KnownHost,
    evidence: Mapping[str, Any],
    at: datetime,
    now: datetime,
    telling: Telling,
) -> None:
    """End an episode, and its ticket if it was the last one."""
    row = _episode(connection, episode_id)
    # What was known at the opening stays; what it was at the end is put beside it.
    known = {**row["evidence"], "cleared": {"value": evidence["value"], "shown": evidence["shown"]}}
    changed = update(episodes).where(episodes.c.id == episode_id)
    connection.execute(changed.values(closed_at=at, evidence=known))
    ticket_id = row["ticket_id"]
    data = {"rule": row["rule"], "value": evidence["shown"]}
    _record(connection, ticket_id, host, "episode_closed", data, now)
    if _weigh(connection, ticket_id, host, now):
        outbox.tell(connection, ticket_id, Kind.UPDATED, now=now, telling=telling)
        return
    ended = update(tickets).where(tickets.c.id == ticket_id)
    connection.execute(
        ended.values(
            state=TicketState.CLOSED,
            condition="cleared",
            resolved_at=func.coalesce(tickets.c.resolved_at, literal(now, Moment)),
            closed_at=now,
            changed_at=now,
        )
    )
    _record(connection, ticket_id, host, "closed", {"because": "condition cleared"}, now)
    outbox.tell(connection, ticket_id, Kind.CLOSED, now=now, telling=telling)


# -- tickets -------------------------------------------------------------------------------------


def _last_ticket(connection: Connection, subject: str) -> RowMapping | None:
    query = select(tickets).where(tickets.c.subject == subject)
    return connection.execute(query.order_by(tickets.c.number.desc()).limit(1)).mappings().first()


def _new_ticket(
    connection: Connection, opening: Opening, subject: str, last: RowMapping | None, now: datetime
) -> str:
    number = (connection.execute(select(func.max(tickets.c.number))).scalar() or 0) + 1
    ordinal = 1 if last is None else int(last["key"].rpartition("#")[2]) + 1
    ticket_id = uuid7(now)
    host = opening.host
    connection.execute(
        insert(tickets).values(
            id=ticket_id,
            number=number,
            key=f"{subject}#{ordinal}",
            subject=subject,
            client_id=host.client_id,
            site_id=host.site_id,
            host_id=host.id,
            component=opening.component,
            title=opening.title[:300],
            state=TicketState.NEW,
            condition="firing",
            severity=str(opening.severity),
            priority=priority(opening.severity, host.host_class, host.tags),
            opened_at=now,
            changed_at=now,
        )
    )
    return ticket_id


def _reopen(connection: Connection, row: RowMapping, now: datetime) -> str:
    again = update(tickets).where(tickets.c.id == row["id"])
    connection.execute(
        again.values(
            state=TicketState.ASSIGNED if row["assignee"] else TicketState.NEW,
            condition="firing",
            resolved_at=None,
            closed_at=None,
            changed_at=now,
        )
    )
    return str(row["id"])


def _weigh(connection: Connection, ticket_id: str, host: KnownHost, now: datetime) -> bool:
    """Set title, severity and priority by the worst episode that lasts; False if none does."""
    lasting = select(episodes).where(
        episodes.c.ticket_id == ticket_id, episodes.c.closed_at.is_(None)
    )
    rows = connection.execute(lasting.order_by(episodes.c.id)).mappings().all()
    if not rows:
        return False
    worst = max(rows, key=lambda row: Severity(row["severity"]).rank)
    severity = Severity(worst["severity"])
    changed = update(tickets).where(tickets.c.id == ticket_id)
    connection.execute(
        changed.values(
            title=worst["evidence"]["title"][:300],
            severity=str(severity),
            priority=priority(severity, host.host_class, host.tags),
            changed_at=now,
        )
    )
    return True


def _episode(connection: Connection, episode_id: str) -> RowMapping:
    query = select(episodes).where(episodes.c.id == episode_id)
    return connection.execute(query).mappings().one()


def _record(
    connection: Connection,
    ticket_id: str,
    host: KnownHost,
    kind: str,
    data: Mapping[str, Any],
    now: datetime,
) -> None:
    ticket = {"id": ticket_id, "client_id": host.client_id}
    record(connection, ticket, kind, data, actor=ACTOR, now=now)


def _hash(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
