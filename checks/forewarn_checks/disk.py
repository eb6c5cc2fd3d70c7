"""Space and inodes on the filesystems of this host."""

import fnmatch
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import psutil

from forewarn_checks._asking import Asking, NoAnswer
from forewarn_checks._series import series
from forewarn_checks.base import (
    CannotRead,
    Check,
    Component,
    Condition,
    Fact,
    Forecast,
    Level,
    Metric,
    NothingToRead,
    Option,
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
from forewarn_checks.linux.drives import Drive, read_drives
from forewarn_checks.linux.mounts import Filesystem, choose, parse_fstab
from forewarn_checks.linux.view import Space, look, read_text, read_view
from forewarn_checks.windows.drives import read_drives as read_windows_drives

_LABELS = ("mountpoint", "device", "fstype")
_GIB = 2**30

SIZE = Metric("disk_size_bytes", Unit.BYTES, "Size of the filesystem.", _LABELS)
USED_BYTES = Metric("disk_used_bytes", Unit.BYTES, "Space taken.", _LABELS)
FREE = Metric("disk_free_bytes", Unit.BYTES, "Space an ordinary user can still write.", _LABELS)
USED = Metric(
    "disk_used_ratio",
    Unit.RATIO,
    "Used share of what an ordinary user can use; not read of an image, which is always full.",
    _LABELS,
)
INODES_FREE = Metric(
    "disk_inodes_free_ratio",
    Unit.RATIO,
    "Share of inodes still free; not read where the filesystem makes them as needed.",
    _LABELS,
)
READ_ONLY = Metric(
    "disk_read_only",
    Unit.COUNT,
    "1 when a filesystem that /etc/fstab mounts writable has turned read-only, else 0 (Linux).",
    _LABELS,
)

EXCLUDE = Option(
    name="exclude",
    default=(),
    help="Mountpoints to leave out, with * and ? as in the shell: ['/media/*', '/mnt/scratch'].",
    remote=True,
)

_MOST = 150  # filesystems; five series each stay well inside what a collector takes from a host
_PATIENCE_SECONDS = 4.0  # for one filesystem; a sleeping disk that must be read needs longer
_PATIENCE_IN_ALL_SECONDS = 14.0  # below the time limit of the check, so that the rest is kept
_LONGEST_LABEL = 200  # characters; the wire takes 256

_ASKING = Asking()


def read_linux(options: Options) -> Iterator[Reading]:
    """Read every local writable filesystem once, and ``/`` whatever it is.

    One that vanished meanwhile is left out.  Raises CannotRead, after all others were read, when
    one does not answer or is hidden from this process.
    """
    if sys.platform == "win32":
        raise WrongSystem
    view = read_view()
    chosen = choose(
        view.mounts,
        is_directory=_may_be_directory,
        meant_writable=parse_fstab(read_text("/etc/fstab")),
    )
    yield Fact("mount_view", view.told)
    yield Fact("disks", [_drive_row(drive) for drive in read_drives()])
    yield from readings(chosen, lambda filesystem: look(filesystem, view.own), options)


def read_windows(options: Options) -> Iterator[Reading]:
    """Read every fixed or removable volume once; network drives and optical media are left out."""
    if sys.platform != "win32":
        raise WrongSystem
    # all=False passes network drives over before it asks them anything
    volumes = [
        Filesystem(part.mountpoint, part.device, part.fstype, part.device)
        for part in psutil.disk_partitions(all=False)
        if "rw" in part.opts.split(",") and "cdrom" not in part.opts.split(",")
    ]
    yield Fact("disks", [_drive_row(drive) for drive in read_windows_drives()])
    yield from readings(volumes, _look_at_volume, options)


def _look_at_volume(volume: Filesystem) -> Space:
    usage = psutil.disk_usage(volume.mountpoint)
    return Space(usage.total, usage.used, usage.free)


def readings(
    filesystems: Iterable[Filesystem],
    look_at: Callable[[Filesystem], Space | None],
    options: Options,
    asking: Asking = _ASKING,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Reading]:
    """Yield what `look_at` finds on each filesystem that the options do not exclude.

    `look_at` gives None for a filesystem this process cannot reach and raises OSError for one that
    is gone.  Raises NothingToRead without a filesystem, CannotRead as `read_linux` does.
    """
    wanted = [each for each in filesystems if not _is_excluded(each.mountpoint, options)]
    if not wanted:
        raise NothingToRead(
            "no local writable filesystem; see [checks.disk.options] exclude if one was expected"
        )
    give_up_at = clock() + _PATIENCE_IN_ALL_SECONDS
    troubles: list[str] = []
    table: list[dict[str, FactScalar]] = []
    for filesystem in wanted[:_MOST]:
        patience = min(_PATIENCE_SECONDS, max(0.1, give_up_at - clock()))
        name = printable(filesystem.mountpoint)
        try:
            space = asking.ask(filesystem.device_number, partial(look_at, filesystem), patience)
        except NoAnswer:
            troubles.append(f"{name} on {printable(filesystem.device)} does not answer")
            continue
        except OSError:
            continue  # unmounted or ejected since the mounts were read
        if space is None:
            troubles.append(f"{name} is hidden from the agent, or it may not look there")
            continue
        yield from samples(filesystem, space)
        table.append(dict(zip(_LABELS, _label_values(filesystem), strict=True)))
    yield Fact("filesystems", table)
    if len(wanted) > _MOST:
        troubles.append(f"only {_MOST} of {len(wanted)} filesystems were read")
    if troubles:
        raise CannotRead(
            f"{'; '.join(troubles)}. Mend it, or leave a mountpoint out: "
            "[checks.disk.options] exclude = ['/that/mountpoint']"
        )


def samples(filesystem: Filesystem, space: Space) -> Iterator[Sample]:
    """Yield the samples of one filesystem; none for one without any size, as pseudo ones are."""
    if space.size_bytes <= 0:
        return
    labels = dict(zip(_LABELS, _label_values(filesystem), strict=True))
    usable = space.used_bytes + space.free_bytes
    written = not filesystem.never_written
    yield from series(
        labels,
        (SIZE, space.size_bytes),
        (USED_BYTES, space.used_bytes),
        (FREE, space.free_bytes),
        # of what a user may use, as df counts: not of the size, which holds root's reserve
        (USED, space.used_bytes / usable if usable > 0 and written else None),
        (INODES_FREE, space.inodes_free / space.inodes if space.inodes > 0 and written else None),
        (READ_ONLY, filesystem.read_only),
    )


def printable(text: str) -> str:
    r"""Return a path as a label can carry it: bytes that are no UTF-8 as ``\xff``, not too long.

    A longer one keeps its end, where mountpoints differ.
    """
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= _LONGEST_LABEL else f"…{text[1 - _LONGEST_LABEL :]}"


def _label_values(filesystem: Filesystem) -> tuple[str, str, str]:
    values = (filesystem.mountpoint, filesystem.device, filesystem.fstype)
    mountpoint, device, fstype = (printable(value) for value in values)
    return mountpoint, device, fstype


def _is_excluded(mountpoint: str, options: Options) -> bool:
    patterns = options.get(EXCLUDE.name, EXCLUDE.default)
    assert isinstance(patterns, tuple | list)
    return any(fnmatch.fnmatchcase(mountpoint, pattern) for pattern in patterns)


def _may_be_directory(path: str, device_number: str) -> bool:
    """Return False only for what is known to be a file, or gone."""
    try:
        mode = _ASKING.ask(device_number, lambda: Path(path).stat().st_mode, _PATIENCE_SECONDS)
    except (NoAnswer, PermissionError):
        return True
    except OSError:
        return False
    return stat.S_ISDIR(mode)


def _drive_row(drive: Drive) -> dict[str, FactScalar]:
    return {
        "name": drive.name,
        "model": drive.model,
        "serial": drive.serial,
        "size_bytes": drive.size_bytes,
        "rotational": drive.rotational,
    }


CHECK = Check(
    name="disk",
    help="Space and inodes on local filesystems.",
    every=timedelta(minutes=5),
    timeout=timedelta(seconds=20),
    metrics=(SIZE, USED_BYTES, FREE, USED, INODES_FREE, READ_ONLY),
    component=Component("filesystem", ("mountpoint",)),
    read_linux=read_linux,
    read_windows=read_windows,
    rules=(
        Threshold(
            name="DiskAlmostFull",
            metric=USED,
            severity=Severity.WARNING,
            above=0.90,
            clear_at=0.85,
            and_=Condition(metric=FREE, below=20 * _GIB),
            hold_for=timedelta(minutes=15),
            clear_for=timedelta(minutes=15),
            levels={
                Severity.HIGH: Level(
                    above=0.95, clear_at=0.93, and_=Condition(metric=FREE, below=10 * _GIB)
                ),
                Severity.CRITICAL: Level(
                    above=0.98, clear_at=0.96, and_=Condition(metric=FREE, below=5 * _GIB)
                ),
            },
            title="{mountpoint} on {host} is almost full ({value})",
            advice=(
                "Find what grew: du -xhd1 {mountpoint} | sort -h (WinDirStat or Settings > "
                "System > Storage on Windows). Usual suspects: logs, package caches (apt-get "
                "clean, dnf clean all), old kernels, core dumps, backups, a deleted file still "
                "held open (lsof +L1). If all of it is needed, grow the filesystem on {device}."
            ),
        ),
        Forecast(
            name="DiskWillFill",
            metric=USED,
            severity=Severity.WARNING,
            reaches=1.0,
            within=timedelta(days=7),
            levels={
                Severity.HIGH: timedelta(days=2),
                Severity.CRITICAL: timedelta(hours=12),
            },
            restarts_on=SIZE,
            title="{mountpoint} on {host} will be full about {due}",
            advice=(
                "At {value} now and growing: by the present trend it is full between {earliest} "
                "and {latest}. Find what grows: du -xhd1 {mountpoint} | sort -h, today and "
                "tomorrow, or the newest large files (find {mountpoint} -xdev -size +100M -mtime "
                "-2). Stop or rotate it, or grow the filesystem on {device} before then."
            ),
        ),
        Threshold(
            name="DiskInodesAlmostFull",
            metric=INODES_FREE,
            severity=Severity.WARNING,
            below=0.10,
            clear_at=0.15,
            hold_for=timedelta(minutes=15),
            clear_for=timedelta(minutes=15),
            levels={
                Severity.HIGH: Level(below=0.05, clear_at=0.07),
                Severity.CRITICAL: Level(below=0.02, clear_at=0.03),
            },
            title="{mountpoint} on {host} is running out of inodes ({value} free)",
            advice=(
                "Writing will fail with 'No space left on device' although space is free. Find "
                "the directory with very many small files: du --inodes -xd2 {mountpoint} | sort "
                "-n. Usual suspects: session files, mail queues, caches. ext4 cannot add inodes "
                "later except by growing the filesystem."
            ),
        ),
        State(
            name="DiskReadOnly",
            metric=READ_ONLY,
            severity=Severity.HIGH,
            when=1,
            hold_for=timedelta(minutes=10),
            clear_for=timedelta(minutes=10),
            title="{mountpoint} on {host} has turned read-only",
            advice=(
                "The kernel stops writing after an error on {device}. Read the reason: dmesg -T "
                "| grep -iE 'remount|i/o error|ext4|xfs'. Look at the drive's SMART readings and "
                "the state of the backup before a file system check; an fsck on a failing drive "
                "can lose more. If it was remounted on purpose, say so in /etc/fstab (option ro)."
            ),
        ),
    ),
    panels=(
        Panel(USED, drawn_as="bar"),
        Panel(FREE),
        Panel(USED_BYTES),
        Panel(SIZE),
        Panel(INODES_FREE),
        Panel(READ_ONLY, drawn_as="state"),
    ),
    options=(EXCLUDE,),
)
