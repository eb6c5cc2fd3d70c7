"""Orders as the collector sees them: opaque, signed, to be handed to the hosts they name.

The collector reads what is signed to route and to show it; nobody relies on its reading.  Hosts
judge for themselves, and the operator's command verifies every result.

    Refused         what was handed in is not taken; the text says why
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.engine import Row

from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.tables import (
    about,
    hosts,
    keyrings,
    order_results,
    order_signatures,
    order_targets,
    orders,
    scripts,
)
from forewarn_scripts import envelope as dsse
from forewarn_scripts.envelope import ORDER, RESULT, REVOCATION, BadEnvelope, Envelope
from forewarn_scripts.keys import key_id, public_text
from forewarn_scripts.order import (
    BadDocument,
    Ended,
    Order,
    Result,
    Revocation,
    parse,
    read_moment,
    script_hash,
)

EARLY = timedelta(minutes=5)  # a host whose clock is ahead may have it so much before its time
LATE = timedelta(days=7)  # so long after its end a host is still asked what became of it
MOST_AT_ONCE = 4  # orders in one answer
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


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an order is on its hosts."""

    offered: int = 0
    running: int = 0
    well: int = 0
    failed: int = 0

    def lets_begin(self, pace: Pace) -> bool:
        """Say whether one host more may begin."""
        if pace.halt_after and self.failed >= pace.halt_after:
            return False
        if pace.canary and self.well < pace.canary <= self.offered:
            return False
        return not pace.at_once or self.running < pace.at_once


@dataclass(frozen=True, slots=True)
class Offered:
    """What a host is handed: an envelope, and the script it names ("" bytes for a revocation)."""

    envelope: bytes
    script: bytes


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
    """Keep a signed order or revocation and return its id; the same one again changes nothing.

    `known` are the hosts its author may see: whoever else it names is not handed it.
    Raises Refused.
    """
    envelope, document = _opened(data)
    client_id, targets = _whose(document, known)
    held = connection.execute(select(orders).where(orders.c.id == document.id)).first()
    if held is not None:
        if bytes(held.payload) != envelope.payload:
            raise Refused("another order has this id; sign a new one")
        _sign(connection, document.id, envelope, by, now)
        return document.id
    if isinstance(document, Order):
        begins, ends, sha256 = document.begins, document.ends, document.script_sha256
        if _script(connection, client_id, sha256) is None:
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
    _sign(connection, document.id, envelope, by, now)
    return document.id


def approve(connection: Connection, order_id: str, data: bytes, by: str, now: datetime) -> None:
    """Add signatures to an order.  Raises Refused when they are of something else."""
    envelope, document = _opened(data)
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
    return None if row is None else _enveloped(connection, row)


def offers(connection: Connection, host_id: str, now: datetime) -> tuple[Offered, ...]:
    """Return what this host is to be handed now, and note that it was."""
    rows = connection.execute(
        select(orders, order_targets.c.offered_at)
        .join(order_targets, order_targets.c.order_id == orders.c.id)
        .where(
            order_targets.c.host_id == host_id,
            order_targets.c.ended_at.is_(None),
            orders.c.cancelled_at.is_(None) | order_targets.c.offered_at.is_not(None),
            orders.c.not_before <= now + EARLY,
            orders.c.not_after > now - LATE,
        )
        .order_by(orders.c.kind.desc(), orders.c.id)  # revocations before orders
    ).all()
    found: list[Offered] = []
    for row in rows:
        envelope = _enveloped(connection, row)
        if len(envelope.signatures) < row.needs:
            continue
        if row.offered_at is None:
            if row.not_after <= now or not _progress(connection, row.id).lets_begin(_pace(row)):
                continue
            same = (order_targets.c.order_id == row.id) & (order_targets.c.host_id == host_id)
            connection.execute(update(order_targets).where(same).values(offered_at=now))
        script = _script(connection, row.client_id, row.script_sha256) or b""
        found.append(Offered(envelope.to_bytes(), script))
        if len(found) == MOST_AT_ONCE:
            break
    return tuple(found)


def record_result(connection: Connection, host: KnownHost, data: bytes, now: datetime) -> bool:
    """Keep what a host says of an order; return whether it was news.

    Raises Refused for what this host did not sign, or what was not asked of it.
    """
    try:
        envelope = dsse.parse(data)
        own = {key_id(host.public_key): host.public_key}
        if envelope.payload_type != RESULT or not dsse.signers(envelope, own):
            raise Refused("not a result this host signed")
        result = parse(Result, envelope.payload)
    except (BadEnvelope, BadDocument) as bad:
        raise Refused(str(bad)) from None
    target = (order_targets.c.order_id == result.order) & (order_targets.c.host_id == host.id)
    if connection.execute(select(order_targets.c.host_id).where(target)).first() is None:
        raise Refused("of an order that was not handed to this host")
    key = {"order_id": result.order, "host_id": host.id, "occurrence": result.occurrence}
    held = select(order_results.c.order_id).filter_by(**key)
    if connection.execute(held).first() is not None:
        return False
    row = key | {"client_id": host.client_id, "envelope": data, "received_at": now}
    connection.execute(insert(order_results).values(row))
    well = result.ended is Ended.REVOKED or (result.ended is Ended.DONE and result.exit_code == 0)
    ended = {"ended_at": now, "ended": str(result.ended), "well": well}
    connection.execute(update(order_targets).where(target).values(ended))
    touch(connection)
    return True


def add_keyring(
    connection: Connection, version: int, envelope: bytes, by: str, now: datetime
) -> None:
    """Keep a keyring to be handed on.  Raises Refused when another has this version."""
    held = select(keyrings.c.envelope).where(keyrings.c.version == version)
    found = connection.execute(held).scalar()
    if found is not None and bytes(found) != envelope:
        raise Refused(f"another keyring has version {version}")
    if found is None:
        connection.execute(
            insert(keyrings).values(version=version, envelope=envelope, added_by=by, added_at=now)
        )


def all_keyrings(connection: Connection) -> tuple[bytes, ...]:
    """Return the last few keyrings, oldest first."""
    rows = connection.execute(
        select(keyrings.c.envelope).order_by(keyrings.c.version.desc()).limit(8)
    )
    return tuple(bytes(row.envelope) for row in rows)[::-1]


def waiting_hosts(connection: Connection, now: datetime) -> dict[str, datetime]:
    """Return the hosts that something waits for, each with the moment from which it does."""
    signed = (
        select(order_signatures.c.order_id, func.count().label("count"))
        .group_by(order_signatures.c.order_id)
        .subquery()
    )
    rows = connection.execute(
        select(order_targets.c.host_id, func.min(orders.c.not_before).label("begins"))
        .join(orders, orders.c.id == order_targets.c.order_id)
        .join(signed, signed.c.order_id == orders.c.id)
        .where(
            order_targets.c.ended_at.is_(None),
            orders.c.cancelled_at.is_(None) | order_targets.c.offered_at.is_not(None),
            orders.c.not_after > now - LATE,
            signed.c.count >= orders.c.needs,
        )
        .group_by(order_targets.c.host_id)
    )
    return {row.host_id: row.begins - EARLY for row in rows}


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


def _opened(data: bytes) -> tuple[Envelope, Order | Revocation]:
    try:
        envelope = dsse.parse(data)
        if envelope.payload_type == ORDER:
            return envelope, parse(Order, envelope.payload)
        if envelope.payload_type == REVOCATION:
            return envelope, parse(Revocation, envelope.payload)
    except (BadEnvelope, BadDocument) as bad:
        raise Refused(str(bad)) from None
    raise Refused(f"{envelope.payload_type} is not handed out")


def _whose(
    document: Order | Revocation, known: Collection[KnownHost]
) -> tuple[str, list[KnownHost]]:
    """Return the client's id and the hosts it is for.  Raises Refused."""
    of_client = [host for host in known if host.client == document.client and not host.revoked]
    if isinstance(document, Order):
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


def _enveloped(connection: Connection, row: Row[tuple[object, ...]]) -> Envelope:
    found = connection.execute(
        select(order_signatures)
        .where(order_signatures.c.order_id == row.id)
        .order_by(order_signatures.c.at, order_signatures.c.key_id)
    )
    signatures = tuple(dsse.Signature(one.key_id, bytes(one.value)) for one in found)
    return Envelope(row.kind, bytes(row.payload), signatures)


def _script(connection: Connection, client_id: str, sha256: str) -> bytes | None:
    held = select(scripts.c.body).where(
        scripts.c.client_id == client_id, scripts.c.sha256 == sha256
    )
    body = connection.execute(held).scalar()
    return None if body is None else bytes(body)


def _pace(row: Row[tuple[object, ...]]) -> Pace:
    return Pace(row.needs, row.canary, row.at_once, row.halt_after)


def _progress(connection: Connection, order_id: str) -> Progress:
    rows = connection.execute(
        select(order_targets.c.offered_at, order_targets.c.ended_at, order_targets.c.well).where(
            order_targets.c.order_id == order_id, order_targets.c.offered_at.is_not(None)
        )
    ).all()
    ended = [row for row in rows if row.ended_at is not None]
    well = sum(1 for row in ended if row.well)
    return Progress(len(rows), len(rows) - len(ended), well, len(ended) - well)


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
