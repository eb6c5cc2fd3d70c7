"""Standing orders that an episode asks for: wanted with it, and measured by its end.

All SQL of it is in here.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, insert, select, update

from forewarn_collector.state import history, standing
from forewarn_collector.state.episodes import Opening
from forewarn_collector.state.history import ACTOR, Row, event
from forewarn_collector.state.orders import touch
from forewarn_collector.state.standing import RunKey
from forewarn_collector.state.tables import (
    episodes,
    forecasts,
    orders,
    scripts,
    standing_runs,
    tickets,
)
from forewarn_scripts.order import Result, triggered

WANTED_FOR: Final = timedelta(hours=24)
_SECONDS_A_DAY = 86_400
_AT_ONCE = 500


def want(connection: Connection, opened: Sequence[tuple[str, Opening]], now: datetime) -> int:
    """Want a run of every standing order that names the rule of an episode that opened.

    Returns how many.  Part of the transaction in which the episodes open.
    """
    wanted = 0
    if not opened or not standing.any_trigger(connection):
        return 0
    for first in range(0, len(opened), _AT_ONCE):
        some = opened[first : first + _AT_ONCE]
        rules = sorted({opening.rule for _, opening in some})
        ids = sorted({opening.host.id for _, opening in some})
        found = standing.triggered_orders(connection, rules, ids, now)
        if not found:
            continue
        about: dict[tuple[str, str], list[tuple[str, Opening]]] = defaultdict(list)
        for episode_id, opening in some:
            about[opening.rule, opening.host.id].append((episode_id, opening))
        rows = [
            {
                "order_id": order_id,
                "host_id": host_id,
                "occurrence": triggered(rule, episode_id),
                "client_id": opening.host.client_id,
                "wanted_at": now,
                "until": min(now + WANTED_FOR, ends),
                "again_at": now,
                "episode_id": episode_id,
            }
            for rule, host_id, order_id, ends in found
            for episode_id, opening in about[rule, host_id]
        ]
        if rows:
            connection.execute(insert(standing_runs), rows)
            wanted += len(rows)
    if wanted:
        touch(connection)
    return wanted


def ran(connection: Connection, run: RunKey, result: Result, now: datetime) -> None:
    """Note on the ticket of the episode that asked for a run how it ended."""
    query = (
        select(episodes.c.closed_at, tickets.c.id, tickets.c.client_id)
        .join(standing_runs, standing_runs.c.episode_id == episodes.c.id)
        .join(tickets, tickets.c.id == episodes.c.ticket_id)
        .where(standing_runs.c.order_id == run.order_id)
        .where(standing_runs.c.host_id == run.host_id)
        .where(standing_runs.c.occurrence == run.occurrence)
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return
    data = {
        "order": run.order_id,
        "script": _script_name(connection, run.order_id),
        "ended": str(result.ended),
        "exit_code": result.exit_code,
        "reason": result.reason[:200],
    }
    history.record(connection, row, event("remedy_ran", data), actor=ACTOR, now=now)
    if row["closed_at"] is not None:  # it ended while the script ran
        _cleared(connection, run, row, row["closed_at"], now, None)


def note_cleared(
    connection: Connection, ended: Sequence[tuple[Row, datetime]], now: datetime
) -> None:
    """Measure what remedies of episodes did, now that these ended, each at its moment.

    Before their tickets close: their reports tell of it.
    """
    if not ended or not standing.any_trigger(connection):
        return
    of = {episode["id"]: (episode, at) for episode, at in ended}
    ids = sorted(of)
    for first in range(0, len(ids), _AT_ONCE):
        query = select(standing_runs).where(
            standing_runs.c.episode_id.in_(ids[first : first + _AT_ONCE]),
            standing_runs.c.ended.in_(standing.BEGAN),
            standing_runs.c.cleared_at.is_(None),
        )
        for row in connection.execute(query).mappings().all():
            episode, at = of[row["episode_id"]]
            run = RunKey(row["order_id"], row["host_id"], row["occurrence"])
            ticket = {"id": episode["ticket_id"], "client_id": episode["client_id"]}
            _cleared(connection, run, ticket, at, now, _days_bought(connection, episode, at))


def _cleared(
    connection: Connection,
    run: RunKey,
    ticket: Row,
    at: datetime,
    now: datetime,
    days_bought: float | None,
) -> None:
    same = (
        (standing_runs.c.order_id == run.order_id)
        & (standing_runs.c.host_id == run.host_id)
        & (standing_runs.c.occurrence == run.occurrence)
    )
    ended_at = connection.execute(select(standing_runs.c.ended_at).where(same)).scalar_one()
    connection.execute(update(standing_runs).where(same).values(cleared_at=at))
    seconds = (at - ended_at).total_seconds() if ended_at is not None else 0.0
    data = {
        "order": run.order_id,
        "after_seconds": max(0, round(seconds)),
        "days_bought": days_bought,
    }
    history.record(connection, ticket, event("remedy_cleared", data), actor=ACTOR, now=now)


def _days_bought(connection: Connection, episode: Row, at: datetime) -> float | None:
    """Return the days from the end of an episode to the date last forecast; None without one."""
    query = (
        select(forecasts.c.due_at)
        .where(
            forecasts.c.host_id == episode["host_id"],
            forecasts.c.component == episode["component"],
            forecasts.c.made_at <= at,
            forecasts.c.due_at > at,
        )
        .order_by(forecasts.c.made_at.desc())
        .limit(1)
    )
    due = connection.execute(query).scalar()
    return None if due is None else round((due - at).total_seconds() / _SECONDS_A_DAY, 1)


def _script_name(connection: Connection, order_id: str) -> str:
    query = (
        select(scripts.c.name)
        .join(
            orders,
            (orders.c.client_id == scripts.c.client_id)
            & (orders.c.script_sha256 == scripts.c.sha256),
        )
        .where(orders.c.id == order_id)
    )
    return connection.execute(query).scalar() or ""
