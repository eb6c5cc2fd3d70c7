"""Let people in: passwords, sessions of the pages, keys of programs.

Secrets are random and kept as SHA-256 only; a password is kept as Argon2id.  Rights are read again
with every request, so that a person who is disabled or lowered is so at once, sessions and keys
included.
"""

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, Row, Select, delete, insert, select, update

from forewarn_collector.api.principal import Principal, Role
from forewarn_collector.clock import uuid7
from forewarn_collector.state.tables import api_keys, sessions, users

SESSION_LASTS = timedelta(hours=12)
SESSION_IDLE = timedelta(minutes=30)
KEY_LASTS = timedelta(days=90)
KEY_LASTS_MOST = timedelta(days=366)
KEY_PREFIX = "fwk_"
MOST_KEYS = 100  # a person's keys that have not ended
LONGEST_PASSWORD = 1024

# A session's last use is written at most this often, so that reading costs no commit.
_TOUCH = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Person:
    """Someone with a login."""

    id: str
    name: str
    password_hash: str
    principal: Principal


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as it may be shown: the secret itself is nowhere kept."""

    id: str
    name: str
    owner: str
    role: Role
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: the only time its secret is seen."""

    id: str
    secret: str
    role: Role
    expires_at: datetime

    def __repr__(self) -> str:
        return f"NewKey(id={self.id!r}, role={self.role!r})"


class TooManyKeys(Exception):
    """A person holds as many keys as one may; the text says what to do."""


# -- passwords -----------------------------------------------------------------------------------


def password_fits(password: str, password_hash: str | None) -> bool:
    """Say whether `password` is the one behind the hash; slow by design, so call it in a thread.

    A hash of None, for a name nobody has, takes as long and never fits.
    """
    if len(password) > LONGEST_PASSWORD:
        return False
    try:
        PasswordHasher().verify(password_hash or _nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


@cache
def _nobody() -> str:
    return PasswordHasher().hash(secrets.token_urlsafe(32))


def find_person(connection: Connection, name: str) -> Person | None:
    """Return the person of this name, unless there is none or they are disabled."""
    row = connection.execute(_people().where(users.c.name == name)).first()
    return None if row is None else _person(row)


# -- sessions ------------------------------------------------------------------------------------


def open_session(connection: Connection, person: Person, now: datetime) -> str:
    """Begin a session and return its secret, for the cookie.  Sweeps out ended ones."""
    ended = (sessions.c.expires_at <= now) | (sessions.c.used_at <= now - SESSION_IDLE)
    connection.execute(delete(sessions).where(ended))
    secret = secrets.token_urlsafe(32)
    connection.execute(
        insert(sessions).values(
            hash=_hash(secret),
            user_id=person.id,
            created_at=now,
            used_at=now,
            expires_at=now + SESSION_LASTS,
        )
    )
    return secret


@dataclass(frozen=True, slots=True)
class Admitted:
    """Whom a session or a key lets in.  `stale`: its last use ought to be written again."""

    principal: Principal
    stale: bool = False


def admit_session(connection: Connection, secret: str, now: datetime) -> Admitted | None:
    """Return whom the session of this secret lets in now, None for nobody."""
    row = connection.execute(
        _people(sessions.c.used_at)
        .join(sessions, sessions.c.user_id == users.c.id)
        .where(
            sessions.c.hash == _hash(secret),
            sessions.c.expires_at > now,
            sessions.c.used_at > now - SESSION_IDLE,
        )
    ).first()
    person = None if row is None else _person(row)
    if row is None or person is None:
        return None
    return Admitted(person.principal, stale=now - row.used_at >= _TOUCH)


def touch_session(connection: Connection, secret: str, now: datetime) -> None:
    """Write down that the session is in use."""
    same = sessions.c.hash == _hash(secret)
    connection.execute(update(sessions).where(same).values(used_at=now))


def close_session(connection: Connection, secret: str) -> None:
    """End a session; an unknown one is ended already."""
    connection.execute(delete(sessions).where(sessions.c.hash == _hash(secret)))


# -- keys ----------------------------------------------------------------------------------------


def make_key(
    connection: Connection,
    owner: Principal,
    *,
    name: str,
    role: Role,
    lasts: timedelta,
    now: datetime,
) -> NewKey:
    """Make an API key of `owner`, never above the owner's role nor past the key that asks.

    Raises TooManyKeys.
    """
    live = (api_keys.c.user_id == owner.user_id) & _lives(now)
    held = len(connection.execute(select(api_keys.c.id).where(live)).all())
    if held >= MOST_KEYS:
        raise TooManyKeys(f"{owner.name} holds {held} keys; revoke one, or let one end")
    expires_at = now + min(lasts, KEY_LASTS_MOST)
    if owner.until is not None:
        expires_at = min(expires_at, owner.until)
    key = NewKey(
        id=uuid7(now),
        secret=KEY_PREFIX + secrets.token_urlsafe(32),
        role=role.lower_of(owner.role),
        expires_at=expires_at,
    )
    connection.execute(
        insert(api_keys).values(
            id=key.id,
            name=name,
            hash=_hash(key.secret),
            user_id=owner.user_id,
            role=str(key.role),
            created_at=now,
            expires_at=expires_at,
        )
    )
    return key


def admit_key(connection: Connection, secret: str, now: datetime) -> Admitted | None:
    """Return whom this key lets in now, with the lower of its role and its owner's."""
    row = connection.execute(
        _people(api_keys.c.role.label("key_role"), api_keys.c.expires_at)
        .join(api_keys, api_keys.c.user_id == users.c.id)
        .where(api_keys.c.hash == _hash(secret), _lives(now))
    ).first()
    person = None if row is None else _person(row)
    stated = None if row is None else _role(row.key_role)
    if row is None or person is None or stated is None:
        return None
    principal = replace(
        person.principal, role=person.principal.role.lower_of(stated), until=row.expires_at
    )
    return Admitted(principal)


def list_keys(connection: Connection, principal: Principal, now: datetime) -> tuple[Key, ...]:
    """Return the keys that still live: one's own, an unbounded admin's everyone's."""
    query = (
        select(api_keys, users.c.name.label("owner"))
        .join(users, users.c.id == api_keys.c.user_id)
        .where(_lives(now))
        .order_by(api_keys.c.id)
    )
    if not _rules_over_keys(principal):
        query = query.where(api_keys.c.user_id == principal.user_id)
    return tuple(
        Key(row.id, row.name, row.owner, Role(row.role), row.created_at, row.expires_at)
        for row in connection.execute(query)
    )


def revoke_key(connection: Connection, principal: Principal, key_id: str, now: datetime) -> bool:
    """End one's own key, or as an unbounded admin anyone's; False when there is no such key."""
    query = update(api_keys).where(api_keys.c.id == key_id, _lives(now)).values(revoked_at=now)
    if not _rules_over_keys(principal):
        query = query.where(api_keys.c.user_id == principal.user_id)
    return connection.execute(query).rowcount == 1


def _rules_over_keys(principal: Principal) -> bool:
    return principal.role is Role.ADMIN and principal.clients is None


def _lives(now: datetime) -> Any:
    return api_keys.c.revoked_at.is_(None) & (api_keys.c.expires_at > now)


def _people(*more: Any) -> Select[Any]:
    columns = (users.c.id, users.c.name, users.c.password_hash, users.c.role, users.c.clients)
    return select(*columns, *more).select_from(users).where(users.c.disabled_at.is_(None))


def _person(row: Row[Any]) -> Person | None:
    values = row._mapping
    role = _role(values["role"])
    if role is None:
        return None
    clients = None if values["clients"] is None else frozenset(values["clients"])
    principal = Principal(values["name"], role, clients, user_id=values["id"])
    return Person(values["id"], values["name"], values["password_hash"], principal)


def _role(text: str) -> Role | None:
    """Return the role of this name; None for one of a newer release, which has no rights here."""
    return next((role for role in Role if role == text), None)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
