"""Arrays, pools and filesystems over several drives: mdraid, btrfs and ZFS."""

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from forewarn_checks._asking import Asking, NoAnswer
from forewarn_checks._process import execute
from forewarn_checks._series import series
from forewarn_checks.base import (
    CannotRead,
    Check,
    Component,
    Condition,
    Fact,
    Growth,
    Increase,
    Level,
    Metric,
    NothingToRead,
    Options,
    Panel,
    Reading,
    Sample,
    Severity,
    State,
    Threshold,
    Unit,
    WrongSystem,
)
from forewarn_checks.base.wire import FactScalar
from forewarn_checks.linux.arrays import Array, read_btrfs, read_md, read_zfs
from forewarn_checks.linux.sysfs import folder
from forewarn_checks.linux.zpool import read_pools

_LABELS = ("kind", "array")
_GIB = 2**30

DEGRADED = Metric(
    "raid_degraded",
    Unit.COUNT,
    "1 when members are missing or failed, or the whole does not run, else 0.",
    _LABELS,
)
STOPPED = Metric(
    "raid_stopped",
    Unit.COUNT,
    "1 when the array neither reads nor writes any more, else 0.",
    _LABELS,
)
MISSING = Metric("raid_members_missing", Unit.COUNT, "Members it lacks (not of ZFS).", _LABELS)
FAILED = Metric(
    "raid_members_failed", Unit.COUNT, "Members given up that are still in place (mdraid).", _LABELS
)
ERRORS = Metric(
    "raid_member_errors",
    Unit.COUNT,
    "Reads and writes of members that went wrong, a counter: of mdraid those mended from the other "
    "members since assembly, of btrfs all of btrfs device stats, of ZFS all of zpool status.",
    _LABELS,
)
MISMATCH = Metric(
    "raid_mismatch_sectors",
    Unit.COUNT,
    "Sectors where the last check found data and parity apart (mdraid 4, 5 and 6; a mirror counts "
    "harmless ones, too, and is not asked).",
    _LABELS,
)
SYNCED = Metric(
    "raid_synced_ratio",
    Unit.RATIO,
    "How far a resync, rebuild or check is, while one runs.",
    _LABELS,
)
STALLED = Metric(
    "raid_sync_stalled",
    Unit.COUNT,
    "1 when a rebuild stands still or is held back by sync_action frozen, else 0 (mdraid).",
    _LABELS,
)
UNALLOCATED = Metric(
    "raid_unallocated_bytes",
    Unit.BYTES,
    "Space of all members not yet given to data or metadata (btrfs).",
    _LABELS,
)
METADATA_USED = Metric(
    "raid_metadata_used_ratio",
    Unit.RATIO,
    "Used share of the space given to metadata (btrfs).",
    _LABELS,
)

ALLOCATED = Metric(
    "raid_allocated_ratio",
    Unit.RATIO,
    "Share of the space already given out: of btrfs to data and metadata, of ZFS written.",
    _LABELS,
)
SCRUB_AGE = Metric(
    "raid_scrub_age_seconds",
    Unit.SECONDS,
    "Time since all data was last read and compared by a scrub (ZFS; btrfs as root); not read "
    "where that was never done.",
    _LABELS,
)

_MOST = 64  # arrays; eleven series each
_ZPOOL_SECONDS = 4.0
_PATIENCE_SECONDS = 2.0  # a wedged array holds its lock for ever; the others are still read

_ASKING = Asking()


def read_linux(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Read every array; nothing where there is none."""
    if sys.platform == "win32":
        raise WrongSystem
    yield from readings(Path("/"), datetime.now(UTC))


AskZpool = Callable[[Sequence[str]], str]


def ask_zpool(arguments: Sequence[str]) -> str:
    """Return what ``zpool`` prints; "" where it is missing, fails or does not end."""
    path = shutil.which("zpool") or "/usr/sbin/zpool"
    try:
        done = execute((path, *arguments), _ZPOOL_SECONDS)
    except OSError:
        return ""
    return done.output if done.status == 0 else ""


def readings(
    root: Path, now: datetime, ask_zpool: AskZpool = ask_zpool, asking: Asking = _ASKING
) -> Iterator[Reading]:
    """Yield what the kernel below `root` says of its arrays.

    Raises NothingToRead without any, CannotRead, after all others were read, when one does not
    answer.
    """
    table: list[dict[str, FactScalar]] = []
    silent: list[str] = []
    for path, read in _places(root, ask_zpool)[:_MOST]:
        try:
            array = asking.ask(f"{path}", partial(read, path), _PATIENCE_SECONDS)
        except NoAnswer:
            silent.append(path.name)
            continue
        if array is not None:
            yield from samples(array, now)
            table.append({"kind": array.kind, "array": array.name, "level": array.level})
    yield Fact("arrays", table)
    if silent:
        raise CannotRead(
            f"{', '.join(silent)}: the kernel does not answer; see dmesg for a hung array, "
            "its members may be gone"
        )
    if not table:
        raise NothingToRead("no mdraid array, mounted btrfs filesystem or ZFS pool")


def _places(root: Path, ask: AskZpool) -> list[tuple[Path, Callable[[Path], Array | None]]]:
    read_one_md = partial(read_md, udev=root / "run/udev/data")
    md = [(path, read_one_md) for path in folder(root / "sys/block") if path.name.startswith("md")]
    read_one_btrfs = partial(read_btrfs, scrubs=root / "var/lib/btrfs")
    # features, and whatever else is no filesystem, has no dash as a UUID has
    uuids = [path for path in folder(root / "sys/fs/btrfs") if "-" in path.name]
    btrfs = [(path, read_one_btrfs) for path in uuids]
    pools = [path for path in folder(root / "proc/spl/kstat/zfs") if path.is_dir()]
    read_one_zfs = partial(read_zfs, told=read_pools(ask) if pools else {})
    return [*md, *btrfs, *((path, read_one_zfs) for path in pools)]


def samples(array: Array, now: datetime) -> Iterator[Sample]:
    """Yield the samples of one array; what its kind does not tell is left out."""
    scrubbed = array.scrubbed_at
    yield from series(
        {"kind": array.kind, "array": array.name},
        (DEGRADED, array.degraded),
        (STOPPED, array.stopped),
        (MISSING, array.missing),
        (FAILED, array.failed),
        (ERRORS, array.errors),
        (MISMATCH, array.mismatch_sectors),
        (SYNCED, array.synced_ratio),
        (STALLED, array.sync_stalled),
        (UNALLOCATED, array.unallocated_bytes),
        (METADATA_USED, array.metadata_used_ratio),
        (ALLOCATED, array.allocated_ratio),
        (SCRUB_AGE, None if scrubbed is None else max(0.0, (now - scrubbed).total_seconds())),
    )


CHECK = Check(
    name="raid",
    help="Arrays, pools and filesystems over several drives: mdraid, btrfs and ZFS.",
    every=timedelta(minutes=5),
    timeout=timedelta(seconds=30),
    metrics=(
        DEGRADED,
        STOPPED,
        MISSING,
        FAILED,
        ERRORS,
        MISMATCH,
        SYNCED,
        STALLED,
        UNALLOCATED,
        METADATA_USED,
        ALLOCATED,
        SCRUB_AGE,
    ),
    component=Component("array", _LABELS),
    read_linux=read_linux,
    read_windows=None,
    rules=(
        State(
            name="RaidDegraded",
            metric=DEGRADED,
            severity=Severity.HIGH,
            when=1,
            clear_for=timedelta(minutes=10),
            title="{array} ({kind}) on {host} runs without a member",
            advice=(
                "The next failure may lose data. See which member: mdadm --detail /dev/{array} "
                "(mdraid), zpool status -x (ZFS), btrfs device stats (btrfs). Look at its SMART "
                "readings and at dmesg: a loose cable looks the same. Check that the backup is "
                "fresh before the rebuild, which strains the others, then replace the member: "
                "mdadm --add, zpool replace, btrfs replace."
            ),
        ),
        State(
            name="RaidStopped",
            metric=STOPPED,
            severity=Severity.CRITICAL,
            when=1,
            hold_readings=2,  # at boot it may still be waiting for its members
            clear_for=timedelta(minutes=10),
            title="{array} ({kind}) on {host} no longer works",
            advice=(
                "Too many members are gone, or it could not be put together at boot. Write "
                "nothing to the members. See what each says: mdadm --examine /dev/sdX, cat "
                "/proc/mdstat, zpool status, dmesg. A cable, a controller or a shelf that lost "
                "power takes several at once and loses nothing; mdadm --assemble --scan or zpool "
                "clear brings the whole back once they are there again."
            ),
        ),
        State(
            name="RaidResyncStalled",
            metric=STALLED,
            severity=Severity.WARNING,
            when=1,
            hold_for=timedelta(hours=1),
            clear_for=timedelta(minutes=10),
            title="The rebuild of {array} on {host} stands still",
            advice=(
                "Until it ends there is less redundancy. See /proc/mdstat and dmesg; a member "
                "that answers no more needs replacing. If sync_action says frozen, a program "
                "stopped it on purpose and did not resume: echo idle > "
                "/sys/block/mdX/md/sync_action lets it go on."
            ),
        ),
        Growth(
            name="RaidErrorsGrowing",
            severity=Severity.WARNING,
            any_of=(Increase(metric=ERRORS, by=1),),
            window=timedelta(days=7),
            title="Members of {array} ({kind}) on {host} make errors: {value}",
            advice=(
                "Within 7 days: {value}. Errors were mended from another member, or could not be "
                "on a single one. Find the member: btrfs device stats, or cat "
                "/sys/block/mdX/md/dev-*/errors. Look at its SMART readings, cable and power. On "
                "btrfs run btrfs scrub and restore the files it names; replace a member that goes "
                "on."
            ),
        ),
        Threshold(
            name="RaidParityMismatch",
            metric=MISMATCH,
            severity=Severity.WARNING,
            above=1,
            clear_at=0,
            title="Data and parity of {array} on {host} differ in {value} sectors",
            advice=(
                "The last check found stripes whose parity does not fit. After a "
                "crash without a journal that is left-over; otherwise memory, a cable or a drive "
                "writes wrong data. Compare files with the backup first, then let it recompute: "
                "echo repair > /sys/block/mdX/md/sync_action, and check again a day later."
            ),
        ),
        Threshold(
            name="ScrubOverdue",
            metric=SCRUB_AGE,
            severity=Severity.INFO,
            above=70 * 86400,  # a monthly one was left out twice
            clear_at=69 * 86400,
            title="{array} ({kind}) on {host} was last read through {value} ago",
            advice=(
                "A scrub finds what has rotted while it can still be mended from another member. "
                "Start one: zpool scrub {array}, or btrfs scrub start on its mountpoint; look at "
                "the result a day later. See why the timer no longer does it: systemctl "
                "list-timers, /etc/cron.d/zfsutils-linux."
            ),
        ),
        Threshold(
            name="ZfsPoolAlmostFull",
            metric=ALLOCATED,
            severity=Severity.WARNING,
            above=0.90,
            clear_at=0.88,
            hold_for=timedelta(minutes=15),
            clear_for=timedelta(minutes=15),
            where={"kind": "zfs"},
            levels={Severity.HIGH: Level(above=0.95, clear_at=0.93)},
            title="Pool {array} on {host} is almost full ({value})",
            advice=(
                "ZFS slows down as free space is scattered, and at the end not even deleting "
                "works. See what holds it: zfs list -o space -s used. Destroy old snapshots, move "
                "volumes away, or add a vdev (zpool add). Reservations hide free space from "
                "datasets that could use it."
            ),
        ),
        Threshold(
            name="BtrfsMetadataAlmostFull",
            metric=METADATA_USED,
            severity=Severity.HIGH,
            above=0.90,
            clear_at=0.85,
            and_=Condition(metric=UNALLOCATED, below=_GIB),
            hold_for=timedelta(minutes=30),
            clear_for=timedelta(minutes=30),
            title="{array} on {host} runs out of space for metadata ({value} used)",
            advice=(
                "btrfs turns read-only when metadata cannot grow, whatever df says. See btrfs "
                "filesystem usage. Give back half-empty data chunks: btrfs balance start "
                "-dusage=10, then 25, 50. Delete old snapshots; if that does not help, add a "
                "device."
            ),
        ),
    ),
    panels=(
        Panel(DEGRADED, drawn_as="state"),
        Panel(STOPPED, drawn_as="state"),
        Panel(MISSING),
        Panel(FAILED),
        Panel(SYNCED, drawn_as="bar"),
        Panel(STALLED, drawn_as="state"),
        Panel(ERRORS),
        Panel(MISMATCH),
        Panel(UNALLOCATED),
        Panel(METADATA_USED, drawn_as="bar"),
        Panel(ALLOCATED, drawn_as="bar"),
        Panel(SCRUB_AGE),
    ),
)
