"""Standing orders as people look at them: when they run, and what came of it.

They are sent, approved and cancelled as orders are, at /api/v1/orders.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select
from sqlalchemy.engine import Row

from forewarn_collector.api.guard import Asker, Desk, Here, missing
from forewarn_collector.api.paths import Id
from forewarn_collector.api.principal import Role
from forewarn_collector.queries.scope import seen_by
from forewarn_collector.state import standing as state
from forewarn_collector.state.standing import StandingRun, Tally
from forewarn_collector.state.tables import clients, orders, scripts, standing_orders

_PATH = "/api/v1/standing"
_MOST_LISTED = 200
_MOST_RUNS = 1000


@dataclass(frozen=True, slots=True)
class StandingLine:
    """A standing order in a list.

    `trigger` is its rule, "" where a calendar says when; `due` is when that says so next.
    """

    id: str
    client: str
    script: str
    reason: str
    trigger: str
    calendar: str
    within: str
    due: datetime | None
    not_before: datetime
    not_after: datetime
    created_by: str
    created_at: datetime
    cancelled_at: datetime | None
    tally: Tally


@dataclass(frozen=True, slots=True)
class StandingList:
    """Standing orders, newest first."""

    standing: Sequence[StandingLine]


@dataclass(frozen=True, slots=True)
class StandingDetail:
    """A standing order with its runs, newest first, a thousand at most."""

    standing: StandingLine
    runs: Sequence[StandingRun]


def add(desk: Desk) -> None:
    """Add the routes."""
    desk.api("GET", _PATH, Role.VIEWER, get_standing)
    desk.api("GET", f"{_PATH}/{{id}}", Role.VIEWER, get_standing_order)


def get_standing(asker: Asker, collector: Here) -> StandingList:
    """Return standing orders, newest first."""
    with collector.database.read() as connection:
        query = _lines().where(seen_by(asker, orders.c.client_id)).limit(_MOST_LISTED)
        rows = connection.execute(query).all()
        return StandingList([_line(connection, row, collector.now()) for row in rows])


def get_standing_order(id: Id, asker: Asker, collector: Here) -> StandingDetail:  # noqa: A002
    """Return one standing order with its runs."""
    with collector.database.read() as connection:
        query = _lines().where(orders.c.id == id, seen_by(asker, orders.c.client_id))
        row = connection.execute(query).first()
        if row is None:
            raise missing()
        line = _line(connection, row, collector.now())
        return StandingDetail(line, state.runs_of(connection, id, _MOST_RUNS))


def _lines() -> Select[Any]:
    return (
        select(
            orders,
            clients.c.name.label("client"),
            scripts.c.name.label("script"),
            standing_orders.c.trigger,
            standing_orders.c.calendar,
            standing_orders.c.within,
        )
        .join(standing_orders, standing_orders.c.order_id == orders.c.id)
        .join(clients, clients.c.id == orders.c.client_id)
        .outerjoin(
            scripts,
            (scripts.c.client_id == orders.c.client_id)
            & (scripts.c.sha256 == orders.c.script_sha256),
        )
        .order_by(orders.c.created_at.desc(), orders.c.id)
    )


def _line(connection: Connection, row: Row[tuple[object, ...]], now: datetime) -> StandingLine:
    calendar = None if row.calendar is None else state.read_calendar(row.calendar)
    stands = row.cancelled_at is None and row.not_after > now
    due = calendar.next(max(now, row.not_before)).begins if calendar and stands else None
    return StandingLine(
        id=row.id,
        client=row.client,
        script=row.script or "",
        reason=row.reason,
        trigger=row.trigger or "",
        calendar="" if calendar is None else str(calendar),
        within=row.within,
        due=None if due is None or due >= row.not_after else due,
        not_before=row.not_before,
        not_after=row.not_after,
        created_by=row.created_by,
        created_at=row.created_at,
        cancelled_at=row.cancelled_at,
        tally=state.tally_of(connection, row.id),
    )
