"""The health of drives, as they tell it themselves (SMART)."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from forewarn_checks import _smart_health as judge
from forewarn_checks._process import Execute, execute
from forewarn_checks._smart_attributes import attributes
from forewarn_checks._smart_blind import (
    READ,
    Known,
    Sight,
    all_blind,
    is_volume,
    known_drives,
    sights,
)
from forewarn_checks._smart_drives import Drive, apart, ask_all, clean, listed
from forewarn_checks._smart_metrics import (
    ATTRIBUTE_MARGIN,
    ATTRIBUTE_RAW,
    BLIND,
    CRC,
    ERROR_ENTRIES,
    LIFE_USED,
    METRICS,
    OFFLINE,
    PASSED,
    PENDING,
    POWER_ON,
    REALLOCATED,
    REPORTED,
    SELF_TEST_FAILED,
    SPARE,
    TEMPERATURE,
    WRITTEN,
)
from forewarn_checks._smart_report import from_json
from forewarn_checks._smart_rules import RULES
from forewarn_checks._smartctl import Device, Smartctl, find
from forewarn_checks.base import (
    CannotRead,
    Check,
    Component,
    Fact,
    NothingToRead,
    Option,
    Options,
    Panel,
    Reading,
    Sample,
)

__all__ = [
    "CHECK",
    "CRC",
    "METRICS",
    "OFFLINE",
    "PENDING",
    "REALLOCATED",
    "REPORTED",
    "read",
    "read_through",
    "readings",
    "samples",
    "unread",
]

_MOST_SAMPLES = 1900  # of one run; the agent sends 2,000 and gives up the rest

_GRANT = (
    "run the agent as root, or give it read access to /dev/sd* and /dev/nvme* and the capabilities "
    "CAP_SYS_RAWIO and CAP_SYS_ADMIN; on Windows run it as LocalSystem"
)


def readings(document: Mapping[str, object]) -> list[Sample]:
    """Return the samples in one document of ``smartctl --json -a``."""
    return list(samples(Drive(Device(""), "ok", report=from_json(document))))


def read(options: Options) -> Iterator[Reading]:
    """Read every drive smartctl finds.

    Raises NothingToRead without smartctl or drives, CannotRead for drives it may not or could not
    ask; those it could are read before.
    """
    path = find(str(options.get("smartctl", "")))
    if path is None:
        yield from unread("no smartctl")
        raise NothingToRead(
            "smartctl not found on PATH or in the sbin folders; install smartmontools, or turn "
            "the check off: [checks.smart] enabled = false"
        )
    yield from read_through(path, options, execute, known_drives())


def unread(reason: str) -> Iterator[Sample]:
    """Yield for each drive of this host that it could not be read, and why."""
    yield from (_blind(sight) for sight in all_blind(known_drives(), reason))


def read_through(path: str, options: Options, run: Execute, known: Known) -> Iterator[Reading]:
    """Read every drive through the smartctl at `path`, started by `run`.

    `known` are the drives the system itself shows, for those smartctl cannot name.
    """
    seconds = options.get("timeout_seconds", 30)
    smartctl = Smartctl(path, timeout_seconds=float(str(seconds)), run=run)
    try:
        found = _chosen(smartctl.scan(), options)
    except CannotRead:
        yield from (_blind(sight) for sight in all_blind(known, "no scan"))
        raise
    if not found:
        yield from (_blind(sight) for sight in all_blind(known, "not found"))
        raise NothingToRead(
            f"{path} found no drive: virtual disks and some controllers have no SMART; name drives "
            'it misses in [checks.smart.options] devices = ["/dev/sda -d megaraid,0"]'
        )
    drives = apart(ask_all(smartctl, found))
    drawn = drives if options.get("attributes", True) else []
    yield from itertools.islice(_told(drives, drawn, known), _MOST_SAMPLES)
    yield Fact("drives", [_row(drive) for drive in drives[:256]])
    _explain(
        path, [drive for drive in drives if drive.state == "ok" or not is_volume(drive, known)]
    )


def _told(drives: list[Drive], drawn: list[Drive], known: Known) -> Iterator[Sample]:
    """Yield what rules judge of all drives before the attributes of those `drawn`."""
    yield from (_blind(sight) for sight in sights(drives, known))
    for drive in drives:
        yield from samples(drive)
    for drive in drawn:
        yield from attribute_samples(drive)


def _blind(sight: Sight) -> Sample:
    return BLIND.sample(
        sight.reason != READ,
        drive=sight.drive,
        model=sight.model,
        type=sight.kind,
        reason=sight.reason,
    )


def _chosen(found: Iterable[Device], options: Options) -> list[Device]:
    """Return the devices to read: those found, with `devices` of the options added or replaced."""
    by_name = {(device.name, device.type): device for device in found}
    named = options.get("devices", ())
    for text in named if isinstance(named, tuple | list) else ():
        name, _, kind = (part.strip() for part in str(text).partition(" -d "))
        guessed = [key for key, device in by_name.items() if key[0] == name and device.trouble]
        for key in (*guessed, (name, "scsi")):
            by_name.pop(key, None)
        by_name[name, kind] = Device(name, kind)
    return list(by_name.values())


def samples(drive: Drive) -> Iterator[Sample]:
    """Return what can be believed of one drive as samples."""
    if drive.state != "ok":
        return
    values = judge.health(drive.report).values()
    labels = _labels(drive)
    for metric in METRICS:
        if metric.name in values:
            yield metric.sample(values[metric.name], **labels)


def attribute_samples(drive: Drive) -> Iterator[Sample]:
    """Return the attributes of one drive, unjudged, as samples."""
    if drive.state != "ok":
        return
    labels = _labels(drive)
    for one in attributes(drive.report):
        own = labels | {"id": one.id, "attribute": clean(one.name) or "unknown"}
        if one.raw is not None:
            yield ATTRIBUTE_RAW.sample(one.raw, **own)
        if one.margin is not None:
            yield ATTRIBUTE_MARGIN.sample(one.margin, **own)


def _labels(drive: Drive) -> dict[str, str]:
    return {
        "drive": drive.id,
        "model": clean(drive.report.model) or "unknown",
        "type": judge.kind(drive.report),
    }


def _row(drive: Drive) -> dict[str, str | int | float | bool | None]:
    report = drive.report
    return {
        "device": drive.device.name,
        "device_type": drive.device.type,
        "drive": drive.id if drive.state == "ok" else None,
        "model": clean(report.model) or None,
        "wwn": report.wwn or None,
        "firmware": clean(report.firmware) or None,
        "size_bytes": report.size_bytes,
        "type": judge.kind(report) if drive.state == "ok" else None,
        "state": drive.state,
        "detail": clean(drive.detail) or None,
    }


def _explain(path: str, drives: list[Drive]) -> None:
    """Raise what a technician has to know, when a drive could not be read."""
    denied = [drive for drive in drives if drive.state == "denied"]
    if denied:
        raise CannotRead(f"{path} may not open {listed(denied)}; {_GRANT}")
    broken = [drive for drive in drives if drive.state in ("timed out", "unreadable")]
    if broken:
        raise CannotRead(f"{path} could not read {listed(broken)}; look at the drive and its cable")
    if not drives:
        raise NothingToRead(
            "no drive with SMART, only volumes of a hypervisor or a storage network"
        )
    if all(drive.state == "unsupported" for drive in drives):
        raise NothingToRead(
            f"no drive with SMART: {listed(drives)}; if one has it, name its type in "
            '[checks.smart.options] devices = ["/dev/sda -d sat"]'
        )


CHECK = Check(
    name="smart",
    help="The health of drives, as they tell it themselves (SMART).",
    every=timedelta(hours=1),
    timeout=timedelta(minutes=3),
    metrics=(*METRICS, ATTRIBUTE_RAW, ATTRIBUTE_MARGIN, BLIND),
    component=Component("drive", ("drive",)),
    read_linux=read,
    read_windows=read,
    in_child=True,
    options=(
        Option(
            name="smartctl",
            default="",
            help="Path of smartctl; empty looks on PATH and in the usual folders.",
        ),
        Option(
            name="devices",
            default=(),
            help='Drives the scan misses or misjudges, e.g. "/dev/sdc -d sat".',
        ),
        Option(
            name="attributes",
            default=True,
            help="Send every attribute, for charts: about 16 series a drive; no rule needs them.",
        ),
        Option(
            name="timeout_seconds",
            default=30,
            help="Longest wait for one drive, in seconds, before its smartctl is killed.",
        ),
    ),
    rules=RULES,
    panels=(
        Panel(PASSED, drawn_as="state"),
        Panel(TEMPERATURE),
        Panel(LIFE_USED, drawn_as="bar"),
        Panel(SPARE, drawn_as="bar"),
        Panel(BLIND, drawn_as="state"),
        Panel(SELF_TEST_FAILED, drawn_as="state"),
        Panel(ERROR_ENTRIES),
        Panel(REALLOCATED),
        Panel(PENDING),
        Panel(WRITTEN),
        Panel(POWER_ON),
        Panel(ATTRIBUTE_RAW),
        Panel(ATTRIBUTE_MARGIN),
    ),
)
