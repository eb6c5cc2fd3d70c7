"""Append to a ticket's history, and let the ticket follow.  All SQL of it is in here.

The history is what happened; the ticket's row is made from it, so that lists need not read it:
each event says what it made of state, priority and assignee, and the clocks are reckoned anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from forewarn_collector.sla.clocks import Mark, MarkKind, Turn, read_clocks, read_marks
from forewarn_collector.sla.policy import ClockName, Policy
from forewarn_collector.sla.shown import write_clocks
from forewarn_collector.state import promises
from forewarn_collector.state.tables import ticket_events, tickets

ACTOR = "forewarn"
INBOUND = "inbound:"
"""What the name of another tool that calls begins with: it is no person either."""
DESTINATION = "destination:"
"""What the name of another system begins with, when people did there what is taken over here."""

VERIFY_AFTER = timedelta(minutes=30)
"""How long after somebody said it is done it may go on firing."""
CLOSE_AFTER = timedelta(hours=24)
"""How long a ticket that people touched stays open once nothing fires any more."""

_OVERTAKEN = "sla_overtaken"

Row = RowMapping | Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a ticket.

    `sets` is what it made of state, waiting_for, priority, assignee or team; `values` are columns
    that follow from it.
    """

    kind: str
    data: Mapping[str, Any]
    sets: Mapping[str, str | None]
    values: Mapping[str, Any]


def event(
    kind: str,
    data: Mapping[str, Any] | None = None,
    *,
    sets: Mapping[str, str | None] | None = None,
    **values: Any,
) -> Event:
    """Return an event of this kind."""
    return Event(kind=str(kind), data=data or {}, sets=sets or {}, values=values)


def is_reserved(name: str) -> bool:
    """Say whether a name is one that no person may have: the history could not tell who it was."""
    folded = name.strip().casefold()
    return folded == ACTOR or folded.startswith((INBOUND, DESTINATION))


def is_person(actor: str) -> bool:
    """Say whether a human being did it, here or in another system: only they can respond."""
    return actor != ACTOR and not actor.startswith(INBOUND)


def happen(
    connection: Connection, row: Row, what: Event, *, actor: str, now: datetime
) -> dict[str, Any]:
    """Write down what happened; return the ticket's row as it is then."""
    return happen_all(connection, [(row, what)], actor=actor, now=now)[0]


def happen_all(
    connection: Connection, happened: Sequence[tuple[Row, Event]], *, actor: str, now: datetime
) -> list[dict[str, Any]]:
    """Write down what happened to many tickets, once to each; return their rows as they are then.

    It takes as many statements as for one.
    """
    record_all(connection, happened, actor=actor, now=now)
    moved = [row["id"] for row, what in happened if row["promise"] and (what.sets or what.values)]
    histories = events_of(connection, moved)
    afters = []
    changed: dict[tuple[str, ...], dict[str, Mapping[str, Any]]] = {}
    for row, what in happened:
        values: dict[str, Any] = {**what.sets, **what.values, "changed_at": now}
        if what.sets or what.values:
            after = {**row, **values}
            values |= _follow(connection, row, after, histories.get(row["id"], ()), now)
        changed.setdefault(tuple(values), {})[row["id"]] = values
        afters.append({**row, **values})
    for same_columns in changed.values():
        change_all(connection, same_columns)
    return afters


def record(connection: Connection, row: Row, what: Event, *, actor: str, now: datetime) -> None:
    """Append to the history alone; `row` needs the ticket's id and client_id."""
    record_all(connection, [(row, what)], actor=actor, now=now)


def record_all(
    connection: Connection, happened: Sequence[tuple[Row, Event]], *, actor: str, now: datetime
) -> None:
    """Append to the histories of many tickets in one statement."""
    values = [
        {
            "ticket_id": row["id"],
            "client_id": row["client_id"],
            "at": now,
            "actor": actor[:100],
            "kind": what.kind,
            "data": dict(what.data),
            "sets": dict(what.sets),
        }
        for row, what in happened
    ]
    if values:
        connection.execute(insert(ticket_events), values)


# Values as parameters: a statement that is the same every time is half the work.
_CHANGE = update(tickets).where(tickets.c.id == bindparam("changed_id"))


def change_all(connection: Connection, changed: Mapping[str, Mapping[str, Any]]) -> None:
    """Set the same columns of many tickets' rows, by the ticket's id, in one statement."""
    if changed:
        rows = [{"changed_id": ticket_id, **values} for ticket_id, values in changed.items()]
        connection.execute(_CHANGE, rows)


# -- what follows --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Past:
    """A ticket's history as its clocks need it, and the keys of the marks that were told."""

    turns: Sequence[Turn]
    told: frozenset[str]


def past(events: Sequence[RowMapping]) -> Past:
    """Return what the events of one ticket, oldest first, come to."""
    turns: list[Turn] = []
    told: set[str] = set()
    standing: dict[str, str | None] = {"state": "new", "waiting_for": None, "priority": "P5"}
    for one in events:
        standing.update(one["sets"])
        if one["kind"] == _OVERTAKEN:
            told.update(one["data"]["marks"])
        elif "mark" in one["data"]:
            told.add(one["data"]["mark"])
        turns.append(
            Turn(
                at=one["at"],
                state=standing["state"] or "new",
                waiting_for=standing["waiting_for"],
                priority=standing["priority"] or "P5",
                person=is_person(one["actor"]),
            )
        )
    return Past(turns, frozenset(told))


def due_marks(found: Past, marks: Sequence[Mark], now: datetime) -> list[Mark]:
    """Return the marks of a ticket that are reached and not told, the earliest first."""
    return [mark for mark in marks if mark.at < now and mark.key not in found.told]


def columns(
    found: Past, policy: Policy, row: Row, now: datetime, marks: Sequence[Mark] | None = None
) -> dict[str, Any]:
    """Return the columns of the row that follow from a ticket's history.

    `marks` are those of `read_marks`, where they were reckoned already.
    """
    clocks = {clock.name: clock for clock in read_clocks(found.turns, policy, now)}
    response, resolution = clocks.get(ClockName.RESPONSE), clocks.get(ClockName.RESOLUTION)
    reached = read_marks(found.turns, policy) if marks is None else marks
    moments = [mark.at for mark in reached if mark.key not in found.told]
    until = deadline(row)
    moments += [] if until is None else [until]
    return {
        "clocks": write_clocks(list(clocks.values()), now),
        "response_due_at": None if response is None else response.due_at,
        "resolution_due_at": None if resolution is None else resolution.due_at,
        "wake_at": min(moments, default=None),
    }


def deadline(row: Row) -> datetime | None:
    """Return when a ticket must be looked at again, its promises aside; None if never."""
    if row["state"] in ("closed", "cancelled"):
        return None
    if row["state"] == "resolved":
        began: datetime | None = row["resolved_at"]
        return None if began is None else began + VERIFY_AFTER
    cleared: datetime | None = row["cleared_at"]
    return None if cleared is None else cleared + CLOSE_AFTER


def events_of(connection: Connection, ids: Sequence[str]) -> dict[str, list[RowMapping]]:
    """Return the events of some tickets by the ticket's id, oldest first."""
    query = select(
        ticket_events.c.ticket_id,
        ticket_events.c.at,
        ticket_events.c.actor,
        ticket_events.c.kind,
        ticket_events.c.data,
        ticket_events.c.sets,
    )
    found: dict[str, list[RowMapping]] = {name: [] for name in ids}
    if not found:
        return found
    picked = query.where(ticket_events.c.ticket_id.in_(ids)).order_by(ticket_events.c.id)
    for one in connection.execute(picked).mappings():
        found[one["ticket_id"]].append(one)
    return found


def _follow(
    connection: Connection,
    before: Row,
    after: Row,
    history: Sequence[RowMapping],
    now: datetime,
) -> dict[str, Any]:
    if after["promise"] is None:
        return {"wake_at": deadline(after)}
    policy = promises.kept(connection, after["promise"])
    found = past(history)
    if before["priority"] != after["priority"]:
        found = _overtake(connection, after, found, policy, now)
    return columns(found, policy, after, now)


def _overtake(connection: Connection, row: Row, found: Past, policy: Policy, now: datetime) -> Past:
    """Say once what another priority finds passed already, instead of telling each mark of it."""
    passed = due_marks(found, read_marks(found.turns, policy), now)
    if not passed:
        return found
    breached = [str(mark.clock) for mark in passed if mark.kind is MarkKind.BREACH]
    keys = [mark.key for mark in passed]
    data = {"priority": row["priority"], "breached": breached, "marks": keys}
    record(connection, row, event(_OVERTAKEN, data), actor=ACTOR, now=now)
    return Past(found.turns, found.told | set(keys))
