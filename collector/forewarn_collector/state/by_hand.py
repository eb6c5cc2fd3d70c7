"""Open a ticket that no rule raised: a person's, or another tool's.  All SQL of it is in here."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from forewarn_collector.clock import uuid7
from forewarn_collector.state import opening, outbox
from forewarn_collector.state.history import INBOUND
from forewarn_collector.state.hosts import KnownHost, Place
from forewarn_collector.state.opening import NewTicket
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import clients, inbound_messages, sites, tickets
from forewarn_collector.state.tickets import Clients, NotFound

REMEMBERED = timedelta(days=7)
"""How long a call that is made again finds the ticket it opened: senders give up sooner."""

_SEVERITIES = {1: "critical", 2: "high", 3: "warning"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What somebody reports.  `host` is None when it is about a site, or about nothing we watch.

    `priority` is one chosen by hand; else impact times urgency, 1 to 3 each, give it.
    """

    title: str
    text: str
    place: Place
    host: KnownHost | None = None
    component: str = ""
    impact: int = 2
    urgency: int = 2
    priority: str | None = None


def report(
    connection: Connection, call: Call, *, actor: str, now: datetime, telling: Telling
) -> int:
    """Open a ticket for what was reported, and tell of it; return its number."""
    return int(_open(connection, call, actor, now, telling)["number"])


def receive(
    connection: Connection,
    call: Call,
    *,
    name: str,
    message_id: str,
    now: datetime,
    telling: Telling,
) -> int:
    """Open a ticket for what another tool calls in; the same message again finds the first one."""
    known = heard(connection, name, message_id)
    if known is not None:
        return known
    row = _open(connection, call, f"{INBOUND}{name}", now, telling)
    remember(connection, name, message_id, row["id"], now)
    return int(row["number"])


def heard(connection: Connection, name: str, message_id: str) -> int | None:
    """Return the number of the ticket a call was about if it was taken before."""
    mine = (inbound_messages.c.name == name) & (inbound_messages.c.message_id == message_id)
    before = select(tickets.c.number).join(
        inbound_messages, inbound_messages.c.ticket_id == tickets.c.id
    )
    return connection.execute(before.where(mine)).scalar()


def remember(
    connection: Connection, name: str, message_id: str, ticket_id: str, now: datetime
) -> None:
    """Keep that a call was taken, and forget those too old to be made again."""
    old = inbound_messages.c.received_at < now - REMEMBERED
    connection.execute(delete(inbound_messages).where(old))
    connection.execute(
        insert(inbound_messages).values(
            name=name, message_id=message_id, ticket_id=ticket_id, received_at=now
        )
    )


def find_place(connection: Connection, client: str, site: str, *, allowed: Clients) -> Place:
    """Return a client's site by names; its only one for "".

    Raises NotFound when there is none, not for this person, or more than one for "".
    """
    query = (
        select(clients.c.id, clients.c.name, sites.c.id, sites.c.name)
        .join(sites, sites.c.client_id == clients.c.id)
        .where(clients.c.name == client)
        .limit(2)
    )
    if site:
        query = query.where(sites.c.name == site)
    if allowed is not None:
        query = query.where(clients.c.id.in_(list(allowed)))
    found = connection.execute(query).all()
    if len(found) != 1:
        where = f"site {site!r} of client {client!r}" if site else f"one site of client {client!r}"
        raise NotFound(f"there is no {where}; name both as the hosts list shows them")
    return Place(*found[0])


def _open(
    connection: Connection, call: Call, actor: str, now: datetime, telling: Telling
) -> dict[str, Any]:
    new = NewTicket(
        # What people call about is never taken to be the same thing twice.
        subject=hashlib.sha256(uuid7(now).encode()).hexdigest()[:40],
        ordinal=1,
        place=call.place,
        host=call.host,
        component=call.component,
        title=call.title,
        description=call.text,
        severity=_SEVERITIES[call.urgency],
        impact=call.impact,
        urgency=call.urgency,
        priority=call.priority,
        condition="reported",
        data={"title": call.title, "by_hand": True},
    )
    row = opening.open_ticket(connection, new, actor=actor, now=now, telling=telling)
    told = opening.body(connection, row, new, (), now=now, telling=telling)
    outbox.tell_new(connection, row["id"], row["client_id"], told, now=now, telling=telling)
    return row
