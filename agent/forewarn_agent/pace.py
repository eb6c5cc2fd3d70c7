"""When the next request may leave, decided without a clock or a die: both are handed in.

How an answer of the collector is read, and what it does to the wait before the next request.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, assert_never

from forewarn_checks.base.wire import Lane, Receipt

LARGEST_ANSWER: Final = 64 * 1024
_LONGEST_WAIT_SECONDS: Final = 300.0
_LONGEST_RETRY_AFTER_SECONDS: Final = 900.0
_UNWELCOME_WAIT_SECONDS: Final = 3600.0
_LARGEST_SEQUENCE: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Held:
    """200: everything up to the marks of `receipt` is durable there."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class BadBatch:
    """400, 413, 415, 422: the collector will never take this batch as it is.

    `alone` when the batch was down to the one run that is at fault.
    """

    text: str
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Unwelcome:
    """401, 403: the collector does not know us, for now; sampling goes on."""

    text: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """409: the collector holds other runs under our name."""

    text: str


@dataclass(frozen=True, slots=True)
class Busy:
    """429, 503 with Retry-After: it said when to come back."""

    retry_after_seconds: float
    text: str


@dataclass(frozen=True, slots=True)
class TryLater:
    """Anything else, a broken connection included."""

    text: str


Answer = Held | BadBatch | Unwelcome | Conflict | Busy | TryLater


def decide(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """Return what an answer means.  `headers` are by lower-case name.

    A refusal counts as the collector's own only when it is a JSON object, as the collector
    writes them; a login page of some proxy must not cost runs.  413 is the exception: proxies
    limit sizes, too, and a smaller batch helps there as well.
    """
    text = f"status {status}{_error_of(body)}"
    if status == 200:
        receipt = receipt_from_json(body)
        return Held(receipt) if receipt else TryLater(f"{text} without a receipt")
    if status == 413 or (status in {400, 415, 422} and _object_of(body) is not None):
        return BadBatch(text)
    if status in {401, 403}:
        return Unwelcome(text)
    if status == 409:
        return Conflict(text)
    retry_after = headers.get("retry-after", "").strip()
    if status in {429, 503} and retry_after.isascii() and retry_after.isdigit():
        seconds = float(retry_after[:9])
        return Busy(min(seconds, _LONGEST_RETRY_AFTER_SECONDS), text)
    return TryLater(text)


def receipt_from_json(body: bytes) -> Receipt | None:
    """Return the receipt that `body` spells, None when it spells none.

    Lanes and keys that a newer collector may know are passed over.
    """
    fields = _object_of(body)
    marks = fields.get("through") if fields else None
    if fields is None or not isinstance(marks, dict):
        return None
    through: dict[Lane, int] = {}
    for lane, mark in marks.items():
        if type(mark) is not int or not 0 <= mark <= _LARGEST_SEQUENCE:
            return None
        if lane in list(Lane):
            through[Lane(lane)] = mark
    version, checkpoint = fields.get("config_version"), fields.get("audit_checkpoint")
    return Receipt(
        through=through,
        config_version=version[:256] if isinstance(version, str) else "",
        orders_waiting=fields.get("orders_waiting") is True,
        audit_checkpoint=checkpoint[:256] if isinstance(checkpoint, str) else "",
    )


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often in a row it went wrong, and how long to wait for that."""

    failures: int = 0
    wait_seconds: float = 0.0


def advance(backoff: Backoff, answer: Answer, random: Callable[[], float]) -> Backoff:
    """Return the back-off after `answer`.  `random` gives numbers from 0 up to 1."""
    failures = min(backoff.failures + 1, 30)
    match answer:
        case Held():
            return Backoff()
        case Busy(seconds):
            wait = min(seconds * (0.5 + random()), _LONGEST_RETRY_AFTER_SECONDS)
        case Unwelcome():
            wait = _UNWELCOME_WAIT_SECONDS * (0.75 + random() / 2)
        case Conflict() if backoff.failures:
            wait = _UNWELCOME_WAIT_SECONDS * (0.75 + random() / 2)
        case BadBatch(alone=False):
            return replace(backoff, wait_seconds=0.0)  # the search for the bad run goes on
        case BadBatch() | Conflict() | TryLater():
            # Lone bad runs wait, too: a collector gone wrong must not eat the spool at full pace.
            wait = random() * min(_LONGEST_WAIT_SECONDS, 2.0**failures)
        case _:
            assert_never(answer)
    return Backoff(failures, wait)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens that come back with time; a fault of ours must not become a flood."""

    per_second: float
    most: float
    tokens: float
    at_seconds: float | None = None  # boot time; None before the first request

    def at(self, now_seconds: float) -> "Bucket":
        """Return the bucket as it is at `now_seconds`.  A boot clock that restarted adds none."""
        if self.at_seconds is None:
            return replace(self, at_seconds=now_seconds)
        grown = self.tokens + max(0.0, now_seconds - self.at_seconds) * self.per_second
        return replace(self, tokens=min(self.most, grown), at_seconds=now_seconds)

    def wait_seconds(self) -> float:
        """Return how long until there is a whole token."""
        # A rounding error short of a whole one is a whole one: else a wait would never end.
        return max(0.0, (1.0 - 1e-6 - self.tokens) / self.per_second)

    def take(self) -> "Bucket":
        """Return the bucket with one token less."""
        return replace(self, tokens=self.tokens - 1.0)


def _object_of(body: bytes) -> dict[str, object] | None:
    if len(body) > LARGEST_ANSWER:
        return None
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def _error_of(body: bytes) -> str:
    """Return the collector's own words, made fit for one line of a log."""
    error = (_object_of(body) or {}).get("error")
    if not isinstance(error, str):
        return ""
    return ": " + "".join(c if c.isprintable() else "?" for c in error[:300])
