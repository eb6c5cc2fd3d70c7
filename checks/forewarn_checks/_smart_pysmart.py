"""Have pySMART read smartctl's text, from an answer we already hold.

Left alone, pySMART starts smartctl itself: without a time limit, up to nine times a drive, some of
them without ``-n``.  Its Device therefore gets a stand-in that replays one bounded answer.
Where pySMART is known to misread a line (a model overwritten by a vendor's product number, a
verdict mixed with old attribute failures), the line is read here.
"""

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from forewarn_checks._smart_report import Attribute, NvmeLog, Report, ScsiLog, filled

Background = Callable[[], Sequence[str]]
"""Fetches the background scan log; asked only for a SCSI drive without a power-on time."""

_INTERFACES = {"ATA": "sat", "NVMe": "nvme", "SCSI": "scsi"}
_FLAG_BITS = {"P": 0x01, "O": 0x02, "S": 0x04, "R": 0x08, "C": 0x10, "K": 0x20}
_FAILED = {"-": "-", "NOW": "FAILING_NOW", "Past": "In_the_past"}
_BRIEF_ROW = re.compile(
    r"\s*(?P<id>\d+) (?P<name>\S+) +(?P<flags>[POSRCK+-]{6,7}) +(?P<value>\d+) +(?P<worst>\d+)"
    r" +(?P<threshold>\d+|---) +(?P<failed>-|NOW|Past) +(?P<raw>.*)"
)
_GROUPED = re.compile(r"(?<=\d)[ \u00a0\u202f](?=\d{3}\b)")  # 3 467 574, by the locale
_ROUNDED = re.compile(r"(Data Units .*?\d[\d,]*)\s*(\[.*)?$")  # the size behind is not used
_WHOLE = re.compile(r"\d+")
# What pySMART raises on lines it did not expect, or when it is not installed whole: the JSON
# beside the text is still good.
_TEXT_TROUBLE = (
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    StopIteration,
    ImportError,
)


def from_text(lines: Sequence[str], protocol: str, background: Background) -> Report:
    """Return what smartctl's text says.  An unreadable text is an empty report.

    `protocol` is ATA, NVMe, SCSI or, where it is not known, "".
    """
    lines = [*_with_long_table(lines), ""]  # pySMART wants a table to end in an empty line
    protocol = _protocol(lines) or protocol
    if protocol not in _INTERFACES:
        return Report()
    if protocol == "NVMe":
        lines = [_ROUNDED.sub(r"\1 [0 B]", _GROUPED.sub(",", line)) for line in lines]
    named = _named(lines, protocol)
    try:
        return filled(named, _measured(_device(lines, protocol, background), protocol))
    except _TEXT_TROUBLE:
        return named


class _Replay:
    """Stands in for pySMART's Smartctl: says again what smartctl said, starts nothing."""

    def __init__(self, lines: Sequence[str], background: Background) -> None:
        self._lines = list(lines)
        self._background = background

    def all(self, disk: str, interface: str | None = None) -> list[str]:
        del disk, interface
        return list(self._lines)

    def generic_call(
        self,
        params: list[str],
        pass_options: bool = False,
    ) -> tuple[list[str], int]:
        del pass_options
        if "background" in params:
            return list(self._background()), 0
        return [], 1  # the two PHY logs: they would only tell SAS from SCSI, which we know

    try_generic_call = generic_call


def _device(lines: Sequence[str], protocol: str, background: Background) -> Any:
    """Return pySMART's Device.  Importing it must leave logging and LANG as they were."""
    language, logger_class = os.environ.get("LANG"), logging.getLoggerClass()
    try:
        from humanfriendly import InvalidSize  # type: ignore[import-untyped, unused-ignore]
        from pySMART import Device
    finally:
        logging.setLoggerClass(logger_class)
        if language is None:
            os.environ.pop("LANG", None)
        else:
            os.environ["LANG"] = language
    try:
        return Device("replay", _INTERFACES[protocol], smartctl=_Replay(lines, background))
    except InvalidSize as error:
        raise ValueError(f"a size that is none: {error}") from error


def _measured(device: Any, protocol: str) -> Report:
    """Return what pySMART measured, in the shape of a report."""
    table = device.if_attributes
    report = Report(
        size_bytes=device._capacity,  # the public one is a rounded text
        sector_bytes=device.logical_sector_size,
        self_test_passed=_self_test_passed(device.tests),
    )
    if protocol == "ATA":
        rows = [row for row in device.attributes if row is not None]
        return filled(report, Report(attributes=tuple(_attribute(row) for row in rows)))
    if protocol == "NVMe":
        return filled(report, _nvme(table, device.temperature))
    return filled(report, _scsi(table.diagnostics, device.temperature))


def _attribute(row: Any) -> Attribute:
    return Attribute(
        id=row.num,
        name=row.name,
        value=row.value_int,
        threshold=row.thresh,
        raw_text=row.raw,
        raw=int(row.raw) if _WHOLE.fullmatch(row.raw) else None,
        failing_now=row.when_failed == "FAILING_NOW",
        prefailure=row.type == "Pre-fail",
    )


def _nvme(table: Any, temperature: int | None) -> Report:
    hours = table.powerOnHours
    log = NvmeLog(
        critical_warning=table.criticalWarning,
        spare_percent=table.availableSpare,
        spare_threshold_percent=table.availableSpareThreshold,
        used_percent=table.percentageUsed,
        units_written=table.dataUnitsWritten,
        unsafe_shutdowns=table.unsafeShutdowns,
        media_errors=table.integrityErrors,
        error_entries=table.errorEntries,
    )
    return Report(
        temperature=temperature,
        power_on_minutes=None if hours is None else hours * 60,
        power_cycles=table.powerCycles,
        nvme=None if log == NvmeLog() else log,
    )


def _scsi(counters: Any, temperature: int | None) -> Report:
    hours, life_left = counters.Power_On_Hours, counters.Life_Left
    uncorrected = [
        count
        for kind in ("Reads", "Writes", "Verifies")
        if (count := getattr(counters, f"_Uncorrected_{kind}")) is not None
    ]
    written = counters._Writes_GB
    log = ScsiLog(
        grown_defects=counters.Reallocated_Sector_Ct,
        uncorrected=sum(uncorrected) if uncorrected else None,
        written_bytes=None if written is None else written * 1e9,
    )
    return Report(
        temperature=temperature,
        power_on_minutes=None if hours is None else hours * 60,
        power_cycles=counters.Start_Stop_Cycles,
        scsi=None if log == ScsiLog() else log,
        endurance_used_percent=None if life_left is None else 100 - life_left,
    )


def _self_test_passed(tests: Iterable[Any]) -> bool | None:
    """Return how the newest finished self-test ended; an aborted one says nothing."""
    for test in tests:
        status = str(test.status).lower()
        if status.startswith("completed without error") or status == "completed":
            return True
        if "fail" in status or "fatal" in status:
            return False
    return None


def _named(lines: Sequence[str], protocol: str) -> Report:
    """Return what stands in lines of its own: ``Name: value``."""
    product = f"{_after(lines, 'Vendor')} {_after(lines, 'Product')}".strip()
    speed = _after(lines, "Rotation Rate")
    solid = "solid state" in speed.lower()
    verdict = _after(lines, "SMART overall-health self-assessment test result")
    verdict = verdict or _after(lines, "SMART Health Status")
    errors = _after(lines, "ATA Error Count") or _after(lines, "Device Error Count")
    return Report(
        protocol=protocol,
        model=_after(lines, "Device Model") or _after(lines, "Model Number") or product,
        serial=_after(lines, "Serial Number") or _after(lines, "Serial number"),
        wwn=(_after(lines, "LU WWN Device Id") or _after(lines, "Logical Unit id"))
        .replace(" ", "")
        .removeprefix("0x"),
        firmware=_after(lines, "Firmware Version") or _after(lines, "Revision"),
        rotation_rpm=0 if solid else _leading(speed),
        passed=verdict.startswith(("PASSED", "OK")) if verdict else None,
        error_entries=0 if "No Errors Logged" in lines else _leading(errors),
    )


def _after(lines: Sequence[str], name: str) -> str:
    """Return what follows ``name:`` on the first line that starts so."""
    start = f"{name}:"
    return next((line[len(start) :].strip() for line in lines if line.startswith(start)), "")


def _leading(text: str) -> int | None:
    match = _WHOLE.match(text)
    return int(match[0]) if match else None


def _protocol(lines: Iterable[str]) -> str:
    """Return the protocol the text itself shows, or ""."""
    for line in lines:
        if line.startswith(("SMART/Health Information (NVMe", "NVMe Version:")):
            return "NVMe"
        if line.startswith(("ATA Version is:", "SMART Attributes Data Structure")):
            return "ATA"
        if line.startswith(("SMART Health Status:", "Transport protocol:")):
            return "SCSI"
    return ""


def _with_long_table(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines with a brief attribute table (of ``-x``) in the long form of ``-a``."""
    for line in lines:
        row = _BRIEF_ROW.fullmatch(line)
        if row is None:
            yield line
            continue
        bits = sum(_FLAG_BITS.get(flag, 0) for flag in row["flags"])
        yield (
            f"{int(row['id']):3d} {row['name']:<23} 0x{bits:04x}"
            f"   {row['value']}   {row['worst']}   {row['threshold']}"
            f"    {'Pre-fail' if bits & 1 else 'Old_age '}"
            f"  {'Always' if bits & 2 else 'Offline'}"
            f" {_FAILED[row['failed']]:>11}       {row['raw']}"
        )
