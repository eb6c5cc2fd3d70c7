"""End a ticket: its report is written, and every destination is told.  All SQL of it is here."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from forewarn_collector.state import outbox, reports, root_cause
from forewarn_collector.state.history import Row, event, happen
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tickets import TicketState
from forewarn_collector.tickets import Kind


def close(
    connection: Connection,
    row: Row,
    kind: str,
    data: Mapping[str, Any],
    *,
    actor: str,
    now: datetime,
    telling: Telling,
    state: TicketState = TicketState.CLOSED,
    first_response_at: datetime | None = None,
) -> None:
    """Close a ticket, or cancel it, by an event of this kind.

    A condition that fires on stays what it is: who cancels a ticket mends nothing.
    """
    values: dict[str, Any] = {"closed_at": now, "resolved_at": row["resolved_at"] or now}
    if row["first_response_at"] is None and first_response_at is not None:
        values["first_response_at"] = first_response_at
    if row["condition"] != "firing":
        values["condition"] = "cleared"
    ended = event(kind, data, sets={"state": state, "waiting_for": None}, **values)
    after = happen(connection, row, ended, actor=actor, now=now)
    reports.write(connection, row["id"], now)
    outbox.tell(connection, row["id"], Kind.CLOSED, now=now, telling=telling)
    if state is TicketState.CLOSED:
        root_cause.consider(connection, after, now, telling)
