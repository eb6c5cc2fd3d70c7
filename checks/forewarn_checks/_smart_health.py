"""Judge which of a drive's numbers can be believed, and put them into base units.

A value that is packed, saturated, a sentinel or of unknown meaning becomes None: missing, never an
alarm.  Attributes are told apart by the name smartctl's drive database gives them; the same id
means different things on different drives.
"""

import re
from dataclasses import dataclass, fields

from forewarn_checks._smart_report import Attribute, NvmeLog, Report

REALLOCATED = ("Reallocated_Sector_Ct", "Reallocate_NAND_Blk_Cnt", "Retired_Block_Count")
PENDING = (
    "Current_Pending_Sector",
    "Pending_Sector_Count",
    "Total_Pending_Sectors",
    "Current_Pending_ECC_Cnt",
)  # not Bogus_Current_Pend_Sect: that firmware counts up and down by itself
OFFLINE_UNCORRECTABLE = (
    "Offline_Uncorrectable",
    "Uncorrectable_Sector_Ct",
    "Total_Offl_Uncorrectabl",
    "Offline_Scan_UNC_SectCt",
)
REPORTED_UNCORRECTABLE = ("Reported_Uncorrect", "Uncorrectable_Error_Cnt", "Uncorrectable_ECC_Ct")
CRC = ("UDMA_CRC_Error_Count", "CRC_Error_Count", "SATA_CRC_Error_Count", "SATA_CRC_Error")
END_TO_END = ("End-to-End_Error", "End-to-End_Error_Count")
UNSAFE_SHUTDOWNS = ("Unsafe_Shutdown_Count", "Unexpect_Power_Loss_Ct", "POR_Recovery_Count")
WEAR = (  # the normalised value falls from 100 to 0 over the rated life
    "Percent_Lifetime_Remain",
    "Percent_Lifetime_Used",
    "Perc_Rated_Life_Used",
    "Percent_Life_Remaining",
)
DOUBTFUL_WEAR = (  # the same for most vendors, not for all: see _plausible
    "Remaining_Lifetime_Perc",
    "DriveLife_Remaining%",
    "DriveLife_Used%",
    "SSD_Life_Left",
    "SSD_Life_Left_Perc",
    "Lifetime_Left",
    "Media_Wearout_Indicator",
)
ERASES = "Wear_Leveling_Count"  # normalised as above; its raw value counts erase cycles
TEMPERATURE = (
    "Temperature_Celsius",
    "Temperature_Internal",
    "Drive_Temperature",
    "Airflow_Temperature_Cel",
    "Temperature_Case",
)
SPARE = (
    "Available_Reservd_Space",
    "Perc_Avail_Resrvd_Space",
    "Reserved_Block_Pct",
    "Used_Rsvd_Blk_Cnt_Tot",
    "Unused_Rsvd_Blk_Cnt_Tot",
)
WRITTEN = {  # bytes in one of it; None is one logical sector
    "Total_LBAs_Written": None,
    "Host_Writes_32MiB": 32 * 2**20,
    "Host_Writes_MiB": 2**20,
    "Host_Writes_GiB": 2**30,
    "Lifetime_Writes_GiB": 2**30,
    "Total_Writes_GiB": 2**30,
}

_TOO_MANY = 2**31
_MOST_WRITTEN = 1e18
_SATURATED = {0xFFFF, 0xFFFFFF}
_LONGEST_HOURS = 20 * 8766  # beyond, the drive counts minutes and nobody knows
_SPINNING = {"Spin_Up_Time", "Spin_Retry_Count", "Seek_Error_Rate", "Start_Stop_Count"}
_LEADING = re.compile(r"\s*(\d+)(?![\dx])")
_CLOCK = re.compile(r"\s*(\d+)h\+(\d+)m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The believable numbers of one drive, in base units; each is a metric ``smart_NAME``."""

    passed: float | None = None
    failing_attributes: float | None = None
    reallocated_sectors: float | None = None
    pending_sectors: float | None = None
    offline_uncorrectable: float | None = None
    reported_uncorrectable: float | None = None
    crc_errors: float | None = None
    command_timeouts: float | None = None
    end_to_end_errors: float | None = None
    spin_retries: float | None = None
    temperature_celsius: float | None = None
    power_on_seconds: float | None = None
    power_cycles: float | None = None
    unsafe_shutdowns: float | None = None
    life_used_ratio: float | None = None
    spare_ratio: float | None = None
    spare_threshold_ratio: float | None = None
    spare_margin_ratio: float | None = None
    spare_used_ratio: float | None = None
    written_bytes: float | None = None
    critical_warning: float | None = None
    error_log_entries: float | None = None
    self_test_failed: float | None = None

    def values(self) -> dict[str, float]:
        """Return what is known, by the name of its metric."""
        known = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {f"smart_{name}": value for name, value in known if value is not None}


def kind(report: Report) -> str:
    """Return ``nvme``, ``ssd``, ``hdd``, or ``unknown`` where the drive gives no hint."""
    if report.nvme is not None or report.protocol == "NVMe":
        return "nvme"
    if report.rotation_rpm is not None:
        return "hdd" if report.rotation_rpm > 0 else "ssd"
    names = {attribute.name for attribute in report.attributes}
    if names & _SPINNING:
        return "hdd"
    if names & {*WEAR, *DOUBTFUL_WEAR, *SPARE, ERASES}:
        return "ssd"
    return "unknown"


def health(report: Report) -> Health:
    """Return what can be believed of a report."""
    nvme = report.nvme or NvmeLog()
    scsi = report.scsi
    rows = report.attributes
    spare, spare_threshold = _spare(report)
    return Health(
        passed=_passed(report),
        failing_attributes=_failing(rows) if rows else None,
        reallocated_sectors=_reallocated(rows) if scsi is None else _count(scsi.grown_defects),
        pending_sectors=_named_count(rows, PENDING),
        offline_uncorrectable=_named_count(rows, OFFLINE_UNCORRECTABLE),
        reported_uncorrectable=_first(
            _named_count(rows, REPORTED_UNCORRECTABLE),
            _count(nvme.media_errors),
            _count(scsi.uncorrected) if scsi else None,
        ),
        crc_errors=_named_count(rows, CRC),
        command_timeouts=_command_timeouts(rows),
        end_to_end_errors=_named_count(rows, END_TO_END),
        spin_retries=_named_count(rows, ("Spin_Retry_Count",)),
        temperature_celsius=_temperature(report),
        power_on_seconds=_power_on_seconds(report),
        power_cycles=_first(
            _count(report.power_cycles), _named_count(rows, ("Power_Cycle_Count",))
        ),
        unsafe_shutdowns=_first(
            _count(nvme.unsafe_shutdowns), _named_count(rows, UNSAFE_SHUTDOWNS)
        ),
        life_used_ratio=_life_used(report),
        spare_ratio=spare,
        spare_threshold_ratio=spare_threshold,
        spare_margin_ratio=_margin(spare, spare_threshold),
        spare_used_ratio=_used(spare, spare_threshold),
        written_bytes=_written_bytes(report),
        critical_warning=_warning_bits(nvme.critical_warning),
        error_log_entries=_first(_count(nvme.error_entries), _count(report.error_entries)),
        self_test_failed=_failed(report.self_test_passed),
    )


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _passed(report: Report) -> float | None:
    """Return the drive's own verdict; an NVMe drive's is whether it warns of anything."""
    if report.passed is None and report.nvme and report.nvme.critical_warning is not None:
        return float(report.nvme.critical_warning == 0)
    return None if report.passed is None else float(report.passed)


def _failed(passed: bool | None) -> float | None:
    return None if passed is None else float(not passed)


def _failing(rows: tuple[Attribute, ...]) -> float:
    return float(sum(row.failing_now and row.prefailure for row in rows))


def _count(value: int | None) -> float | None:
    """Return a count of events; None where it has underflowed, saturated or is packed."""
    if value is None or not 0 <= value < _TOO_MANY or value in _SATURATED:
        return None
    return float(value)


def first_number(row: Attribute) -> int | None:
    """Return the number the drive database shows first: ``26 (Min/Max 13/41)`` is 26.

    The full raw value is packed on such rows.
    """
    match = _LEADING.match(row.raw_text)
    return int(match[1]) if match else (row.raw if not row.raw_text else None)


def _named(rows: tuple[Attribute, ...], names: tuple[str, ...]) -> Attribute | None:
    return next((row for row in rows if row.name in names), None)


def _named_count(rows: tuple[Attribute, ...], names: tuple[str, ...]) -> float | None:
    row = _named(rows, names)
    return None if row is None else _count(first_number(row))


def _reallocated(rows: tuple[Attribute, ...]) -> float | None:
    """Return reallocated sectors; some Hitachi fail on them with a raw value of 0."""
    row = _named(rows, REALLOCATED)
    if row is None:
        return None
    count = _count(first_number(row))
    if count == 0 and row.failing_now:
        return _named_count(rows, ("Reallocated_Event_Count",))
    return count


def _command_timeouts(rows: tuple[Attribute, ...]) -> float | None:
    """Return the lowest of the three words Seagate packs into it: all timeouts so far."""
    row = _named(rows, ("Command_Timeout",))
    if row is None:
        return None
    if row.raw is not None:
        return _count(row.raw & 0xFFFF)
    words = row.raw_text.split()
    return _count(int(words[-1])) if words and words[-1].isdecimal() else None


def _temperature(report: Report) -> float | None:
    """Return degrees; 0 and constants beyond 110 come from drives without a sensor."""
    value = report.temperature
    if value is None:
        row = _named(report.attributes, TEMPERATURE[:3]) or _named(report.attributes, TEMPERATURE)
        value = None if row is None else first_number(row)
    return float(value) if value is not None and 0 < value <= 110 else None


def _power_on_seconds(report: Report) -> float | None:
    minutes = report.power_on_minutes
    if minutes is None:
        minutes = _attribute_minutes(report.attributes)
    if minutes is None or not 0 <= minutes <= _LONGEST_HOURS * 60:
        return None
    return minutes * 60.0


def _attribute_minutes(rows: tuple[Attribute, ...]) -> int | None:
    """Return the power-on time of the table: ``47060h+35m+00.858s``, or plain hours."""
    row = next((row for row in rows if row.name.startswith("Power_On_")), None)
    if row is None:
        return None
    clock = _CLOCK.match(row.raw_text)
    if clock:
        return int(clock[1]) * 60 + int(clock[2])
    hours = first_number(row)
    return hours * 60 if hours is not None and row.name == "Power_On_Hours" else None


def _life_used(report: Report) -> float | None:
    """Return the used share of the rated life; above 1 is possible and true."""
    percent = report.endurance_used_percent
    if percent is None and report.nvme is not None:
        percent = report.nvme.used_percent
    if percent is not None:
        return percent / 100 if 0 <= percent < 255 else None  # 255 is a full register
    for name in (*WEAR, *DOUBTFUL_WEAR, ERASES):
        row = _named(report.attributes, (name,))
        if row is None or row.value is None or not 0 <= row.value <= 100:
            continue
        if name in WEAR or _plausible(row):
            return (100 - row.value) / 100
    return None


def _plausible(row: Attribute) -> bool:
    """Return whether a wear value can be percent left, as the name says.

    A vendor's threshold vouches for it.  Without one, a value that never leaves 100 or 0 is not
    kept up; and where value and raw add up to 100, some vendors (Kingston's A400, SK hynix' SC311)
    count the value up from 0 instead.
    """
    if row.threshold:
        return True
    raw = 0 if row.name == ERASES else first_number(row) or 0
    if row.value == 100:
        return raw in (0, 1, 100)
    return row.value != 0 and not (raw > 1 and 99 <= raw + (row.value or 0) <= 101)


def _spare(report: Report) -> tuple[float | None, float | None]:
    """Return the spare blocks left and where the vendor calls them too few."""
    log = report.nvme
    if log is not None:
        if not log.spare_percent and not (log.spare_threshold_percent and log.units_written):
            return None, None  # a log of zeros: the drive does not keep it
        return _percent(log.spare_percent), _percent(log.spare_threshold_percent)
    row = _named(report.attributes, SPARE)
    if row is None or not row.threshold:
        return None, None  # without a threshold the value means something else per vendor
    return _percent(row.value), _percent(row.threshold)


def _percent(value: int | None) -> float | None:
    return value / 100 if value is not None and 0 <= value <= 100 else None


_LEAST_SPARE = 0.05


def _margin(spare: float | None, threshold: float | None) -> float | None:
    """Return how far the spare is above its threshold, which is never taken below 5 %.

    Many drives state a threshold of 0.
    """
    if spare is None:
        return None
    return round(spare - max(threshold or 0.0, _LEAST_SPARE), 4)


def _used(spare: float | None, threshold: float | None) -> float | None:
    """Return what share of the spare above the threshold is gone; 1 at the threshold."""
    least = max(threshold or 0.0, _LEAST_SPARE)
    if spare is None or least >= 1:
        return None
    return round((1 - spare) / (1 - least), 4)


def _written_bytes(report: Report) -> float | None:
    """Return what was written; beyond an exabyte it is no number of a drive."""
    written = _written_as_told(report)
    return None if written is None or not 0 <= written < _MOST_WRITTEN else written


def _written_as_told(report: Report) -> float | None:
    if report.nvme is not None:
        units = report.nvme.units_written
        return None if units is None else units * 512_000.0
    if report.scsi is not None:
        return report.scsi.written_bytes
    row = _named(report.attributes, tuple(WRITTEN))
    count = None if row is None else first_number(row)
    if row is None or count is None:
        return None
    return float(count * (WRITTEN[row.name] or report.sector_bytes or 512))


def _warning_bits(value: int | None) -> float | None:
    return float(value) if value is not None and 0 <= value < 255 else None
