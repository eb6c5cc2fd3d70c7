"""Orders and scripts as people look for them: how far each is, and what hosts said."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, not_, or_, select

from forewarn_collector.api.principal import Principal
from forewarn_collector.queries.scope import (
    microseconds,
    moment,
    read_cursor,
    seen_by,
    write_cursor,
)
from forewarn_collector.state.tables import (
    clients,
    hosts,
    order_results,
    order_signatures,
    order_targets,
    orders,
    scripts,
    sites,
)
from forewarn_scripts.envelope import STANDING_ORDER

_TICKET = re.compile(r"(?<![\w/])(?:#|ticket )([1-9][0-9]{0,8})\b", re.IGNORECASE)


class Which(StrEnum):
    """Which orders a list holds."""

    ALL = "all"
    UNSIGNED = "unsigned"  # wait for signatures
    OPEN = "open"  # hosts may still begin, or have not answered
    ENDED = "ended"


class Stage(StrEnum):
    """How far an order is."""

    UNSIGNED = "waits for signatures"
    COMING = "has not begun"
    STANDING = "stands"
    CANARY = "canaries first"
    RUNNING = "running"
    HALTED = "halted"
    CANCELLED = "cancelled"
    OVER = "time is over"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSeen:
    """An order with how many of its hosts are how far.

    `offered` hosts were handed it; of them `well` and `failed` have ended, the others run.
    """

    id: str
    client_id: str
    client: str
    kind: str
    script_sha256: str
    script: str  # the name it was kept under
    reason: str
    not_before: datetime
    not_after: datetime
    needs: int
    signatures: int
    canary: int
    at_once: int
    halt_after: int
    created_by: str
    created_at: datetime
    cancelled_at: datetime | None
    targets: int
    offered: int
    well: int
    failed: int

    @property
    def ended(self) -> int:
        """Hosts that answered."""
        return self.well + self.failed

    @property
    def running(self) -> int:
        """Hosts that were handed it and have not answered."""
        return self.offered - self.ended

    @property
    def waiting(self) -> int:
        """Hosts that were not handed it."""
        return self.targets - self.offered

    @property
    def ticket(self) -> int | None:
        """The first ticket that its reason names, as ``#12`` or ``ticket 12``."""
        named = _TICKET.search(self.reason)
        return int(named[1]) if named else None

    @property
    def is_halted(self) -> bool:
        """Say whether failures keep it from hosts that wait."""
        canaries_failed = bool(self.canary) and self.offered >= self.canary > self.well
        stuck = canaries_failed and not self.running
        return bool(self.halt_after and self.failed >= self.halt_after) or stuck

    def stage(self, now: datetime) -> Stage:
        """Return how far it is."""
        if self.cancelled_at:
            return Stage.CANCELLED
        if self.signatures < self.needs:
            return Stage.OVER if now >= self.not_after else Stage.UNSIGNED
        if self.kind == STANDING_ORDER:
            return Stage.OVER if now >= self.not_after else Stage.STANDING
        if self.ended == self.targets:
            return Stage.DONE
        if self.is_halted and self.waiting:
            return Stage.HALTED
        if now >= self.not_after and not self.running:
            return Stage.OVER
        if not self.offered and now < self.not_before:
            return Stage.COMING
        if self.waiting and self.canary and self.well < self.canary:
            return Stage.CANARY
        return Stage.RUNNING


@dataclass(frozen=True, slots=True)
class OrderPage:
    """Some orders, newest first, and the cursor for the next ones, None after the last."""

    orders: tuple[OrderSeen, ...]
    next: str | None


def list_orders(
    connection: Connection,
    principal: Principal,
    now: datetime,
    *,
    which: Which = Which.ALL,
    client: str = "",
    script_sha256: str = "",
    host_id: str = "",
    reason: str = "",
    limit: int = 50,
    cursor: str | None = None,
) -> OrderPage:
    """Return up to `limit` orders.  Raises BadCursor."""
    query = _ids(principal).where(_is(which, now))
    if client:
        named = select(clients.c.id).where(clients.c.name == client)
        query = query.where(orders.c.client_id.in_(named))
    if script_sha256:
        query = query.where(orders.c.script_sha256 == script_sha256)
    if reason:
        query = query.where(orders.c.reason.contains(reason, autoescape=True))
    if host_id:
        meant = select(order_targets.c.order_id).where(order_targets.c.host_id == host_id)
        query = query.where(orders.c.id.in_(meant))
    if cursor is not None:
        at, last = read_cursor(cursor, (int, str))
        before = moment(min(max(int(at), 0), 7 * 10**15))
        same = and_(orders.c.created_at == before, orders.c.id < str(last))
        query = query.where(or_(orders.c.created_at < before, same))
    found = _seen(connection, query.limit(limit + 1))
    if len(found) <= limit:
        return OrderPage(tuple(found), None)
    last_one = found[limit - 1]
    following = write_cursor(microseconds(last_one.created_at), last_one.id)
    return OrderPage(tuple(found[:limit]), following)


def find_order(connection: Connection, principal: Principal, order_id: str) -> OrderSeen | None:
    """Return one order, None when there is none that they may see."""
    return next(iter(_seen(connection, _ids(principal).where(orders.c.id == order_id))), None)


def orders_of_ticket(
    connection: Connection, principal: Principal, client_id: str, number: int
) -> tuple[OrderSeen, ...]:
    """Return the orders of a client whose reason names a ticket, newest first."""
    if not principal.may_see(client_id):
        return ()
    query = _ids(principal).where(
        orders.c.client_id == client_id, orders.c.reason.contains(str(number))
    )
    return tuple(one for one in _seen(connection, query.limit(50)) if one.ticket == number)


def count_orders(
    connection: Connection, principal: Principal, now: datetime
) -> Mapping[Which, int]:
    """Return how many orders each list would hold."""
    found = {}
    for which in Which:
        query = (
            select(func.count())
            .select_from(orders)
            .where(seen_by(principal, orders.c.client_id), _is(which, now))
        )
        found[which] = int(connection.execute(query).scalar_one())
    return found


# -- hosts of one order --------------------------------------------------------------------------


class Side(StrEnum):
    """Which hosts of an order are shown."""

    ALL = ""
    WELL = "well"
    FAILED = "failed"
    RUNNING = "running"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class TargetSeen:
    """One host of an order; `ended` is "" until it answered."""

    host_id: str
    host: str
    site: str
    offered_at: datetime | None
    ended_at: datetime | None
    ended: str
    well: bool

    @property
    def side(self) -> Side:
        """Return how far it is."""
        if self.ended_at:
            return Side.WELL if self.well else Side.FAILED
        return Side.RUNNING if self.offered_at else Side.WAITING


def list_targets(
    connection: Connection, order_id: str, side: Side = Side.ALL, *, limit: int, skip: int = 0
) -> tuple[TargetSeen, ...]:
    """Return hosts of an order: what failed first, then what runs, what waits, what went well."""
    ended, offered = order_targets.c.ended_at.is_not(None), order_targets.c.offered_at.is_not(None)
    well = order_targets.c.well
    rank = case(
        (and_(ended, not_(well)), 0), (and_(offered, not_(ended)), 1), (not_(ended), 2), else_=3
    )
    ranks = {Side.FAILED: 0, Side.RUNNING: 1, Side.WAITING: 2, Side.WELL: 3}
    query = (
        select(order_targets, hosts.c.name, sites.c.name.label("site"))
        .join(hosts, hosts.c.id == order_targets.c.host_id)
        .join(sites, sites.c.id == hosts.c.site_id)
        .where(order_targets.c.order_id == order_id)
        .order_by(rank, hosts.c.name, hosts.c.id)
        .limit(limit)
        .offset(skip)
    )
    if side is not Side.ALL:
        query = query.where(rank == ranks[side])
    return tuple(
        TargetSeen(
            row.host_id,
            row.name,
            row.site,
            row.offered_at,
            row.ended_at,
            row.ended,
            row.well,
        )
        for row in connection.execute(query)
    )


@dataclass(frozen=True, slots=True)
class Said:
    """What a host signed of one occurrence, as it came."""

    occurrence: str
    envelope: bytes
    received_at: datetime


def results_of(
    connection: Connection, order_id: str, host_id: str, limit: int = 20
) -> tuple[Said, ...]:
    """Return what a host answered to an order, newest first."""
    query = (
        select(order_results)
        .where(order_results.c.order_id == order_id, order_results.c.host_id == host_id)
        .order_by(order_results.c.received_at.desc(), order_results.c.occurrence.desc())
        .limit(limit)
    )
    return tuple(
        Said(row.occurrence, bytes(row.envelope), row.received_at)
        for row in connection.execute(query)
    )


@dataclass(frozen=True, slots=True)
class SignedBy:
    """A signature as it was handed in; who handed it in is the collector's own knowledge."""

    key_id: str
    by: str
    at: datetime


def signatures_of(connection: Connection, order_id: str) -> tuple[SignedBy, ...]:
    """Return the signatures of an order, oldest first."""
    query = (
        select(order_signatures)
        .where(order_signatures.c.order_id == order_id)
        .order_by(order_signatures.c.at, order_signatures.c.key_id)
    )
    return tuple(SignedBy(row.key_id, row.by, row.at) for row in connection.execute(query))


# -- scripts -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScriptSeen:
    """A script that a client keeps, and how often it was ordered."""

    client: str
    sha256: str
    name: str
    body: bytes
    created_by: str
    created_at: datetime
    orders: int


def list_scripts(
    connection: Connection, principal: Principal, *, sha256: str = "", limit: int = 200
) -> tuple[ScriptSeen, ...]:
    """Return the scripts that were sent in, newest first."""
    used = (
        select(func.count())
        .select_from(orders)
        .where(
            orders.c.client_id == scripts.c.client_id, orders.c.script_sha256 == scripts.c.sha256
        )
        .scalar_subquery()
    )
    query = (
        select(scripts, clients.c.name.label("client"), used.label("orders"))
        .join(clients, clients.c.id == scripts.c.client_id)
        .where(seen_by(principal, scripts.c.client_id))
        .order_by(scripts.c.created_at.desc(), scripts.c.sha256)
        .limit(limit)
    )
    if sha256:
        query = query.where(scripts.c.sha256 == sha256)
    return tuple(
        ScriptSeen(
            row.client,
            row.sha256,
            row.name,
            bytes(row.body),
            row.created_by,
            row.created_at,
            row.orders,
        )
        for row in connection.execute(query)
    )


# -- parts ---------------------------------------------------------------------------------------


def _signature_count() -> ColumnElement[int]:
    return (
        select(func.count())
        .select_from(order_signatures)
        .where(order_signatures.c.order_id == orders.c.id)
        .correlate(orders)
        .scalar_subquery()
    )


def _is(which: Which, now: datetime) -> ColumnElement[bool]:
    """Return the condition that an order is in a list."""
    if which is Which.ALL:
        return orders.c.id.is_not(None)
    alive = and_(orders.c.cancelled_at.is_(None), orders.c.not_after > now)
    signed = _signature_count() >= orders.c.needs
    unanswered = (
        select(order_targets.c.order_id)
        .where(order_targets.c.order_id == orders.c.id, order_targets.c.ended_at.is_(None))
        .correlate(orders)
        .exists()
    )
    open_now = and_(alive, signed, or_(unanswered, orders.c.kind == STANDING_ORDER))
    if which is Which.UNSIGNED:
        return and_(alive, not_(signed))
    if which is Which.OPEN:
        return open_now
    return not_(or_(open_now, and_(alive, not_(signed))))


def _ids(principal: Principal) -> Select[tuple[str]]:
    """Return the query for ids, newest first; whoever asks narrows it and sets a limit."""
    return (
        select(orders.c.id)
        .where(seen_by(principal, orders.c.client_id))
        .order_by(orders.c.created_at.desc(), orders.c.id.desc())
    )


def _seen(connection: Connection, wanted: Select[tuple[str]]) -> list[OrderSeen]:
    # Ids first: counting the hosts of every order there ever was would take long.
    ids = list(connection.execute(wanted).scalars())
    hosts_of = (
        select(
            order_targets.c.order_id.label("order_id"),
            func.count().label("targets"),
            func.count(order_targets.c.offered_at).label("offered"),
            func.count(order_targets.c.ended_at).label("ended"),
            func.sum(case((order_targets.c.well, 1), else_=0)).label("well"),
        )
        .where(order_targets.c.order_id.in_(ids))
        .group_by(order_targets.c.order_id)
        .subquery("hosts_of")
    )
    query = (
        select(
            orders,
            clients.c.name.label("client"),
            scripts.c.name.label("script"),
            _signature_count().label("signatures"),
            *hosts_of.c["targets", "offered", "ended", "well"],
        )
        .join(clients, clients.c.id == orders.c.client_id)
        .join(hosts_of, hosts_of.c.order_id == orders.c.id, isouter=True)
        .join(scripts, _same_script(), isouter=True)
        .where(orders.c.id.in_(ids))
    )
    found = {row.id: _one(row) for row in connection.execute(query)}
    return [found[one] for one in ids]


def _same_script() -> ColumnElement[bool]:
    return and_(
        scripts.c.client_id == orders.c.client_id, scripts.c.sha256 == orders.c.script_sha256
    )


def _one(row: Any) -> OrderSeen:
    well, ended = int(row.well or 0), int(row.ended or 0)
    return OrderSeen(
        id=row.id,
        client_id=row.client_id,
        client=row.client,
        kind=row.kind,
        script_sha256=row.script_sha256,
        script=row.script or "",
        reason=row.reason,
        not_before=row.not_before,
        not_after=row.not_after,
        needs=row.needs,
        signatures=row.signatures,
        canary=row.canary,
        at_once=row.at_once,
        halt_after=row.halt_after,
        created_by=row.created_by,
        created_at=row.created_at,
        cancelled_at=row.cancelled_at,
        targets=row.targets or 0,
        offered=max(row.offered or 0, ended),
        well=well,
        failed=ended - well,
    )
