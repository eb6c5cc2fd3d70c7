"""Post tickets as signed JSON to any address, by the Standard Webhooks specification 1.0."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from forewarn_collector.tickets import (
    Delivered,
    Delivery,
    Destination,
    Message,
    Refused,
    TryAgain,
)

_PREFIX = "whsec_"
# Conditions that pass by themselves; every other 4xx is a matter for a person.
_PASSING = frozenset({408, 409, 425, 429})
_LONGEST_WAIT = 86_400.0


class Config(BaseModel):
    """A webhook of collector.toml.  Two secrets sign side by side while one replaces the other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr = Field(description="Where to post; it may hold a token, so it is never shown.")
    secret: SecretStr = Field(
        description="The text of secret_file: one whsec_… a line, the new one first."
    )

    @field_validator("url")
    @classmethod
    def _address(cls, url: SecretStr) -> SecretStr:
        try:
            parsed = httpx.URL(url.get_secret_value())
        except httpx.InvalidURL:
            raise ValueError("url is no address; write https://host/path") from None
        if parsed.scheme not in ("https", "http") or not parsed.host:
            raise ValueError("url is no web address; write https://host/path")
        if parsed.userinfo:
            raise ValueError("url holds a name and password; put a token in its path instead")
        return url

    @field_validator("secret")
    @classmethod
    def _secrets(cls, secret: SecretStr) -> SecretStr:
        if not 1 <= len(keys(secret)) <= 2:
            raise ValueError(
                "secret_file must hold one line (two while a secret is replaced) of whsec_ and "
                "the base64 of 24 to 64 random bytes"
            )
        return secret


def keys(secret: SecretStr) -> tuple[bytes, ...]:
    """Return the keys a secret file holds, none if a line of it is no secret."""
    found = []
    for line in secret.get_secret_value().split():
        try:
            key = base64.b64decode(line.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            return ()
        if not line.startswith(_PREFIX) or not 24 <= len(key) <= 64:
            return ()
        found.append(key)
    return tuple(found)


def sign(secret: SecretStr, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the ``webhook-signature`` of a body as it is sent: one ``v1,…`` a key."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(
        "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        for key in keys(secret)
    )


def deliver(config: Config, message: Message, http: httpx.Client, at: float) -> Delivery:
    """Post once.  A passing trouble is worth another try, any other refusal is not."""
    timestamp = int(at)
    headers = {
        "content-type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(config.secret, message.id, timestamp, message.body),
    }
    try:
        answer = http.post(config.url.get_secret_value(), content=message.body, headers=headers)
    except httpx.UnsupportedProtocol as refused:
        return Refused(str(refused))
    except httpx.TransportError as failure:
        # Its text may hold the address, and the address a token.
        return TryAgain(type(failure).__name__)
    return _read(answer, at)


def _read(answer: httpx.Response, at: float) -> Delivery:
    status = f"status {answer.status_code}"
    if answer.is_success:
        return Delivered()
    if answer.is_server_error or answer.status_code in _PASSING:
        return TryAgain(status, _wait(answer.headers.get("retry-after", ""), at))
    if answer.status_code == 410:
        return Refused(f"{status}: the address is gone", gone=True)
    if answer.is_redirect:
        return Refused(f"{status}: redirects are not followed; put the new address in url")
    return Refused(status)


def _wait(text: str, at: float) -> float | None:
    """Return the seconds a ``Retry-After`` asks for, None if it asks for none that we can read."""
    if text.strip().isascii() and text.strip().isdigit():
        return min(float(text.strip()[:9]), _LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max((until - datetime.fromtimestamp(at, UTC)).total_seconds(), 0.0), _LONGEST_WAIT)


def describe(config: Config) -> Mapping[str, str]:
    """Return what may be shown: the host, never the path nor a secret."""
    url = httpx.URL(config.url.get_secret_value())
    port = f":{url.port}" if url.port else ""
    return {"address": f"{url.scheme}://{url.host}{port}", "secrets": str(len(keys(config.secret)))}


DESTINATION = Destination(kind="webhook", config=Config, deliver=deliver, describe=describe)
