"""Open, raise and close episodes on the ticket of their component.  All SQL of it is in here.

A ticket carries the episodes of one component of one host.  It closes when its last one does, a
day later where people had their hands on it; one that comes back within a day opens the same
ticket again.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from forewarn_checks.base import Severity
from forewarn_collector.clock import uuid7
from forewarn_collector.priority import computed, impact_of, urgency_of
from forewarn_collector.state import opening as openings
from forewarn_collector.state import outbox
from forewarn_collector.state.closing import close
from forewarn_collector.state.history import ACTOR, Row, event, happen
from forewarn_collector.state.hosts import KnownHost, Place
from forewarn_collector.state.opening import NewTicket
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import episodes, tickets
from forewarn_collector.state.tickets import TicketState
from forewarn_collector.ticket_body import CarriedEpisode
from forewarn_collector.tickets import Kind

REOPEN_WITHIN = timedelta(hours=24)
_ENDED = (TicketState.CLOSED, TicketState.CANCELLED)


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
    if last is None or (last["state"] in _ENDED and now - last["closed_at"] > REOPEN_WITHIN):
        return _on_new_ticket(connection, opening, subject, last, now, telling)
    episode_id = _insert(connection, opening, last["id"], now)
    data = {"rule": opening.rule, "severity": str(opening.severity), "title": opening.title}
    sets, values = _weigh(connection, last, opening.host)
    values |= {"condition": "firing", "cleared_at": None}
    kind = "episode_opened"
    if last["state"] in (*_ENDED, TicketState.RESOLVED):
        kind = "reopened"
        sets |= _again(last)
        values |= {"resolved_at": None, "closed_at": None}
    happen(connection, last, event(kind, data, sets=sets, **values), actor=ACTOR, now=now)
    told = Kind.OPENED if last["state"] in _ENDED else Kind.UPDATED
    outbox.tell(connection, last["id"], told, now=now, telling=telling)
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
    ticket = _ticket(connection, row["ticket_id"])
    data = {"rule": row["rule"], "from": row["severity"], "to": str(severity)}
    sets, values = _weigh(connection, ticket, host)
    what = event("severity_changed", data, sets=sets, **values)
    happen(connection, ticket, what, actor=ACTOR, now=now)
    if ticket["state"] not in _ENDED:
        outbox.tell(connection, row["ticket_id"], Kind.UPDATED, now=now, telling=telling)


def note_flapping(
    connection: Connection,
    episode_id: str,
    evidence: Mapping[str, Any],
    now: datetime,
    telling: Telling,
) -> None:
    """Say once that an episode comes and goes, and therefore lasts for longer."""
    row = _episode(connection, episode_id)
    changed = update(episodes).where(episodes.c.id == episode_id)
    connection.execute(changed.values(evidence=dict(evidence)))
    ticket = _ticket(connection, row["ticket_id"])
    data = {"rule": row["rule"], "title": row["evidence"]["title"]}
    happen(connection, ticket, event("flapping", data), actor=ACTOR, now=now)
    if ticket["state"] not in _ENDED:
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
    """End an episode, and its ticket if it was the last one and nobody works on it."""
    row = _episode(connection, episode_id)
    # What was known at the opening stays; what it was at the end is put beside it.
    known = {**row["evidence"], "cleared": {"value": evidence["value"], "shown": evidence["shown"]}}
    changed = update(episodes).where(episodes.c.id == episode_id)
    connection.execute(changed.values(closed_at=at, evidence=known))
    ticket = _ticket(connection, row["ticket_id"])
    data = {"rule": row["rule"], "value": evidence["shown"]}
    if _lasting(connection, ticket["id"]):
        sets, values = _weigh(connection, ticket, host)
        closed = event("episode_closed", data, sets=sets, **values)
        happen(connection, ticket, closed, actor=ACTOR, now=now)
        if ticket["state"] not in _ENDED:
            outbox.tell(connection, ticket["id"], Kind.UPDATED, now=now, telling=telling)
        return
    closed = event("episode_closed", data, condition="cleared", cleared_at=now)
    after = happen(connection, ticket, closed, actor=ACTOR, now=now)
    if ticket["state"] in _ENDED:
        return
    touched = ticket["first_response_at"] is not None
    if touched and ticket["state"] != TicketState.RESOLVED:
        # Whoever works on it may want to look again, or to write down what it was.
        outbox.tell(connection, ticket["id"], Kind.UPDATED, now=now, telling=telling)
        return
    because = {"because": "condition cleared"}
    close(connection, after, "closed", because, actor=ACTOR, now=now, telling=telling)


# -- tickets -------------------------------------------------------------------------------------


def _on_new_ticket(
    connection: Connection,
    opening: Opening,
    subject: str,
    last: RowMapping | None,
    now: datetime,
    telling: Telling,
) -> str:
    host = opening.host
    new = NewTicket(
        subject=subject,
        ordinal=1 if last is None else int(last["key"].rpartition("#")[2]) + 1,
        place=Place(host.client_id, host.client, host.site_id, host.site),
        host=host,
        component=opening.component,
        title=opening.title,
        severity=str(opening.severity),
        impact=impact_of(host.host_class, host.tags),
        urgency=urgency_of(opening.severity),
        rule=opening.rule,
        data={"rule": opening.rule, "severity": str(opening.severity), "title": opening.title},
    )
    row = openings.open_ticket(connection, new, actor=ACTOR, now=now, telling=telling)
    episode_id = _insert(connection, opening, row["id"], now)
    carried = CarriedEpisode(
        rule=opening.rule,
        severity=str(opening.severity),
        opened_at=opening.at,
        closed_at=None,
        evidence=opening.evidence,
    )
    told = openings.body(connection, row, new, (carried,), now=now, telling=telling)
    outbox.tell_new(connection, row["id"], row["client_id"], told, now=now, telling=telling)
    return episode_id


def _insert(connection: Connection, opening: Opening, ticket_id: str, now: datetime) -> str:
    episode_id = uuid7(now)
    values = {
        "id": episode_id,
        "alert_key": opening.alert_key,
        "ticket_id": ticket_id,
        "client_id": opening.host.client_id,
        "host_id": opening.host.id,
        "component": opening.component,
        "rule": opening.rule,
        "severity": str(opening.severity),
        "opened_at": opening.at,
        "evidence": dict(opening.evidence),
    }
    connection.execute(insert(episodes), values)
    return episode_id


def _again(row: Row) -> dict[str, str | None]:
    """Return the state of a ticket that is taken up again."""
    state = TicketState.ASSIGNED if row["assignee"] else TicketState.NEW
    return {"state": state, "waiting_for": None}


def _weigh(
    connection: Connection, ticket: Row, host: KnownHost
) -> tuple[dict[str, str | None], dict[str, Any]]:
    """Return priority, and title, severity, impact and urgency, by the worst episode that lasts.

    A priority that somebody set stays.
    """
    rows = _lasting(connection, ticket["id"])
    worst = max(rows, key=lambda row: Severity(row["severity"]).rank)
    severity = Severity(worst["severity"])
    impact, urgency = impact_of(host.host_class, host.tags), urgency_of(severity)
    values = {
        "title": worst["evidence"]["title"][:300],
        "severity": str(severity),
        "impact": impact,
        "urgency": urgency,
    }
    priority = computed(impact, urgency)
    if ticket["priority_by"] is not None or priority == ticket["priority"]:
        return {}, values
    return {"priority": priority}, values


def _lasting(connection: Connection, ticket_id: str) -> list[RowMapping]:
    lasting = select(episodes).where(
        episodes.c.ticket_id == ticket_id, episodes.c.closed_at.is_(None)
    )
    return list(connection.execute(lasting.order_by(episodes.c.id)).mappings())


def _last_ticket(connection: Connection, subject: str) -> RowMapping | None:
    query = select(tickets).where(tickets.c.subject == subject)
    return connection.execute(query.order_by(tickets.c.number.desc()).limit(1)).mappings().first()


def _ticket(connection: Connection, ticket_id: str) -> RowMapping:
    return connection.execute(select(tickets).where(tickets.c.id == ticket_id)).mappings().one()


def _episode(connection: Connection, episode_id: str) -> RowMapping:
    query = select(episodes).where(episodes.c.id == episode_id)
    return connection.execute(query).mappings().one()


def _hash(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
