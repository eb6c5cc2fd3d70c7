"""What is remembered of requests, in memory: how often, in which order, and what failed."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from forewarn_collector.api.throttle import network_of

RATE = 1.0  # requests a second, for long
BURST = 120.0  # a host that comes back with a day of runs may hurry

# How long a request can linger in proxies and retries.  Longer, and an agent that was restored
# with an older counter would be kept out.
LATE = timedelta(minutes=2)

FAILURES_AN_ADDRESS = 5
FAILURE_WINDOW = timedelta(minutes=1)
_MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class _Seen:
    tokens: float
    at: datetime
    seq: int = -1
    seq_at: datetime | None = None


@dataclass(slots=True)
class Arrivals:
    """One entry a host and stream.  Used from one thread."""

    _seen: dict[tuple[str, str], _Seen] = field(default_factory=dict)

    def wait_seconds(self, host: str, stream: str, now: datetime) -> float:
        """Count one request; return 0, or how long the host must wait before the next is taken."""
        seen = self._seen.setdefault((host, stream), _Seen(BURST, now))
        gone = max((now - seen.at).total_seconds(), 0.0)
        seen.tokens = min(BURST, seen.tokens + gone * RATE)
        seen.at = now
        if seen.tokens < 1:
            return (1 - seen.tokens) / RATE
        seen.tokens -= 1
        return 0.0

    def overtaken(self, host: str, stream: str, seq: int, now: datetime) -> bool:
        """Say whether a later request of the host was taken just before this one.

        Such a request must change nothing: what it carries may have been sent again since, in
        another lane.  One that is not overtaken is remembered as the newest.
        """
        seen = self._seen.setdefault((host, stream), _Seen(BURST, now))
        recent = seen.seq_at is not None and now - seen.seq_at < LATE
        if recent and seq <= seen.seq:
            return True
        seen.seq, seen.seq_at = seq, now
        return False


@dataclass(slots=True)
class Failures:
    """Failed enrolments of the last minute, by address.  Used from one thread; bounded.

    Successes do not count: a whole office may be enrolled from one address at once.
    """

    _failed: OrderedDict[str, tuple[datetime, ...]] = field(default_factory=OrderedDict)

    def too_many(self, address: str, now: datetime) -> bool:
        """Say whether the address has to wait before it is listened to again."""
        failed = self._failed.get(network_of(address), ())
        return sum(now - FAILURE_WINDOW < at <= now for at in failed) >= FAILURES_AN_ADDRESS

    def add(self, address: str, now: datetime) -> None:
        """Count one."""
        network = network_of(address)
        failed = self._failed.pop(network, ())
        self._failed[network] = (*failed, now)[-FAILURES_AN_ADDRESS:]
        while len(self._failed) > _MOST_ADDRESSES:
            self._failed.popitem(last=False)
