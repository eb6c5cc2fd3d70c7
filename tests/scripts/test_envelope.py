"""Envelopes: the same bytes and the same verdicts as securesystemslib, and what it lets through."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey
from securesystemslib.dsse import Envelope as TheirEnvelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer._key import Key, SSlibKey
from securesystemslib.signer._signature import Signature as TheirSignature

from forewarn_scripts.envelope import (
    MOST_BYTES,
    ORDER,
    BadEnvelope,
    Envelope,
    Signature,
    pae,
    parse,
    signers,
)
from forewarn_scripts.keys import is_sound, key_id

KEYS = [SigningKey(bytes([number]) * 32) for number in range(1, 6)]
PUBLIC = {key_id(bytes(key.verify_key)): bytes(key.verify_key) for key in KEYS}
LOW_ORDER = [
    bytes(32),
    bytes([1]) + bytes(31),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]


def theirs(envelope: Envelope) -> TheirEnvelope:
    signatures = {
        one.key_id: TheirSignature(one.key_id, one.value.hex()) for one in envelope.signatures
    }
    return TheirEnvelope(envelope.payload, envelope.payload_type, signatures)


def their_key(name: str) -> SSlibKey:
    return SSlibKey(name, "ed25519", "ed25519", {"public": PUBLIC[name].hex()})


@given(kind=st.text("abc/+.é", min_size=1, max_size=20), payload=st.binary(max_size=200))
def test_what_is_signed_is_what_the_standard_says(kind: str, payload: bytes) -> None:
    assert pae(kind, payload) == TheirEnvelope(payload, kind, {}).pae()


@settings(deadline=None, max_examples=60)
@given(
    payload=st.binary(max_size=100),
    by=st.sets(st.integers(0, 4)),
    flipped=st.none() | st.integers(0, 4),
    moved=st.booleans(),
)
def test_the_same_signers_are_found(
    payload: bytes, by: set[int], flipped: int | None, moved: bool
) -> None:
    envelope = Envelope(ORDER, payload)
    for number in sorted(by):
        envelope = envelope.signed_by(KEYS[number])
    changed = tuple(
        replace(one, value=bytes([one.value[0] ^ 1]) + one.value[1:]) if n == flipped else one
        for n, one in enumerate(envelope.signatures)
    )
    envelope = replace(envelope, signatures=changed)
    if moved:
        envelope = replace(envelope, payload=payload + b" ")
    found = signers(envelope, PUBLIC)
    keys: list[Key] = [their_key(name) for name in PUBLIC]
    if found:  # they stop counting at the threshold
        assert found == set(theirs(envelope).verify(keys, len(found)))
    if len(found) < len(keys):
        with pytest.raises(VerificationError):
            theirs(envelope).verify(keys, len(found) + 1)


def test_one_key_under_two_names_counts_once() -> None:
    """Theirs counts names, and takes two for two."""
    envelope = Envelope(ORDER, b"{}").signed_by(KEYS[0])
    first = envelope.signatures[0]
    doubled = replace(envelope, signatures=(first, Signature("sha256:other", first.value)))
    public = bytes(KEYS[0].verify_key)
    assert signers(doubled, {first.key_id: public, "sha256:other": public}) == {first.key_id}


@pytest.mark.parametrize("public", LOW_ORDER)
def test_a_key_of_low_order_verifies_nothing(public: bytes) -> None:
    assert not is_sound(public)
    for value in (public + bytes(32), bytes(64)):
        forged = Envelope(ORDER, b"{}", (Signature(key_id(public), value),))
        assert not signers(forged, {key_id(public): public})


@given(st.binary(max_size=300))
def test_an_envelope_survives_being_written(payload: bytes) -> None:
    envelope = Envelope(ORDER, payload).signed_by(KEYS[0]).signed_by(KEYS[1])
    assert parse(envelope.to_bytes()) == envelope


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_whatever_comes_is_an_envelope_or_refused(data: bytes) -> None:
    try:
        parse(data)
    except BadEnvelope:
        return


def _told(**changes: object) -> bytes:
    told = json.loads(Envelope(ORDER, b"{}").signed_by(KEYS[0]).to_bytes())
    return json.dumps(told | changes).encode()


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("one member more", _told(extra=1)),
        ("no payload", json.dumps({"payloadType": ORDER, "signatures": []}).encode()),
        ("another alphabet", _told(payload="e30_")),
        ("base64 with bits left over", _told(payload="e31=")),
        ("a short signature", _told(signatures=[{"keyid": "a", "sig": "AAAA"}])),
        ("too many signatures", _told(signatures=[{"keyid": "a", "sig": "AAAA"}] * 17)),
        ("a name twice", b'{"payload":"","payload":"e30=","payloadType":"x","signatures":[]}'),
        ("nested without end", b"[" * 50_000),
        ("too long", b" " * (MOST_BYTES + 1)),
        ("no UTF-8", b"\xff"),
        ("a list", b"[]"),
    ],
)
def test_what_is_odd_is_refused(why: str, data: bytes) -> None:
    with pytest.raises(BadEnvelope):
        parse(data)


def test_signing_again_adds_nothing() -> None:
    once = Envelope(ORDER, b"{}").signed_by(KEYS[0])
    assert once.signed_by(KEYS[0]) == once


def test_the_bytes_are_read_by_theirs() -> None:
    envelope = Envelope(ORDER, b"{}").signed_by(KEYS[0])
    told = json.loads(envelope.to_bytes())
    assert base64.b64decode(told["payload"]) == b"{}"
    assert set(told) == {"payload", "payloadType", "signatures"}
