"""Tell which drives should have told of their health and did not, and in one word why."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from forewarn_checks._smart_drives import Drive, clean
from forewarn_checks._smart_health import kind
from forewarn_checks.linux import drives as on_linux
from forewarn_checks.windows import drives as on_windows

READ = "none"
_WORTH_MENDING = frozenset({"denied", "timed out", "unreadable"})
_HAVE_SMART = re.compile(r"(sd|hd|nvme|PhysicalDrive)", re.IGNORECASE)
# What hypervisors, storage networks and controllers call their volumes: those have no health of
# their own.
_VOLUMES = re.compile(
    r"QEMU|VBOX|VMware|Virtual|Msft|Xen|PersistentDisk|Persistent Disk|Amazon|Elastic Block"
    r"|NVMe Direct|NVMe Accelerator|LIO-ORG|iSCSI|RAID|PERC|LOGICAL VOLUME",
    re.IGNORECASE,
)
_MOST = 256

Known = Mapping[str, on_linux.Drive]
"""The drives the system itself shows, by name: ``sda``, ``nvme0n1``."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Whether one drive could be read; `reason` is ``none`` for one that was."""

    drive: str
    model: str
    reason: str
    kind: str = "unknown"


def known_drives() -> Known:
    """Return the drives of this host, those left out that come and go with their user."""
    found = on_windows.read_drives() if sys.platform == "win32" else on_linux.read_drives()
    return {drive.name: drive for drive in found}


def sights(drives: Iterable[Drive], known: Known) -> Iterator[Sight]:
    """Yield which drives were read and which were not.

    One left sleeping is neither.  One without SMART is left out, but for a fixed drive behind a
    USB bridge that smartctl does not know, for that can be mended.
    """
    for drive in drives:
        shown = _shown(drive.device.name, known)
        if drive.state == "ok":
            model = clean(drive.report.model) or "unknown"
            yield Sight(drive.id, model, READ, kind(drive.report))
        elif is_volume(drive, known):
            continue
        elif drive.state in _WORTH_MENDING or (shown and _is_behind_a_bridge(drive)):
            yield Sight(_name(drive, shown), _model(drive, shown), drive.state)


def is_volume(drive: Drive, known: Known) -> bool:
    """Whether a device is known to be a volume of a hypervisor or a storage network."""
    shown = _shown(drive.device.name, known)
    return _VOLUMES.search(drive.report.model or (shown.model if shown else "")) is not None


def _is_behind_a_bridge(drive: Drive) -> bool:
    return drive.state == "unsupported" and "Unknown USB bridge" in drive.detail


def all_blind(known: Known, reason: str) -> Iterator[Sight]:
    """Yield every drive that ought to have SMART, when none could even be asked for."""
    for drive in list(known.values())[:_MOST]:
        if _HAVE_SMART.match(drive.name) and not _VOLUMES.search(drive.model):
            yield Sight(clean(drive.serial) or drive.name, clean(drive.model) or "unknown", reason)


def _shown(path: str, known: Known) -> on_linux.Drive | None:
    """Return the drive the system shows under smartctl's name, ``/dev/nvme0`` for nvme0n1."""
    name = path.removeprefix("/dev/")
    return known.get(name) or known.get(f"{name}n1")


def _name(drive: Drive, shown: on_linux.Drive | None) -> str:
    """Return what `Drive.id` would be if it had answered, as far as the system knows it."""
    if clean(drive.report.serial):
        return drive.id
    if shown is not None and clean(shown.serial):
        return clean(shown.serial)
    # behind a controller many drives share one path: megaraid,3 of /dev/bus/0
    slot = drive.device.type.partition("+")[2] or drive.device.type
    return f"{drive.id} {slot}" if "," in slot else drive.id


def _model(drive: Drive, shown: on_linux.Drive | None) -> str:
    return clean(drive.report.model or (shown.model if shown else "")) or "unknown"
