"""People with a login: made by a command on the collector's own machine, never by a page."""

from collections.abc import Collection
from datetime import datetime

from argon2 import PasswordHasher
from sqlalchemy import Connection, insert, select

from forewarn_collector.clock import uuid7
from forewarn_collector.state.history import is_reserved
from forewarn_collector.state.tables import users

_HASHER = PasswordHasher()


class NameTaken(Exception):
    """There is a user of this name, or it is none for people; the text says what to do."""


def create_user(
    connection: Connection,
    name: str,
    password: str,
    role: str,
    clients: Collection[str] | None,
    now: datetime,
) -> str:
    """Add a user and return the id.  `clients` are client ids; None means every client.

    Raises NameTaken.
    """
    if is_reserved(name):
        raise NameTaken(f"{name!r} is how the collector signs what it does; choose another name")
    if connection.execute(select(users.c.id).where(users.c.name == name)).scalar() is not None:
        raise NameTaken(f"user {name!r} exists; choose another name")
    user_id = uuid7(now)
    connection.execute(
        insert(users).values(
            id=user_id,
            name=name,
            password_hash=_HASHER.hash(password),
            role=role,
            clients=None if clients is None else sorted(clients),
            created_at=now,
        )
    )
    return user_id


def workers(connection: Connection, client_id: str) -> list[str]:
    """Return the names of those with a login who may see a client and work on its tickets."""
    query = select(users.c.name, users.c.clients).where(
        users.c.disabled_at.is_(None), users.c.role != "viewer"
    )
    return [
        row.name
        for row in connection.execute(query.order_by(users.c.name))
        if row.clients is None or client_id in row.clients
    ]
