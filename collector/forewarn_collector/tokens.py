"""Enrolment tokens: made once, shown once, kept only as a keyed hash, used up atomically."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, update

from forewarn_collector.clock import uuid7
from forewarn_collector.state.hosts import Place
from forewarn_collector.state.tables import clients, enrolment_tokens, sites

PREFIX = "fwe_"  # lets secret scanners know one when they see it
TTL = timedelta(minutes=60)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token gives to the host that uses it."""

    token_id: str
    place: Place
    host_class: str
    tags: tuple[str, ...]
    expires_at: datetime


def new_token() -> str:
    """Return a new token of 160 random bits."""
    return PREFIX + secrets.token_urlsafe(20)


def token_hash(pepper: bytes, token: str) -> str:
    """Return what is kept of a token: useless without the pepper, which no database holds.

    A fast hash is right for 160 random bits; a slow one would let anybody keep us busy.
    """
    return hmac.new(pepper, token.encode(), hashlib.sha256).hexdigest()


def keep_token(
    connection: Connection,
    hashed: str,
    place: Place,
    now: datetime,
    *,
    host_class: str = "server",
    tags: Sequence[str] = (),
    max_uses: int = 1,
    ttl: timedelta = TTL,
    created_by: str = "",
) -> str:
    """Make a token usable until `now` + `ttl`, and return its id."""
    token_id = uuid7(now)
    connection.execute(
        insert(enrolment_tokens).values(
            id=token_id,
            hash=hashed,
            client_id=place.client_id,
            site_id=place.site_id,
            host_class=host_class,
            tags=list(tags),
            max_uses=max_uses,
            created_at=now,
            created_by=created_by,
            expires_at=now + ttl,
        )
    )
    return token_id


def use_token(connection: Connection, hashed: str, now: datetime) -> Grant | None:
    """Take one use of a token; None when it is unknown, used up, expired or revoked.

    One statement, so that two who come together cannot both have the last use.
    """
    used = connection.execute(
        update(enrolment_tokens)
        .where(
            enrolment_tokens.c.hash == hashed,
            enrolment_tokens.c.uses < enrolment_tokens.c.max_uses,
            enrolment_tokens.c.expires_at > now,
            enrolment_tokens.c.revoked_at.is_(None),
        )
        .values(uses=enrolment_tokens.c.uses + 1)
    )
    return grant_of(connection, hashed) if used.rowcount == 1 else None


def grant_of(connection: Connection, hashed: str) -> Grant | None:
    """Return what a token gives, whether or not it can still be used; None when it is unknown."""
    row = connection.execute(
        select(
            enrolment_tokens,
            clients.c.name.label("client"),
            sites.c.name.label("site"),
        )
        .join(clients, clients.c.id == enrolment_tokens.c.client_id)
        .join(sites, sites.c.id == enrolment_tokens.c.site_id)
        .where(enrolment_tokens.c.hash == hashed)
    ).first()
    if row is None:
        return None
    place = Place(row.client_id, row.client, row.site_id, row.site)
    return Grant(row.id, place, row.host_class, tuple(row.tags), row.expires_at)
