"""Everything else a drive counts, unjudged and bounded, for whoever wants to see it drawn."""

from collections.abc import Iterator
from dataclasses import dataclass

from forewarn_checks import _smart_health as health
from forewarn_checks._smart_report import Report

_MOST = 30  # rows an ATA attribute table has room for
_FULL = 2**47  # all 48 bits or nearly: a sentinel, or several numbers in one
_OWN_METRIC = {
    *health.REALLOCATED,
    *health.PENDING,
    *health.OFFLINE_UNCORRECTABLE,
    *health.REPORTED_UNCORRECTABLE,
    *health.CRC,
    *health.END_TO_END,
    *health.UNSAFE_SHUTDOWNS,
    *health.TEMPERATURE,
    *health.WRITTEN,
    "Command_Timeout",
    "Power_Cycle_Count",
    "Spin_Retry_Count",
}


@dataclass(frozen=True, slots=True)
class Counted:
    """One attribute; None is what the drive does not say, or what has a metric of its own."""

    id: str
    name: str
    raw: float | None
    margin: float | None  # the vendor's value less the vendor's threshold


def attributes(report: Report) -> Iterator[Counted]:
    """Yield the attributes of an ATA drive, or what else an NVMe or SCSI drive counts."""
    seen: set[int] = set()
    for row in report.attributes[:_MOST]:
        if row.id in seen:
            continue
        seen.add(row.id)
        own = row.name in _OWN_METRIC or row.name.startswith("Power_On_")
        raw = None if own else health.first_number(row)
        margin = row.value - row.threshold if row.value is not None and row.threshold else None
        yield Counted(
            id=str(row.id),
            name=row.name,
            raw=float(raw) if raw is not None and raw < _FULL else None,
            margin=None if margin is None else float(margin),
        )
    for name, count in report.counters[:_MOST]:
        yield Counted(id=report.protocol.lower(), name=name, raw=float(count), margin=None)
