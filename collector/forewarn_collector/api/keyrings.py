"""Keyrings that hosts are handed with orders.  Signed elsewhere, by the people they are about."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from forewarn_collector.api.guard import Asker, Desk, Here, Problem
from forewarn_collector.api.orders import EnvelopeText
from forewarn_collector.api.principal import Role
from forewarn_collector.api.second_factor import Code, demand
from forewarn_collector.api.texts import Body
from forewarn_collector.instance import collector_id
from forewarn_collector.state import audit
from forewarn_collector.state import keyrings as state
from forewarn_collector.state.orders import Refused
from forewarn_collector.state.tables import keyrings

_PATH = "/api/v1/keyrings"


class NewKeyring(Body):
    """A keyring as it was signed."""

    envelope: EnvelopeText


@dataclass(frozen=True, slots=True)
class KeyringLine:
    """A keyring that is handed on; whoever relies on it reads and verifies `envelope`."""

    version: int
    envelope: str
    added_by: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Keyrings:
    """The keyrings that are handed on, newest first."""

    keyrings: Sequence[KeyringLine]


def add(desk: Desk) -> None:
    """Add the routes."""
    desk.api("GET", _PATH, Role.VIEWER, get_keyrings)
    desk.api("POST", _PATH, Role.APPROVER, post_keyring, status=201)


def get_keyrings(collector: Here) -> Keyrings:
    """Return the keyrings, newest first."""
    query = select(keyrings).order_by(keyrings.c.version.desc())
    with collector.database.read() as connection:
        return Keyrings(
            [
                KeyringLine(row.version, bytes(row.envelope).decode(), row.added_by, row.added_at)
                for row in connection.execute(query)
            ]
        )


def post_keyring(body: NewKeyring, asker: Asker, collector: Here, code: Code = None) -> KeyringLine:
    """Hand a keyring on to hosts from now on; it must follow the last one."""
    if asker.clients is not None:
        raise Problem(403, "a keyring is for every client; this needs rights for all of them")
    demand(collector, asker, code, "a new keyring")
    own, now = collector_id(collector.database), collector.now()
    with collector.database.write() as connection:
        try:
            data = body.envelope.encode()
            held = state.publish(connection, data, own, asker.name, now)
        except Refused as refused:
            raise Problem(422, f"body: {refused}") from None
        audit.record(connection, now, asker.name, "keyring.publish", str(held.version))
    return KeyringLine(held.version, body.envelope, asker.name, now)
