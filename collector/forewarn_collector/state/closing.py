"""End tickets: their reports are written, and every destination is told.  All SQL of it is here."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from forewarn_collector.state import outbox, reports, root_cause
from forewarn_collector.state.history import Event, Row, event, happen_all
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
    _end(connection, [(row, ended)], actor, now, telling)


def close_all(
    connection: Connection,
    closing: Sequence[tuple[Row, Mapping[str, Any]]],
    *,
    actor: str,
    now: datetime,
    telling: Telling,
) -> None:
    """Close many tickets whose condition cleared, each with what its history is to say of it.

    Takes few statements more than closing one.
    """
    sets: dict[str, str | None] = {"state": TicketState.CLOSED, "waiting_for": None}
    ended = [
        (
            row,
            event(
                "closed",
                data,
                sets=sets,
                condition="cleared",
                closed_at=now,
                resolved_at=row["resolved_at"] or now,
            ),
        )
        for row, data in closing
    ]
    _end(connection, ended, actor, now, telling)


def _end(
    connection: Connection,
    ended: Sequence[tuple[Row, Event]],
    actor: str,
    now: datetime,
    telling: Telling,
) -> None:
    """Write down how tickets ended; then their reports, which destinations are told of."""
    after = happen_all(connection, ended, actor=actor, now=now)
    ids = [row["id"] for row, _ in ended]
    reports.write(connection, ids, now)
    outbox.tell_all(connection, ids, Kind.CLOSED, now=now, telling=telling)
    closed = [row for row in after if row["state"] == TicketState.CLOSED]
    root_cause.consider(connection, closed, now, telling)
