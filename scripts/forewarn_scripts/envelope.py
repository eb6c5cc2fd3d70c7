"""DSSE envelopes: some bytes, what kind they are, and who signed them.

The signature covers the kind, so that bytes signed as one thing can never be taken for another.
Without pydantic: the resident agent reads and writes envelopes, too.

    BadEnvelope     the bytes are no envelope of ours
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from forewarn_scripts.keys import is_sound, key_id

MOST_BYTES = 768 * 1024
MOST_SIGNATURES = 16
_SIGNATURE_BYTES = 64
_TYPE = "application/vnd.forewarn.{}.v1+json"

ORDER = _TYPE.format("order")
STANDING_ORDER = _TYPE.format("standing-order")
REVOCATION = _TYPE.format("revocation")
KEYRING = _TYPE.format("keyring")
RESULT = _TYPE.format("result")


class BadEnvelope(ValueError):
    """The bytes are no envelope; the text says what is wrong with them."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What somebody claims to have signed; `key_id` is a hint until it is verified."""

    key_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload, its kind, and the signatures that came with it.  Nothing is verified yet."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...] = ()

    def signed_by(self, key: SigningKey) -> "Envelope":
        """Return the envelope with one signature more; see `signed`."""
        return self.signed(bytes(key.verify_key), lambda message: key.sign(message).signature)

    def signed(self, public: bytes, sign: Callable[[bytes], bytes]) -> "Envelope":
        """Return the envelope with the signature that `sign` makes for the key `public`.

        One that this key made before is replaced.
        """
        made = Signature(key_id(public), sign(pae(self.payload_type, self.payload)))
        others = tuple(one for one in self.signatures if one.key_id != made.key_id)
        return replace(self, signatures=(*others, made))

    def to_bytes(self) -> bytes:
        """Return the envelope as JSON."""
        told = {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [
                {"keyid": one.key_id, "sig": base64.b64encode(one.value).decode()}
                for one in self.signatures
            ],
        }
        return json.dumps(told, separators=(",", ":")).encode()


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: DSSE's pre-authentication encoding of kind and payload."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def signers(envelope: Envelope, keys: Mapping[str, bytes]) -> frozenset[str]:
    """Return the ids of those of `keys` that signed the envelope, each counted once.

    `keys` holds public keys by an id that was made from their bytes: then two ids are two keys.
    """
    message = pae(envelope.payload_type, envelope.payload)
    return frozenset(
        one.key_id
        for one in envelope.signatures
        if one.key_id in keys and _holds(keys[one.key_id], one, message)
    )


def _holds(public: bytes, signature: Signature, message: bytes) -> bool:
    # The id is looked at again here, whoever made the mapping: a key under a second name must
    # never count as a second person.
    if key_id(public) != signature.key_id or not is_sound(public):
        return False
    try:
        VerifyKey(public).verify(message, signature.value)
    except (BadSignatureError, ValueError):
        return False
    return True


def parse(data: bytes) -> Envelope:
    """Return the envelope in `data`.  Raises BadEnvelope; nothing in it is lenient."""
    if len(data) > MOST_BYTES:
        raise BadEnvelope(f"{len(data)} bytes; an envelope has {MOST_BYTES} at most")
    try:
        told = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as failure:
        raise BadEnvelope(f"no JSON: {type(failure).__name__}") from None
    kind, payload, claimed = _members(told, "payloadType", "payload", "signatures")
    if not isinstance(kind, str) or not kind.isascii() or not 0 < len(kind) <= 100:
        raise BadEnvelope("payloadType is no short text")
    if not isinstance(claimed, list) or len(claimed) > MOST_SIGNATURES:
        raise BadEnvelope(f"signatures are no list of at most {MOST_SIGNATURES}")
    return Envelope(kind, _decoded(payload), tuple(_signature(one) for one in claimed))


def _signature(told: object) -> Signature:
    name, value = _members(told, "keyid", "sig")
    if not isinstance(name, str) or len(name) > 100:
        raise BadEnvelope("keyid is no short text")
    decoded = _decoded(value)
    if len(decoded) != _SIGNATURE_BYTES:
        raise BadEnvelope(f"a signature has {_SIGNATURE_BYTES} bytes")
    return Signature(name, decoded)


def _members(told: object, *names: str) -> tuple[object, ...]:
    if not isinstance(told, dict) or set(told) != set(names):
        raise BadEnvelope(f"expected exactly {', '.join(names)}")
    return tuple(told[name] for name in names)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice")
    return found


def _decoded(text: object) -> bytes:
    """Return bytes from the one base64 text that stands for them."""
    if not isinstance(text, str):
        raise BadEnvelope("base64 text expected")
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        raise BadEnvelope("no base64") from None
    if base64.b64encode(decoded).decode() != text:
        raise BadEnvelope("base64 that is written in more than one way")
    return decoded
