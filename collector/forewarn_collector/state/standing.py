"""Runs of standing orders: made when a calendar is due or an episode asks, ended by what hosts say.

The collector makes no order: it hands over what was signed, when it is time.  Each host reads the
calendar itself, and counts by itself how often a day.  All SQL of it is in here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    RowMapping,
    delete,
    func,
    insert,
    select,
    update,
)

from forewarn_collector.state.tables import (
    episodes,
    hosts,
    order_results,
    order_signatures,
    order_targets,
    orders,
    scripts,
    standing_orders,
    standing_runs,
)
from forewarn_scripts.decide import Reason
from forewarn_scripts.envelope import STANDING_ORDER
from forewarn_scripts.order import Calendar, Ended, Result, StandingOrder

LOOK_AGAIN: Final = timedelta(minutes=1)  # hours and windows
TURN_COMES: Final = timedelta(seconds=5)  # others that go first
ASK_AGAIN: Final = timedelta(minutes=10)  # a host that said not now
HALTED_FOR: Final = timedelta(days=1)
KEPT: Final = timedelta(days=400)
RESULTS_KEPT: Final = timedelta(days=90)

MISSED: Final = "missed"
NOT_NEEDED: Final = "not-needed"  # the episode ended before
BEGAN: Final = (Ended.DONE, Ended.TIMED_OUT, Ended.NOT_STARTED, Ended.UNKNOWN)
_LATER = (
    *(Reason.NOT_DUE, Reason.TOO_EARLY, Reason.HOURS, Reason.TOO_OFTEN),
    *(Reason.LOCKED, "no-helper"),
)


@dataclass(frozen=True, slots=True)
class RunKey:
    """What runs at most once."""

    order_id: str
    host_id: str
    occurrence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingRun:
    """One run: `held` is why it waits, `ended` "" until it ended, `cleared_at` its episode's end.

    `ended` is a host's word, or ``missed`` or ``not-needed``.
    """

    host: str
    name: str
    occurrence: str
    wanted_at: datetime
    until: datetime
    held: str
    offered_at: datetime | None
    ended_at: datetime | None
    ended: str
    well: bool
    episode: str | None
    cleared_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What all runs of a standing order came to."""

    waiting: int
    running: int
    well: int
    failed: int
    missed: int
    cleared: int


def keep(connection: Connection, order: StandingOrder) -> None:
    """Keep when a standing order is to run, once the order itself is kept."""
    calendar = None if order.calendar is None else order.calendar.model_dump(mode="json")
    connection.execute(
        insert(standing_orders).values(
            order_id=order.id,
            trigger=order.trigger,
            calendar=calendar,
            within=str(order.within),
            timeout_seconds=order.timeout_seconds,
        )
    )


# -- when it is time -----------------------------------------------------------------------------


def any_order(connection: Connection) -> bool:
    """Say whether there is, or was, any standing order."""
    return connection.execute(select(standing_orders.c.order_id).limit(1)).first() is not None


def make_due(connection: Connection, now: datetime) -> int:
    """Make the runs of every calendar that is due, and return how many."""
    query = (
        select(orders.c.id, orders.c.client_id, orders.c.not_after, standing_orders.c.calendar)
        .join(standing_orders, standing_orders.c.order_id == orders.c.id)
        .where(standing_orders.c.trigger.is_(None), _in_force(now))
    )
    rows = connection.execute(query).mappings().all()
    return sum(_make_due(connection, row, now) for row in rows)


def _make_due(connection: Connection, order: RowMapping, now: datetime) -> int:
    calendar = read_calendar(order["calendar"])
    due = calendar.occasion(now)
    if due is None:
        return 0
    known = select(standing_runs.c.order_id).where(
        standing_runs.c.order_id == order["id"], standing_runs.c.occurrence == due.name
    )
    if connection.execute(known.limit(1)).first() is not None:
        return 0
    meant = (
        select(order_targets.c.host_id)
        .join(hosts, hosts.c.id == order_targets.c.host_id)
        .where(order_targets.c.order_id == order["id"], hosts.c.revoked_at.is_(None))
    )
    until = min(due.ends, order["not_after"])
    rows = [
        {
            "order_id": order["id"],
            "host_id": host_id,
            "occurrence": due.name,
            "client_id": order["client_id"],
            "wanted_at": now,
            "until": until,
            "again_at": now,
        }
        for host_id in connection.execute(meant).scalars()
    ]
    if rows:
        connection.execute(insert(standing_runs), rows)
    return len(rows)


def read_calendar(kept: Mapping[str, Any]) -> Calendar:
    """Return a calendar as it was kept."""
    return Calendar.model_validate({**kept, "weekdays": tuple(kept["weekdays"])})


def give_up(connection: Connection, now: datetime) -> int:
    """End what no host took in time; return how many."""
    late = standing_runs.c.offered_at.is_(None) & (standing_runs.c.until <= now)
    changed = (
        update(standing_runs)
        .where(standing_runs.c.ended_at.is_(None), late)
        .values(ended_at=now, ended=MISSED)
    )
    return connection.execute(changed).rowcount


def forget(connection: Connection, now: datetime) -> None:
    """Forget runs after 400 days, and what hosts said at length of them after 90."""
    standing = select(standing_orders.c.order_id)
    connection.execute(
        delete(order_results).where(
            order_results.c.received_at < now - RESULTS_KEPT,
            order_results.c.order_id.in_(standing),
        )
    )
    connection.execute(delete(standing_runs).where(standing_runs.c.ended_at < now - KEPT))


def any_trigger(connection: Connection) -> bool:
    """Say whether any standing order waits for episodes, of whatever rule."""
    query = select(standing_orders.c.order_id).where(standing_orders.c.trigger.is_not(None))
    return connection.execute(query.limit(1)).first() is not None


def triggered_orders(
    connection: Connection, rules: Sequence[str], host_ids: Sequence[str], now: datetime
) -> Sequence[tuple[str, str, str, datetime]]:
    """Return what stands for these rules on these hosts, as (rule, host, order, its end)."""
    query = (
        select(
            standing_orders.c.trigger,
            order_targets.c.host_id,
            orders.c.id,
            orders.c.not_after,
        )
        .join(standing_orders, standing_orders.c.order_id == orders.c.id)
        .join(order_targets, order_targets.c.order_id == orders.c.id)
        .where(
            standing_orders.c.trigger.in_(rules),
            order_targets.c.host_id.in_(host_ids),
            _in_force(now),
        )
        .order_by(orders.c.id)
    )
    return [(row.trigger, row.host_id, row.id, row.not_after) for row in connection.execute(query)]


def _in_force(now: datetime) -> ColumnElement[bool]:
    """Ask for orders that are signed by enough, begun, and neither over nor cancelled."""
    signed = (
        select(func.count())
        .where(order_signatures.c.order_id == orders.c.id)
        .correlate(orders)
        .scalar_subquery()
    )
    return (
        (orders.c.kind == STANDING_ORDER)
        & orders.c.cancelled_at.is_(None)
        & (orders.c.not_before <= now)
        & (orders.c.not_after > now)
        & (signed >= orders.c.needs)
    )


# -- one run -------------------------------------------------------------------------------------


def _same(run: RunKey) -> ColumnElement[bool]:
    columns = standing_runs.c
    return (
        (columns.order_id == run.order_id)
        & (columns.host_id == run.host_id)
        & (columns.occurrence == run.occurrence)
    )


def is_over(connection: Connection, episode_id: str) -> bool:
    """Say whether the episode that asked for a run has ended."""
    query = select(episodes.c.closed_at).where(episodes.c.id == episode_id)
    return connection.execute(query).scalar() is not None


def hold(connection: Connection, run: RunKey, why: str, again_at: datetime) -> None:
    """Note why a run waits, and until when nobody need look."""
    values = {"held": why[:200], "again_at": again_at}
    connection.execute(update(standing_runs).where(_same(run)).values(values))


def hand_over(connection: Connection, run: RunKey, now: datetime) -> None:
    """Note that a host was handed a run."""
    values = {"held": "", "offered_at": now}
    connection.execute(update(standing_runs).where(_same(run)).values(values))


def end(
    connection: Connection, run: RunKey, how: str, now: datetime, *, well: bool = False
) -> None:
    """End a run."""
    values = {"ended_at": now, "ended": how, "well": well, "held": ""}
    connection.execute(update(standing_runs).where(_same(run)).values(values))


def is_known(connection: Connection, run: RunKey) -> bool:
    """Say whether there is such a run."""
    return (
        connection.execute(select(standing_runs.c.order_id).where(_same(run))).first() is not None
    )


def take(connection: Connection, run: RunKey, result: Result, now: datetime, *, well: bool) -> bool:
    """Take what a host said of a run; return whether that ends it.

    A host that says not now is asked again while the occurrence lasts.
    """
    query = select(standing_runs.c.until).where(_same(run))
    until = connection.execute(query).scalar_one()
    if result.ended is Ended.REFUSED and now + ASK_AGAIN < until and _is_later(result.reason):
        values = {"offered_at": None, "held": result.reason[:200], "again_at": now + ASK_AGAIN}
        connection.execute(update(standing_runs).where(_same(run)).values(values))
        return False
    end(connection, run, str(result.ended), now, well=well)
    return True


def _is_later(reason: str) -> bool:
    return reason.partition(":")[0] in _LATER


# -- for people ----------------------------------------------------------------------------------


def runs_of(connection: Connection, order_id: str, most: int) -> tuple[StandingRun, ...]:
    """Return the runs of a standing order, newest first."""
    query = (
        select(standing_runs, hosts.c.name)
        .join(hosts, hosts.c.id == standing_runs.c.host_id)
        .where(standing_runs.c.order_id == order_id)
        .order_by(standing_runs.c.wanted_at.desc(), hosts.c.name, standing_runs.c.host_id)
        .limit(most)
    )
    return tuple(
        StandingRun(
            host=row.host_id,
            name=row.name,
            occurrence=row.occurrence,
            wanted_at=row.wanted_at,
            until=row.until,
            held=row.held,
            offered_at=row.offered_at,
            ended_at=row.ended_at,
            ended=row.ended,
            well=row.well,
            episode=row.episode_id,
            cleared_at=row.cleared_at,
        )
        for row in connection.execute(query)
    )


def tally_of(connection: Connection, order_id: str) -> Tally:
    """Return what all runs of a standing order came to."""
    runs = standing_runs.c
    rows = connection.execute(
        select(
            runs.ended,
            runs.well,
            runs.offered_at.is_not(None).label("offered"),
            func.count().label("runs"),
            func.count(runs.cleared_at).label("cleared"),
        )
        .where(runs.order_id == order_id)
        .group_by(runs.ended, runs.well, runs.offered_at.is_not(None))
    ).all()
    wrong = [str(one) for one in (*BEGAN, Ended.REFUSED)]
    return Tally(
        waiting=sum(row.runs for row in rows if not row.ended and not row.offered),
        running=sum(row.runs for row in rows if not row.ended and row.offered),
        well=sum(row.runs for row in rows if row.well),
        failed=sum(row.runs for row in rows if row.ended in wrong and not row.well),
        missed=sum(row.runs for row in rows if row.ended == MISSED),
        cleared=sum(row.cleared for row in rows if row.ended in wrong),
    )


def remedied(connection: Connection, ticket_ids: Sequence[str]) -> frozenset[str]:
    """Return those of the tickets of which an episode asked for a run."""
    query = (
        select(episodes.c.ticket_id)
        .join(standing_runs, standing_runs.c.episode_id == episodes.c.id)
        .where(episodes.c.ticket_id.in_(ticket_ids))
        .distinct()
    )
    return frozenset(connection.execute(query).scalars())


def of_ticket(connection: Connection, ticket_id: str) -> Sequence[Row[Any]]:
    """Return the runs that episodes of a ticket asked for, with order, script and effect."""
    query = (
        select(
            orders,
            scripts.c.name.label("script"),
            standing_runs.c.host_id,
            standing_runs.c.occurrence,
            standing_runs.c.ended_at.label("run_ended_at"),
            standing_runs.c.cleared_at,
        )
        .join(standing_runs, standing_runs.c.order_id == orders.c.id)
        .join(episodes, episodes.c.id == standing_runs.c.episode_id)
        .outerjoin(
            scripts,
            (scripts.c.client_id == orders.c.client_id)
            & (scripts.c.sha256 == orders.c.script_sha256),
        )
        .where(episodes.c.ticket_id == ticket_id, standing_runs.c.offered_at.is_not(None))
        .order_by(standing_runs.c.wanted_at, orders.c.id)
        .limit(100)
    )
    return connection.execute(query).all()
