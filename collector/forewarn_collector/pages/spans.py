"""The span of time a page shows: one of a few usual ones, or from one moment to another."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

USUAL = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
    "1y": timedelta(days=365),
}
DEFAULT = "24h"
_LONGEST = timedelta(days=5 * 366)


@dataclass(frozen=True, slots=True)
class Span:
    """[since, until), and the name of the usual span it is, "" for one of somebody's own.

    `trouble` says why what was asked for is not what is shown.
    """

    since: datetime
    until: datetime
    name: str
    trouble: str = ""

    @property
    def query(self) -> dict[str, str]:
        """The span as parts of an address."""
        if self.name:
            return {"range": self.name}
        return {"since": _z(self.since), "until": _z(self.until)}


def choose(usual: str, since: str, until: str, zone: ZoneInfo, now: datetime) -> Span:
    """Return the span asked for.  Moments are local to `zone` unless they say otherwise."""
    if not since and not until:
        return _usual(usual, now)
    try:
        begin = _moment(since, zone) if since else None
        end = _moment(until, zone) if until else now
    except ValueError:
        return _usual(DEFAULT, now, "A moment is written 2026-11-21T08:00.")
    if begin is None:
        begin = end - USUAL[DEFAULT]
    if not timedelta(minutes=1) <= end - begin <= _LONGEST:
        return _usual(DEFAULT, now, "The span must begin before it ends, and last 5 years at most.")
    return Span(begin, end, "")


def _usual(name: str, now: datetime, trouble: str = "") -> Span:
    if name not in USUAL:
        name, trouble = DEFAULT, trouble or f"A span is one of {', '.join(USUAL)}."
    return Span(now - USUAL[name], now, name, trouble)


def _moment(text: str, zone: ZoneInfo) -> datetime:
    at = datetime.fromisoformat(text[:40])
    if not 1971 <= at.year < 2199:
        raise ValueError(text)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=zone).astimezone(UTC)


def _z(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
