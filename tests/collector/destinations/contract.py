"""What every destination keeps to, whatever it talks to.  A test module subclasses this."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from forewarn_collector.tickets import (
    Delivered,
    Delivery,
    Destination,
    Kind,
    Message,
    Refused,
    TryAgain,
)

AT = 1_772_366_400.0
BODY = b'{"type":"ticket.opened","data":{"ticket":{"key":"k#1","title":"caf\xc3\xa9"}}}'


def message(kind: Kind = Kind.OPENED, **fields: Any) -> Message:
    """Return one message about the ticket ``k#1``."""
    return Message(**{"id": "msg-1", "kind": kind, "ticket_key": "k#1", "body": BODY, **fields})


@dataclass
class OtherSide:
    """Answers as told and keeps what it was sent."""

    answer: httpx.Response | Exception
    seen: list[httpx.Request]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class DestinationContract:
    """Facts about one DESTINATION.  Subclasses give `destination`, `config` and `secrets`."""

    destination: Destination[Any]
    config: BaseModel
    secrets: tuple[str, ...]

    def other_side(self) -> Callable[[httpx.Request], httpx.Response]:
        """Return a system that takes what it is told."""
        return OtherSide(httpx.Response(200), [])

    def keys_told(self, *sent: Message) -> list[str]:
        """Return the key that the other side files each message under."""
        raise NotImplementedError

    def deliver(
        self, answer: httpx.Response | Exception, sent: Message | None = None
    ) -> tuple[Delivery, list[httpx.Request]]:
        other = OtherSide(answer, [])
        with httpx.Client(transport=httpx.MockTransport(other)) as http:
            delivery = self.destination.deliver(self.config, sent or message(), http, AT)
        return delivery, other.seen

    @pytest.mark.parametrize("kind", list(Kind))
    def test_what_is_taken_is_delivered(self, kind: Kind) -> None:
        with httpx.Client(transport=httpx.MockTransport(self.other_side())) as http:
            delivery = self.destination.deliver(self.config, message(kind), http, AT)
        assert isinstance(delivery, Delivered)

    def test_a_close_uses_the_key_of_the_opening(self) -> None:
        opened, closed = self.keys_told(message(), message(Kind.CLOSED, id="msg-2"))
        assert opened == closed

    @pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 599])
    def test_what_may_pass_is_tried_again(self, status: int) -> None:
        assert isinstance(self.deliver(httpx.Response(status))[0], TryAgain)

    @pytest.mark.parametrize(
        "failure",
        [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.WriteError],
    )
    def test_a_broken_connection_is_tried_again(
        self, failure: Callable[[str], httpx.TransportError]
    ) -> None:
        assert isinstance(self.deliver(failure("broken"))[0], TryAgain)

    @pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 413, 422])
    def test_any_other_answer_is_for_a_person(self, status: int) -> None:
        elsewhere = {"location": "https://elsewhere/"} if status < 400 else {}
        delivery, seen = self.deliver(httpx.Response(status, headers=elsewhere))
        assert isinstance(delivery, Refused)
        assert len(seen) == 1

    def test_gone_says_that_the_address_wants_no_more(self) -> None:
        delivery, _ = self.deliver(httpx.Response(410))
        assert isinstance(delivery, Refused)
        assert delivery.gone
        assert delivery.reason.startswith("status 410: the address is gone")

    def test_the_other_sides_wish_to_wait_is_heard(self) -> None:
        delivery, _ = self.deliver(httpx.Response(429, headers={"retry-after": "120"}))
        assert isinstance(delivery, TryAgain)
        assert delivery.reason.startswith("status 429")
        assert delivery.after_seconds == 120.0

    def test_no_secret_is_in_any_answer_repr_or_description(self) -> None:
        answers: list[httpx.Response | Exception] = [
            httpx.Response(200),
            httpx.Response(500, text=" ".join(self.secrets)),
            httpx.Response(400, text=" ".join(self.secrets)),
            httpx.Response(302, headers={"location": f"https://x/{self.secrets[0]}"}),
            httpx.ConnectError(f"cannot reach {self.secrets[0]}"),
        ]
        texts = [
            repr(self.deliver(answer, message(kind))[0]) for answer in answers for kind in Kind
        ]
        texts += [repr(self.config), str(self.config), self.config.model_dump_json()]
        texts.append(repr(dict(self.destination.describe(self.config))))
        assert not [secret for secret in self.secrets for text in texts if secret in text]
