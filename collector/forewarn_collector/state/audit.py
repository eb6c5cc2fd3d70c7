"""Who did what, in a chain: each row carries the hash of the one before, so none can be altered
or taken out unnoticed."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import Connection, insert, select

from forewarn_collector.clock import rfc3339
from forewarn_collector.state.tables import audit

_FIRST = "0" * 64


def record(
    connection: Connection,
    now: datetime,
    actor: str,
    action: str,
    subject: str = "",
    data: Mapping[str, JsonValue] | None = None,
) -> None:
    """Add a row, in the transaction of what it tells of.  No secrets in `data`."""
    last = select(audit.c.hash).order_by(audit.c.id.desc()).limit(1)
    previous = connection.execute(last).scalar() or _FIRST
    row = {"actor": actor, "action": action, "subject": subject, "data": dict(data or {})}
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


def _link(previous: str, at: datetime, row: Mapping[str, object]) -> str:
    told = json.dumps([previous, rfc3339(at), row], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()
