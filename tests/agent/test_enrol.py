"""Enrolling: one string proves each side to the other, and a lost answer loses nothing."""

import base64
import hashlib
import json
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
from nacl.signing import SigningKey, VerifyKey

from forewarn_agent import enrol, identity
from forewarn_agent.enrol import BadString, CannotEnrol, Introduction, NotTheCollector, Refused

TOKEN = "fwe_" + "A1b2-C3d4_" * 3
PRINT = "ab" * 32
HOST = "0192f0c4-7a3e-7c11-8a6b-1234567890ab"
ME = Introduction("web1", "linux", "0.1.0")
DER = b"any bytes do for a certificate here"
PEM = ssl.DER_cert_to_PEM_cert(DER)


@pytest.mark.parametrize(
    "url",
    [
        "https://collector:8440",
        "https://watch.acme.example.com:8440",
        "https://10.0.0.7:8440",
        "https://[fd00::7]:8440",
        "https://watch.example.com",
        "http://127.0.0.1:8440",
    ],
)
def test_a_string_is_read_from_its_right_end(url: str) -> None:
    invitation = enrol.parse(f"fw1.{url}.{TOKEN}.{PRINT}\n")
    assert (invitation.url, invitation.token, invitation.fingerprint) == (url, TOKEN, PRINT)


@pytest.mark.parametrize(
    ("string", "complaint"),
    [
        ("", "must begin with fw1"),
        (f"fw2.https://a.{TOKEN}.{PRINT}", "must begin with fw1"),
        (f"fw1.https://a.{TOKEN}.{PRINT[:-2]}", "probably cut"),
        (f"fw1.https://a.b.{TOKEN}", "probably cut"),
        (f"fw1.{TOKEN}.{PRINT}", "probably cut"),
        (f"fw1.ftp://a.{TOKEN}.{PRINT}", "not of the form"),
        (f"fw1.https://a/path.{TOKEN}.{PRINT}", "not of the form"),
        (f"fw1.https://a:99999.{TOKEN}.{PRINT}", "no address"),
        (f"fw1.https://user:secret@a.{TOKEN}.{PRINT}", "not of the form"),
        (f"fw1.http://watch.example.com.{TOKEN}.{PRINT}", "not encrypted"),
    ],
)
def test_a_bad_string_is_explained_without_repeating_its_token(string: str, complaint: str) -> None:
    with pytest.raises(BadString) as caught:
        enrol.parse(string)
    assert complaint in str(caught.value)
    assert "fwe_A" not in str(caught.value)


def test_an_invitation_never_shows_its_token() -> None:
    assert TOKEN not in repr(enrol.parse(f"fw1.https://a:1.{TOKEN}.{PRINT}"))


def invitation(fingerprint: str = hashlib.sha256(DER).hexdigest()) -> enrol.Invitation:
    return enrol.Invitation("https://collector:8440", TOKEN, fingerprint)


def test_only_the_certificate_that_bears_the_fingerprint_is_taken() -> None:
    other = ssl.DER_cert_to_PEM_cert(b"another")
    taken = enrol.matching_certificate((other + PEM).encode(), invitation())
    assert ssl.PEM_cert_to_DER_cert(taken) == DER


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----", PEM.encode()]
)
def test_any_other_certificate_is_not_the_collector(content: bytes) -> None:
    with pytest.raises(NotTheCollector):
        enrol.matching_certificate(content, invitation("00" * 32))


def collector(answer: httpx.Response, asked: list[dict[str, Any]]) -> httpx.Client:
    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        return answer

    return httpx.Client(transport=httpx.MockTransport(handle))


ENROLLED = {"host_id": HOST, "collector_id": "c", "client": "acme", "site": "hq"}


def test_the_request_proves_that_we_hold_the_key_and_know_the_token() -> None:
    asked: list[dict[str, Any]] = []
    key = SigningKey.generate()
    told = enrol.ask(
        collector(httpx.Response(200, json=ENROLLED), asked), invitation(), ME, key, PEM
    )
    assert (told.host_id, told.client, told.site, told.url) == (
        HOST,
        "acme",
        "hq",
        "https://collector:8440",
    )
    request = asked[0]
    hashed = hashlib.sha256(TOKEN.encode()).hexdigest()
    proof = f"forewarn-enrol-v1\n{hashed}\n{request['public_key']}".encode()
    VerifyKey(base64.b64decode(request["public_key"])).verify(
        proof, base64.b64decode(request["proof"])
    )
    assert (request["hostname"], request["system"]) == ("web1", "linux")


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (httpx.Response(403, json={"error": "the token is used up"}), "403: the token is used up"),
        (httpx.Response(502, text="bad gateway"), "502: without a reason"),
        (httpx.Response(200, json={}), "no enrolment"),
        (httpx.Response(200, json=ENROLLED | {"host_id": "../../etc/x"}), "no enrolment"),
        (httpx.Response(200, text="<html>"), "no enrolment"),
    ],
)
def test_a_refusal_is_told_with_its_reason(answer: httpx.Response, complaint: str) -> None:
    with pytest.raises(Refused) as caught:
        enrol.ask(collector(answer, []), invitation(), ME, SigningKey.generate(), PEM)
    assert complaint in str(caught.value)
    assert TOKEN not in str(caught.value)


def saved(directory: Path, host_id: str = HOST) -> SigningKey:
    key = SigningKey.generate()
    told = identity.Enrolment(host_id, "c", "acme", "hq", "https://collector:8440", PEM)
    identity.save(directory, told, key)
    return key


def test_a_key_made_for_a_string_is_there_again_for_the_next_try(tmp_path: Path) -> None:
    first = enrol._pending_key(tmp_path, TOKEN)
    assert enrol._pending_key(tmp_path, TOKEN) == first
    assert enrol._pending_key(tmp_path, TOKEN + "x") != first


def test_an_enrolled_host_is_not_enrolled_again_by_accident(tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(CannotEnrol, match="enrolled already"):
        enrol.enrol(tmp_path, invitation(), ME)


def test_an_identity_is_loaded_as_it_was_saved_and_readable_by_its_owner_alone(
    tmp_path: Path,
) -> None:
    key = saved(tmp_path)
    loaded = identity.load(tmp_path)
    assert (loaded.host_id, loaded.collector_id, loaded.url) == (
        HOST,
        "c",
        "https://collector:8440",
    )
    assert loaded.sign(b"x") == key.sign(b"x").signature
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_new_identity_leaves_no_old_key_behind(tmp_path: Path) -> None:
    saved(tmp_path)
    other = HOST.replace("0192", "0193")
    saved(tmp_path, other)
    assert [path.name for path in tmp_path.glob("*.key")] == [f"{other}.key"]
    assert identity.load(tmp_path).host_id == other


def test_no_identity_and_a_broken_one_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(identity.NotEnrolled, match="forewarn-agent enrol STRING"):
        identity.load(tmp_path)
    saved(tmp_path)
    (tmp_path / f"{HOST}.key").write_text("short")
    with pytest.raises(identity.BrokenIdentity, match="enrol --force"):
        identity.load(tmp_path)


def test_request_numbers_grow_over_restarts_and_cost_a_write_per_thousand(tmp_path: Path) -> None:
    saved(tmp_path)
    first = identity.load(tmp_path)
    assert [first.next_seq("batches") for _ in range(3)] == [1, 2, 3]
    assert first.next_seq("orders") == 1
    assert json.loads((tmp_path / "counters.json").read_text()) == {"batches": 1000, "orders": 1000}
    assert identity.load(tmp_path).next_seq("batches") == 1001


def test_a_final_refusal_is_told_from_one_that_may_pass() -> None:
    def refused(status: int) -> Refused:
        with pytest.raises(Refused) as caught:
            answer = httpx.Response(status, json={"error": "no"})
            enrol.ask(collector(answer, []), invitation(), ME, SigningKey.generate(), PEM)
        return caught.value

    assert refused(403).final
    assert not refused(429).final
    assert not refused(503).final


def test_a_hostname_a_collector_would_not_take_is_made_plain() -> None:
    asked: list[dict[str, Any]] = []
    odd = Introduction("web 1/ä<b>", "linux", "0.1.0")
    client = collector(httpx.Response(200, json=ENROLLED), asked)
    enrol.ask(client, invitation(), odd, SigningKey.generate(), PEM)
    assert asked[0]["hostname"] == "web-1-ä-b-"
