"""What is measured of a drive."""

from forewarn_checks.base import Metric, Unit

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
SPARE_USED = _metric(
    "spare_used_ratio", Unit.RATIO, "Used share of the spare above the vendor's threshold."
)
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
ERROR_ENTRIES = _metric(
    "error_log_entries", Unit.COUNT, "Entries of the error log; harmless ones included."
)
SELF_TEST_FAILED = _metric(
    "self_test_failed", Unit.COUNT, "1 while the newest finished self-test has failed."
)
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
    SPARE_USED,
    WRITTEN,
    _metric(
        "critical_warning",
        Unit.COUNT,
        "NVMe warning bits: 1 spare, 2 temperature, 4 unreliable, 8 read-only, 16 backup power.",
    ),
    ERROR_ENTRIES,
    SELF_TEST_FAILED,
)
"""What a drive may say of itself, each a field of `Health`."""

_ATTRIBUTE_LABELS = (*LABELS, "id", "attribute")

ATTRIBUTE_RAW = Metric(
    "smart_attribute_raw",
    Unit.COUNT,
    "The first number smartctl shows of an attribute without a metric of its own, unjudged: its "
    "meaning is the vendor's. Of NVMe and SCSI drives the counters without one.",
    _ATTRIBUTE_LABELS,
)
ATTRIBUTE_MARGIN = Metric(
    "smart_attribute_margin",
    Unit.COUNT,
    "How far the vendor's value of an attribute is above the threshold, if it has one, at which "
    "the vendor speaks of failure.",
    _ATTRIBUTE_LABELS,
)
BLIND = Metric(
    "smart_blind",
    Unit.COUNT,
    "1 when a drive that should could not be read, and the reason, else 0; not told of a drive "
    "left sleeping.",
    (*LABELS, "reason"),
)
