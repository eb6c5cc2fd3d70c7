"""Read the health of what is made of several drives: mdraid, btrfs and ZFS.

The kernel tells it in sysfs and procfs to everybody, so neither rights nor programs are needed,
but for the space and the scrubs of ZFS, which its own program tells, to everybody as well.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from forewarn_checks.linux.drives import parse_udev
from forewarn_checks.linux.sysfs import folder, number, parse_number, word
from forewarn_checks.linux.zpool import Pool

_SECTOR_BYTES = 512  # sysfs counts in these whatever the drives' own sectors are
_REBUILDS = frozenset({"resync", "recover", "reshape", "repair"})
_PARITY = frozenset({"raid4", "raid5", "raid6"})
# OpenZFS, spa_state_to_name: what is neither whole nor gone reads and writes with less to spare.
_ZFS_STOPPED = frozenset({"FAULTED", "SUSPENDED", "UNAVAIL"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """One array, pool or filesystem over several drives.  None is what its kind does not tell."""

    name: str
    kind: str  # mdraid, btrfs or zfs
    level: str  # raid1, raid5 …; "" where not told
    degraded: bool  # works with less redundancy than it was made for, or no longer
    stopped: bool  # no longer reads and writes
    missing: int | None = None  # members it lacks
    failed: int | None = None  # members it has given up
    errors: int | None = None  # reads and writes of members that went wrong, growing
    mismatch_sectors: int | None = None  # where the last look found data and parity apart
    synced_ratio: float | None = None  # while one is built, rebuilt or looked over
    sync_stalled: bool | None = None
    unallocated_bytes: int | None = None
    metadata_used_ratio: float | None = None
    allocated_ratio: float | None = None
    scrubbed_at: datetime | None = None  # the end of the last scrub that ran through


def read_md(device: Path, udev: Path) -> Array | None:
    """Return the array of a folder like ``/sys/block/md0``; None for one that holds no data."""
    md = device / "md"
    state = word(md / "array_state")
    made_by = word(md / "metadata_version")
    is_container = made_by.startswith("external:") and not made_by.startswith("external:/")
    if state in {"", "clear"} or is_container:
        return None  # a name without an array, or what firmware arrays are cut from
    level = word(md / "level")
    action, speed = word(md / "sync_action"), number(md / "sync_speed")
    missing = number(md / "degraded")
    completed = word(md / "sync_completed")
    members = [member for member in folder(md) if member.name.startswith("dev-")]
    stopped = state in {"inactive", "broken"}
    stalled = bool(missing) if action == "frozen" else action in _REBUILDS and speed == 0
    known = parse_udev(_text(udev / f"b{word(device / 'dev')}"))
    return Array(
        # md127 and its like are handed out in the order found; the name in the superblock stays
        name=known.get("MD_DEVNAME") or device.name,
        kind="mdraid",
        level=level,
        degraded=stopped or bool(missing),
        stopped=stopped,
        missing=missing,
        failed=sum("faulty" in word(member / "state").split(",") for member in members),
        errors=_sum(number(member / "errors") for member in members),
        mismatch_sectors=number(md / "mismatch_cnt") if level in _PARITY else None,
        synced_ratio=parse_progress(completed),
        # "delayed": it waits for another array on the same drives, and says so
        sync_stalled=stalled and completed != "delayed",
    )


def parse_progress(text: str) -> float | None:
    """Return the share in ``sync_completed``, e.g. ``1280 / 65408``; None when nothing runs."""
    done, _, whole = text.partition(" / ")
    part, total = parse_number(done), parse_number(whole)
    if part is None or total is None or total <= 0:
        return None
    return min(max(part / total, 0.0), 1.0)


def read_btrfs(filesystem: Path, scrubs: Path) -> Array | None:
    """Return the filesystem of a folder like ``/sys/fs/btrfs/<uuid>``; None if it is no such.

    `scrubs` is where btrfs-progs writes of its scrubs, ``/var/lib/btrfs``, which root alone reads.
    """
    devices = [device for device in folder(filesystem / "devinfo") if device.name.isdecimal()]
    allocation = filesystem / "allocation"
    metadata = number(allocation / "metadata/total_bytes")
    if metadata is None:
        return None
    missing = sum(word(device / "missing") == "1" for device in devices)
    errors = [parse_errors(_text(device / "error_stats")) for device in devices]
    # the size of what is missing is not told, what was taken of it is
    space = None if missing else _space(filesystem)
    return Array(
        name=word(filesystem / "label") or filesystem.name,
        kind="btrfs",
        level=next((each.name for each in folder(allocation / "data") if each.is_dir()), ""),
        degraded=missing > 0,
        stopped=False,
        missing=missing if devices else None,  # devinfo came with Linux 5.6
        errors=_sum(errors),
        unallocated_bytes=None if space is None else max(0, space[1] - space[0]),
        allocated_ratio=None if space is None else _share(*space),
        scrubbed_at=parse_scrubs(_text(scrubs / f"scrub.status.{filesystem.name}")),
        metadata_used_ratio=_share(number(allocation / "metadata/bytes_used"), metadata),
    )


def parse_errors(text: str) -> int | None:
    """Return the sum of all counters in ``error_stats``; None where there are none (< 5.14)."""
    counts = [
        parse_number(fields[1]) for line in text.splitlines() if len(fields := line.split()) == 2
    ]
    return _sum(counts)


def parse_scrubs(text: str) -> datetime | None:
    """Return when the last scrub ended on the drive where it ended first.

    Every drive has a line ``uuid:number|name:value|…``.  None while any has not ended well.
    """
    ended: list[int] = []
    for line in text.splitlines()[1:]:
        told = dict(part.partition(":")[::2] for part in line.split("|")[1:])
        start, duration = (parse_number(told.get(name, "")) for name in ("t_start", "duration"))
        if told.get("finished") != "1" or told.get("canceled") == "1":
            return None
        if start is None or duration is None or not 0 < start < 2**33:
            return None
        ended.append(start + duration)
    return datetime.fromtimestamp(min(ended), UTC) if ended else None


def _space(filesystem: Path) -> tuple[int, int] | None:
    """Return how much was given to data and metadata, and how much there is in all."""
    sizes = [number(device / "size") for device in folder(filesystem / "devices")]
    kinds = ("data", "metadata", "mixed", "system")
    taken = _sum(number(filesystem / "allocation" / kind / "disk_total") for kind in kinds)
    if taken is None or not sizes or None in sizes:
        return None
    return taken, sum(size or 0 for size in sizes) * _SECTOR_BYTES


def read_zfs(pool: Path, told: Mapping[str, Pool]) -> Array | None:
    """Return the pool of a folder like ``/proc/spl/kstat/zfs/tank``; None if it is no pool.

    `told` is what ``zpool`` says besides.
    """
    state = word(pool / "state").upper()  # since OpenZFS 0.8
    if not state:
        return None
    known = told.get(pool.name, Pool())
    return Array(
        name=pool.name,
        kind="zfs",
        level="",
        degraded=state != "ONLINE",
        stopped=state in _ZFS_STOPPED,
        errors=known.errors,
        allocated_ratio=known.allocated_ratio,
        scrubbed_at=known.scrubbed_at,
    )


def _share(part: int | None, whole: int) -> float | None:
    return None if part is None or whole <= 0 else min(part / whole, 1.0)


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
