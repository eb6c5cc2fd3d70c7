"""The one place of the collector that asks what time it is, and that makes ids from it."""

import secrets
from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """Return ``2026-11-21T08:00:00.123Z``: UTC, milliseconds, a Z."""
    utc = moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def uuid7(moment: datetime) -> str:
    """Return a UUIDv7 (RFC 9562): sorts by time of making, 74 random bits."""
    value = int(moment.timestamp() * 1000) << 80 | 7 << 76 | secrets.randbits(12) << 64
    value |= 2 << 62 | secrets.randbits(62)
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def id_floor(moment: datetime) -> str:
    """Return what every id made at this moment or later sorts at or after."""
    digits = f"{int(moment.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"
