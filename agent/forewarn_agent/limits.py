"""How much room the spool may take, and how that shrinks on a small disk."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the spool may take.  Of several bounds the least holds.

    `leave_free_bytes` and `leave_free_ratio` (the greater holds) say below which free space the
    spool stops growing: each new segment then costs the oldest.  Neither ever asks for more than
    a tenth of the file system, so that a small one can be used at all.
    """

    most_bytes: int = 64 * MIB
    most_ratio: float = 0.05  # of the file system
    keep_for: timedelta = timedelta(days=7)
    leave_free_bytes: int = 256 * MIB
    leave_free_ratio: float = 0.02
    segment_bytes: int = MIB
    reserve_bytes: int = MIB  # given back first when the disk is full
    memory_bytes: int = 4 * MIB  # the ring, for a disk that takes nothing
    corrupt_files: int = 3
    corrupt_bytes: int = 4 * MIB

    def on(self, disk_bytes: int) -> "Bounds":
        """Return the bounds on a file system of `disk_bytes`."""
        most = min(self.most_bytes, max(int(disk_bytes * self.most_ratio), MIB))
        free = max(self.leave_free_bytes, int(disk_bytes * self.leave_free_ratio))
        return Bounds(
            most_bytes=most,
            # At least eight: what is evicted goes by whole segments, one open for each lane.
            segment_bytes=max(1, min(self.segment_bytes, most // 8)),
            reserve_bytes=min(self.reserve_bytes, most // 8),
            leave_free_bytes=min(free, disk_bytes // 10),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Limits on a given file system."""

    most_bytes: int
    segment_bytes: int
    reserve_bytes: int
    leave_free_bytes: int
