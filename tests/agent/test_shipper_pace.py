"""What an answer means, and how long it makes the agent wait."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_agent.pace import (
    Answer,
    Backoff,
    BadBatch,
    Bucket,
    Busy,
    Conflict,
    Held,
    TryLater,
    Unwelcome,
    advance,
    decide,
    receipt_from_json,
)
from forewarn_checks.base.wire import Lane, Receipt

HOUR = timedelta(hours=1).total_seconds()
HELD = Held(Receipt({}))


def test_a_receipt_is_read_and_what_is_newer_than_us_is_passed_over() -> None:
    body = b'{"through": {"live": 3, "news": 9}, "config_version": "v", "orders_waiting": true}'
    assert receipt_from_json(body) == Receipt({Lane.LIVE: 3}, "v", orders_waiting=True)


@given(st.binary() | st.text().map(str.encode))
def test_random_bytes_are_no_receipt(body: bytes) -> None:
    assert not isinstance(decide(200, {}, body), Held)


@given(st.integers(100, 599), st.dictionaries(st.just("retry-after"), st.text()), st.binary())
def test_every_answer_has_a_meaning(status: int, headers: dict[str, str], body: bytes) -> None:
    decide(status, headers, body)


def test_deep_nesting_is_no_receipt() -> None:
    assert receipt_from_json(b"[" * 50_000) is None


def test_the_collectors_words_stay_on_one_line() -> None:
    answer = decide(422, {}, b'{"error": "a\\nb\\u001b[31m"}')
    assert answer == BadBatch("status 422: a?b?[31m")


def test_retry_after_as_a_date_is_an_ordinary_back_off() -> None:
    assert isinstance(decide(503, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, b""), TryLater)


@pytest.mark.parametrize(
    ("answer", "failures", "least", "most"),
    [
        (HELD, 5, 0, 0),
        (TryLater(""), 0, 0, 2),
        (TryLater(""), 3, 0, 16),
        (TryLater(""), 29, 0, 300),
        (Busy(60.0, ""), 0, 30, 90),
        (Busy(9000.0, ""), 0, 900, 900),
        (Unwelcome(""), 0, 0.75 * HOUR, 1.25 * HOUR),
        (Conflict(""), 0, 0, 2),
        (Conflict(""), 1, 0.75 * HOUR, 1.25 * HOUR),
        (BadBatch(""), 0, 0, 0),
        (BadBatch("", alone=True), 3, 0, 16),
    ],
)
def test_waits(answer: Answer, failures: int, least: float, most: float) -> None:
    """From the least to the most, as the die falls."""
    for chance, limit in ((0.0, least), (0.999999, most)):
        wait = advance(Backoff(failures), answer, [chance].pop).wait_seconds
        assert wait == pytest.approx(limit, rel=1e-4)


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(per_second=0.5, most=2.0, tokens=2.0).at(100.0).take().take()
    assert bucket.wait_seconds() == pytest.approx(2.0, abs=1e-3)
    assert bucket.at(102.0).wait_seconds() == 0.0
    assert bucket.at(10_000.0).tokens == 2.0


def test_a_restarted_boot_clock_neither_fills_nor_blocks_a_bucket() -> None:
    bucket = Bucket(per_second=1.0, most=1.0, tokens=1.0).at(5000.0).take().at(3.0)
    assert bucket.wait_seconds() > 0
    assert bucket.at(4.0).wait_seconds() == 0.0
