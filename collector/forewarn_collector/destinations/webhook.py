"""Post tickets as signed JSON to any address, by the Standard Webhooks specification 1.0."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from forewarn_collector.destinations._answers import (
    broken,
    shown_address,
    trouble,
    web_address,
)
from forewarn_collector.tickets import Delivered, Delivery, Destination, Message

_PREFIX = "whsec_"


class Config(BaseModel):
    """A webhook of collector.toml.  Two secrets sign side by side while one replaces the other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr = Field(description="Where to post; it may hold a token, so it is never shown.")
    secret: SecretStr = Field(
        description="The text of secret_file: one whsec_… a line, the new one first."
    )

    format: Literal["plain", "cloudevents"] = Field(
        default="plain",
        description="plain is our own shape; cloudevents wraps it in that of CloudEvents 1.0.",
    )

    @field_validator("url")
    @classmethod
    def _address(cls, url: SecretStr) -> SecretStr:
        return web_address(url)

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
    body, content_type = message.body, "application/json"
    if config.format == "cloudevents":
        body, content_type = cloud_event(message), "application/cloudevents+json"
    headers = {
        "content-type": content_type,
        "webhook-id": message.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(config.secret, message.id, timestamp, body),
    }
    try:
        answer = http.post(config.url.get_secret_value(), content=body, headers=headers)
    except httpx.TransportError as failure:
        return broken(failure)
    return trouble(answer, at) or Delivered()


def cloud_event(message: Message) -> bytes:
    """Return a message as a CloudEvent 1.0 in structured mode; id and type are the message's."""
    told = json.loads(message.body)
    event = {
        "specversion": "1.0",
        "id": message.id,
        "source": "/forewarn",
        "type": str(message.kind),
        "subject": message.ticket_key,
        "datacontenttype": "application/json",
        "data": told.get("data"),
    }
    if "timestamp" in told:
        event["time"] = told["timestamp"]
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def describe(config: Config) -> Mapping[str, str]:
    """Return what may be shown: the host, never the path nor a secret."""
    return {"address": shown_address(config.url), "secrets": str(len(keys(config.secret)))}


DESTINATION = Destination(kind="webhook", config=Config, deliver=deliver, describe=describe)
