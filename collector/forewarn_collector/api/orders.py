"""Signed orders.  The collector keeps and routes them; it cannot make one.

What an operator's command sends here was signed on their machine; what hosts answer was signed
there.  Whoever asks gets the signed bytes and is to verify them.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints
from sqlalchemy import Connection, select

from forewarn_collector.api.guard import Asker, Collector, Desk, Here, Problem, missing
from forewarn_collector.api.paths import Id
from forewarn_collector.api.principal import Principal, Role
from forewarn_collector.api.scripts import Kept
from forewarn_collector.api.second_factor import Code, demand
from forewarn_collector.api.texts import Body
from forewarn_collector.queries.scope import seen_by
from forewarn_collector.state import audit
from forewarn_collector.state import orders as state
from forewarn_collector.state.orders import Pace, Refused, Target
from forewarn_collector.state.tables import clients, order_results, orders, scripts
from forewarn_scripts.order import Revocation, StandingOrder

PREFIX = "/api/v1"
LARGE_BODIES = {f"{PREFIX}/scripts": 512 * 1024, f"{PREFIX}/orders": 512 * 1024}
_MOST_LISTED = 200

EnvelopeText = Annotated[str, StringConstraints(min_length=2, max_length=400_000)]
Count = Annotated[int, Field(ge=0, le=2000)]


class NewOrder(Body):
    """A signed order, and how it is to spread over its hosts."""

    envelope: EnvelopeText
    needs: Annotated[int, Field(ge=1, le=16)] = 1
    canary: Count = 0
    at_once: Count = 0
    halt_after: Count = 0


class Approval(Body):
    """The same order with one's own signature."""

    envelope: EnvelopeText


@dataclass(frozen=True, slots=True)
class OrderLine:
    """An order in a list."""

    id: str
    client: str
    kind: str
    script_sha256: str
    reason: str
    not_before: datetime
    not_after: datetime
    needs: int
    signatures: int
    created_by: str
    created_at: datetime
    cancelled_at: datetime | None
    script_name: str = ""


@dataclass(frozen=True, slots=True)
class OrderDetail:
    """An order whole: as it was signed, the script, and how it stands on each host."""

    order: OrderLine
    envelope: str
    script: str
    targets: Sequence[Target]


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders, newest first."""

    orders: Sequence[OrderLine]


@dataclass(frozen=True, slots=True)
class HostResult:
    """What one host signed."""

    host: str
    occurrence: str
    envelope: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Results:
    """What hosts answered to one order."""

    results: Sequence[HostResult]


def add(desk: Desk) -> None:
    """Add the routes of remote work."""
    viewer, operator = Role.VIEWER, Role.OPERATOR
    order = f"{PREFIX}/orders/{{id}}"
    desk.api("GET", f"{PREFIX}/orders", viewer, get_orders)
    desk.api("POST", f"{PREFIX}/orders", operator, post_order, status=201)
    desk.api("GET", order, viewer, get_order)
    desk.api("GET", f"{order}/results", viewer, get_results)
    desk.api("POST", f"{order}/approve", Role.APPROVER, approve_order)
    desk.api("POST", f"{order}/cancel", operator, cancel_order)


def get_orders(asker: Asker, collector: Here) -> Orders:
    """Return orders, newest first."""
    with collector.database.read() as connection:
        query = (
            select(orders.c.id)
            .where(seen_by(asker, orders.c.client_id))
            .order_by(orders.c.created_at.desc(), orders.c.id)
            .limit(_MOST_LISTED)
        )
        found = connection.execute(query).scalars().all()
        return Orders([_line(connection, order_id) for order_id in found])


def post_order(body: NewOrder, asker: Asker, collector: Here, code: Code = None) -> Kept:
    """Keep a signed order and hand it to its hosts once enough signatures are there.

    What is for many hosts, dangerous or standing needs a second factor.
    """
    now = collector.now()
    _ask_for_factor(collector, asker, code, body.envelope, body.needs)
    pace = Pace(body.needs, body.canary, body.at_once, body.halt_after)
    known = [host for host in collector.hosts.all() if asker.may_see(host.client_id)]
    with collector.database.write() as connection:
        try:
            data = body.envelope.encode()
            order_id = state.propose(connection, data, pace, known, asker.name, now)
        except Refused as refused:
            raise Problem(422, f"body: {refused}") from None
        audit.record(connection, now, asker.name, "order.propose", order_id)
    return Kept(order_id)


def get_order(id: Id, asker: Asker, collector: Here) -> OrderDetail:  # noqa: A002 - as in the path
    """Return one order whole."""
    with collector.database.read() as connection:
        row = _visible(connection, asker, id)
        envelope = state.envelope_of(connection, id)
        assert envelope is not None
        body = connection.execute(
            select(scripts.c.body).where(
                scripts.c.client_id == row.client_id, scripts.c.sha256 == row.script_sha256
            )
        ).scalar()
        return OrderDetail(
            _line(connection, id),
            envelope.to_bytes().decode(),
            base64.b64encode(bytes(body or b"")).decode(),
            state.targets_of(connection, id),
        )


def get_results(id: Id, asker: Asker, collector: Here) -> Results:  # noqa: A002 - as in the path
    """Return what the hosts signed; whoever relies on it verifies it."""
    with collector.database.read() as connection:
        _visible(connection, asker, id)
        query = (
            select(order_results)
            .where(order_results.c.order_id == id)
            .order_by(order_results.c.received_at, order_results.c.host_id)
        )
        return Results(
            [
                HostResult(
                    row.host_id, row.occurrence, bytes(row.envelope).decode(), row.received_at
                )
                for row in connection.execute(query)
            ]
        )


def approve_order(
    id: Id,  # noqa: A002 - as in the path
    body: Approval,
    asker: Asker,
    collector: Here,
    code: Code = None,
) -> OrderDetail:
    """Add one's signature to an order; it needs the second factor that the order needed."""
    now = collector.now()
    with collector.database.read() as connection:
        needs = _visible(connection, asker, id).needs
    _ask_for_factor(collector, asker, code, body.envelope, needs)
    with collector.database.write() as connection:
        try:
            state.approve(connection, id, body.envelope.encode(), asker.name, now)
        except Refused as refused:
            raise Problem(422, f"body: {refused}") from None
        audit.record(connection, now, asker.name, "order.approve", id)
    return get_order(id, asker, collector)


def cancel_order(id: Id, asker: Asker, collector: Here) -> OrderDetail:  # noqa: A002
    """Hand an order to no host more.  Hosts that have it go on."""
    now = collector.now()
    with collector.database.write() as connection:
        _visible(connection, asker, id)
        state.cancel(connection, id, now)
        audit.record(connection, now, asker.name, "order.cancel", id)
    return get_order(id, asker, collector)


def _ask_for_factor(
    collector: Collector, asker: Principal, code: str | None, envelope: str, needs: int
) -> None:
    """Raise Problem unless what is at stake is little, or a second factor is shown."""
    try:
        _, document = state.opened(envelope.encode())
    except Refused as refused:
        raise Problem(422, f"body: {refused}") from None
    if isinstance(document, Revocation):
        return  # easy to stop
    if isinstance(document, StandingOrder):
        demand(collector, asker, code, "a standing order")
    elif needs > 1:
        demand(collector, asker, code, "an order that needs more than one signature")
    elif len(document.targets) > collector.second_factor.bulk_hosts:
        demand(collector, asker, code, f"an order for {len(document.targets)} hosts")


@dataclass(frozen=True, slots=True)
class _Seen:
    client_id: str
    script_sha256: str
    needs: int


def _visible(connection: Connection, asker: Principal, order_id: str) -> _Seen:
    """Return whose an order is.  Raises Problem 404 when it is none of theirs."""
    query = select(orders.c.client_id, orders.c.script_sha256, orders.c.needs).where(
        orders.c.id == order_id, seen_by(asker, orders.c.client_id)
    )
    row = connection.execute(query).first()
    if row is None:
        raise missing()
    return _Seen(row.client_id, row.script_sha256, row.needs)


def _line(connection: Connection, order_id: str) -> OrderLine:
    row = connection.execute(
        select(orders, clients.c.name.label("client"), scripts.c.name.label("script_name"))
        .join(clients, clients.c.id == orders.c.client_id)
        .join(
            scripts,
            (scripts.c.client_id == orders.c.client_id)
            & (scripts.c.sha256 == orders.c.script_sha256),
            isouter=True,
        )
        .where(orders.c.id == order_id)
    ).one()
    envelope = state.envelope_of(connection, order_id)
    return OrderLine(
        id=row.id,
        client=row.client,
        kind=row.kind,
        script_sha256=row.script_sha256,
        reason=row.reason,
        not_before=row.not_before,
        not_after=row.not_after,
        needs=row.needs,
        signatures=len(envelope.signatures) if envelope else 0,
        created_by=row.created_by,
        created_at=row.created_at,
        cancelled_at=row.cancelled_at,
        script_name=row.script_name or "",
    )
