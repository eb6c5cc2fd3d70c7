"""Tickets that carry the episodes of many hosts: a site's, and what is past a client's budget.

What happens to one within a transaction is told once, at its end: a storm is one line of history
and one message, however many hosts it hits.  All SQL of it is in here.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select

from forewarn_checks.base import Severity
from forewarn_collector.priority import computed, impact_of, urgency_of
from forewarn_collector.rules.together import SITE_SILENT
from forewarn_collector.state import opening as openings
from forewarn_collector.state import outbox
from forewarn_collector.state.closing import close
from forewarn_collector.state.history import ACTOR, Row, event, happen
from forewarn_collector.state.hosts import KnownHost, Place
from forewarn_collector.state.links import LinkKind, link
from forewarn_collector.state.opening import NewTicket
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import episodes
from forewarn_collector.state.tickets import ENDED_STATES, TicketState
from forewarn_collector.text import plain
from forewarn_collector.ticket_body import Shape
from forewarn_collector.tickets import Kind

_NAMED = 20
"""So many hosts are named in one line of history."""


@dataclass(slots=True)
class Sharing:
    """A shared ticket as one transaction changes it.

    `row` and `was` are the ticket and its state before that; `site` is the name of its site.
    """

    row: Row
    site: str
    is_new: bool = False
    was: str = ""
    joined: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    absorbed: list[int] = field(default_factory=list)
    moved: int = 0
    impact: int = 3


def open_shared(
    connection: Connection,
    shape: Shape,
    subject: str,
    last: Row | None,
    host: KnownHost,
    rule: str,
    severity: Severity,
    *,
    now: datetime,
    telling: Telling,
) -> Sharing:
    """Open the shared ticket of a subject, whose last one is over for long (None: was never)."""
    site = shape is Shape.SITE
    new = NewTicket(
        subject=subject,
        ordinal=1 if last is None else int(last["key"].rpartition("#")[2]) + 1,
        place=Place(host.client_id, host.client, host.site_id, host.site),
        host=None,
        component=str(shape),
        title=rule if site else "more problems than tickets",
        severity=str(severity),
        impact=max(impact_of(host.host_class, host.tags) - 1, 1),
        urgency=urgency_of(severity),
        rule=rule if site else "",
        data={"rule": rule if site else "", "severity": str(severity)},
        kind=str(shape),
    )
    row = openings.open_ticket(connection, new, actor=ACTOR, now=now, telling=telling)
    return Sharing(row=row, site=host.site, is_new=True, was=row["state"])


def take_up(row: Row, site: str) -> Sharing:
    """Go on with a shared ticket there is."""
    return Sharing(row=row, site=site, was=row["state"])


def join(sharing: Sharing, name: str, host_class: str, tags: Collection[str]) -> None:
    """Note that an episode of a host of this name, class and tags is on the ticket now."""
    sharing.joined.append(name)
    sharing.impact = min(sharing.impact, impact_of(host_class, tags))


def settle(connection: Connection, sharing: Sharing, now: datetime, telling: Telling) -> None:
    """Write down what happened to a shared ticket, weigh it, and tell of it: once for all."""
    row = sharing.row
    standing = _standing(connection, row["id"])
    if sharing.joined:
        row = _joined(connection, sharing, row, standing, now)
    if sharing.left or sharing.moved:
        row = _left(connection, sharing, row, standing, now)
    elif not sharing.joined and standing.worst is not None:
        row = _changed(connection, sharing, row, standing, now)
    if row["state"] in ENDED_STATES:
        return
    over = standing.worst is None
    # As an opening, too, where people said it was done: in another system it may be closed.
    if sharing.joined and (sharing.is_new or sharing.was in (*ENDED_STATES, TicketState.RESOLVED)):
        outbox.tell(connection, row["id"], Kind.OPENED, now=now, telling=telling)
    elif not over:
        outbox.tell(connection, row["id"], Kind.UPDATED, now=now, telling=telling)
    if over:
        _over(connection, sharing, row, now, telling)


def absorb(
    connection: Connection,
    sharing: Sharing,
    singles: Iterable[RowMapping],
    now: datetime,
    telling: Telling,
) -> None:
    """End tickets whose episodes are on this one now: each says which, and is told as closed."""
    number, key = sharing.row["number"], sharing.row["key"]
    for single in singles:
        data = {"ticket": number, "key": key, "because": f"it is part of ticket {number}"}
        over = event(
            "absorbed",
            data,
            sets={"state": TicketState.CLOSED, "waiting_for": None},
            condition="cleared",
            cleared_at=now,
            resolved_at=now,
            closed_at=now,
        )
        happen(connection, single, over, actor=ACTOR, now=now)
        link(connection, single["id"], sharing.row["id"], LinkKind.ABSORBED, now)
        outbox.tell(connection, single["id"], Kind.CLOSED, now=now, telling=telling)
        sharing.absorbed.append(single["number"])


# -- how it stands -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Standing:
    """What lasts on a ticket: the worst severity (None: nothing), episodes and hosts."""

    worst: Severity | None
    episodes: int
    hosts: int


def _standing(connection: Connection, ticket_id: str) -> _Standing:
    lasting = (episodes.c.ticket_id == ticket_id) & episodes.c.closed_at.is_(None)
    by_severity = select(episodes.c.severity, func.count()).where(lasting)
    counts = {
        Severity(severity): count
        for severity, count in connection.execute(by_severity.group_by(episodes.c.severity))
    }
    hosts = select(func.count(episodes.c.host_id.distinct())).where(lasting)
    return _Standing(
        max(counts, key=lambda one: one.rank, default=None),
        sum(counts.values()),
        connection.execute(hosts).scalar() or 0,
    )


def _joined(
    connection: Connection, sharing: Sharing, row: Row, standing: _Standing, now: datetime
) -> Row:
    sets, values = _weighed(sharing, row, standing)
    data: dict[str, Any] = {
        "rule": row["rule"],
        "title": values.get("title", row["title"]),
        "count": len(sharing.joined),
        "hosts": _named(sharing.joined),
    }
    if sharing.absorbed:
        data["absorbed"] = sorted(sharing.absorbed)[:_NAMED]
    values |= {"condition": "firing", "cleared_at": None}
    kind = "hosts_joined"
    if row["state"] in (*ENDED_STATES, TicketState.RESOLVED):
        kind = "reopened"
        state = TicketState.ASSIGNED if row["assignee"] else TicketState.NEW
        sets |= {"state": state, "waiting_for": None}
        values |= {"resolved_at": None, "closed_at": None}
    return happen(connection, row, event(kind, data, sets=sets, **values), actor=ACTOR, now=now)


def _left(
    connection: Connection, sharing: Sharing, row: Row, standing: _Standing, now: datetime
) -> Row:
    sets, values = _weighed(sharing, row, standing)
    if standing.worst is None:
        values |= {"condition": "cleared", "cleared_at": now}
    data = {
        "rule": row["rule"],
        "count": len(sharing.left),
        "hosts": _named(sharing.left),
        "moved": sharing.moved,
        "left": standing.hosts,
    }
    kind = "hosts_cleared" if sharing.left else "moved_out"
    return happen(connection, row, event(kind, data, sets=sets, **values), actor=ACTOR, now=now)


def _changed(
    connection: Connection, sharing: Sharing, row: Row, standing: _Standing, now: datetime
) -> Row:
    """Give a ticket the severity of the worst that lasts on it, if it has another one."""
    if row["severity"] == str(standing.worst):
        return row
    sets, values = _weighed(sharing, row, standing)
    data = {"rule": row["rule"], "from": row["severity"], "to": str(standing.worst)}
    what = event("severity_changed", data, sets=sets, **values)
    return happen(connection, row, what, actor=ACTOR, now=now)


def _over(
    connection: Connection, sharing: Sharing, row: Row, now: datetime, telling: Telling
) -> None:
    """Close what nothing is left of, unless people have their hands on it."""
    if row["first_response_at"] is not None and row["state"] != TicketState.RESOLVED:
        outbox.tell(connection, row["id"], Kind.UPDATED, now=now, telling=telling)
        return
    because = "every one is over"
    if sharing.moved:
        because = "every one is over or has a ticket of its own"
    close(connection, row, "closed", {"because": because}, actor=ACTOR, now=now, telling=telling)


def _weighed(
    sharing: Sharing, row: Row, standing: _Standing
) -> tuple[dict[str, str | None], dict[str, Any]]:
    """Return priority, and title, severity, impact and urgency, by what lasts.

    Many hosts weigh a step more than the weightiest of them; what was weighty once stays so.
    """
    if standing.worst is None:
        return {}, {}
    impact = min(row["impact"], max(sharing.impact - 1, 1))
    urgency = urgency_of(standing.worst)
    values = {
        "title": title(row, sharing.site, standing.hosts, standing.episodes)[:300],
        "severity": str(standing.worst),
        "impact": impact,
        "urgency": urgency,
    }
    priority = computed(impact, urgency)
    if row["priority_by"] is not None or priority == row["priority"]:
        return {}, values
    return {"priority": priority}, values


def title(row: Row, site: str, hosts: int, count: int) -> str:
    """Return what a shared ticket is called while `count` episodes of so many hosts last."""
    many = f"{hosts} host{'' if hosts == 1 else 's'}"
    if row["kind"] == Shape.OVERFLOW:
        return f"{count} more problem{'' if count == 1 else 's'} on {many} than tickets may open"
    if row["rule"] == SITE_SILENT:
        return f"{plain(site, 100)} is silent: {many}"
    return f"{row['rule']} on {many} of {plain(site, 100)}"


def _named(names: Iterable[str]) -> list[str]:
    return [plain(name, 100) for name in sorted(set(names))[:_NAMED]]
