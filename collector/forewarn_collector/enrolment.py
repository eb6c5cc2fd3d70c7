"""Let a new host in: a token that is still good, and a key it proves to hold.

Refused             with the status and text the host is answered
    BadRequest      422, the request makes no sense
    BadToken        403, the same words whether unknown, used up, expired or revoked
    KeyTaken        409, another host has this key
"""

import base64
import binascii
import hashlib
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from forewarn_collector.clock import uuid7
from forewarn_collector.state.database import Database
from forewarn_collector.state.hosts import (
    Hosts,
    KnownHost,
    find_host,
    insert_host,
    next_number,
)
from forewarn_collector.state.tables import enrolments, hosts
from forewarn_collector.tokens import PREFIX, Grant, grant_of, token_hash, use_token

_HOSTNAME = re.compile(r"[\w.-]{1,253}")
_PROOF = b"forewarn-enrol-v1\n"


class Refused(Exception):
    """The host is not let in."""

    status = 400


class BadRequest(Refused):
    """The request makes no sense; trying it again would not help."""

    status = 422


class BadToken(Refused):
    """The token does not open anything (any more)."""

    status = 403

    def __init__(self) -> None:
        super().__init__(
            "the token is unknown, used up, expired or revoked; make a new one:"
            " forewarn-collector token create"
        )


class KeyTaken(Refused):
    """Another host has this key: a cloned machine, or a second enrolment of one key."""

    status = 409

    def __init__(self) -> None:
        super().__init__("this key belongs to another host; remove the identity and enrol again")


class EnrolRequest(BaseModel):
    """What a host sends to be let in.  `public_key` and `proof` are base64."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    token: Annotated[str, StringConstraints(min_length=10, max_length=64, pattern=f"^{PREFIX}")]
    public_key: Annotated[str, StringConstraints(min_length=44, max_length=44)]
    proof: Annotated[str, StringConstraints(min_length=88, max_length=88)]
    hostname: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    system: Literal["linux", "windows"]
    agent_version: Annotated[str, StringConstraints(max_length=64, pattern=r"^[\w.+-]*$")] = ""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Who the host is from now on."""

    host: KnownHost
    repeated: bool  # the same key asked before with the same token: its answer was lost


def parse_request(body: bytes) -> EnrolRequest:
    """Return the request in `body`.  Raises BadRequest, naming the field and never its value."""
    try:
        return EnrolRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise BadRequest(f"{where}: {first['msg']}") from None


def proof_text(token: str, public_key: str) -> bytes:
    """Return what a host signs with its new key to prove that it holds it."""
    hashed = hashlib.sha256(token.encode()).hexdigest()
    return _PROOF + f"{hashed}\n{public_key}".encode()


def enrol(
    database: Database, known: Hosts, pepper: bytes, request: EnrolRequest, now: datetime
) -> Enrolled:
    """Make the host known, once, and durably; or raise Refused.

    The same key with the same token is given the same answer again while the token has time
    left, so that a lost answer costs nothing.
    """
    key = _checked_key(request)
    hostname = _checked_hostname(request.hostname)
    hashed = token_hash(pepper, request.token)
    try:
        with database.write() as connection:
            grant = use_token(connection, hashed, now)
            if grant is None:
                raise BadToken
            host = _new_host(connection, grant, request, key, hostname, now)
    except (BadToken, IntegrityError) as trouble:
        with database.read() as connection:
            earlier = _earlier(connection, hashed, key, now)
            taken = _key_is_taken(connection, key)
        if earlier is not None:
            return Enrolled(earlier, repeated=True)
        if isinstance(trouble, IntegrityError) and taken:
            raise KeyTaken from None
        raise
    known.add(host)
    return Enrolled(host, repeated=False)


def _checked_key(request: EnrolRequest) -> bytes:
    """Return the public key, once the request proves that the host holds its secret half."""
    try:
        key = base64.b64decode(request.public_key, validate=True)
        proof = base64.b64decode(request.proof, validate=True)
    except binascii.Error:
        raise BadRequest("public_key and proof must be base64") from None
    if len(key) != 32 or len(proof) != 64:
        raise BadRequest("public_key must be 32 bytes and proof 64")
    # A low-order key would let one constant signature stand for every message.
    if not crypto_core_ed25519_is_valid_point(key):
        raise BadRequest("public_key is no valid Ed25519 key")
    try:
        VerifyKey(key).verify(proof_text(request.token, request.public_key), proof)
    except BadSignatureError:
        raise BadRequest("proof does not show that the host holds this key") from None
    return key


def _checked_hostname(name: str) -> str:
    normal = unicodedata.normalize("NFC", name)
    if not _HOSTNAME.fullmatch(normal):
        raise BadRequest("hostname: letters, digits, '.', '-' and '_' only, at most 253")
    return normal


def _new_host(
    connection: Connection,
    grant: Grant,
    request: EnrolRequest,
    key: bytes,
    hostname: str,
    now: datetime,
) -> KnownHost:
    host = KnownHost(
        number=next_number(connection),
        id=uuid7(now),
        client_id=grant.place.client_id,
        site_id=grant.place.site_id,
        name=hostname,
        public_key=key,
        client=grant.place.client,
        site=grant.place.site,
        host_class=grant.host_class,
        system=request.system,
        tags=grant.tags,
        agent_version=request.agent_version,
        enrolled_at=now,
    )
    insert_host(connection, host, now)
    connection.execute(enrolments.insert().values(token_id=grant.token_id, host_id=host.id, at=now))
    return host


def _earlier(connection: Connection, hashed: str, key: bytes, now: datetime) -> KnownHost | None:
    """Return the host that this very token made of this very key, if it may be told again."""
    grant = grant_of(connection, hashed)
    if grant is None or grant.expires_at <= now:
        return None
    host_id = connection.execute(
        select(hosts.c.id)
        .join(enrolments, enrolments.c.host_id == hosts.c.id)
        .where(
            enrolments.c.token_id == grant.token_id,
            hosts.c.public_key == key,
            hosts.c.revoked_at.is_(None),
        )
    ).scalar()
    return None if host_id is None else find_host(connection, host_id)


def _key_is_taken(connection: Connection, key: bytes) -> bool:
    found = connection.execute(select(hosts.c.id).where(hosts.c.public_key == key)).scalar()
    return found is not None
