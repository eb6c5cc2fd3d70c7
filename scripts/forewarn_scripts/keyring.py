"""The keyring: whose signatures an endpoint believes, and how that may change.

A new version is believed when enough of the old keys and enough of the new ones signed it, or the
recovery key in place of the old ones.  Versions only grow.  The recovery key signs no orders, and
only it can name another recovery key: whoever steals the everyday keys cannot shut it out.

    KeyringRefused      this keyring is not believed; the text says why
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from forewarn_scripts import envelope as dsse
from forewarn_scripts.envelope import KEYRING, BadEnvelope, Envelope, signers
from forewarn_scripts.keys import BadKey, check_sound, key_id
from forewarn_scripts.order import BadDocument, Document, Moment, Text, Uuid, parse, read_moment

MOST_HANDED_ON = 32
"""Versions that are handed on together: who missed more of them needs a new anchor."""


class KeyringRefused(ValueError):
    """This keyring is not believed."""


def _public(text: str) -> str:
    data = base64.b64decode(text, validate=True)
    check_sound(data)
    if base64.b64encode(data).decode() != text:
        raise ValueError("base64 that is written in more than one way")
    return text


PublicKey = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{43}=$"), AfterValidator(_public)
]


class NamedKey(Document):
    """A person's public key; its id follows from its bytes and is nowhere written down."""

    KIND: ClassVar[str] = ""

    name: Annotated[Text, StringConstraints(min_length=1, max_length=100)]
    public: PublicKey

    @property
    def data(self) -> bytes:
        """The 32 bytes."""
        return base64.b64decode(self.public)

    @property
    def id(self) -> str:
        """The key's id."""
        return key_id(self.data)


class KeyringText(Document):
    """A keyring as it is signed."""

    KIND = KEYRING

    collector: Uuid
    version: int = Field(ge=1, lt=2**31)
    threshold: int = Field(ge=1, le=20)
    expires: Moment
    keys: tuple[NamedKey, ...] = Field(min_length=1, max_length=100)
    recovery: PublicKey

    @model_validator(mode="after")
    def _whole(self) -> Self:
        ids = [key.id for key in self.keys]
        if len(set(ids)) != len(ids):
            raise ValueError("one key is listed twice")
        if key_id(base64.b64decode(self.recovery)) in ids:
            raise ValueError("the recovery key is also an everyday key")
        if self.threshold > len(ids):
            raise ValueError("the threshold is higher than there are keys")
        return self


@dataclass(frozen=True, slots=True)
class Keyring:
    """A keyring that is believed.  `keys` are public keys by id, `names` people by the same id."""

    collector: str
    version: int
    threshold: int
    expires: datetime
    keys: Mapping[str, bytes]
    names: Mapping[str, str]
    recovery: bytes
    source: bytes  # the envelope it came in, to be kept and handed on

    def expired(self, now: datetime) -> bool:
        """Say whether it is too old to be believed about orders."""
        return now >= self.expires


def anchored(data: bytes) -> Keyring:
    """Return the keyring in a file that this system's owner put there.

    It must be signed by enough of its own keys, which proves that somebody has them.
    Raises KeyringRefused.
    """
    held, envelope = _read(data)
    if len(signers(envelope, held.keys)) < held.threshold:
        raise KeyringRefused(f"version {held.version} is not signed by enough of its own keys")
    return held


def advanced(current: Keyring, data: bytes) -> Keyring:
    """Return the keyring that follows `current`.  Raises KeyringRefused.

    An expired one may be followed: otherwise a host that slept could never come back.
    """
    offered, envelope = _read(data)
    if offered.collector != current.collector:
        raise KeyringRefused("it is for another collector")
    if offered.version != current.version + 1:
        raise KeyringRefused(f"version {offered.version} does not follow {current.version}")
    recovery = {key_id(current.recovery): current.recovery}
    recovered = bool(signers(envelope, recovery))
    if not recovered and len(signers(envelope, current.keys)) < current.threshold:
        raise KeyringRefused(f"not signed by {current.threshold} of the keys before it")
    if len(signers(envelope, offered.keys)) < offered.threshold:
        raise KeyringRefused(f"not signed by {offered.threshold} of its own keys")
    if offered.recovery != current.recovery and not recovered:
        raise KeyringRefused("only the recovery key can name another recovery key")
    return offered


def followed(current: Keyring, offered: Sequence[bytes]) -> Keyring:
    """Return the newest keyring that a chain of documents leads to.

    What does not follow is left out: a chain that is cut, forked or forged leads no further.
    """
    for data in offered:
        try:
            current = advanced(current, data)
        except KeyringRefused:
            continue
    return current


def _read(data: bytes) -> tuple[Keyring, Envelope]:
    try:
        envelope = dsse.parse(data)
        if envelope.payload_type != KEYRING:
            raise KeyringRefused("this is no keyring but something else that was signed")
        told = parse(KeyringText, envelope.payload)
    except (BadEnvelope, BadDocument, BadKey) as bad:
        raise KeyringRefused(str(bad)) from None
    held = Keyring(
        collector=told.collector,
        version=told.version,
        threshold=told.threshold,
        expires=read_moment(told.expires),
        keys={key.id: key.data for key in told.keys},
        names={key.id: key.name for key in told.keys},
        recovery=base64.b64decode(told.recovery),
        source=data,
    )
    return held, envelope
