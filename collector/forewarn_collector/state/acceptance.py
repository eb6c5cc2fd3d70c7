"""What was counted before we first looked, and what people took for what it is.

Who accepts the counters of a component says: tell me only if it grows.  What grew so far is
forgotten, the alerts about it end, and the value, the author and the reason are kept for good.  A
drive that is replaced is another component: it starts anew.  All SQL of it is in here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from forewarn_collector.rules.counters import Accepted
from forewarn_collector.rules.tally import Remembered
from forewarn_collector.state import audit, outbox
from forewarn_collector.state.history import event, happen, is_person
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import acceptances, counters, episodes, hosts, inherited
from forewarn_collector.state.tickets import (
    LONGEST_NOTE,
    Clients,
    Conflict,
    TicketState,
    row_of,
)
from forewarn_collector.tickets import Kind

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DONE = (TicketState.CLOSED, TicketState.CANCELLED)


def accept(
    connection: Connection,
    number: int,
    *,
    text: str,
    actor: str,
    now: datetime,
    clients: Clients,
    telling: Telling,
) -> None:
    """Accept every counter that a ticket is about as it is now, for the reason `text`.

    The ticket is done unless something else of it fires.  Raises NotFound, and Conflict for a
    closed ticket and for one about nothing that grows.
    """
    row = row_of(connection, number, clients)
    if row["state"] in _DONE:
        raise Conflict(f"ticket {number} is {row['state']}: there is nothing left to accept")
    found = _lasting(connection, row["id"])
    growing = [one for one in found if "grown" in one["evidence"]]
    if not growing:
        raise Conflict(
            f"ticket {number} is about nothing that counts up; to be told of it no more, "
            "silence its rule on this host, or change the rule"
        )
    taken: list[dict[str, Any]] = []
    for one in {(one["host_id"], one["component"]): one for one in growing}.values():
        held = _counters(connection, one["number"], one["component"])
        _keep(connection, one, held, row["id"], text, actor, now)
        values = {metric: value for metric, (value, _) in held.items()}
        taken.append({"host": one["host"], "component": one["component"], "counters": values})
    data = {"text": text[:LONGEST_NOTE], "accepted": taken[:50], "count": len(taken)}
    values_of: dict[str, Any] = {}
    if row["first_response_at"] is None and is_person(actor):
        values_of["first_response_at"] = now
    sets: dict[str, str | None] = {}
    if len(growing) == len(found):
        sets = {"state": TicketState.RESOLVED, "waiting_for": None}
        values_of["resolved_at"] = now
    accepted = event("accepted", data, sets=sets, **values_of)
    happen(connection, row, accepted, actor=actor, now=now)
    outbox.tell(connection, row["id"], Kind.UPDATED, now=now, telling=telling)


def load(connection: Connection, *, after: int = 0) -> tuple[list[Accepted], int]:
    """Return what was accepted after an id, the oldest first, and the newest id there is."""
    query = select(acceptances).where(acceptances.c.id > after).order_by(acceptances.c.id)
    found: list[Accepted] = []
    for row in connection.execute(query).mappings():
        until = {metric: int(at) for metric, (_, at) in row["counters"].items()}
        at = (row["at"] - _EPOCH) // _MICROSECOND
        found.append(Accepted(row["host_number"], row["component"], until, at))
        after = row["id"]
    return found, after


def keep_inherited(
    connection: Connection,
    rows: Iterable[Remembered],
    host_of: Callable[[int], KnownHost | None],
) -> None:
    """Write down what was there when it was first seen; what is known already stays."""
    written = [
        {
            "host_id": host.id,
            "client_id": host.client_id,
            "component": row.component,
            "metric": row.metric,
            "value": row.counter.value,
            "seen_at": _EPOCH + row.counter.at * _MICROSECOND,
        }
        for row in rows
        for host in [host_of(row.host)]
        if host is not None
    ]
    if written:
        # The dialects' upserts share a shape, not a type.
        dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(inherited).on_conflict_do_nothing(), written)


# -- asking --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """A counter that was above 0 when it was first seen: an information, never a ticket."""

    component: str
    metric: str
    value: float
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """Values that somebody took for what they are, by metric."""

    component: str
    counters: Mapping[str, float]
    author: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Baselines:
    """From where the counters of a host are counted; what was accepted last comes first."""

    inherited: tuple[Inherited, ...]
    accepted: tuple[Acceptance, ...]


def of_host(connection: Connection, host_id: str, limit: int = 200) -> Baselines:
    """Return the baselines of a host, up to `limit` of each kind."""
    before = select(inherited).where(inherited.c.host_id == host_id)
    before = before.order_by(inherited.c.component, inherited.c.metric).limit(limit)
    taken = select(acceptances).where(acceptances.c.host_id == host_id)
    taken = taken.order_by(acceptances.c.id.desc()).limit(limit)
    return Baselines(
        tuple(
            Inherited(
                component=row["component"],
                metric=row["metric"],
                value=row["value"],
                seen_at=row["seen_at"],
            )
            for row in connection.execute(before).mappings()
        ),
        tuple(
            Acceptance(
                component=row["component"],
                counters={metric: value for metric, (value, _) in row["counters"].items()},
                author=row["author"],
                reason=row["reason"],
                at=row["at"],
            )
            for row in connection.execute(taken).mappings()
        ),
    )


# -- rows ----------------------------------------------------------------------------------------


def _lasting(connection: Connection, ticket_id: str) -> list[RowMapping]:
    query = (
        select(
            *(episodes.c[name] for name in ("host_id", "client_id", "component", "evidence")),
            hosts.c.number,
            hosts.c.name.label("host"),
        )
        .join(hosts, hosts.c.id == episodes.c.host_id)
        .where(episodes.c.ticket_id == ticket_id, episodes.c.closed_at.is_(None))
    )
    return list(connection.execute(query).mappings())


def _counters(connection: Connection, host: int, component: str) -> dict[str, tuple[float, int]]:
    """Return every counter of a component: its value, and the event time of its last change."""
    query = select(counters).where(
        counters.c.host_number == host, counters.c.component == component
    )
    return {
        row["metric"]: (row["value"], (row["at"] - _EPOCH) // _MICROSECOND)
        for row in connection.execute(query).mappings()
    }


def _keep(
    connection: Connection,
    one: RowMapping,
    held: Mapping[str, tuple[float, int]],
    ticket_id: str,
    reason: str,
    actor: str,
    now: datetime,
) -> None:
    connection.execute(
        insert(acceptances).values(
            client_id=one["client_id"],
            host_id=one["host_id"],
            host_number=one["number"],
            component=one["component"],
            counters={metric: list(pair) for metric, pair in held.items()},
            author=actor[:100],
            reason=reason[:LONGEST_NOTE],
            at=now,
            ticket_id=ticket_id,
        )
    )
    told = {metric: value for metric, (value, _) in held.items()}
    data = {"component": one["component"], "counters": dict(told), "reason": reason[:500]}
    audit.record(connection, now, actor, "counters.accepted", one["host_id"], data)
