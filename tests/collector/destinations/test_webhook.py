"""The generic webhook, judged by another implementation of Standard Webhooks."""

import base64
import json
from datetime import UTC, datetime
from email.utils import format_datetime

import httpx
import pytest
from pydantic import SecretStr, ValidationError
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError
from tests.collector.destinations.contract import AT, BODY, DestinationContract, message

from forewarn_collector.destinations.webhook import DESTINATION, Config, sign
from forewarn_collector.tickets import Delivered, Message, TryAgain

OLD = "whsec_" + base64.b64encode(b"o" * 32).decode()
NEW = "whsec_" + base64.b64encode(b"n" * 32).decode()
URL = "https://desk.example.com/hooks/t0ken-in-the-path"


def config(*secrets: str, url: str = URL) -> Config:
    return Config(url=SecretStr(url), secret=SecretStr("\n".join(secrets)))


class TestWebhook(DestinationContract):
    """The contract of all destinations, and the signature."""

    destination = DESTINATION
    config = config(NEW, OLD)
    secrets = (NEW, OLD, "t0ken-in-the-path", base64.b64encode(b"n" * 32).decode())

    def keys_told(self, *sent: Message) -> list[str]:
        requests = [self.deliver(httpx.Response(200), one)[1][0] for one in sent]
        return [json.loads(request.content)["data"]["ticket"]["key"] for request in requests]

    @pytest.mark.parametrize("status", [200, 201, 202, 204])
    def test_any_2xx_is_delivered(self, status: int) -> None:
        assert self.deliver(httpx.Response(status))[0] == Delivered()

    @pytest.mark.parametrize("secret", [NEW, OLD])
    def test_both_secrets_verify_while_one_replaces_the_other(
        self, secret: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, (request,) = self.deliver(httpx.Response(200))
        _freeze(monkeypatch)
        told = Webhook(secret).verify(request.content, dict(request.headers))
        assert told["data"]["ticket"]["key"] == "k#1"

    def test_a_changed_body_does_not_verify(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _, (request,) = self.deliver(httpx.Response(200))
        _freeze(monkeypatch)
        with pytest.raises(WebhookVerificationError):
            Webhook(NEW).verify(request.content.replace(b"k#1", b"k#2"), dict(request.headers))

    def test_the_body_leaves_byte_by_byte_as_it_was_stored(self) -> None:
        _, (request,) = self.deliver(httpx.Response(200))
        assert request.content == BODY
        assert request.headers["webhook-id"] == "msg-1"
        assert request.headers["webhook-timestamp"] == str(int(AT))

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("0", 0.0),
            ("99999999999", 86_400.0),
            (format_datetime(datetime.fromtimestamp(AT + 90, UTC), usegmt=True), 90.0),
            (format_datetime(datetime.fromtimestamp(AT - 90, UTC), usegmt=True), 0.0),
            ("soon", None),
            ("-5", None),
            ("²", None),
            ("", None),
        ],
    )
    def test_retry_after_is_seconds_or_a_date(self, text: str, seconds: float | None) -> None:
        answer = httpx.Response(503, headers=[(b"retry-after", text.encode())])
        assert self.deliver(answer)[0] == TryAgain("status 503", seconds)


@pytest.mark.parametrize(
    "secrets",
    [
        (),
        ("hunter2",),
        ("whsec_!!!",),
        ("whsec_" + base64.b64encode(b"short").decode(),),
        ("whsec_" + base64.b64encode(b"l" * 65).decode(),),
        (base64.b64encode(b"n" * 32).decode(),),
        (NEW, OLD, NEW),
    ],
)
def test_what_is_no_secret_is_refused_without_showing_it(secrets: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as refused:
        config(*secrets)
    shown = [error["msg"] for error in refused.value.errors(include_input=False)]
    assert "secret_file must hold one line" in shown[0]


@pytest.mark.parametrize("url", ["ftp://x/", "desk.example.com", "https://", "https://a:b@x/"])
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="url"):
        config(NEW, url=url)


def test_the_signature_is_that_of_the_library() -> None:
    at = datetime.fromtimestamp(int(AT), UTC)
    theirs = Webhook(NEW).sign("msg-1", at, BODY.decode())
    assert sign(SecretStr(NEW), "msg-1", int(AT), BODY) == theirs


def _freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library asks the clock by itself; let it be the moment of the attempt."""

    class Frozen(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(AT, UTC)

    monkeypatch.setattr("standardwebhooks.webhooks.datetime", Frozen)


def test_a_cloud_event_says_the_same_in_its_own_shape_and_is_signed() -> None:
    wrapped = Config(url=SecretStr(URL), secret=SecretStr(NEW), format="cloudevents")
    seen: list[httpx.Request] = []

    def other(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    with httpx.Client(transport=httpx.MockTransport(other)) as http:
        assert DESTINATION.deliver(wrapped, message(), http, AT) == Delivered()
    (request,) = seen
    event = json.loads(request.content)
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["webhook-signature"] == sign(
        SecretStr(NEW), "msg-1", int(AT), request.content
    )
    assert event["data"] == json.loads(BODY)["data"]
    assert {key: value for key, value in event.items() if key != "data"} == {
        "specversion": "1.0",
        "id": "msg-1",
        "source": "/forewarn",
        "type": "ticket.opened",
        "subject": "k#1",
        "datacontenttype": "application/json",
    }
