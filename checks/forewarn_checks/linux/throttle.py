"""Read how long heat or power held processors back: ``cpu*/thermal_throttle`` (Intel)."""

from pathlib import Path

from forewarn_checks.linux.sysfs import number


def read_throttled(root: Path) -> float | None:
    """Return the seconds of the core held back longest since boot.

    None where nothing counts them: other makers, guests, Linux before 5.9.
    """
    counts = (root / "sys/devices/system/cpu").glob(
        "cpu[0-9]*/thermal_throttle/core_throttle_total_time_ms"
    )
    millis = [count for count in map(number, counts) if count is not None]
    return max(millis) / 1000 if millis else None
