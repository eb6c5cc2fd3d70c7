"""What is remembered of each host's requests, in memory: how often it sends, and in which order."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

RATE = 1.0  # requests a second, for long
BURST = 120.0  # a host that comes back with a day of runs may hurry

# How long a request can linger in proxies and retries.  Longer, and an agent that was restored
# with an older counter would be kept out.
LATE = timedelta(minutes=2)


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
