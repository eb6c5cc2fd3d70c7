"""How the collector itself is doing: what waits to be told, and since when."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, or_, select

from forewarn_collector.api.principal import Principal
from forewarn_collector.queries.scope import seen_by
from forewarn_collector.state.tables import destination_health, outbox


@dataclass(frozen=True, slots=True)
class OutboxStanding:
    """Rows by state, and how long the oldest one that is due has waited for a try."""

    by_state: dict[str, int]
    overdue: timedelta


def outbox_standing(connection: Connection, principal: Principal, now: datetime) -> OutboxStanding:
    """Return how the outbox stands, as far as the principal may see."""
    counted = connection.execute(
        select(outbox.c.state, func.count().label("rows"))
        .where(seen_by(principal, outbox.c.client_id))
        .group_by(outbox.c.state)
    )
    by_state = {"queued": 0, "dead": 0} | {row.state: row.rows for row in counted}
    return OutboxStanding(by_state, _overdue(connection, now))


def _overdue(connection: Connection, now: datetime) -> timedelta:
    """Return how late the oldest due row is; those of a destination at rest are not late."""
    health = destination_health
    oldest = connection.execute(
        select(func.min(outbox.c.next_at))
        .select_from(outbox)
        .join(health, health.c.name == outbox.c.destination, isouter=True)
        .where(
            outbox.c.state == "queued",
            outbox.c.next_at <= now,
            or_(outbox.c.lease_until.is_(None), outbox.c.lease_until <= now),
            health.c.disabled_at.is_(None),
            or_(health.c.open_until.is_(None), health.c.open_until <= now),
        )
    ).scalar()
    return timedelta(0) if oldest is None else now - oldest
