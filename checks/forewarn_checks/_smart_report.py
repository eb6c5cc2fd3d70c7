"""What one drive says of itself, unjudged, and how to take it from smartctl's JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """A row of the ATA attribute table."""

    id: int
    name: str
    value: int | None  # normalised, falls as the drive gets worse
    threshold: int | None
    raw_text: str  # as smartctl's drive database formats it
    raw: int | None  # all 48 bits; often packed
    failing_now: bool
    prefailure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NvmeLog:
    """The SMART / health log of an NVMe drive, in its own units."""

    critical_warning: int | None = None
    spare_percent: int | None = None
    spare_threshold_percent: int | None = None
    used_percent: int | None = None
    units_written: int | None = None  # of 1000 sectors of 512 bytes
    unsafe_shutdowns: int | None = None
    media_errors: int | None = None
    error_entries: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScsiLog:
    """The error counters of a SCSI or SAS drive."""

    grown_defects: int | None = None
    uncorrected: int | None = None
    written_bytes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything taken from one answer.  None and "" mean the drive did not say."""

    protocol: str = ""
    model: str = ""
    serial: str = ""
    wwn: str = ""
    firmware: str = ""
    size_bytes: int | None = None
    sector_bytes: int | None = None
    rotation_rpm: int | None = None  # 0 is a solid state drive
    passed: bool | None = None
    temperature: int | None = None
    power_on_minutes: int | None = None
    power_cycles: int | None = None
    attributes: tuple[Attribute, ...] = ()
    nvme: NvmeLog | None = None
    scsi: ScsiLog | None = None
    endurance_used_percent: int | None = None
    error_entries: int | None = None
    self_test_passed: bool | None = None  # of the newest self-test that ran to an end
    counters: tuple[tuple[str, int], ...] = ()  # what else an NVMe or SCSI drive counts

    @property
    def says_something(self) -> bool:
        """Whether there is any health in it, not just a name."""
        return (
            self.passed is not None
            or bool(self.attributes)
            or self.nvme is not None
            or self.scsi is not None
        )


def filled(report: Report, other: Report) -> Report:
    """Return `report` with what it leaves open taken from `other`."""
    holes = {
        field.name: getattr(other, field.name)
        for field in fields(report)
        if getattr(report, field.name) in (None, "", ())
    }
    return replace(report, **holes)


def from_json(document: Mapping[str, object]) -> Report:
    """Return the report in a document of ``smartctl --json -a``; any part may be missing."""
    protocol = _text(document, "device", "protocol")
    return Report(
        protocol=protocol,
        model=_text(document, "model_name") or _text(document, "scsi_model_name"),
        serial=_text(document, "serial_number"),
        wwn=_wwn(document),
        firmware=_text(document, "firmware_version") or _text(document, "scsi_revision"),
        size_bytes=_size_bytes(document),
        sector_bytes=_whole(document, "logical_block_size"),
        rotation_rpm=_whole(document, "rotation_rate"),
        passed=_truth(document, "smart_status", "passed"),
        temperature=_whole(document, "temperature", "current"),
        power_on_minutes=_power_on_minutes(document),
        power_cycles=_power_cycles(document),
        attributes=tuple(_attributes(document)),
        nvme=_nvme(document),
        scsi=_scsi(document) if protocol == "SCSI" else None,
        endurance_used_percent=_first(
            _whole(document, "endurance_used", "current_percent"),
            _whole(document, "scsi_percentage_used_endurance_indicator"),
        ),
        error_entries=_first(
            _whole(document, "ata_smart_error_log", "summary", "count"),
            _whole(document, "ata_smart_error_log", "extended", "count"),
        ),
        self_test_passed=_self_test_passed(document),
        counters=tuple(_counters(document)),
    )


_NVME_COUNTERS = (
    "data_units_read",
    "host_reads",
    "host_writes",
    "controller_busy_time",
    "warning_temp_time",
    "critical_comp_time",
)
_SCSI_COUNTERS = (
    "errors_corrected_by_eccdelayed",
    "errors_corrected_by_rereads_rewrites",
    "total_errors_corrected",
)


def _counters(document: object) -> Iterator[tuple[str, int]]:
    """Yield the counters of the NVMe health log and of the SCSI error logs that lie apart."""
    for name in _NVME_COUNTERS:
        count = _whole(document, "nvme_smart_health_information_log", name)
        if count is not None:
            yield name, count
    for kind in ("read", "write", "verify"):
        for name in _SCSI_COUNTERS:
            count = _whole(document, "scsi_error_counter_log", kind, name)
            if count is not None:
                yield f"{kind}_{name}", count


def _dig(document: object, *path: str) -> object:
    """Return the value at `path`, or None where the document ends before."""
    for key in path:
        if not isinstance(document, Mapping):
            return None
        document = document.get(key)
    return document


def _whole(document: object, *path: str) -> int | None:
    """Return a whole number; smartctl writes those past 2^53 a second time as ``_s`` text."""
    value = _dig(document, *path)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value == value and abs(value) < 2**127 else None


def _text(document: object, *path: str) -> str:
    value = _dig(document, *path)
    return value.strip() if isinstance(value, str) else ""


def _truth(document: object, *path: str) -> bool | None:
    value = _dig(document, *path)
    return value if isinstance(value, bool) else None


def _rows(document: object, *path: str) -> list[object]:
    value = _dig(document, *path)
    return value if isinstance(value, list) else []


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _wwn(document: object) -> str:
    """Return the world wide name in hexadecimal, e.g. ``5000cca0b1c2d3e4``."""
    naa, oui, unique = (_whole(document, "wwn", part) for part in ("naa", "oui", "id"))
    if naa is None or oui is None or unique is None or not (oui or unique):
        return _text(document, "logical_unit_id").removeprefix("0x")
    return f"{naa:x}{oui:06x}{unique:09x}"


def _size_bytes(document: object) -> int | None:
    """Return the size; an NVMe controller may tell it of itself or only of its namespaces."""
    size = _whole(document, "user_capacity", "bytes")
    size = size or _whole(document, "nvme_total_capacity")
    namespaces = _rows(document, "nvme_namespaces")
    return size or sum(_whole(row, "size", "bytes") or 0 for row in namespaces) or None


def _power_on_minutes(document: object) -> int | None:
    hours = _whole(document, "power_on_time", "hours")
    if hours is None:
        hours = _whole(document, "nvme_smart_health_information_log", "power_on_hours")
    minutes = _whole(document, "power_on_time", "minutes") or 0
    return None if hours is None else hours * 60 + minutes


def _power_cycles(document: object) -> int | None:
    return _first(
        _whole(document, "power_cycle_count"),
        _whole(document, "nvme_smart_health_information_log", "power_cycles"),
        _whole(document, "scsi_start_stop_cycle_counter", "accumulated_start_stop_cycles"),
    )


def _attributes(document: object) -> Iterator[Attribute]:
    for row in _rows(document, "ata_smart_attributes", "table"):
        number = _whole(row, "id")
        if number is None:
            continue
        yield Attribute(
            id=number,
            name=_text(row, "name"),
            value=_whole(row, "value"),
            threshold=_whole(row, "thresh"),
            raw_text=_text(row, "raw", "string"),
            raw=_whole(row, "raw", "value"),
            failing_now=_text(row, "when_failed") == "now",
            prefailure=_truth(row, "flags", "prefailure") is True,
        )


def _nvme(document: object) -> NvmeLog | None:
    log = _dig(document, "nvme_smart_health_information_log")
    if not isinstance(log, Mapping):
        return None
    return NvmeLog(
        critical_warning=_whole(log, "critical_warning"),
        spare_percent=_whole(log, "available_spare"),
        spare_threshold_percent=_whole(log, "available_spare_threshold"),
        used_percent=_whole(log, "percentage_used"),
        units_written=_whole(log, "data_units_written"),
        unsafe_shutdowns=_whole(log, "unsafe_shutdowns"),
        media_errors=_whole(log, "media_errors"),
        error_entries=_whole(log, "num_err_log_entries"),
    )


def _scsi(document: object) -> ScsiLog | None:
    """Return the counters, or None for a volume of a controller, which has none."""
    counters = _dig(document, "scsi_error_counter_log")
    defects = _whole(document, "scsi_grown_defect_list")
    if defects is None and not isinstance(counters, Mapping):
        return None
    uncorrected = [
        count
        for kind in ("read", "write", "verify")
        if (count := _whole(counters, kind, "total_uncorrected_errors")) is not None
    ]
    return ScsiLog(
        grown_defects=defects,
        uncorrected=sum(uncorrected) if uncorrected else None,
        written_bytes=_gigabytes(_text(counters, "write", "gigabytes_processed")),
    )


def _gigabytes(text: str) -> float | None:
    try:
        return float(text) * 1e9
    except ValueError:
        return None


def _self_test_passed(document: object) -> bool | None:
    """Return how the newest finished self-test ended; an aborted one says nothing."""
    for log in ("standard", "extended"):
        for row in _rows(document, "ata_smart_self_test_log", log, "table"):
            verdict = _truth(row, "status", "passed")
            if verdict is not None:
                return verdict
    for row in _rows(document, "nvme_self_test_log", "table"):
        verdict = _ended_well(_whole(row, "self_test_result", "value"), fails=(5, 6, 7))
        if verdict is not None:
            return verdict
    for number in range(20):
        result = _whole(document, f"scsi_self_test_{number}", "result", "value")
        verdict = _ended_well(result, fails=(3, 4, 5, 6, 7))
        if verdict is not None:
            return verdict
    return None


def _ended_well(result: int | None, *, fails: tuple[int, ...]) -> bool | None:
    """Return True for 0, False for a failing code, None for one cut short."""
    if result is None or (result != 0 and result not in fails):
        return None
    return result == 0
