"""End episodes, many at once, and with the last one of it the ticket of a component.

When what a thousand hosts have in common is mended, a thousand tickets close in one transaction:
that is as many statements as for one, and as much to write.  All SQL of it is in here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, bindparam, select, update

from forewarn_collector.state import outbox
from forewarn_collector.state.closing import close_all
from forewarn_collector.state.episodes import weigh
from forewarn_collector.state.history import ACTOR, Event, Row, event, happen, happen_all
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import episodes, tickets
from forewarn_collector.state.tickets import ENDED_STATES, TicketState
from forewarn_collector.tickets import Kind

_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """An episode that is over.  `at` is event time; `evidence` says what ended it."""

    episode_id: str
    host: KnownHost
    evidence: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """What ended, the episode as it was before, and its ticket."""

    ending: Ending
    episode: Row
    ticket: Row


def write_ends(connection: Connection, endings: Sequence[Ending]) -> list[Ended]:
    """End episodes, each given once; return them in the same order, each with its ticket."""
    found = _by_id(connection, episodes, [one.episode_id for one in endings])
    rows = []
    for one in endings:
        # What was known at the opening stays; what it was at the end is put beside it.
        told = {name: one.evidence[name] for name in ("value", "shown")} | _why(one)
        known = {**found[one.episode_id]["evidence"], "cleared": told}
        rows.append({"ended_id": one.episode_id, "closed_at": one.at, "evidence": known})
    if rows:
        connection.execute(_END, rows)
    owners = sorted({row["ticket_id"] for row in found.values()})
    carrying = _by_id(connection, tickets, owners)
    return [
        Ended(one, found[one.episode_id], carrying[found[one.episode_id]["ticket_id"]])
        for one in endings
    ]


def settle(connection: Connection, ended: Sequence[Ended], now: datetime, telling: Telling) -> None:
    """Let the tickets of components know of what ended; those close that nobody works on.

    Where several episodes of one ticket ended, its history tells of each.
    """
    lasting = _lasting(connection, [one.ticket["id"] for one in ended])
    last: dict[str, Ended] = {}
    for one in ended:
        ticket_id = one.ticket["id"]
        if ticket_id in lasting:
            _lessen(connection, one, now, telling)
            continue
        if ticket_id in last:
            before = last.pop(ticket_id)
            happen(connection, before.ticket, _closed(before), actor=ACTOR, now=now)
        last[ticket_id] = one
    _end_tickets(connection, list(last.values()), now, telling)


def _end_tickets(
    connection: Connection, ended: Sequence[Ended], now: datetime, telling: Telling
) -> None:
    """Close tickets of which nothing lasts, unless people have their hands on them."""
    cleared = [(one.ticket, _closed(one, condition="cleared", cleared_at=now)) for one in ended]
    rows = happen_all(connection, cleared, actor=ACTOR, now=now)
    closing: list[tuple[Row, Mapping[str, Any]]] = []
    kept: list[str] = []
    for one, row in zip(ended, rows, strict=True):
        if row["state"] in ENDED_STATES:
            continue
        if row["first_response_at"] is not None and row["state"] != TicketState.RESOLVED:
            # Whoever works on it may want to look again, or to write down what it was.
            kept.append(row["id"])
        else:
            closing.append((row, _why(one.ending) or {"because": "condition cleared"}))
    outbox.tell_all(connection, kept, Kind.UPDATED, now=now, telling=telling)
    close_all(connection, closing, actor=ACTOR, now=now, telling=telling)


def _lessen(connection: Connection, one: Ended, now: datetime, telling: Telling) -> None:
    """Weigh a ticket anew by what lasts on it."""
    row = _by_id(connection, tickets, [one.ticket["id"]])[one.ticket["id"]]
    sets, values = weigh(connection, row, one.ending.host)
    happen(connection, row, _closed(one, sets, **values), actor=ACTOR, now=now)
    if row["state"] not in ENDED_STATES:
        outbox.tell(connection, row["id"], Kind.UPDATED, now=now, telling=telling)


# -- rows ----------------------------------------------------------------------------------------

_END = update(episodes).where(episodes.c.id == bindparam("ended_id"))


def _closed(one: Ended, sets: Mapping[str, str | None] | None = None, **values: Any) -> Event:
    said = {"rule": one.episode["rule"], "value": one.ending.evidence["shown"]}
    return event("episode_closed", said | _why(one.ending), sets=sets, **values)


def _why(one: Ending) -> dict[str, Any]:
    """Return why an episode ended, if no reading ended it."""
    return {"because": one.evidence["because"]} if "because" in one.evidence else {}


def _lasting(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Return which tickets still carry an episode that lasts."""
    found: set[str] = set()
    for begin in range(0, len(ids), _AT_ONCE):
        some = episodes.c.ticket_id.in_(ids[begin : begin + _AT_ONCE])
        query = select(episodes.c.ticket_id).where(some, episodes.c.closed_at.is_(None))
        found |= set(connection.execute(query.distinct()).scalars())
    return found


def _by_id(connection: Connection, table: Table, ids: Sequence[str]) -> dict[str, RowMapping]:
    found: dict[str, RowMapping] = {}
    for begin in range(0, len(ids), _AT_ONCE):
        query = select(table).where(table.c.id.in_(ids[begin : begin + _AT_ONCE]))
        found |= {row["id"]: row for row in connection.execute(query).mappings()}
    return found
