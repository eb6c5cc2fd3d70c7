"""Who did what, in a chain: each row carries the hash of the one before, so none can be altered
or taken out unnoticed.

Hosts are shown the newest row now and then and remember it: a log that was cut, or written anew
as a whole, does not have what they were shown.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey
from pydantic import JsonValue
from sqlalchemy import Connection, func, insert, select, text, update

from forewarn_checks.base.checkpoint import Checkpoint, read_checkpoint
from forewarn_collector.clock import rfc3339
from forewarn_collector.state.tables import about, audit, host_facts, hosts

WITNESS_FACT = "audit_witness"
_ERA = "audit_era"
_FIRST = "0" * 64
_ONE_WRITER = 0x666F7265  # the advisory lock of a database with several writers


def record(
    connection: Connection,
    now: datetime,
    actor: str,
    action: str,
    subject: str = "",
    data: Mapping[str, JsonValue] | None = None,
) -> None:
    """Add a row, in the transaction of what it tells of.  No secrets in `data`."""
    if connection.dialect.name == "postgresql":
        # Two rows that follow from the same one would break the chain.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_WRITER})
    last = select(audit.c.hash).order_by(audit.c.id.desc()).limit(1)
    previous = connection.execute(last).scalar() or _FIRST
    row = {
        "actor": actor[:100],
        "action": action,
        "subject": subject[:200],
        "data": dict(data or {}),
    }
    link = _link(previous, now, row)
    connection.execute(insert(audit).values(at=now, hash=link, **row))


def broken_at(connection: Connection) -> int | None:
    """Return the id of the first row that does not follow from those before it, None if all do."""
    previous = _FIRST
    for row in connection.execute(select(audit).order_by(audit.c.id)):
        held = {name: getattr(row, name) for name in ("actor", "action", "subject", "data")}
        if row.hash != _link(previous, row.at, held):
            return int(row.id)
        previous = row.hash
    return None


# -- witnesses -----------------------------------------------------------------------------------


def checkpoint(connection: Connection) -> Checkpoint | None:
    """Return the newest row as hosts are to remember it, not signed; None of an empty log."""
    query = select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else Checkpoint(era(connection), row.id, row.hash)


def signed(point: Checkpoint, key: SigningKey) -> Checkpoint:
    """Return the checkpoint with the collector's signature."""
    value = key.sign(point.message()).signature
    return replace(point, signature=base64.urlsafe_b64encode(value).decode().rstrip("="))


def is_ours(point: Checkpoint, key: VerifyKey) -> bool:
    """Say whether this collector signed a checkpoint: a host could make one up."""
    try:
        key.verify(point.message(), base64.urlsafe_b64decode(point.signature + "=="))
    except (BadSignatureError, ValueError):
        return False
    return True


def era(connection: Connection) -> int:
    """Return how often it was accepted that the log was set back, and one."""
    held = connection.execute(select(about.c.value).where(about.c.name == _ERA)).scalar()
    return int(held or 1)


def begin_era(connection: Connection, now: datetime, actor: str, reason: str) -> int:
    """Accept that the log was set back, as after a restore; return the new era."""
    following = era(connection) + 1
    if following == 2:
        connection.execute(insert(about).values(name=_ERA, value="2"))
    else:
        same = update(about).where(about.c.name == _ERA)
        connection.execute(same.values(value=str(following)))
    data: dict[str, JsonValue] = {"era": following, "reason": reason}
    record(connection, now, actor, "audit.rewind_accepted", "", data)
    return following


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A host was shown a row that is not here; `found` is what is in its place, "" for nothing."""

    host: str
    checkpoint: Checkpoint
    found: str


@dataclass(frozen=True, slots=True)
class Verified:
    """How the log stands.  `agreeing` hosts were shown rows that are here, in this era."""

    rows: int
    broken_at: int | None
    agreeing: int
    contradicted: Sequence[Contradiction]


def verify(
    connection: Connection, key: VerifyKey | None, given: Mapping[str, str] | None = None
) -> Verified:
    """Go through the whole chain, and compare it with what hosts were shown.

    `given` are checkpoints that were brought here another way, by who brought them; without a
    `key` no witness is heard.
    """
    said = dict(given or {}) | _witnesses(connection)
    now = era(connection)
    contradicted, agreeing = [], 0
    for host, written in said.items():
        point = read_checkpoint(written)
        if point is None or key is None or point.era != now or not is_ours(point, key):
            continue
        row = select(audit.c.hash).where(audit.c.id == point.row)
        found = connection.execute(row).scalar() or ""
        if found == point.head:
            agreeing += 1
        else:
            contradicted.append(Contradiction(host, point, found))
    rows = int(connection.execute(select(func.count()).select_from(audit)).scalar_one())
    return Verified(rows, broken_at(connection), agreeing, contradicted)


def _witnesses(connection: Connection) -> dict[str, str]:
    query = (
        select(hosts.c.id, hosts.c.name, host_facts.c.value)
        .join(hosts, hosts.c.id == host_facts.c.host_id)
        .where(host_facts.c.name == WITNESS_FACT)
    )
    return {
        f"{row.name} ({row.id})": row.value
        for row in connection.execute(query)
        if isinstance(row.value, str)
    }


def _link(previous: str, at: datetime, row: Mapping[str, object]) -> str:
    told = json.dumps([previous, rfc3339(at), row], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()
