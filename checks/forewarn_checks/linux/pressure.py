"""Parse pressure stall information, ``/proc/pressure/*`` (Linux 4.20 and later)."""

import math
from pathlib import Path


def parse_pressure(text: str) -> float | None:
    """Return the share of the last minute in which some task was waiting, 0 to 1.

    That is ``avg60`` of the line ``some``.  None when the text does not say.
    """
    for line in text.splitlines():
        kind, *fields = line.split() or [""]
        if kind != "some":
            continue
        for field in fields:
            name, _, value = field.partition("=")
            if name == "avg60":
                return _share(value)
    return None


def _share(percent: str) -> float | None:
    try:
        share = float(percent) / 100
    except ValueError:
        return None
    return min(max(share, 0.0), 1.0) if math.isfinite(share) else None


def read_pressure(resource: str) -> float | None:
    """Return `parse_pressure` of ``cpu``, ``memory`` or ``io``.

    None where the kernel keeps no account: older than 4.20, or built or booted without it.
    """
    try:
        return parse_pressure(Path("/proc/pressure", resource).read_text("utf-8", "replace"))
    except OSError:
        return None  # reading gives EOPNOTSUPP when booted with psi=0
