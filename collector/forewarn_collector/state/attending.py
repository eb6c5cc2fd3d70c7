"""Look after open tickets: warnings and breaches, what was resolved too early, what may close.

A ticket says when it must be looked at again, so that a pass over many tickets reads few of them.
What is told is an event of the ticket, written with its message: a pass that is repeated finds it.
All SQL of it is in here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from forewarn_collector.sla.clocks import Mark, MarkKind, read_marks
from forewarn_collector.state import duty, outbox, promises
from forewarn_collector.state.closing import close_all
from forewarn_collector.state.history import (
    ACTOR,
    Event,
    Past,
    change_all,
    columns,
    deadline,
    due_marks,
    event,
    events_of,
    happen,
    past,
    record_all,
)
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import tickets
from forewarn_collector.state.tickets import OPEN_STATES, TicketState
from forewarn_collector.tickets import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Attended:
    """What one look came to: tickets looked at, marks told, and tickets moved on by their age.

    `left` says that more were due than there was time for.
    """

    tickets: int = 0
    marks: int = 0
    moved: int = 0
    left: bool = False

    def __add__(self, other: "Attended") -> "Attended":
        """Return the sum."""
        return Attended(
            tickets=self.tickets + other.tickets,
            marks=self.marks + other.marks,
            moved=self.moved + other.moved,
            left=self.left or other.left,
        )


def waiting(connection: Connection, now: datetime) -> bool:
    """Say whether any ticket is due: asking costs no lock."""
    due = select(tickets.c.id).where(tickets.c.wake_at < now).limit(1)
    return connection.execute(due).first() is not None


def attend(
    connection: Connection, *, now: datetime, telling: Telling, limit: int = 200
) -> Attended:
    """Look at up to `limit` of the tickets that are due, those longest due first."""
    due = select(tickets).where(tickets.c.wake_at < now).order_by(tickets.c.wake_at).limit(limit)
    rows = connection.execute(due).mappings().all()
    histories = events_of(connection, [row["id"] for row in rows])
    happened: list[tuple[RowMapping, Event]] = []
    changed: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        marks, values = _marks(connection, row, histories[row["id"]], now, telling)
        happened += [(row, mark) for mark in marks]
        if marks:
            changed[row["id"]] = values
    # What one client's bad day makes due comes by the thousand: written and told in bulk.
    record_all(connection, happened, actor=ACTOR, now=now)
    change_all(connection, changed)
    moved = _move(connection, rows, now, telling)
    idle = [row for row in rows if row["id"] not in changed and row["id"] not in moved]
    change_all(connection, {row["id"]: _later(connection, row, histories, now) for row in idle})
    told = [ticket_id for ticket_id in changed if ticket_id not in moved]
    outbox.tell_all(connection, told, Kind.UPDATED, now=now, telling=telling)
    return Attended(tickets=len(rows), marks=len(happened), moved=len(moved))


def _later(
    connection: Connection,
    row: RowMapping,
    histories: Mapping[str, Sequence[RowMapping]],
    now: datetime,
) -> Mapping[str, Any]:
    """Return when a ticket with nothing to be done is due again: it must not be so for ever."""
    wake_at = deadline(row)
    if row["promise"] is not None:
        policy = promises.kept(connection, row["promise"])
        wake_at = columns(past(histories[row["id"]]), policy, row, now)["wake_at"]
    return {"wake_at": None if wake_at is not None and wake_at < now else wake_at}


# -- what was promised ---------------------------------------------------------------------------


def _marks(
    connection: Connection,
    row: RowMapping,
    history: Sequence[RowMapping],
    now: datetime,
    telling: Telling,
) -> tuple[list[Event], Mapping[str, Any]]:
    """Return what a ticket's clocks have reached, and what that makes of its row."""
    if row["promise"] is None:
        return [], {}
    policy = promises.kept(connection, row["promise"])
    found = past(history)
    planned = read_marks(found.turns, policy)
    marks = due_marks(found, planned, now)
    if not marks:
        return [], {}
    after: dict[str, Any] = dict(row)
    happened = []
    for mark in marks:
        what = _event(connection, after, mark, telling)
        happened.append(what)
        after |= what.sets
    # Marks move no clock, so that the history need not be read again.
    told = Past(found.turns, found.told | {mark.key for mark in marks})
    changed = {**columns(told, policy, after, now, planned), "changed_at": now}
    changed |= {name: after[name] for name in ("state", "assignee", "team")}
    return happened, changed


def _event(connection: Connection, row: dict[str, Any], mark: Mark, telling: Telling) -> Event:
    data = {
        "clock": str(mark.clock),
        "fraction": mark.fraction,
        "priority": row["priority"],
        "mark": mark.key,
    }
    if mark.kind is not MarkKind.STEP:
        return event(mark.kind, data)
    data["to"] = mark.to
    if not mark.reassign:
        return event(mark.kind, data)
    to: str | None = mark.to
    sets: dict[str, str | None] = {}
    team = telling.routing.teams.get(mark.to)
    if team is not None:
        subject, host_id = row["subject"], row["host_id"]
        to, data["because"] = duty.whom(
            connection, team, subject=subject, host_id=host_id, at=mark.at
        )
        sets["team"] = team.name
    data |= {"from": row["assignee"], "assignee": to}
    sets["assignee"] = to
    if row["state"] == TicketState.NEW and to is not None:
        sets["state"] = TicketState.ASSIGNED
    return event(mark.kind, data, sets=sets)


# -- what time moves on --------------------------------------------------------------------------


def _move(
    connection: Connection, looked: Sequence[RowMapping], now: datetime, telling: Telling
) -> set[str]:
    """Reopen what was resolved and fires on, close what is over for long; return their ids."""
    late = [row["id"] for row in looked if _is_late(row, now)]
    if not late:
        return set()
    closing = []
    # Marks have changed some of them since.
    query = select(tickets).where(tickets.c.id.in_(late)).order_by(tickets.c.number)
    for row in connection.execute(query).mappings().all():
        if row["state"] == TicketState.RESOLVED and row["condition"] != "cleared":
            _reopen(connection, row, now, telling)
        else:
            closing.append((row, {"because": "cleared a day ago"}))
    close_all(connection, closing, actor=ACTOR, now=now, telling=telling)
    return set(late)


def _is_late(row: RowMapping, now: datetime) -> bool:
    until = deadline(row)
    return until is not None and until <= now and row["state"] in OPEN_STATES


def _reopen(connection: Connection, row: RowMapping, now: datetime, telling: Telling) -> None:
    state = TicketState.ASSIGNED if row["assignee"] else TicketState.NEW
    data = {"because": "still firing half an hour after it was resolved"}
    sets: dict[str, str | None] = {"state": state, "waiting_for": None}
    again = event("reopened", data, sets=sets, resolved_at=None)
    happen(connection, row, again, actor=ACTOR, now=now)
    # As an opening: where it was resolved in another system it must be opened again.
    outbox.tell(connection, row["id"], Kind.OPENED, now=now, telling=telling)
