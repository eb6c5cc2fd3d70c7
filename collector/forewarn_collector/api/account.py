"""One's own name and rights, and the keys that programs come with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field, JsonValue

from forewarn_collector.api.guard import Asker, Here, Problem, missing
from forewarn_collector.api.paths import Id
from forewarn_collector.api.people import (
    KEY_LASTS,
    KEY_LASTS_MOST,
    Key,
    TooManyKeys,
    list_keys,
    make_key,
    revoke_key,
)
from forewarn_collector.api.principal import Role
from forewarn_collector.api.texts import Body, Name
from forewarn_collector.queries.places import ClientLine, list_clients
from forewarn_collector.state import audit


@dataclass(frozen=True, slots=True)
class Me:
    """Who the key or the cookie says one is.  No `clients` means every client."""

    name: str
    role: Role
    clients: tuple[str, ...] | None


class KeyWish(Body):
    """A key to be made; without a role it has one's own."""

    name: Name
    role: Role | None = None
    days: Annotated[int, Field(ge=1, le=KEY_LASTS_MOST.days, strict=True)] = KEY_LASTS.days


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key with its secret, shown this once."""

    id: str
    key: str
    role: Role
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class KeyList:
    """The keys that live."""

    keys: Sequence[Key]


@dataclass(frozen=True, slots=True)
class ClientList:
    """Clients with their sites."""

    clients: Sequence[ClientLine]


def get_me(asker: Asker, collector: Here) -> Me:
    """Return one's own name, role and clients."""
    if asker.clients is None:
        return Me(asker.name, asker.role, None)
    with collector.database.read() as connection:
        names = tuple(client.name for client in list_clients(connection, asker))
    return Me(asker.name, asker.role, names)


def get_clients(asker: Asker, collector: Here) -> ClientList:
    """Return every client one may see, with its sites."""
    with collector.database.read() as connection:
        return ClientList(list_clients(connection, asker))


def get_keys(asker: Asker, collector: Here) -> KeyList:
    """Return one's own living keys; an admin of all clients gets everybody's."""
    with collector.database.read() as connection:
        return KeyList(list_keys(connection, asker, collector.now()))


def post_key(wish: KeyWish, asker: Asker, collector: Here) -> MadeKey:
    """Make a key.  It never may more than one may oneself, now or later."""
    role = wish.role or asker.role
    if not asker.role.reaches(role):
        raise Problem(403, f"a key cannot be {role}: you come with {asker.role} yourself")
    now = collector.now()
    lasts = timedelta(days=wish.days)
    with collector.database.write() as connection:
        try:
            key = make_key(connection, asker, name=wish.name, role=role, lasts=lasts, now=now)
        except TooManyKeys as many:
            raise Problem(409, str(many)) from None
        told: dict[str, JsonValue] = {"name": wish.name, "role": str(role)}
        audit.record(connection, now, asker.name, "key.make", key.id, told)
    return MadeKey(key.id, key.secret, key.role, key.expires_at)


def delete_key(id: Id, asker: Asker, collector: Here) -> None:  # noqa: A002 - as in the path
    """End a key at once."""
    now = collector.now()
    with collector.database.write() as connection:
        if not revoke_key(connection, asker, id, now):
            raise missing()
        audit.record(connection, now, asker.name, "key.revoke", id)
