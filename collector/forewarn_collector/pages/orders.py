"""Orders: what was signed, how far each is, what hosts answered, and the one thing to do here:
stop handing an order out.  To start one takes a key, and no key is here."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Path, Query, Request, Response
from markupsafe import Markup
from sqlalchemy import Connection
from starlette.responses import RedirectResponse

from forewarn_collector.api import orders as api
from forewarn_collector.api.guard import Asker, Here, missing
from forewarn_collector.api.paths import Cursor, Id
from forewarn_collector.api.principal import Principal, Role
from forewarn_collector.pages.printed import hides_something, printed
from forewarn_collector.pages.view import clock, link, render
from forewarn_collector.queries.orders import (
    OrderSeen,
    Said,
    Side,
    SignedBy,
    Stage,
    TargetSeen,
    Which,
    count_orders,
    find_order,
    list_orders,
    list_scripts,
    list_targets,
    results_of,
    signatures_of,
)
from forewarn_collector.queries.places import list_clients
from forewarn_collector.queries.tickets import find_ticket
from forewarn_collector.state import orders as state
from forewarn_scripts import envelope as dsse
from forewarn_scripts.envelope import RESULT, BadEnvelope
from forewarn_scripts.keys import key_id
from forewarn_scripts.library import all_scripts
from forewarn_scripts.order import (
    BadDocument,
    Order,
    Result,
    Revocation,
    StandingOrder,
    Work,
    parse,
)

ORDERS = 50
HOSTS = 100
LIVE_SECONDS = 2

_WORDS = {
    Which.ALL: "all",
    Which.UNSIGNED: "waiting for signatures",
    Which.OPEN: "under way",
    Which.ENDED: "over",
}
_MOVING = frozenset({Stage.UNSIGNED, Stage.COMING, Stage.CANARY, Stage.RUNNING, Stage.HALTED})
_FORMS: Mapping[str, type[Order | StandingOrder | Revocation]] = {
    form.KIND: form for form in (Order, StandingOrder, Revocation)
}
Word = Annotated[str, Query(max_length=100)]
HostId = Annotated[str, Path(pattern="^[0-9a-f-]{36}$")]


@dataclass(frozen=True, slots=True)
class Signed:
    """What an order says, for people; `work` is None for a revocation or what cannot be read."""

    work: Work | None
    command: str
    risk: str  # looks, changes, disrupts; "" for a script that is not of the library
    revokes: tuple[str, ...] = ()
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """What a host said of one occurrence.  `proven`: its key, as known here, signed it."""

    said: Said
    result: Result | None
    proven: bool
    output: Markup
    hides: bool


def get_orders(
    request: Request,
    asker: Asker,
    collector: Here,
    which: Annotated[Which, Query(alias="state")] = Which.ALL,
    client: Word = "",
    script: Word = "",
    host: Word = "",
    reason: Word = "",
    cursor: Cursor = None,
) -> Response:
    """Show orders, the newest first."""
    now = collector.now()
    with collector.database.read() as connection:
        page = list_orders(
            connection,
            asker,
            now,
            which=which,
            client=client,
            script_sha256=script,
            host_id=host,
            reason=reason,
            limit=ORDERS,
            cursor=cursor,
        )
        counts = count_orders(connection, asker, now)
        names = [one.name for one in list_clients(connection, asker)]
    known = collector.hosts.get(host) if host else None
    query: dict[str, str | None] = {
        "state": str(which),
        "client": client,
        "script": script,
        "host": host,
        "reason": reason,
    }
    return render(
        request,
        "orders.html",
        asker=asker,
        clock=clock("UTC", now),
        orders=[(one, one.stage(now)) for one in page.orders],
        query=query,
        clients=names,
        host_name=known.name if known and asker.may_see(known.client_id) else "",
        states=[
            (one, _WORDS[one], link("/orders", query, state=str(one)), counts[one]) for one in Which
        ],
        which=which,
        cursor=cursor,
        next_page=link("/orders", query, cursor=page.next) if page.next else "",
        any_at_all=bool(counts[Which.ALL]),
    )


def get_order(
    id: Id,  # noqa: A002 - as in the path
    request: Request,
    asker: Asker,
    collector: Here,
    side: Side = Side.ALL,
    page: Annotated[int, Query(ge=0, le=1000)] = 0,
) -> Response:
    """Show one order: what was signed, how far it is, and on which hosts."""
    now = collector.now()
    with collector.database.read() as connection:
        order = find_order(connection, asker, id)
        if order is None:
            raise missing()
        signed = read_order(connection, order)
        signatures = signatures_of(connection, id)
        targets = list_targets(connection, id, side, limit=HOSTS + 1, skip=page * HOSTS)
        ticket = _ticket(connection, asker, order)
    stage = order.stage(now)
    path = f"/orders/{id}"
    return render(
        request,
        "order.html",
        asker=asker,
        clock=clock("UTC", now),
        order=order,
        stage=stage,
        signed=signed,
        signatures=signatures,
        ticket=ticket,
        targets=targets[:HOSTS],
        bar=_bar(order),
        sides=[(one, link(path, side=str(one)), _count(order, one)) for one in Side],
        side=side,
        is_live=stage in _MOVING,
        live_seconds=LIVE_SECONDS,
        may_cancel=asker.role.reaches(Role.OPERATOR)
        and stage not in (Stage.CANCELLED, Stage.DONE, Stage.OVER),
        before=link(path, side=str(side), page=str(page - 1)) if page else "",
        after=link(path, side=str(side), page=str(page + 1)) if len(targets) > HOSTS else "",
    )


def post_cancel(
    id: Id,  # noqa: A002 - as in the path
    asker: Asker,
    collector: Here,
) -> Response:
    """Hand an order to no host more, and show it."""
    api.cancel_order(id, asker, collector)
    return RedirectResponse(f"/orders/{id}", 303)


def get_output(
    id: Id,  # noqa: A002 - as in the path
    host: HostId,
    request: Request,
    asker: Asker,
    collector: Here,
) -> Response:
    """Show what one host answered to one order."""
    now = collector.now()
    with collector.database.read() as connection:
        order = find_order(connection, asker, id)
        target = next((one for one in _all_targets(connection, order) if one.host_id == host), None)
        if order is None or target is None:
            raise missing()
        signed = read_order(connection, order)
        said = results_of(connection, id, host)
    known = collector.hosts.get(host)
    return render(
        request,
        "output.html",
        asker=asker,
        clock=clock("UTC", now),
        order=order,
        target=target,
        signed=signed,
        answers=[_answered(one, known.public_key if known else b"", order) for one in said],
        live_seconds=LIVE_SECONDS,
        is_live=not said and order.stage(now) in _MOVING,
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """An order that waits for signatures, with all that who signs must look at."""

    order: OrderSeen
    signed: Signed
    signatures: tuple[SignedBy, ...]
    hosts: tuple[TargetSeen, ...]
    more: int
    script: Markup
    hides: bool


def get_approvals(request: Request, asker: Asker, collector: Here) -> Response:
    """Show what waits for signatures, and how to give one."""
    now = collector.now()
    with collector.database.read() as connection:
        found = list_orders(connection, asker, now, which=Which.UNSIGNED, limit=ORDERS).orders
        waiting = [_waiting(connection, asker, one) for one in found]
    return render(request, "approvals.html", asker=asker, clock=clock("UTC", now), waiting=waiting)


def read_order(connection: Connection, order: OrderSeen) -> Signed:
    """Return what was signed, as far as it can be read."""
    envelope = state.envelope_of(connection, order.id)
    form = _FORMS.get(order.kind)
    try:
        document = parse(form, envelope.payload) if form and envelope else None
    except BadDocument:
        document = None
    if isinstance(document, Revocation):
        return Signed(None, "", "", document.orders, document.everything)
    if not isinstance(document, Work):
        return Signed(None, "", "")
    name = order.script or f"{order.script_sha256[:12]}…"
    words = (document.interpreter, name, *document.argv)
    return Signed(document, " ".join(shlex.quote(word) for word in words), risk_of(order))


def risk_of(order: OrderSeen) -> str:
    """Return what the library says its script can do, "" when it is not of the library."""
    for one in all_scripts().values():
        if order.script_sha256 in {body.sha256 for body in one.bodies.values()}:
            return str(one.manifest.risk)
    return ""


# -- parts ---------------------------------------------------------------------------------------


def _waiting(connection: Connection, asker: Principal, order: OrderSeen) -> Waiting:
    kept = list_scripts(connection, asker, sha256=order.script_sha256, limit=1)
    text = kept[0].body.decode("utf-8", "replace") if kept else ""
    targets = list_targets(connection, order.id, limit=HOSTS)
    return Waiting(
        order,
        read_order(connection, order),
        signatures_of(connection, order.id),
        targets,
        order.targets - len(targets),
        printed(text),
        hides_something(text),
    )


def _all_targets(connection: Connection, order: OrderSeen | None) -> tuple[TargetSeen, ...]:
    return () if order is None else list_targets(connection, order.id, limit=order.targets)


def _ticket(connection: Connection, asker: Principal, order: OrderSeen) -> int | None:
    """Return the ticket its reason names, if that is of the same client and theirs to see."""
    if order.ticket is None:
        return None
    found = find_ticket(connection, asker, order.ticket)
    return order.ticket if found and found.client_id == order.client_id else None


def _answered(said: Said, public: bytes, order: OrderSeen) -> Answered:
    try:
        envelope = dsse.parse(said.envelope)
        result = parse(Result, envelope.payload)
    except (BadEnvelope, BadDocument):
        return Answered(said, None, False, Markup(), False)
    proven = (
        envelope.payload_type == RESULT
        and bool(dsse.signers(envelope, {key_id(public): public} if public else {}))
        and result.order == order.id
    )
    return Answered(said, result, proven, printed(result.output), hides_something(result.output))


def _bar(order: OrderSeen) -> list[tuple[str, float, float]]:
    """Return the parts of the progress bar: class, where it begins and how wide, of 100."""
    parts, begin = [], 0.0
    for name, count in (
        ("well", order.well),
        ("failed", order.failed),
        ("running", order.running),
    ):
        width = 100.0 * count / max(order.targets, 1)
        if count:
            parts.append((name, begin, width))
        begin += width
    return parts


def _count(order: OrderSeen, side: Side) -> int:
    return {
        Side.ALL: order.targets,
        Side.WELL: order.well,
        Side.FAILED: order.failed,
        Side.RUNNING: order.running,
        Side.WAITING: order.waiting,
    }[side]
