"""The receiver of `try` and of the tests believes only what is rightly signed."""

import base64
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from forewarn_collector.receiver import Receiver, holds

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
BODY = '{"type":"ticket.opened","data":{"ticket":{"key":"a#1"}}}'
AT = datetime(2026, 11, 21, 8, tzinfo=UTC)


def signed(webhook_id: str = "msg_1", body: str = BODY) -> dict[str, str]:
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(AT.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(webhook_id, AT, body),
    }


@pytest.mark.parametrize(
    ("fact", "change", "expected"),
    [
        ("what the reference library signs holds", {}, True),
        ("another id does not", {"webhook-id": "msg_2"}, False),
        ("another moment does not", {"webhook-timestamp": "1"}, False),
        ("an empty signature does not", {"webhook-signature": ""}, False),
    ],
)
def test_a_signature_holds_only_for_what_was_signed(
    fact: str, change: dict[str, str], expected: bool
) -> None:
    headers = signed() | change
    told = holds(
        SECRET,
        headers["webhook-id"],
        headers["webhook-timestamp"],
        headers["webhook-signature"],
        BODY.encode(),
    )
    assert told is expected, fact


def test_a_repeat_is_listed_once_and_a_forgery_never() -> None:
    """The same webhook-id twice is one delivery; an unsigned post is refused with 401."""
    receiver = Receiver(SECRET)
    try:
        with httpx.Client(trust_env=False) as client:
            answers = [
                client.post(receiver.url, content=BODY, headers=headers).status_code
                for headers in (signed(), signed(), {})
            ]
        assert answers == [204, 204, 401]
        assert [delivery.ticket["key"] for delivery in receiver.deliveries] == ["a#1"]
        assert (receiver.repeated, receiver.refused) == (1, 1)
    finally:
        receiver.close()
