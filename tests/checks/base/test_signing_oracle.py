"""Our one signature profile against an independent RFC 9421 implementation, both ways."""

import datetime
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageSigner,
    HTTPMessageVerifier,
    MappingKeyResolver,
)
from http_message_signatures.algorithms import ED25519
from hypothesis import given
from hypothesis import strategies as st
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from forewarn_checks.base import signing

HOST = "01234567-89ab-7def-8123-456789abcdef"
PLAIN = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
PATHS = st.from_regex(r"(/[a-zA-Z0-9._-]{1,10}){1,4}", fullmatch=True)
QUERIES = st.from_regex(r"([a-z0-9]{1,6}=[a-zA-Z0-9._-]{0,6}(&[a-z]=[0-9]){0,2})?", fullmatch=True)
CREATED = st.integers(1, 1_700_000_000)  # the oracle refuses what is yet to come
KEYS = st.binary(min_size=32, max_size=32).map(SigningKey)


@dataclass
class Request:
    """What the oracle wants to see of a request."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


@given(
    KEYS,
    st.sampled_from(["GET", "POST"]),
    PATHS,
    QUERIES,
    st.binary(max_size=200),
    PLAIN.map(lambda text: text.replace('"', "'")),
    st.integers(0, 10**18 - 1),
    CREATED,
)
def test_what_we_sign_the_oracle_accepts(
    key: SigningKey,
    method: str,
    path: str,
    query: str,
    body: bytes,
    collector: str,
    seq: int,
    created: int,
) -> None:
    """Every component list, parameter and value is as RFC 9421 has it."""
    headers = signing.sign(
        method=method,
        path=path,
        query=query,
        body=body,
        content_encoding="gzip",
        collector=collector,
        stream="batches",
        seq=seq,
        key_id=HOST,
        created=created,
        key=lambda message: key.sign(message).signature,
    )
    url = f"https://any.example{path}" + (f"?{query}" if query else "")
    results = _oracle(key.verify_key).verify(
        Request(method, url, headers),
        max_age=None,
        expect_tag="fw1",
        expect_label="fw1",
        require_components=signing.COMPONENTS,
        body=body,
    )
    assert results[0].parameters["keyid"] == HOST


@given(KEYS, PATHS, QUERIES, st.binary(max_size=200), st.integers(0, 10**15 - 1), CREATED)
def test_what_the_oracle_signs_we_accept(
    key: SigningKey, path: str, query: str, body: bytes, seq: int, created: int
) -> None:
    """A request signed by the oracle with our component list parses and verifies."""
    url = f"https://any.example{path}" + (f"?{query}" if query else "")
    request = Request(
        "POST",
        url,
        {
            "content-digest": signing.content_digest(body),
            "content-encoding": "identity",
            "fw-collector": "c1",
            "fw-stream": "batches",
            "fw-seq": str(seq),
        },
    )
    HTTPMessageSigner(
        signature_algorithm=ED25519,
        key_resolver=MappingKeyResolver(public_keys={}, private_keys={HOST: _private(key)}),
    ).sign(
        request,
        key_id=HOST,
        created=datetime.datetime.fromtimestamp(created, datetime.UTC),
        label="fw1",
        tag="fw1",
        use_existing_digest=True,
        covered_component_ids=signing.COMPONENTS,
    )
    headers = {name.lower(): value for name, value in request.headers.items()}
    signed = signing.parse("POST", path, query, headers)
    assert (signed.key_id, signed.seq, signed.stream) == (HOST, seq, "batches")
    key.verify_key.verify(signed.base, signed.signature)


@given(KEYS, PATHS, st.binary(max_size=50), st.data())
def test_a_changed_request_does_not_verify(
    key: SigningKey, path: str, body: bytes, data: st.DataObject
) -> None:
    """Whichever signed value is changed, both implementations refuse."""
    headers = signing.sign(
        method="POST",
        path=path,
        query="",
        body=body,
        content_encoding="gzip",
        collector="c1",
        stream="batches",
        seq=7,
        key_id=HOST,
        created=1_700_000_000,
        key=lambda message: key.sign(message).signature,
    )
    name = data.draw(st.sampled_from(sorted(set(headers) - {"signature", "signature-input"})))
    changed = headers | {name: data.draw(PLAIN.filter(lambda text: text != headers[name]))}
    if name == "fw-seq":
        changed["fw-seq"] = str(data.draw(st.integers(8, 10**9)))
    signed = signing.parse("POST", path, "", changed)
    with pytest.raises(BadSignatureError):
        key.verify_key.verify(signed.base, signed.signature)
    with pytest.raises(HTTPMessageSignaturesException):
        _oracle(key.verify_key).verify(
            Request("POST", f"https://any.example{path}", changed), max_age=None
        )


@given(
    st.dictionaries(
        st.sampled_from(["signature-input", "signature", *signing.COMPONENTS[3:]]), st.text()
    )
)
def test_nonsense_is_a_bad_signature_and_nothing_else(headers: dict[str, str]) -> None:
    """No header text gets past `parse`, nor makes it fail in another way."""
    with pytest.raises(signing.BadSignature):
        signing.parse("POST", "/v1/batches", "", headers)


def _oracle(key: VerifyKey) -> HTTPMessageVerifier:
    public = Ed25519PublicKey.from_public_bytes(bytes(key))
    return HTTPMessageVerifier(
        signature_algorithm=ED25519,
        key_resolver=MappingKeyResolver(public_keys={HOST: public}, private_keys={}),
    )


def _private(key: SigningKey) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes(key))
