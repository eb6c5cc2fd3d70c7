"""Open tickets: numbered, promised by a policy, routed to somebody.  All SQL of it is in here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from forewarn_collector.clock import uuid7
from forewarn_collector.priority import computed
from forewarn_collector.routing import Asked
from forewarn_collector.sla.clocks import Turn
from forewarn_collector.sla.shown import read_sla
from forewarn_collector.state import duty, promises
from forewarn_collector.state.history import ACTOR, Past, columns, event, is_person
from forewarn_collector.state.hosts import KnownHost, Place
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import ticket_events, tickets
from forewarn_collector.state.tickets import TicketState
from forewarn_collector.ticket_body import CarriedEpisode, TicketBody


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTicket:
    """What is known of a ticket that is to be opened.

    `subject` is the hash of what it is about, `ordinal` counts the tickets of one subject.  `host`
    is None for one about a whole site.  `priority` is one set by hand; else impact times urgency
    give it.  `data` goes into the history.  `kind` is that of a ticket of many hosts or of many
    tickets, which keeps its rule; None for any other.
    """

    subject: str
    ordinal: int
    place: Place
    host: KnownHost | None
    component: str
    title: str
    severity: str
    impact: int
    urgency: int
    condition: str = "firing"
    rule: str = ""
    priority: str | None = None
    description: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    kind: str | None = None


def open_ticket(
    connection: Connection, new: NewTicket, *, actor: str, now: datetime, telling: Telling
) -> dict[str, Any]:
    """Open a ticket and return its row.  Nobody is told yet."""
    number = (connection.execute(select(func.max(tickets.c.number))).scalar() or 0) + 1
    row = _row(new, number, actor, now)
    sets = {"state": row["state"], "priority": row["priority"]}
    happened = [(event("opened", new.data, sets=sets), actor)]
    asked = Asked(
        client=new.place.client,
        site=new.place.site,
        host=new.host,
        rule=new.rule,
        priority=row["priority"],
        at=now,
    )
    routed = duty.route(
        connection, telling.routing, asked, subject=new.subject, host_id=row["host_id"]
    )
    if routed is not None:
        happened.append((routed, ACTOR))
        row |= routed.sets
    policy = telling.policies.of(new.place.client)
    if policy is not None:
        row["promise"] = promises.keep(connection, policy, now)
        turn = Turn(
            at=now,
            state=row["state"],
            waiting_for=None,
            priority=row["priority"],
            person=is_person(actor),
        )
        row |= columns(Past([turn], frozenset()), policy, row, now)
    connection.execute(insert(tickets), row)
    connection.execute(
        insert(ticket_events),
        [
            {
                "ticket_id": row["id"],
                "client_id": row["client_id"],
                "at": now,
                "actor": who[:100],
                "kind": what.kind,
                "data": dict(what.data),
                "sets": dict(what.sets),
            }
            for what, who in happened
        ],
    )
    return row


def body(
    connection: Connection,
    row: Mapping[str, Any],
    new: NewTicket,
    episodes: tuple[CarriedEpisode, ...],
    *,
    now: datetime,
    telling: Telling,
) -> TicketBody:
    """Return what to tell of a ticket that was just opened, without asking for it again."""
    sla = None
    if row["promise"] is not None:
        policy = promises.kept(connection, row["promise"])
        sla = read_sla(row["clocks"], policy, row["priority"], now)
    return TicketBody(
        key=row["key"],
        number=row["number"],
        title=row["title"],
        priority=row["priority"],
        severity=row["severity"],
        state=row["state"],
        condition=row["condition"],
        client=new.place.client,
        site=new.place.site,
        host="" if new.host is None else new.host.name,
        host_id=row["host_id"] or "",
        component=row["component"],
        assignee=row["assignee"],
        url=f"{telling.ticket_url}{row['number']}",
        opened_at=now,
        closed_at=None,
        episodes=episodes,
        team=row["team"],
        description=row["description"],
        sla=sla,
    )


def _row(new: NewTicket, number: int, actor: str, now: datetime) -> dict[str, Any]:
    return {
        "id": uuid7(now),
        "number": number,
        "key": f"{new.subject}#{new.ordinal}",
        "subject": new.subject,
        "client_id": new.place.client_id,
        "site_id": new.place.site_id,
        "host_id": None if new.host is None else new.host.id,
        "component": new.component,
        "title": new.title[:300],
        "description": new.description,
        "state": str(TicketState.NEW),
        "waiting_for": None,
        "condition": new.condition,
        "severity": new.severity,
        "impact": new.impact,
        "urgency": new.urgency,
        "priority": new.priority or computed(new.impact, new.urgency),
        "priority_by": None if new.priority is None else actor[:100],
        "assignee": None,
        "team": None,
        "opened_at": now,
        "first_response_at": None,
        "cleared_at": None,
        "resolved_at": None,
        "closed_at": None,
        "changed_at": now,
        "promise": None,
        "clocks": [],
        "response_due_at": None,
        "resolution_due_at": None,
        "wake_at": None,
        "kind": new.kind,
        "rule": (new.rule or None) if new.kind else None,
    }
