"""The health of drives, as they tell it themselves (SMART)."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from forewarn_checks import _smart_health as judge
from forewarn_checks._process import Execute, execute
from forewarn_checks._smart_drives import Drive, apart, ask_all, clean, listed
from forewarn_checks._smart_report import from_json
from forewarn_checks._smartctl import Device, Smartctl, find
from forewarn_checks.base import (
    CannotRead,
    Check,
    Component,
    Fact,
    Growth,
    Increase,
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
)

LABELS = ("drive", "model", "type")


def _metric(name: str, unit: Unit, meaning: str) -> Metric:
    return Metric(f"smart_{name}", unit, meaning, LABELS)


PASSED = _metric("passed", Unit.COUNT, "1 while the drive calls itself healthy, 0 once it fails.")
FAILING = _metric(
    "failing_attributes", Unit.COUNT, "Pre-failure attributes now past the vendor's threshold."
)
TEMPERATURE = _metric("temperature_celsius", Unit.CELSIUS, "Temperature of the drive.")
LIFE_USED = _metric(
    "life_used_ratio", Unit.RATIO, "Used share of the rated write endurance; may pass 1."
)
SPARE = _metric("spare_ratio", Unit.RATIO, "Spare blocks left of those built in.")
SPARE_MARGIN = _metric(
    "spare_margin_ratio", Unit.RATIO, "Spare left above the vendor's threshold (at least 5 %)."
)
REALLOCATED = _metric("reallocated_sectors", Unit.COUNT, "Bad sectors replaced so far.")
PENDING = _metric("pending_sectors", Unit.COUNT, "Sectors that cannot be read at present.")
OFFLINE = _metric("offline_uncorrectable", Unit.COUNT, "Sectors a background scan could not read.")
REPORTED = _metric("reported_uncorrectable", Unit.COUNT, "Errors the drive could not correct.")
CRC = _metric("crc_errors", Unit.COUNT, "Transfer errors: cable or connector, not the medium.")
POWER_ON = _metric("power_on_seconds", Unit.SECONDS, "Time the drive has been running.")
WRITTEN = _metric("written_bytes", Unit.BYTES, "Written to the drive by hosts since it is new.")
METRICS = (
    PASSED,
    FAILING,
    REALLOCATED,
    PENDING,
    OFFLINE,
    REPORTED,
    CRC,
    _metric("command_timeouts", Unit.COUNT, "Commands given up."),
    _metric("end_to_end_errors", Unit.COUNT, "Data changed on its way through the drive."),
    _metric("spin_retries", Unit.COUNT, "Repeated attempts to spin up."),
    TEMPERATURE,
    POWER_ON,
    _metric("power_cycles", Unit.COUNT, "Times the drive was switched on."),
    _metric("unsafe_shutdowns", Unit.COUNT, "Times power went without warning."),
    LIFE_USED,
    SPARE,
    _metric("spare_threshold_ratio", Unit.RATIO, "Spare below which the vendor warns."),
    SPARE_MARGIN,
    WRITTEN,
    _metric(
        "critical_warning",
        Unit.COUNT,
        "NVMe warning bits: 1 spare, 2 temperature, 4 unreliable, 8 read-only, 16 backup power.",
    ),
    _metric("error_log_entries", Unit.COUNT, "Entries of the error log; harmless ones included."),
    _metric("self_test_failed", Unit.COUNT, "1 while the newest finished self-test has failed."),
)

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
        raise NothingToRead(
            "smartctl not found on PATH or in the sbin folders; install smartmontools, or turn "
            "the check off: [checks.smart] enabled = false"
        )
    yield from read_through(path, options, execute)


def read_through(path: str, options: Options, run: Execute) -> Iterator[Reading]:
    """Read every drive through the smartctl at `path`, started by `run`."""
    seconds = options.get("timeout_seconds", 30)
    smartctl = Smartctl(path, timeout_seconds=float(str(seconds)), run=run)
    found = _chosen(smartctl.scan(), options)
    if not found:
        raise NothingToRead(
            f"{path} found no drive: virtual disks and some controllers have no SMART; name drives "
            'it misses in [checks.smart.options] devices = ["/dev/sda -d megaraid,0"]'
        )
    drives = apart(ask_all(smartctl, found))
    for drive in drives:
        yield from samples(drive)
    yield Fact("drives", [_row(drive) for drive in drives[:256]])
    _explain(path, drives)


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
    model = clean(drive.report.model) or "unknown"
    for metric in METRICS:
        if metric.name in values:
            yield metric.sample(
                values[metric.name], drive=drive.id, model=model, type=judge.kind(drive.report)
            )


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
    if all(drive.state == "unsupported" for drive in drives):
        raise NothingToRead(
            f"no drive with SMART: {listed(drives)}; if one has it, name its type in "
            '[checks.smart.options] devices = ["/dev/sda -d sat"]'
        )


def _grew(metric: Metric, by: float, and_: Increase | None = None) -> Increase:
    return Increase(metric=metric, by=by, and_=and_)


# Marks chosen on half of the drives whose histories Backblaze published for 2013 to 2016 (42,224
# hard disks, 2,111 failed; cross-validated by serial); benchmarks/smart_prediction.py prints what
# they are worth.  Growth of sectors that a scan found unreadable comes with pending sectors, and
# command timeouts (Seagate's favourite) double the false alarms for 5 failures more in 100.
_GROWTH = (
    Growth(
        name="DriveSectorsGrowing",
        severity=Severity.WARNING,
        any_of=(
            _grew(REALLOCATED, 48),
            _grew(PENDING, 1),
            _grew(REPORTED, 1),
            _grew(OFFLINE, 1),
        ),
        window=timedelta(days=30),
        where={"type": "hdd"},
        title="{model} ({drive}) on {host} has new bad sectors: {value}",
        advice="Within 30 days: {value}. See that {drive} is backed up, and let it read itself "
        "whole: `smartctl -t long`. Of 100 hard disks with this sign in public records 55 were "
        "recorded as failed in the end, 17 of them within a month and 31 within three; 60 of 100 "
        "failures showed it a day or more ahead, half of these three months or more.",
    ),
    Growth(
        name="DriveFailureLikely",
        severity=Severity.HIGH,
        any_of=(
            _grew(REALLOCATED, 128),
            _grew(PENDING, 2),
            _grew(REPORTED, 8),
            _grew(REPORTED, 1, _grew(REALLOCATED, 8)),
        ),
        window=timedelta(days=30),
        where={"type": "hdd"},
        title="{model} ({drive}) on {host} is likely to fail: {value}",
        advice="Within 30 days: {value}. Back up {drive} now and plan its replacement. Of 100 hard "
        "disks with this sign in public records 62 were recorded as failed in the end, 21 within "
        "a month and 37 within three; 54 of 100 failures showed it a day or more ahead.",
    ),
    Growth(
        name="DriveFailureImminent",
        severity=Severity.CRITICAL,
        any_of=(
            _grew(REALLOCATED, 512),
            _grew(PENDING, 12),
            _grew(REPORTED, 12),
            _grew(PENDING, 2, _grew(REALLOCATED, 1)),
        ),
        window=timedelta(days=30),
        where={"type": "hdd"},
        title="{model} ({drive}) on {host} is failing: {value}",
        advice="Within 30 days: {value}. Replace {drive} now, and check the backup of what is on "
        "it. Of 100 hard disks with this sign in public records 74 were recorded as failed in the "
        "end, 31 within a month and 52 within three; 43 of 100 failures showed it a day or more "
        "ahead. 31 of 100 failures showed no sign in any counter: its absence is no promise.",
    ),
    Growth(
        name="DriveLinkErrors",
        severity=Severity.WARNING,
        any_of=(_grew(CRC, 10),),
        window=timedelta(days=1),
        title="The link to {model} ({drive}) on {host} is bad: {value}",
        advice="Within a day: {value}. Check the cable, the connectors, the slot and the power of "
        "{drive}: data is damaged on the way and sent again. This says nothing about the drive "
        "itself, so do not replace it for this. The counter never falls; it only has to stop.",
    ),
    *(
        Growth(
            name=name,
            severity=Severity.WARNING,
            any_of=(_grew(REPORTED, 1),),
            window=timedelta(days=30),
            where={"type": kind},
            title="{model} ({drive}) on {host} could not read what it held: {value}",
            advice="Within 30 days: {value}. Look for damaged files and restore them from the "
            "backup, then watch {drive}: solid state drives often fail without any such sign, and "
            "how many of those with it fail is not measured.",
        )
        for name, kind in (("SsdErrorsGrowing", "ssd"), ("NvmeErrorsGrowing", "nvme"))
    ),
)

CHECK = Check(
    name="smart",
    help="The health of drives, as they tell it themselves (SMART).",
    every=timedelta(hours=1),
    timeout=timedelta(minutes=3),
    metrics=METRICS,
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
            name="timeout_seconds",
            default=30,
            help="Longest wait for one drive, in seconds, before its smartctl is killed.",
        ),
    ),
    rules=(
        State(
            name="DriveFailing",
            metric=PASSED,
            severity=Severity.CRITICAL,
            when=0,
            clear_for=timedelta(hours=2),
            title="{model} ({drive}) on {host} says it is failing",
            advice="Back up what is on {drive} now and replace it; the drive itself no longer "
            "vouches for its data. `smartctl -a` names the reason; of an NVMe drive "
            "smart_critical_warning does: 2 alone means it is too hot, which cooling mends.",
        ),
        Threshold(
            name="DriveAttributeFailing",
            metric=FAILING,
            severity=Severity.HIGH,
            above=1,
            clear_at=0,
            clear_for=timedelta(hours=2),
            title="{model} ({drive}) on {host} is past a vendor's failure threshold",
            advice="The drive still passes as a whole, but an attribute its maker ties to failure "
            "is past its threshold. Back up and plan a replacement; `smartctl -A` names it.",
        ),
        *_GROWTH,
        Threshold(
            name="SsdWearHigh",
            metric=LIFE_USED,
            severity=Severity.INFO,
            above=0.80,
            clear_at=0.75,
            levels={
                Severity.WARNING: Level(above=0.90, clear_at=0.88),
                Severity.HIGH: Level(above=1.0, clear_at=0.98),
            },
            title="{model} ({drive}) on {host} has used up most of its rated life",
            advice="Order a replacement and move write-heavy work off {drive}. Beyond 100 % most "
            "drives go on for a while, but without their maker's warranty.",
        ),
        Threshold(
            name="SsdSpareLow",
            metric=SPARE_MARGIN,
            severity=Severity.WARNING,
            below=0.10,
            clear_at=0.12,
            levels={Severity.CRITICAL: Level(below=0.0, clear_at=0.02)},
            title="{model} ({drive}) on {host} runs out of spare blocks",
            advice="Replace {drive}: without spare blocks the next bad one cannot be mended and "
            "the drive may turn read-only.",
        ),
        *(
            Threshold(
                name=name,
                metric=TEMPERATURE,
                severity=Severity.WARNING,
                above=above,
                clear_at=above - 5,
                hold_for=timedelta(minutes=30),
                where={"type": kind},
                title="{model} ({drive}) on {host} is too hot",
                advice="Look for a failed fan, dust, or a drive without airflow; lasting heat "
                "shortens the life of {drive}.",
            )
            for name, kind, above in (
                ("DriveHot", "hdd", 55),
                ("SsdHot", "ssd", 70),
                ("NvmeHot", "nvme", 75),
            )
        ),
    ),
    panels=(
        Panel(PASSED, drawn_as="state"),
        Panel(TEMPERATURE),
        Panel(LIFE_USED, drawn_as="bar"),
        Panel(SPARE, drawn_as="bar"),
        Panel(REALLOCATED),
        Panel(PENDING),
        Panel(WRITTEN),
        Panel(POWER_ON),
    ),
)
