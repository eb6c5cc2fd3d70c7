"""Keyrings that people signed, kept to be handed on.  Hosts judge for themselves which follows.

What is looked at here spares people mistakes; no host relies on it.
"""

from datetime import datetime

from sqlalchemy import Connection, insert, select

from forewarn_collector.state.orders import Refused
from forewarn_collector.state.tables import keyrings
from forewarn_scripts.keyring import MOST_HANDED_ON, Keyring, KeyringRefused, advanced, anchored


def publish(connection: Connection, data: bytes, collector: str, by: str, now: datetime) -> Keyring:
    """Keep a keyring to be handed on with orders; the same one again changes nothing.

    Raises Refused for one that does not follow the last, or is not signed by enough.
    """
    newest = all_keyrings(connection)[-1:]
    try:
        last = anchored(newest[0]) if newest else None
        if last is not None and last.source == data:
            return last
        offered = anchored(data) if last is None else advanced(last, data)
    except KeyringRefused as bad:
        raise Refused(str(bad)) from None
    if offered.collector != collector:
        raise Refused("it is for another collector")
    if offered.expired(now):
        raise Refused("it has expired: hosts would believe nobody")
    connection.execute(
        insert(keyrings).values(
            version=offered.version, envelope=data, added_by=by[:100], added_at=now
        )
    )
    return offered


def all_keyrings(connection: Connection) -> tuple[bytes, ...]:
    """Return the last few keyrings, oldest first."""
    rows = connection.execute(
        select(keyrings.c.envelope).order_by(keyrings.c.version.desc()).limit(MOST_HANDED_ON)
    )
    return tuple(bytes(row.envelope) for row in rows)[::-1]
