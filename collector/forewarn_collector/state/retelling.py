"""What is told again to systems that forget, and what waits for a destination that is gone."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, func, or_, select, update

from forewarn_collector.state.outbox import Due, due_of, messages
from forewarn_collector.state.tables import outbox, tickets

# As long as Prometheus says again that something ended: one lost answer must not leave it firing.
_ENDS_AGAIN = timedelta(minutes=15)
REMOVED = "the destination is not in collector.toml any more"


def standing(connection: Connection, destination: str, now: datetime) -> list[Due]:
    """Return the last message of every ticket that is open, or closed only now, as it was sent.

    Tickets with a message under way are left out: that one says it better.
    """
    newest = (
        select(func.max(outbox.c.id).label("id"))
        .join(tickets, tickets.c.id == outbox.c.ticket_id)
        .where(
            outbox.c.destination == destination,
            or_(tickets.c.closed_at.is_(None), tickets.c.closed_at > now - _ENDS_AGAIN),
        )
        .group_by(outbox.c.ticket_id)
        .subquery()
    )
    query = (
        messages()
        .join(newest, newest.c.id == outbox.c.id)
        .where(outbox.c.state == "delivered")
        .order_by(outbox.c.id)
    )
    return [due_of(row) for row in connection.execute(query).mappings()]


def waits_for_others(connection: Connection, destinations: Collection[str]) -> bool:
    """Say whether anything is queued for another destination than these."""
    strays = and_(outbox.c.state == "queued", outbox.c.destination.not_in(list(destinations)))
    return connection.execute(select(outbox.c.id).where(strays).limit(1)).first() is not None


def set_aside(connection: Connection, destinations: Collection[str], now: datetime) -> int:
    """Give up what waits for any other destination than these; return how much that was.

    It stays to be seen and dropped, and goes out when its destination is there again.
    """
    gone = and_(outbox.c.state == "queued", outbox.c.destination.not_in(list(destinations)))
    back = and_(
        outbox.c.state == "dead",
        outbox.c.last_answer == REMOVED,
        outbox.c.destination.in_(list(destinations)),
    )
    again = {"state": "queued", "attempts": 0, "next_at": now, "settled_at": None}
    connection.execute(update(outbox).where(back).values(**again, last_answer=""))
    done = connection.execute(
        update(outbox)
        .where(gone)
        .values(state="dead", lease_until=None, last_answer=REMOVED, settled_at=now)
    )
    return done.rowcount


def ids_of(connection: Connection, destination: str) -> list[str]:
    """Return everything unsettled of one destination, the oldest first."""
    query = select(outbox.c.id).where(
        outbox.c.destination == destination, outbox.c.state.in_(("queued", "dead"))
    )
    return list(connection.execute(query.order_by(outbox.c.id)).scalars())
