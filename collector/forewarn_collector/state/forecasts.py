"""Every forecast made, and what came of it.  All SQL of it is in here.

A forecast waits until its level is reached (before, inside or after its interval), until its
interval is over, or until nothing is forecast any more: then the growth has ended, by itself or
because somebody saw to it, and its interval was never put to the test.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    delete,
    func,
    insert,
    select,
    true,
    update,
)

from forewarn_collector.clock import id_floor, uuid7
from forewarn_collector.judgement import Made
from forewarn_collector.state.tables import forecasts
from forewarn_collector.track_record import FINENESS, Coverage, Outcome

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORGOTTEN = timedelta(days=1)
_KEPT = timedelta(days=400)
"""A track record of a year is enough."""
_STANDS = timedelta(hours=3)
"""A series is forecast once an hour: what is older was not said again."""
_MOST_TESTED = 1000


def keep(connection: Connection, made: Sequence[Made], now: datetime) -> None:
    """Keep new forecasts, and score older ones of the same components by what is known now."""
    for one in made:
        _score(connection, one, now)
    rows = [
        {
            "id": uuid7(now),
            "client_id": one.host.client_id,
            "host_id": one.host.id,
            "component": one.component,
            "rule": one.rule,
            "made_at": _moment(one.at),
            "tier": one.due.tier,
            "value": one.value,
            "due_at": _moment(one.due.at),
            "earliest": _moment(one.due.earliest),
            "latest": _moment(one.due.latest),
        }
        for one in made
        if one.due is not None
    ]
    if rows:
        connection.execute(insert(forecasts), rows)


def _score(connection: Connection, one: Made, now: datetime) -> None:
    waiting = and_(
        forecasts.c.outcome.is_(None),
        forecasts.c.host_id == one.host.id,
        forecasts.c.component == one.component,
        forecasts.c.rule == one.rule,
    )
    if one.reached is not None:
        reached = _moment(one.reached)
        outcome = case(
            (forecasts.c.earliest > reached + FINENESS, Outcome.EARLY),
            (forecasts.c.latest < reached - FINENESS, Outcome.LATE),
            else_=Outcome.INSIDE,
        )
        made_before = and_(waiting, forecasts.c.made_at < reached)
        scored = update(forecasts).where(made_before)
        connection.execute(scored.values(outcome=outcome, reached_at=reached, scored_at=now))
    passed = and_(waiting, forecasts.c.latest < _moment(one.at) - FINENESS)
    connection.execute(update(forecasts).where(passed).values(outcome=Outcome.LATE, scored_at=now))
    if one.over:
        _end(connection, waiting, now)


def end_forgotten(connection: Connection, now: datetime) -> None:
    """End forecasts whose interval is long over and that nobody looked at again; drop old ones."""
    _end(
        connection,
        and_(forecasts.c.outcome.is_(None), forecasts.c.latest < now - _FORGOTTEN),
        now,
    )
    old = forecasts.c.id < id_floor(now - _KEPT)
    connection.execute(delete(forecasts).where(old, forecasts.c.outcome.is_not(None)))


def _end(connection: Connection, which: ColumnElement[bool], now: datetime) -> None:
    connection.execute(update(forecasts).where(which).values(outcome=Outcome.ENDED, scored_at=now))


def coverage(
    connection: Connection,
    *,
    clients: Collection[str] | None,
    rule: str | None = None,
    host_id: str | None = None,
    component: str | None = None,
) -> Coverage:
    """Return how the forecasts of a rule, a host or a component came out; of all by default.

    `clients` are the ids of those a person may see, None for all.
    """
    wanted: list[ColumnElement[bool]] = [
        true() if clients is None else forecasts.c.client_id.in_(list(clients))
    ]
    for column, value in (("rule", rule), ("host_id", host_id), ("component", component)):
        if value is not None:
            wanted.append(forecasts.c[column] == value)
    query = select(forecasts.c.outcome, func.count()).where(*wanted).group_by(forecasts.c.outcome)
    return _counted(connection, query)


def record(
    connection: Connection,
    *,
    clients: Collection[str] | None,
    rule: str,
    host_id: str | None = None,
) -> Coverage:
    """Return how the newest thousand tested forecasts of a rule came out, or those of one host."""
    wanted: list[ColumnElement[bool]] = [forecasts.c.rule == rule]
    if clients is not None:
        wanted.append(forecasts.c.client_id.in_(list(clients)))
    if host_id is not None:
        wanted.append(forecasts.c.host_id == host_id)
    tested = (
        select(forecasts.c.outcome)
        .where(forecasts.c.outcome.in_([Outcome.INSIDE, Outcome.EARLY, Outcome.LATE]), *wanted)
        .order_by(forecasts.c.id.desc())
        .limit(_MOST_TESTED)
        .subquery()
    )
    query = select(tested.c.outcome, func.count()).group_by(tested.c.outcome)
    return _counted(connection, query)


def with_record(
    connection: Connection, client_id: str, rule: str, told: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return evidence that tells, where it names a date, how past dates of the rule came out.

    Of one client alone; nothing is added while too few of its forecasts were put to the test.
    """
    forecast = told.get("forecast")
    if not isinstance(forecast, Mapping):
        return told
    found = record(connection, clients=[client_id], rule=rule)
    if not found.words:
        return told
    track = {name: getattr(found, name) for name in ("tested", "inside", "early", "late")}
    return {
        **told,
        "forecast": {**forecast, "track_record": track},
        "advice": f"{told.get('advice', '')} So far {found.words}.".strip(),
    }


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest date told of one component, whose level is not reached yet."""

    rule: str
    component: str
    made_at: datetime
    due_at: datetime
    earliest: datetime
    latest: datetime


def standing(connection: Connection, host_id: str, now: datetime) -> Sequence[Standing]:
    """Return the dates that stand for a host, the nearest first."""
    fresh = now - _STANDS
    columns = [forecasts.c[name] for name in Standing.__slots__]
    rows = connection.execute(
        select(*columns)
        .where(
            forecasts.c.outcome.is_(None),
            forecasts.c.host_id == host_id,
            forecasts.c.made_at >= fresh,
        )
        .order_by(forecasts.c.id)
    )
    newest = {(row.rule, row.component): Standing(*row) for row in rows}
    return sorted(newest.values(), key=lambda one: one.due_at)


def _counted(connection: Connection, query: Select[Any]) -> Coverage:
    counts: Counter[str] = Counter()
    for outcome, count in connection.execute(query):
        counts[outcome or "waiting"] += count
    return Coverage(**{name: counts[name] for name in Coverage.__slots__})


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
