"""Hand orders over: which wait for a host now, in what order they spread.  All SQL is in here.

Single orders and revocations; `standing` says which runs of standing orders are due.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, case, func, select, update

from forewarn_collector.gate import Gate
from forewarn_collector.state import standing
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.orders import Pace, enveloped, script_of
from forewarn_collector.state.tables import (
    order_signatures,
    order_targets,
    orders,
    standing_orders,
    standing_runs,
)
from forewarn_scripts.envelope import STANDING_ORDER

EARLY = timedelta(minutes=5)  # a host whose clock is ahead may have it so much before its time
LATE = timedelta(days=7)  # so long after its end a host is still asked what became of it
MOST_AT_ONCE = 4  # orders in one answer


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an order is on its hosts."""

    offered: int = 0
    running: int = 0
    well: int = 0
    failed: int = 0

    def lets_begin(self, pace: Pace) -> bool:
        """Say whether one host more may begin."""
        return not self.waits_for(pace)

    def waits_for(self, pace: Pace) -> str:
        """Return what one host more has to wait for, "" for nothing."""
        if pace.halt_after and self.failed >= pace.halt_after:
            return f"halted after {self.failed} failures"
        if pace.canary and self.well < pace.canary <= self.offered:
            return "waits for the first hosts to do well"
        if pace.at_once and self.running >= pace.at_once:
            return f"{self.running} hosts are at it, which is the most at once"
        return ""


@dataclass(frozen=True, slots=True)
class Offered:
    """What a host is handed: an envelope, and the script it names ("" bytes for a revocation).

    `occurrence` is that of a standing order.
    """

    envelope: bytes
    script: bytes
    occurrence: str = ""


def offers(
    connection: Connection, host: KnownHost, now: datetime, gate: Gate
) -> tuple[Offered, ...]:
    """Return what this host is to be handed now, and note that it was."""
    rows = connection.execute(
        select(orders, order_targets.c.offered_at)
        .join(order_targets, order_targets.c.order_id == orders.c.id)
        .where(
            order_targets.c.host_id == host.id,
            order_targets.c.ended_at.is_(None),
            orders.c.kind != STANDING_ORDER,
            orders.c.cancelled_at.is_(None) | order_targets.c.offered_at.is_not(None),
            orders.c.not_before <= now + EARLY,
            orders.c.not_after > now - LATE,
        )
        .order_by(orders.c.kind.desc(), orders.c.id)  # revocations before orders
    ).all()
    found: list[Offered] = []
    for row in rows:
        envelope = enveloped(connection, row)
        if len(envelope.signatures) < row.needs:
            continue
        if row.offered_at is None:
            pace = Pace(row.needs, row.canary, row.at_once, row.halt_after)
            if row.not_after <= now or not _progress(connection, row.id).lets_begin(pace):
                continue
            same = (order_targets.c.order_id == row.id) & (order_targets.c.host_id == host.id)
            connection.execute(update(order_targets).where(same).values(offered_at=now))
        script = script_of(connection, row.client_id, row.script_sha256) or b""
        found.append(Offered(envelope.to_bytes(), script))
        if len(found) == MOST_AT_ONCE:
            return tuple(found)
    return (*found, *_standing(connection, host, now, gate, MOST_AT_ONCE - len(found)))


def waiting_hosts(connection: Connection, now: datetime) -> dict[str, datetime]:
    """Return the hosts that something waits for, each with the moment from which it does."""
    signed = (
        select(order_signatures.c.order_id, func.count().label("count"))
        .group_by(order_signatures.c.order_id)
        .subquery()
    )
    single = connection.execute(
        select(order_targets.c.host_id, func.min(orders.c.not_before).label("begins"))
        .join(orders, orders.c.id == order_targets.c.order_id)
        .join(signed, signed.c.order_id == orders.c.id)
        .where(
            order_targets.c.ended_at.is_(None),
            orders.c.kind != STANDING_ORDER,
            orders.c.cancelled_at.is_(None) | order_targets.c.offered_at.is_not(None),
            orders.c.not_after > now - LATE,
            signed.c.count >= orders.c.needs,
        )
        .group_by(order_targets.c.host_id)
    )
    found = {row.host_id: row.begins - EARLY for row in single}
    again = connection.execute(
        select(standing_runs.c.host_id, func.min(standing_runs.c.again_at).label("begins"))
        .join(orders, orders.c.id == standing_runs.c.order_id)
        .where(_unsettled(now))
        .group_by(standing_runs.c.host_id)
    )
    for row in again:
        found[row.host_id] = min(row.begins, found.get(row.host_id, row.begins))
    return found


# -- standing orders -----------------------------------------------------------------------------


def _standing(
    connection: Connection, host: KnownHost, now: datetime, gate: Gate, most: int
) -> list[Offered]:
    rows = connection.execute(
        select(
            orders,
            standing_orders.c.within,
            standing_orders.c.trigger,
            standing_orders.c.timeout_seconds,
            standing_runs.c.occurrence,
            standing_runs.c.episode_id,
            standing_runs.c.offered_at,
        )
        .join(standing_orders, standing_orders.c.order_id == orders.c.id)
        .join(standing_runs, standing_runs.c.order_id == orders.c.id)
        .where(standing_runs.c.host_id == host.id, standing_runs.c.again_at <= now, _unsettled(now))
        .order_by(standing_runs.c.wanted_at, orders.c.id)
        .limit(50)
    ).all()
    found: list[Offered] = []
    for row in rows:
        envelope = enveloped(connection, row)
        if len(envelope.signatures) < row.needs or len(found) >= most:
            continue
        if row.offered_at is None:
            run = standing.RunKey(row.id, host.id, row.occurrence)
            if row.episode_id is not None and standing.is_over(connection, row.episode_id):
                standing.end(connection, run, standing.NOT_NEEDED, now)
                continue
            remedy = row.trigger is not None
            held = gate.why_held(connection, row.within, host, now, remedy=remedy)
            if held:
                standing.hold(connection, run, held, now + standing.LOOK_AGAIN)
                continue
            pace = Pace(row.needs, 0 if remedy else row.canary, row.at_once, row.halt_after)
            busy = timedelta(seconds=row.timeout_seconds) + EARLY
            held = _standing_progress(connection, run, busy, now).waits_for(pace)
            if held:
                standing.hold(connection, run, held, now + standing.TURN_COMES)
                continue
            standing.hand_over(connection, run, now)
        script = script_of(connection, row.client_id, row.script_sha256) or b""
        found.append(Offered(envelope.to_bytes(), script, row.occurrence))
    return found


def _unsettled(now: datetime) -> ColumnElement[bool]:
    runs = standing_runs.c
    handed = runs.offered_at.is_not(None)
    waits = runs.offered_at.is_(None) & orders.c.cancelled_at.is_(None) & (runs.until > now)
    return runs.ended_at.is_(None) & (waits | handed & (runs.until > now - LATE))


def _standing_progress(
    connection: Connection, run: standing.RunKey, busy: timedelta, now: datetime
) -> Progress:
    """Return how far an occurrence is; `running` and `failed` are of the whole order.

    A host that vanished with a script in hand counts as busy no longer than the script may take.
    """
    runs = standing_runs.c
    mine = runs.occurrence == run.occurrence
    at_it = runs.ended_at.is_(None) & (runs.offered_at > now - busy)
    lately = runs.ended_at > now - standing.HALTED_FOR
    went_wrong = runs.ended.in_(standing.BEGAN) & ~runs.well
    row = connection.execute(
        select(
            _count(mine & runs.offered_at.is_not(None)).label("offered"),
            _count(at_it).label("running"),
            _count(mine & runs.well).label("well"),
            _count(lately & went_wrong).label("failed"),
        ).where(runs.order_id == run.order_id, runs.offered_at.is_not(None))
    ).one()
    return Progress(row.offered, row.running, row.well, row.failed)


# -- single orders -------------------------------------------------------------------------------


def _progress(connection: Connection, order_id: str) -> Progress:
    targets = order_targets.c
    over = targets.ended_at.is_not(None)
    row = connection.execute(
        select(
            func.count().label("offered"),
            _count(~over).label("running"),
            _count(over & targets.well).label("well"),
            _count(over & ~targets.well).label("failed"),
        ).where(targets.order_id == order_id, targets.offered_at.is_not(None))
    ).one()
    return Progress(row.offered, row.running, row.well, row.failed)


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
