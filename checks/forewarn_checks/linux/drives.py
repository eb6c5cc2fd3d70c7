"""Read which drives this host has, from sysfs and the udev database."""

from dataclasses import dataclass
from pathlib import Path

_SECTOR_BYTES = 512  # sysfs counts in these whatever the drive's own sectors are
_LONGEST = 200  # characters of a model or serial; sane ones have 40


@dataclass(frozen=True, slots=True)
class Drive:
    """A drive, real or given by a hypervisor.  Texts are empty where the system does not say."""

    name: str
    model: str
    serial: str
    size_bytes: int
    rotational: bool


def read_drives(sysfs: Path = Path("/sys"), udev: Path = Path("/run/udev/data")) -> list[Drive]:
    """Return the drives by name; without loop, RAM, mapped and empty devices."""
    try:
        devices = sorted((sysfs / "block").iterdir())
    except OSError:
        return []
    return [drive for drive in (_read_drive(device, udev) for device in devices) if drive]


def _read_drive(device: Path, udev: Path) -> Drive | None:
    try:
        if "virtual" in device.resolve().parts:
            return None  # made of other devices or of memory
    except OSError:
        return None
    sectors = _word(device / "size")
    if not sectors.isdecimal() or int(sectors) == 0 or _word(device / "removable") == "1":
        return None  # an empty card reader, or what comes and goes with its user
    known = parse_udev(_text(udev / f"b{_word(device / 'dev')}"))
    return Drive(
        name=device.name,
        model=(_word(device / "device/model") or known.get("ID_MODEL", ""))[:_LONGEST],
        serial=_serial(device, known)[:_LONGEST],
        size_bytes=int(sectors) * _SECTOR_BYTES,
        rotational=_word(device / "queue/rotational") == "1",
    )


def _serial(device: Path, known: dict[str, str]) -> str:
    return (
        _word(device / "device/serial")  # NVMe, MMC
        or _word(device / "serial")  # virtio
        or known.get("ID_SERIAL_SHORT", "")
        or _unit_serial(device / "device/vpd_pg80")
    )


def _unit_serial(path: Path) -> str:
    """Return the serial in a SCSI "unit serial number" page: four bytes of header, then text."""
    try:
        page = path.read_bytes()
    except OSError:
        return ""
    return _clean(page[4:].decode("ascii", "ignore"))


def parse_udev(text: str) -> dict[str, str]:
    """Return the properties (``E:NAME=value``) of one file of the udev database."""
    pairs = (line[2:].partition("=") for line in text.splitlines() if line.startswith("E:"))
    return {name: value for name, _, value in pairs}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _word(path: Path) -> str:
    return _clean(_text(path))


def _clean(text: str) -> str:
    return "".join(character for character in text if character.isprintable()).strip()
