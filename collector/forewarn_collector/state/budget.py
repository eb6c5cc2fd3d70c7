"""How many new tickets a client may still get within the hour.  All SQL of it is in here."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, or_, select

from forewarn_checks.base import Severity
from forewarn_collector.state.links import LinkKind
from forewarn_collector.state.tables import episodes, ticket_links, tickets
from forewarn_collector.ticket_body import Shape

WITHIN = timedelta(hours=1)


class Budget:
    """What is left for each client at one moment; for one transaction.

    `per_hour` is how many new tickets rules may open for a client within an hour, None for any
    number.  Critical ones may be as many again, so that no flood of warnings hides them.
    """

    def __init__(self, connection: Connection, per_hour: int | None, now: datetime) -> None:
        self._connection = connection
        self._per_hour = per_hour
        self._now = now
        self._used: dict[str, tuple[int, int]] = {}

    def allows(self, client_id: str, severity: Severity) -> bool:
        """Say whether one more ticket may be opened for a client."""
        if self._per_hour is None:
            return True
        critical, others = self._of(client_id)
        if critical + others < self._per_hour:
            return True
        return severity is Severity.CRITICAL and critical < self._per_hour

    def spend(self, client_id: str, severity: Severity) -> None:
        """Note that a ticket was opened."""
        if self._per_hour is not None:
            critical, others = self._of(client_id)
            is_critical = severity is Severity.CRITICAL
            self._used[client_id] = (critical + is_critical, others + (not is_critical))

    def recount(self, client_id: str) -> None:
        """Ask again what a client has used: tickets that were absorbed count no more."""
        self._used.pop(client_id, None)

    def _of(self, client_id: str) -> tuple[int, int]:
        """Return how many critical and other tickets of rules were opened within the hour."""
        if client_id not in self._used:
            absorbed = select(ticket_links.c.ticket_id).where(
                ticket_links.c.kind == str(LinkKind.ABSORBED)
            )
            counted = select(tickets.c.severity, func.count()).where(
                tickets.c.client_id == client_id,
                tickets.c.opened_at > self._now - WITHIN,
                # One by hand, or about the root cause of others, never carried anything.
                or_(
                    tickets.c.condition.in_(("firing", "stale")),
                    select(episodes.c.id).where(episodes.c.ticket_id == tickets.c.id).exists(),
                ),
                func.coalesce(tickets.c.kind, "") != str(Shape.OVERFLOW),
                tickets.c.id.not_in(absorbed),
            )
            rows = self._connection.execute(counted.group_by(tickets.c.severity))
            found = {severity: count for severity, count in rows}  # noqa: C416
            critical = found.pop(str(Severity.CRITICAL), 0)
            self._used[client_id] = (critical, sum(found.values()))
        return self._used[client_id]
