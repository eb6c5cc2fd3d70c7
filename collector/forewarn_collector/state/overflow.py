"""Give what is left of a storm tickets of its own.  All SQL of it is in here."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, bindparam, select, update

from forewarn_checks.base import Severity
from forewarn_collector.clock import id_floor
from forewarn_collector.state import episodes as carried
from forewarn_collector.state import opening as openings
from forewarn_collector.state import shared
from forewarn_collector.state.budget import Budget
from forewarn_collector.state.episodes import Opening
from forewarn_collector.state.history import ACTOR
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import episodes, tickets
from forewarn_collector.state.tickets import ENDED_STATES
from forewarn_collector.ticket_body import Shape

CALM = timedelta(hours=1)
"""How long nothing was added to an overflow ticket when its storm is over."""

HostOf = Callable[[str], KnownHost | None]


def spread(connection: Connection, host_of: HostOf, now: datetime, telling: Telling) -> int:
    """Move what lasts on overflow tickets to tickets of their own, as the budgets allow.

    What still fires an hour after a storm is a problem by itself, and on a common ticket nobody
    would own it.  Where somebody works on the overflow ticket it stays: it is theirs as a whole.
    Returns how many episodes were moved; the worst and the oldest go first.
    """
    moved = 0
    for row in connection.execute(_OPEN).mappings().all():
        lasting = (episodes.c.ticket_id == row["id"]) & episodes.c.closed_at.is_(None)
        found = connection.execute(select(episodes).where(lasting)).mappings().all()
        if found and max(one["id"] for one in found) < id_floor(now - CALM):
            moved += _spread(connection, row, list(found), host_of, now, telling)
    return moved


def _spread(
    connection: Connection,
    row: RowMapping,
    found: list[RowMapping],
    host_of: HostOf,
    now: datetime,
    telling: Telling,
) -> int:
    budget = Budget(connection, telling.new_per_hour, now)
    sharing = shared.take_up(row, "")
    found.sort(key=lambda one: (-Severity(one["severity"]).rank, one["id"]))
    for one in found:
        host, severity = host_of(one["host_id"]), Severity(one["severity"])
        if host is not None and budget.allows(row["client_id"], severity):
            if _move(connection, one, host, now, telling):
                budget.spend(row["client_id"], severity)
            sharing.moved += 1
    if sharing.moved:
        shared.settle(connection, sharing, now, telling)
    return sharing.moved


def _move(
    connection: Connection, episode: RowMapping, host: KnownHost, now: datetime, telling: Telling
) -> bool:
    """Move an episode to its component's ticket; return whether that had to be opened."""
    opening = Opening(
        alert_key=episode["alert_key"],
        host=host,
        component=episode["component"],
        rule=episode["rule"],
        severity=Severity(episode["severity"]),
        title=episode["evidence"]["title"],
        evidence=episode["evidence"],
        at=episode["opened_at"],
    )
    query = select(tickets).where(tickets.c.subject == carried.subject_of(opening))
    own = connection.execute(query.order_by(tickets.c.number.desc()).limit(1)).mappings().first()
    if own is not None and carried.may_reopen(own, now):
        connection.execute(_MOVE, {"moved": episode["id"], "to": own["id"]})
        carried.take_on(connection, opening, own, now, telling)
        return False
    new = carried.new_ticket(opening, own)
    made = openings.open_ticket(connection, new, actor=ACTOR, now=now, telling=telling)
    connection.execute(_MOVE, {"moved": episode["id"], "to": made["id"]})
    carried.tell_new(connection, made, new, opening, now, telling)
    return True


_OPEN = select(tickets).where(
    tickets.c.kind == str(Shape.OVERFLOW),
    tickets.c.first_response_at.is_(None),
    tickets.c.state.not_in([str(state) for state in ENDED_STATES]),
)
_MOVE = (
    update(episodes).where(episodes.c.id == bindparam("moved")).values(ticket_id=bindparam("to"))
)
