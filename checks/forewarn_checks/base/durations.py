"""Read and write durations as people do: ``30s``, ``5m``, ``6h``, ``7d``."""

import re
from datetime import timedelta

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FORM = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])")


def parse_duration(text: str) -> timedelta:
    """Return the duration that `text` names.

    Raises ValueError, saying which forms are taken, for anything else.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no duration; write 30s, 5m, 6h or 7d")
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any duration we can count") from None


def write_duration(duration: timedelta) -> str:
    """Return the shortest form that `parse_duration` reads back as the same duration."""
    seconds = duration.total_seconds()
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{int(seconds // _UNITS[unit])}{unit}"
    return f"{seconds:g}s"
