"""Orders as the collector sees them: opaque, signed, to be handed to the hosts they name.

The collector reads what is signed to route and to show it; nobody relies on its reading.  Hosts
judge for themselves, and the operator's command verifies every result.

    Refused         what was handed in is not taken; the text says why
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.engine import Row

from forewarn_collector.state import standing
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.tables import (
    about,
    hosts,
    order_signatures,
    order_targets,
    orders,
    scripts,
)
from forewarn_scripts import envelope as dsse
from forewarn_scripts.envelope import ORDER, REVOCATION, STANDING_ORDER, BadEnvelope, Envelope
from forewarn_scripts.keys import key_id, public_text
from forewarn_scripts.order import (
    BadDocument,
    Order,
    Revocation,
    StandingOrder,
    Work,
    parse,
    read_moment,
    script_hash,
)

_EDITION = "orders_edition"


class Refused(ValueError):
    """What was handed in is not taken."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How an order spreads: canaries first, so many at once, a halt after so many failures."""

    needs: int = 1
    canary: int = 0
    at_once: int = 0
    halt_after: int = 0


def keep_script(
    connection: Connection, client_id: str, name: str, body: bytes, by: str, now: datetime
) -> str:
    """Keep a script for a client and return its hash; one that is there stays as it is."""
    sha256 = script_hash(body)
    held = select(scripts.c.sha256).where(
        scripts.c.client_id == client_id, scripts.c.sha256 == sha256
    )
    if connection.execute(held).first() is None:
        connection.execute(
            insert(scripts).values(
                client_id=client_id,
                sha256=sha256,
                name=name,
                body=body,
                created_by=by,
                created_at=now,
            )
        )
    return sha256


def propose(
    connection: Connection,
    data: bytes,
    pace: Pace,
    known: Sequence[KnownHost],
    by: str,
    now: datetime,
) -> str:
    """Keep what was signed and return its id; the same one again changes nothing.

    `known` are the hosts its author may see: whoever else it names is not handed it.
    Raises Refused.
    """
    envelope, document = opened(data)
    client_id, targets = _whose(document, known)
    held = connection.execute(select(orders).where(orders.c.id == document.id)).first()
    if held is not None:
        if bytes(held.payload) != envelope.payload:
            raise Refused("another order has this id; sign a new one")
        _sign(connection, document.id, envelope, by, now)
        return document.id
    if isinstance(document, Work):
        begins, ends, sha256 = document.begins, document.ends, document.script_sha256
        if script_of(connection, client_id, sha256) is None:
            raise Refused("the script it names is not here; send that first")
    else:
        begins, sha256 = read_moment(document.issued_at), ""
        ends = begins + timedelta(days=90)
    connection.execute(
        insert(orders).values(
            id=document.id,
            client_id=client_id,
            kind=envelope.payload_type,
            payload=envelope.payload,
            script_sha256=sha256,
            reason=document.reason,
            not_before=begins,
            not_after=ends,
            needs=pace.needs,
            canary=pace.canary,
            at_once=pace.at_once,
            halt_after=pace.halt_after,
            created_by=by,
            created_at=now,
        )
    )
    connection.execute(
        insert(order_targets),
        [
            {"order_id": document.id, "host_id": host.id, "ended": "", "well": False}
            for host in targets
        ],
    )
    if isinstance(document, StandingOrder):
        standing.keep(connection, document)
    _sign(connection, document.id, envelope, by, now)
    return document.id


def approve(connection: Connection, order_id: str, data: bytes, by: str, now: datetime) -> None:
    """Add signatures to an order.  Raises Refused when they are of something else."""
    envelope, document = opened(data)
    held = connection.execute(select(orders.c.payload).where(orders.c.id == order_id)).scalar()
    if document.id != order_id or held is None or bytes(held) != envelope.payload:
        raise Refused("what was signed is not this order")
    _sign(connection, order_id, envelope, by, now)


def cancel(connection: Connection, order_id: str, now: datetime) -> None:
    """Hand it to nobody any more.  What has begun goes on; a revocation is what hosts heed."""
    changed = update(orders).where(orders.c.id == order_id, orders.c.cancelled_at.is_(None))
    connection.execute(changed.values(cancelled_at=now))
    touch(connection)


def envelope_of(connection: Connection, order_id: str) -> Envelope | None:
    """Return an order with all its signatures, None when there is none."""
    row = connection.execute(select(orders).where(orders.c.id == order_id)).first()
    return None if row is None else enveloped(connection, row)


def edition(connection: Connection) -> int:
    """Return a number that grows with every change of orders."""
    held = connection.execute(select(about.c.value).where(about.c.name == _EDITION)).scalar()
    return int(held or 0)


def touch(connection: Connection) -> None:
    """Tell whoever remembers what waits that it changed; part of that change."""
    following = edition(connection) + 1
    if following == 1:
        connection.execute(insert(about).values(name=_EDITION, value="1"))
    else:
        changed = update(about).where(about.c.name == _EDITION)
        connection.execute(changed.values(value=str(following)))


# -- parts ---------------------------------------------------------------------------------------


def opened(data: bytes) -> tuple[Envelope, Order | StandingOrder | Revocation]:
    """Return what was signed, of the kinds that are handed out.  Raises Refused."""
    try:
        envelope = dsse.parse(data)
        if envelope.payload_type == ORDER:
            return envelope, parse(Order, envelope.payload)
        if envelope.payload_type == STANDING_ORDER:
            return envelope, parse(StandingOrder, envelope.payload)
        if envelope.payload_type == REVOCATION:
            return envelope, parse(Revocation, envelope.payload)
    except (BadEnvelope, BadDocument) as bad:
        raise Refused(str(bad)) from None
    raise Refused(f"{envelope.payload_type} is not handed out")


def _whose(
    document: Order | StandingOrder | Revocation, known: Collection[KnownHost]
) -> tuple[str, list[KnownHost]]:
    """Return the client's id and the hosts it is for.  Raises Refused."""
    of_client = [host for host in known if host.client == document.client and not host.revoked]
    if isinstance(document, Work):
        meant = set(document.targets)
        of_client = [host for host in of_client if key_id(host.public_key) in meant]
        if len(of_client) != len(meant):
            raise Refused("it names hosts that are not there, or that you may not see")
    if not of_client:
        raise Refused("it is for no host that is there")
    return of_client[0].client_id, of_client


def _sign(
    connection: Connection, order_id: str, envelope: Envelope, by: str, now: datetime
) -> None:
    held = set(
        connection.execute(
            select(order_signatures.c.key_id).where(order_signatures.c.order_id == order_id)
        ).scalars()
    )
    rows = [
        {"order_id": order_id, "key_id": one.key_id, "value": one.value, "by": by, "at": now}
        for one in {one.key_id: one for one in envelope.signatures}.values()
        if one.key_id not in held and len(one.key_id) <= 80
    ]
    if rows and len(held) + len(rows) <= dsse.MOST_SIGNATURES:
        connection.execute(insert(order_signatures), rows)
    touch(connection)


def enveloped(connection: Connection, row: Row[Any]) -> Envelope:
    """Return an order with all its signatures, from its row."""
    found = connection.execute(
        select(order_signatures)
        .where(order_signatures.c.order_id == row.id)
        .order_by(order_signatures.c.at, order_signatures.c.key_id)
    )
    signatures = tuple(dsse.Signature(one.key_id, bytes(one.value)) for one in found)
    return Envelope(row.kind, bytes(row.payload), signatures)


def script_of(connection: Connection, client_id: str, sha256: str) -> bytes | None:
    """Return the bytes of a script a client has, None when it has none of this hash."""
    held = select(scripts.c.body).where(
        scripts.c.client_id == client_id, scripts.c.sha256 == sha256
    )
    body = connection.execute(held).scalar()
    return None if body is None else bytes(body)


@dataclass(frozen=True, slots=True)
class Target:
    """How an order stands on one host; `ended` is "" until the host told."""

    host: str
    name: str
    fingerprint: str
    public_key: str
    offered_at: datetime | None
    ended_at: datetime | None
    ended: str
    well: bool


def targets_of(connection: Connection, order_id: str) -> tuple[Target, ...]:
    """Return how an order stands on each of its hosts, by name."""
    rows = connection.execute(
        select(hosts.c.id, hosts.c.name, hosts.c.public_key, order_targets)
        .join(hosts, hosts.c.id == order_targets.c.host_id)
        .where(order_targets.c.order_id == order_id)
        .order_by(hosts.c.name, hosts.c.id)
    )
    return tuple(
        Target(
            row.id,
            row.name,
            key_id(bytes(row.public_key)),
            public_text(bytes(row.public_key)),
            row.offered_at,
            row.ended_at,
            row.ended,
            row.well,
        )
        for row in rows
    )
