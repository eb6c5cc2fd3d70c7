"""See the mounts of the host from where this process stands, and ask them for their space."""

import os
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from forewarn_checks.base import WrongSystem
from forewarn_checks.linux.mounts import Filesystem, Mount, parse_mountinfo, reachable


@dataclass(frozen=True, slots=True)
class Space:
    """What a filesystem says of itself.  `inodes` is 0 where it does not count them."""

    size_bytes: int
    used_bytes: int
    free_bytes: int
    inodes: int = 0
    inodes_free: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """The mounts of the host, and how this process reaches them."""

    mounts: tuple[Mount, ...]  # as PID 1 sees them
    own: tuple[Mount, ...]  # those that this process can reach
    told: str  # whose mounts they are and why, for people


def read_view() -> View:
    """Return what `see` makes of the mounts of PID 1 and of this process."""
    return see(read_text("/proc/1/mountinfo"), read_text("/proc/self/mountinfo"), number_of("/"))


def see(first: str, own: str, own_root_number: str) -> View:
    """Return which mounts count, given the mountinfo of PID 1 (or "") and of this process.

    PID 1's do, because a hardened unit sees other ones, and with them the local filesystems that
    were mounted for this process alone.  Only the own ones do where PID 1 may not be asked or
    lives under another root, as seen from a container with the host's processes.  In a plain
    chroot the root is no mountpoint; it is added, on the device `own_root_number`.
    """
    mine = reachable(parse_mountinfo(own))
    theirs = parse_mountinfo(first)
    root = _root_of(mine)
    if root is None:
        root = Mount(-1, -1, own_root_number, "/", "/", frozenset(), "unknown", "unknown", ())
        like = next((m for m in theirs if m.device_number == own_root_number), root)
        root = replace(like, number=-1, parent=-1, root="/", mountpoint="/")
        return View((root, *mine), (root, *mine), "own: in a chroot")
    if not theirs:
        return View(tuple(mine), tuple(mine), "own: /proc/1/mountinfo could not be read")
    init_root = _root_of(reachable(theirs))
    if init_root is None or init_root.device_number != root.device_number:
        return View(tuple(mine), tuple(mine), "own: PID 1 has another root filesystem")
    extra = _not_among(theirs, mine)
    told = "of PID 1 and of this process" if extra else "of PID 1"
    return View(theirs + extra, tuple(mine), told)


def _not_among(theirs: Collection[Mount], mine: Iterable[Mount]) -> tuple[Mount, ...]:
    """Return the local filesystems of the own view that PID 1 sees neither as such nor there."""
    numbers = {mount.device_number for mount in theirs}
    places = {mount.mountpoint for mount in theirs}
    return tuple(
        mount
        for mount in mine
        if mount.is_local and mount.device_number not in numbers and mount.mountpoint not in places
    )


def _root_of(mounts: Iterable[Mount]) -> Mount | None:
    return next((mount for mount in mounts if mount.mountpoint == "/"), None)


def look(filesystem: Filesystem, own: tuple[Mount, ...]) -> Space | None:
    """Ask a filesystem by the first of its mountpoints that this process can reach.

    None when there is none although the filesystem is still mounted; FileNotFoundError when it
    no longer is.
    """
    if sys.platform == "win32":
        raise WrongSystem
    mine = [m.mountpoint for m in own if m.device_number == filesystem.device_number]
    for path in sorted(mine, key=lambda path: (path != filesystem.mountpoint, len(path))):
        try:
            if not _is_there(path, filesystem.device_number):
                continue
            found = os.statvfs(path)
        except PermissionError:
            continue
        return space_of(
            fragment=found.f_frsize,
            blocks=found.f_blocks,
            free=found.f_bfree,
            available=found.f_bavail,
            inodes=found.f_files,
            inodes_free=found.f_favail,
        )
    still = parse_mountinfo(read_text("/proc/1/mountinfo") or read_text("/proc/self/mountinfo"))
    if all(mount.device_number != filesystem.device_number for mount in still):
        raise FileNotFoundError(filesystem.mountpoint)
    return None


def _is_there(path: str, device_number: str) -> bool:
    """Return False when what was mounted there has gone, and the path leads to what lay below."""
    # Only a device with a driver is the same to stat(2): btrfs has a number for each subvolume.
    return device_number.startswith("0:") or number_of(path) == device_number


def number_of(path: str) -> str:
    """Return the device number of what holds `path`, written as in ``mountinfo``."""
    if sys.platform == "win32":
        raise WrongSystem
    device = Path(path).stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"


def space_of(
    *, fragment: int, blocks: int, free: int, available: int, inodes: int, inodes_free: int
) -> Space:
    """Return the space that the figures of statvfs(3) mean.

    Some network and FUSE filesystems report more available than free, or more free than there is.
    """
    free = min(free, blocks)
    return Space(
        size_bytes=blocks * fragment,
        used_bytes=(blocks - free) * fragment,
        free_bytes=min(available, free) * fragment,
        inodes=inodes,
        inodes_free=min(inodes_free, inodes),
    )


def read_text(path: str) -> str:
    """Return a file's text, "" when it cannot be read; bytes that are no UTF-8 survive."""
    try:
        return Path(path).read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return ""
