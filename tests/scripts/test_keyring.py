"""Keyrings against the attacks that python-tuf tests its root role with, and some of our own.

A keyring is what TUF calls a root: versions, an expiry, thresholds, each version signed by the one
before it and by itself.  There is no snapshot or target to mix: orders are judged by one keyring.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from forewarn_scripts import envelope as dsse
from forewarn_scripts.envelope import KEYRING, ORDER, Envelope, Signature
from forewarn_scripts.keyring import (
    MOST_HANDED_ON,
    Keyring,
    KeyringRefused,
    KeyringText,
    NamedKey,
    advanced,
    anchored,
    followed,
)
from forewarn_scripts.keys import key_id
from forewarn_scripts.order import write_moment

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
COLLECTOR = "01234567-89ab-7def-8123-456789abcdef"
LOW_ORDER = base64.b64encode(bytes([1]) + bytes(31)).decode()
RECOVERY = 99


def key(number: int) -> SigningKey:
    return SigningKey(bytes([number]) * 32)


def public(number: int) -> bytes:
    return bytes(key(number).verify_key)


def text(number: int) -> str:
    return base64.b64encode(public(number)).decode()


def ring(
    version: int = 1,
    keys: Sequence[int] = (1,),
    threshold: int = 1,
    by: Sequence[int] = (1,),
    **changes: Any,
) -> bytes:
    """Return a keyring of numbered keys, signed by numbered keys."""
    told = KeyringText(
        collector=changes.get("collector", COLLECTOR),
        version=version,
        threshold=threshold,
        expires=write_moment(NOW + timedelta(days=changes.get("days", 365))),
        keys=tuple(NamedKey(name=f"person {one}", public=text(one)) for one in keys),
        recovery=text(changes.get("recovery", RECOVERY)),
    )
    envelope = Envelope(KEYRING, told.to_bytes())
    for one in by:
        envelope = envelope.signed_by(key(one))
    return envelope.to_bytes()


def edited(data: bytes, by: Sequence[int] = (1,), **changes: object) -> bytes:
    """Return a document that our own classes would not write, signed all the same."""
    told = json.loads(dsse.parse(data).payload) | changes
    envelope = Envelope(KEYRING, json.dumps(told, separators=(",", ":")).encode())
    for one in by:
        envelope = envelope.signed_by(key(one))
    return envelope.to_bytes()


FIRST = ring()


def refused(data: bytes, first: bytes = FIRST) -> str:
    with pytest.raises(KeyringRefused) as why:
        advanced(anchored(first), data)
    return str(why.value)


# -- the anchor (trusted root) -------------------------------------------------------------------


def test_the_first_is_believed_by_its_own_signatures() -> None:
    held = anchored(FIRST)
    assert (held.version, held.names) == (1, {key_id(public(1)): "person 1"})


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("trusted root missing", b""),
        ("unsigned", ring(by=())),
        ("signed by a stranger", ring(by=(2,))),
        ("signed by too few", ring(keys=(1, 2), threshold=2, by=(1,))),
        ("signed by the recovery key alone", ring(by=(RECOVERY,))),
        ("not JSON", b"{"),
        ("another kind that was signed", Envelope(ORDER, b"{}").signed_by(key(1)).to_bytes()),
        ("threshold zero", edited(FIRST, threshold=0)),
        ("threshold above the keys", edited(FIRST, threshold=2)),
        ("version zero", edited(FIRST, version=0)),
        ("version beyond what is counted", edited(FIRST, version=2**31)),
        ("no keys", edited(FIRST, keys=[])),
        ("a field nobody knows", edited(FIRST, delegations=[])),
        ("a key of low order", edited(FIRST, keys=[{"name": "x", "public": LOW_ORDER}])),
        ("a recovery key of low order", edited(FIRST, recovery=LOW_ORDER)),
        ("no expiry", edited(FIRST, expires=None)),
        ("an expiry in another spelling", edited(FIRST, expires="2027-11-21T08:00:00+00:00")),
    ],
)
def test_what_is_no_anchor(why: str, data: bytes) -> None:
    with pytest.raises(KeyringRefused):
        anchored(data)
    assert why


# -- versions (rollback, fast-forward, same version, gaps) ---------------------------------------


@pytest.mark.parametrize(
    ("why", "version"),
    [
        ("the same version", 5),
        ("rollback by one", 4),
        ("rollback to the first", 1),
        ("a version left out", 7),
        ("fast-forward to the last there can be", 2**31 - 1),
    ],
)
def test_only_the_next_version_follows(why: str, version: int) -> None:
    assert "does not follow" in refused(ring(version=version), ring(version=5)), why


def test_a_version_changed_under_its_signature_is_not_believed() -> None:
    sealed = dsse.parse(ring(version=2))
    told = json.loads(sealed.payload) | {"version": 3}
    forged = replace(sealed, payload=json.dumps(told, separators=(",", ":")).encode())
    assert "signed" in refused(forged.to_bytes(), ring(version=2))


# -- rotation: python-tuf's matrix of root rotations ---------------------------------------------


@dataclass(frozen=True)
class Step:
    """One version: its keys, how many it demands, who signed it, and whether it is believed."""

    keys: Sequence[int]
    threshold: int
    by: Sequence[int]
    believed: bool = True
    more: dict[str, Any] = field(default_factory=dict)


ROTATIONS = [
    ("1 of 1, one key for another", [Step([1], 1, [1]), Step([2], 1, [2, 1]), Step([2], 1, [2])]),
    ("1 of 1: not signed by the old key", [Step([1], 1, [1]), Step([2], 1, [2], False)]),
    ("1 of 1: not signed by the new key", [Step([1], 1, [1]), Step([2], 1, [1], False)]),
    ("1 of 1: signed by nobody", [Step([1], 1, [1]), Step([2], 1, [], False)]),
    (
        "3 of 5, signed by different three",
        [
            Step([1, 2, 3, 4, 5], 3, [2, 4, 1]),
            Step([1, 2, 3, 4, 5], 3, [4, 5, 1]),
            Step([1, 2, 3, 4, 5], 3, [1, 2, 3]),
        ],
    ),
    (
        "3 of 5, one key for another",
        [Step([1, 2, 3, 4, 5], 3, [1, 3, 4]), Step([2, 3, 4, 5, 6], 3, [2, 3, 4])],
    ),
    (
        "3 of 5: not signed by three of the new",
        [Step([1, 2, 3, 4, 5], 3, [1, 3, 4]), Step([2, 3, 4, 5, 6], 3, [1, 3, 4], False)],
    ),
    (
        "3 of 5: not signed by three of the old",
        [Step([1, 2, 3, 4, 5], 3, [1, 3, 4]), Step([2, 3, 4, 5, 6], 3, [2, 3, 6], False)],
    ),
    (
        "3 of 5, one key for another in two steps",
        [
            Step([1, 2, 3, 4, 5], 3, [1, 3, 4]),
            Step([2, 3, 4, 5, 6], 3, [1, 3, 4, 5, 6]),
            Step([2, 3, 4, 5, 6], 3, [2, 5, 6]),
        ],
    ),
    (
        "3 of 5, all keys for others",
        [
            Step([1, 2, 3, 4, 5], 3, [1, 3, 4]),
            Step([6, 7, 8, 9, 10], 3, [1, 3, 5, 6, 7, 8]),
            Step([6, 7, 8, 9, 10], 3, [6, 9, 10]),
        ],
    ),
    (
        "from 1 of 1 to 3 of 5",
        [Step([1], 1, [1]), Step([1, 2, 3, 4, 5], 3, [1, 2, 3])],
    ),
    (
        "from 3 of 5 to 1 of 1, which three must want",
        [Step([1, 2, 3, 4, 5], 3, [1, 2, 3]), Step([1], 1, [1], False), Step([1], 1, [1, 2, 3])],
    ),
    (
        "the threshold raised beyond who signs",
        [Step([1, 2], 1, [1]), Step([1, 2], 2, [1], False), Step([1, 2], 2, [1, 2])],
    ),
    (
        "the threshold lowered by too few",
        [Step([1, 2], 2, [1, 2]), Step([1, 2], 1, [1], False)],
    ),
    (
        "one key signs twice for a threshold of two",
        [Step([1, 2], 2, [1, 2]), Step([1, 2], 2, [1, 1], False)],
    ),
    (
        "a key that left counts no more",
        [
            Step([1, 2], 1, [1]),
            Step([2], 1, [1, 2]),
            Step([1, 2], 1, [1], False),
            Step([2], 1, [1], False),
        ],
    ),
    (
        "the recovery key stands in for lost keys",
        [Step([1], 1, [1]), Step([2], 1, [RECOVERY, 2]), Step([2, 3], 1, [2])],
    ),
    (
        "… but not for the new ones",
        [Step([1], 1, [1]), Step([2], 1, [RECOVERY], False)],
    ),
    (
        "everyday keys cannot name another recovery key",
        [Step([1], 1, [1]), Step([1], 1, [1], False, {"recovery": 98})],
    ),
    (
        "the recovery key can, and the old one is nothing then",
        [
            Step([1], 1, [1]),
            Step([1], 1, [RECOVERY, 1], True, {"recovery": 98}),
            Step([2], 1, [RECOVERY, 2], False, {"recovery": 98}),
            Step([2], 1, [98, 2], True, {"recovery": 98}),
        ],
    ),
    (
        "a stolen everyday key is thrown out by recovery, whatever it signs afterwards",
        [
            Step([1], 1, [1]),
            Step([2], 1, [RECOVERY, 2]),
            Step([1], 1, [1], False),
            Step([1], 1, [1, 1], False),
        ],
    ),
]


@pytest.mark.parametrize(("why", "steps"), ROTATIONS, ids=[why for why, _ in ROTATIONS])
def test_a_rotation_is_believed_or_not(why: str, steps: Sequence[Step]) -> None:
    first, *others = steps
    held = anchored(ring(1, first.keys, first.threshold, first.by))
    for step in others:
        data = ring(held.version + 1, step.keys, step.threshold, step.by, **step.more)
        if step.believed:
            held = advanced(held, data)
            assert set(held.keys) == {key_id(public(one)) for one in step.keys}
        else:
            with pytest.raises(KeyringRefused):
                advanced(held, data)


# -- thresholds and key ids ----------------------------------------------------------------------


def test_one_key_listed_twice_is_no_keyring() -> None:
    """securesystemslib counts key ids: one key under two satisfied a threshold of two there."""
    twice = [{"name": "a", "public": text(1)}, {"name": "b", "public": text(1)}]
    with pytest.raises(KeyringRefused, match="twice"):
        anchored(edited(FIRST, keys=twice, threshold=2))


def test_a_signature_copied_under_another_id_counts_for_nobody() -> None:
    sealed = dsse.parse(ring(2, (1, 2), 2, by=(1,)))
    copied = Signature(key_id(public(2)), sealed.signatures[0].value)
    both = replace(sealed, signatures=(*sealed.signatures, copied))
    assert "not signed by 2" in refused(both.to_bytes(), ring(1, (1, 2), 2, by=(1, 2)))


def test_the_same_signature_again_and_again_counts_once() -> None:
    sealed = dsse.parse(ring(2, (1, 2), 2, by=(1,)))
    many = replace(sealed, signatures=sealed.signatures * dsse.MOST_SIGNATURES)
    assert "not signed by 2" in refused(many.to_bytes(), ring(1, (1, 2), 2, by=(1, 2)))


def test_a_keyring_signed_as_something_else_is_none() -> None:
    """What a person signed as an order can never become a keyring."""
    payload = dsse.parse(ring(2)).payload
    other = Envelope(ORDER, payload).signed_by(key(1))
    assert "signed" in refused(replace(other, payload_type=KEYRING).to_bytes())


# -- expiry and freezing -------------------------------------------------------------------------


def test_an_expired_keyring_is_told_as_such_and_may_be_followed() -> None:
    """python-tuf: an intermediate root may have expired, the last one may not be used."""
    old = anchored(ring(days=-1))
    assert old.expired(NOW)
    assert not advanced(old, ring(2)).expired(NOW)


def test_a_final_keyring_that_expired_is_believed_about_nothing() -> None:
    last = advanced(anchored(FIRST), ring(2, days=0))
    assert last.expired(NOW)
    assert not last.expired(NOW - timedelta(seconds=1))


# -- chains (mix-and-match, cut, forked, endless) ------------------------------------------------


def chain(length: int) -> list[bytes]:
    return [ring(version) for version in range(2, length + 2)]


def test_a_host_that_slept_follows_the_whole_chain() -> None:
    assert followed(anchored(FIRST), chain(MOST_HANDED_ON)).version == MOST_HANDED_ON + 1


def test_a_chain_with_a_gap_leads_to_the_gap() -> None:
    links = chain(6)
    assert followed(anchored(FIRST), links[:2] + links[3:]).version == 3


def test_a_fork_is_decided_by_who_signed_it() -> None:
    mine, theirs = ring(2, (1, 3), by=(1,)), ring(2, (4,), by=(4,))
    for order in ([mine, theirs], [theirs, mine]):
        assert followed(anchored(FIRST), order).keys.keys() == anchored(mine).keys.keys()


def test_a_chain_of_another_collector_is_not_mixed_in() -> None:
    other = ring(2, (1, 5), by=(1,), collector="0193ffff-0000-7000-8000-000000000000")
    assert "another collector" in refused(other)
    assert followed(anchored(FIRST), [other, ring(2)]).source == ring(2)


def test_links_in_another_order_are_no_chain_backwards() -> None:
    held = followed(anchored(FIRST), list(reversed(chain(3))))
    assert held.version == 2


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 6),
            st.sets(st.integers(1, 4), min_size=1, max_size=3),
            st.integers(1, 2),
            st.sets(st.sampled_from([1, 2, 3, 4, RECOVERY]), max_size=4),
        ),
        max_size=8,
    )
)
def test_whatever_is_offered_each_step_was_signed_by_old_and_new(
    offered: list[tuple[int, set[int], int, set[int]]],
) -> None:
    """Against a second judge, written from the rule and not from the code."""
    documents: list[bytes] = []
    version, keys, threshold = 1, {1}, 1
    for number, theirs, demands, by in offered:
        if demands > len(theirs):
            continue
        documents.append(ring(number, sorted(theirs), demands, sorted(by)))
        by_old = len(by & keys) >= threshold or RECOVERY in by
        if number == version + 1 and by_old and len(by & theirs) >= demands:
            version, keys, threshold = number, theirs, demands
    held: Keyring = followed(anchored(FIRST), documents)
    assert (held.version, held.threshold) == (version, threshold)
    assert set(held.keys) == {key_id(public(one)) for one in keys}
