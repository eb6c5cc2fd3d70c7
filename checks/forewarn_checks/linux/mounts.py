"""Parse ``mountinfo`` (proc(5)) and choose the filesystems worth measuring.

Nothing in here touches a mountpoint: a dead network mount is told by its type alone.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

_OCTAL = re.compile(r"\\([0-7]{3})")

# Filesystems on a disk of this host although their device number has no driver (major 0).
_LOCAL_WITHOUT_DEVICE = frozenset({"bcachefs", "btrfs", "ubifs", "zfs"})
# Walking a path through one of these may never come back.  Not autofs: what it shows as mounted is
# there, and what is not mounted is never asked for.
_NETWORK = {"9p", "afs", "ceph", "cifs", "coda", "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"}
_DAEMON = {"beegfs", "fuse", "glusterfs", "orangefs", "virtiofs"}
_REMOTE = frozenset(_NETWORK | _DAEMON)
_NEVER_WRITTEN = frozenset({"cramfs", "erofs", "iso9660", "romfs", "squashfs"})


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of ``mountinfo``."""

    number: int
    parent: int
    device_number: str  # "254:0"; of the superblock, so all mounts of a filesystem share it
    root: str  # the directory, or file, of the filesystem that is mounted
    mountpoint: str
    options: frozenset[str]  # of this mount alone
    fstype: str
    source: str
    super_options: tuple[str, ...]  # of the filesystem, in the order given

    @property
    def is_local(self) -> bool:
        """Whether the filesystem lies on a disk of this host."""
        return not self.device_number.startswith("0:") or self.fstype in _LOCAL_WITHOUT_DEVICE

    @property
    def is_remote(self) -> bool:
        """Whether the filesystem answers only as long as a server or a daemon does."""
        return self.fstype in _REMOTE or self.fstype.startswith("fuse.")

    @property
    def is_writable(self) -> bool:
        """Whether this mount takes writes."""
        return "ro" not in self.options and not self.turned_read_only

    @property
    def turned_read_only(self) -> bool:
        """Whether the filesystem itself, not only this mount of it, refuses writes."""
        # emergency_ro: ext4 since Linux 6.15 leaves "rw" in place when it stops after an error
        return bool({"ro", "emergency_ro"} & set(self.super_options))


@dataclass(frozen=True, slots=True)
class Filesystem:
    """A filesystem to measure, under the one mountpoint it is known by."""

    mountpoint: str
    device: str
    fstype: str
    device_number: str
    # whether it should take writes, as fstab says, and does not; None where nothing tells
    read_only: bool | None = None
    never_written: bool = False  # an image: full by nature


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """Return the mounts that `text` lists, in its order; lines of another form are skipped."""
    # Not splitlines: a mountpoint may hold U+2028 and its like; the kernel escapes only \n.
    parsed = (_parse_line(line) for line in text.split("\n"))
    return tuple(mount for mount in parsed if mount is not None)


def _parse_line(line: str) -> Mount | None:
    fields = line.split(" ")
    try:
        dash = fields.index("-", 6)
        number, parent = int(fields[0]), int(fields[1])
        fstype, source, super_options = fields[dash + 1 : dash + 4]
    except ValueError:
        return None
    return Mount(
        number=number,
        parent=parent,
        device_number=fields[2],
        root=_unescape(fields[3]),
        mountpoint=_unescape(fields[4]),
        options=frozenset(fields[5].split(",")),
        fstype=_unescape(fstype),
        source=_unescape(source),
        super_options=tuple(super_options.split(",")),
    )


def _unescape(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def reachable(mounts: Collection[Mount]) -> list[Mount]:
    """Return the mounts that their own path leads to, without a step through a remote one.

    Left out are mounts that another one covers, at the same place or further up.
    """
    by_number = {mount.number: mount for mount in mounts}
    beside: dict[int, set[str]] = defaultdict(set)
    on_top: dict[int, int] = {}  # mount -> the one mounted right over its root
    last_at: dict[tuple[int, str], int] = {}
    for mount in mounts:
        beside[mount.parent].add(mount.mountpoint)
        last_at[mount.parent, mount.mountpoint] = mount.number
        below = by_number.get(mount.parent)
        if below is not None and below is not mount and below.mountpoint == mount.mountpoint:
            on_top[below.number] = mount.number

    def is_open(mount: Mount) -> bool:
        walked: set[int] = set()
        while mount.number not in walked:
            walked.add(mount.number)
            covered = any(above in beside[mount.parent] for above in _ancestors(mount.mountpoint))
            if covered or last_at[mount.parent, mount.mountpoint] != mount.number:
                return False
            below = by_number.get(mount.parent)
            if below is None or below is mount:
                return True
            if below.is_remote or on_top.get(below.number, mount.number) != mount.number:
                return False
            mount = below
        return False  # a loop: no kernel writes one

    return [mount for mount in mounts if mount.number not in on_top and is_open(mount)]


def _ancestors(path: str) -> Iterable[str]:
    """Yield the directories above `path`, nearest first, without ``/``.

    A mount on ``/`` covers nothing beside it: it becomes the parent of what comes later.
    """
    while (cut := path.rfind("/")) > 0:
        path = path[:cut]
        yield path


def choose(
    mounts: Collection[Mount],
    *,
    is_directory: Callable[[str, str], bool],
    meant_writable: Collection[str] = (),
) -> list[Filesystem]:
    """Return every local writable filesystem once, and ``/`` whatever it is, ``/`` first.

    A filesystem mounted several times (bind mounts, btrfs subvolumes) is known by ``/``, else by
    where most of it is mounted, else by the shortest mountpoint.  Volatile and network
    filesystems, read-only ones and mounts of a single file are left out; one that is read-only
    although `meant_writable` (what `parse_fstab` gives) names it is kept and marked.
    `is_directory` is given mountpoint and device number, only of parts of local filesystems.
    """
    meant = frozenset(meant_writable)
    candidates = [
        mount
        for mount in reachable(mounts)
        if mount.mountpoint == "/"
        or (mount.is_local and (mount.is_writable or _has_stopped(mount, meant)))
    ]
    candidates.sort(key=_precedence)
    chosen: dict[str, Filesystem] = {}
    for mount in candidates:
        if mount.device_number in chosen:
            continue
        is_part = mount.root != "/" and mount.mountpoint != "/"
        if is_part and not is_directory(mount.mountpoint, mount.device_number):
            continue  # one file of it, as containers mount /etc/hosts
        chosen[mount.device_number] = Filesystem(
            mountpoint=mount.mountpoint,
            device=mount.source,
            fstype=mount.fstype,
            device_number=mount.device_number,
            read_only=_has_stopped(mount, meant),
            never_written=_is_image(mount),
        )
    return list(chosen.values())


def _precedence(mount: Mount) -> tuple[bool, int, int, str]:
    """Return a key that puts first what names a filesystem best, the same after every boot."""
    depth = len([part for part in mount.root.split("/") if part])
    return mount.mountpoint != "/", depth, len(mount.mountpoint), mount.mountpoint


def _has_stopped(mount: Mount, meant_writable: frozenset[str]) -> bool:
    return (
        mount.turned_read_only
        and mount.fstype not in _NEVER_WRITTEN
        and mount.mountpoint in meant_writable
    )


def _is_image(mount: Mount) -> bool:
    """Whether nothing can ever be written: an image, or an overlay without an upper layer."""
    if mount.fstype == "overlay":
        return not any(option.startswith("upperdir=") for option in mount.super_options)
    return mount.fstype in _NEVER_WRITTEN


def parse_fstab(text: str) -> frozenset[str]:
    """Return the mountpoints that fstab(5) mounts at boot and writable."""
    mountpoints: set[str] = set()
    for line in text.split("\n"):
        fields = line.split()
        if len(fields) < 3 or fields[0].startswith("#") or not fields[1].startswith("/"):
            continue
        options = set(fields[3].split(",")) if len(fields) > 3 else set()
        if options.isdisjoint({"ro", "noauto"}):
            mountpoints.add(_unescape(fields[1]))
    return frozenset(mountpoints)
