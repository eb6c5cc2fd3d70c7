"""The audit log as people look through it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Connection, or_, select, true

from forewarn_collector.api.principal import Principal
from forewarn_collector.queries.scope import read_cursor, seen_by, write_cursor
from forewarn_collector.state.tables import audit, hosts, orders

_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Filter:
    """What is looked for; "" and None leave a part open.  `action` may be a beginning."""

    actor: str = ""
    action: str = ""
    subject: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One row of the log.  `page` is where its subject is shown, "" where nowhere is."""

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    data: Mapping[str, JsonValue]
    page: str


@dataclass(frozen=True, slots=True)
class ActPage:
    """Some rows, newest first, and the cursor for the next ones, None after the last."""

    acts: tuple[Act, ...]
    next: str | None


def list_acts(
    connection: Connection,
    principal: Principal,
    wanted: Filter,
    *,
    limit: int = 100,
    cursor: str | None = None,
) -> ActPage:
    """Return up to `limit` rows.  Raises BadCursor.

    Who is not there for every client sees what was done to their hosts and orders, and what they
    did themselves.
    """
    query = select(audit).where(_theirs(principal), *_conditions(wanted))
    if cursor is not None:
        query = query.where(audit.c.id < int(read_cursor(cursor, (int,))[0]))
    rows = connection.execute(query.order_by(audit.c.id.desc()).limit(limit + 1)).all()
    acts = tuple(
        Act(row.id, row.at, row.actor, row.action, row.subject, row.data, _page(row))
        for row in rows[:limit]
    )
    return ActPage(acts, write_cursor(acts[-1].number) if len(rows) > limit else None)


def list_actions(connection: Connection, principal: Principal) -> tuple[str, ...]:
    """Return the actions there are, for a list to choose from."""
    query = select(audit.c.action).where(_theirs(principal)).distinct().order_by(audit.c.action)
    return tuple(connection.execute(query.limit(200)).scalars())


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.actor:
        found.append(audit.c.actor == wanted.actor)
    if wanted.action:
        found.append(audit.c.action.startswith(wanted.action, autoescape=True))
    if wanted.subject:
        named = select(hosts.c.id).where(hosts.c.name == wanted.subject)
        found.append(or_(audit.c.subject == wanted.subject, audit.c.subject.in_(named)))
    if wanted.since:
        found.append(audit.c.at >= wanted.since)
    if wanted.until:
        found.append(audit.c.at < wanted.until)
    return found


def _theirs(principal: Principal) -> ColumnElement[bool]:
    if principal.clients is None:
        return true()
    return or_(
        audit.c.actor == principal.name,
        audit.c.subject.in_(select(hosts.c.id).where(seen_by(principal, hosts.c.client_id))),
        audit.c.subject.in_(select(orders.c.id).where(seen_by(principal, orders.c.client_id))),
    )


_PAGES = {
    "host": "/hosts/",
    "counters": "/hosts/",
    "order": "/orders/",
    "script": "/scripts/",
    "maintenance": "/maintenance/",
}


def _page(row: object) -> str:
    action, subject = str(getattr(row, "action", "")), str(getattr(row, "subject", ""))
    kind = action.partition(".")[0]
    place = _PAGES.get(kind, "")
    hashed = kind == "script" and re.fullmatch("[0-9a-f]{64}", subject)
    return f"{place}{subject}" if place and (hashed or _UUID.fullmatch(subject)) else ""
