"""What the command makes of what it is answered, without a network."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from forewarn_scripts.answers import Me
from forewarn_scripts.client import (
    AskError,
    BadRequest,
    Collector,
    Conflict,
    NotAllowed,
    NotFound,
    NotReached,
    check_address,
    fingerprint,
    read,
)
from forewarn_scripts.credentials import Credentials

ANN = Credentials("https://c.test", "ann", "fwk_secret", datetime(2026, 1, 1, tzinfo=UTC))


def asked(answer: Callable[[httpx.Request], httpx.Response]) -> bytes:
    with Collector(ANN, httpx.MockTransport(answer)) as collector:
        return collector.get("/me")


def test_the_key_goes_with_every_request() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((str(request.url), request.headers["authorization"]))
        return httpx.Response(200, json={"name": "ann", "role": "viewer", "clients": None})

    assert read(Me, asked(answer)).role == "viewer"
    assert seen == [("https://c.test/api/v1/me", "Bearer fwk_secret")]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (401, NotAllowed),
        (403, NotAllowed),
        (404, NotFound),
        (409, Conflict),
        (422, BadRequest),
        (500, AskError),
        (502, AskError),
    ],
)
def test_a_status_becomes_an_error_of_its_kind(status: int, kind: type[AskError]) -> None:
    with pytest.raises(kind) as told:
        asked(lambda _: httpx.Response(status, json={"error": "so it is"}))
    assert type(told.value) is kind
    assert "fwk_secret" not in str(told.value)
    if status != 401:
        assert str(told.value) == "so it is"


def test_an_ended_key_says_how_to_get_another() -> None:
    with pytest.raises(NotAllowed, match=r"log in again: forewarn login https://c\.test"):
        asked(lambda _: httpx.Response(401, json={"error": "x"}))


def test_a_stranger_at_the_address_is_told_apart() -> None:
    with pytest.raises(AskError, match="is it a collector"):
        asked(lambda _: httpx.Response(503, text="<html>"))
    with pytest.raises(AskError, match="is the address right"):
        read(Me, asked(lambda _: httpx.Response(200, text="<html>")))


def test_nobody_there_says_what_to_look_at() -> None:
    def refuse(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    with pytest.raises(NotReached, match=r"cannot reach https://c\.test: connection refused; is"):
        asked(refuse)


def test_plain_http_to_a_collector_that_speaks_tls_is_told_apart() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")

    plain = replace(ANN, url="http://127.0.0.1:8441")
    with (
        Collector(plain, httpx.MockTransport(answer)) as collector,
        pytest.raises(NotReached, match=r"no plain HTTP; write https://127\.0\.0\.1:8441$"),
    ):
        collector.get("/me")


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://c.test:8441", "https://c.test:8441"),
        ("https://c.test:8441/", "https://c.test:8441"),
        ("http://127.0.0.1:8441", "http://127.0.0.1:8441"),
        ("http://c.test", None),
        ("ftp://c.test", None),
        ("c.test:8441", None),
        ("https://ann:pw@c.test", None),
        ("https://c.test/hosts", None),
        ("https://c.test?x", None),
    ],
)
def test_only_an_address_safe_for_a_password_is_taken(url: str, taken: str | None) -> None:
    if taken is None:
        with pytest.raises(ValueError, match="write https://"):
            check_address(url)
    else:
        assert check_address(url) == taken


def test_what_is_no_certificate_has_no_fingerprint() -> None:
    with pytest.raises(ValueError, match="CERTIFICATE"):
        fingerprint("hello")
