"""What the readings of a drive mean."""

from datetime import timedelta

from forewarn_checks._smart_metrics import (
    BLIND,
    CRC,
    FAILING,
    LIFE_USED,
    OFFLINE,
    PASSED,
    PENDING,
    REALLOCATED,
    REPORTED,
    SELF_TEST_FAILED,
    SPARE_MARGIN,
    SPARE_USED,
    TEMPERATURE,
)
from forewarn_checks.base import (
    Growth,
    Increase,
    Level,
    Metric,
    Rule,
    Severity,
    State,
    Threshold,
    Wear,
)


def _grew(metric: Metric, by: float, and_: Increase | None = None) -> Increase:
    return Increase(metric=metric, by=by, and_=and_)


def _burst(metric: Metric, by: float) -> Increase:
    return Increase(metric=metric, by=by, within=timedelta(days=3))


def _ailing(
    name: str, severity: Severity, *any_of: Increase, kind: str = "hdd", title: str, advice: str
) -> Growth:
    """Return a rule on what grows within 30 days on drives of one kind."""
    return Growth(
        name=name,
        severity=severity,
        any_of=any_of,
        window=timedelta(days=30),
        where={"type": kind},
        title=title,
        advice=f"Within 30 days: {{value}}. {advice}",
    )


# Marks chosen on half of the drives whose histories Backblaze published for 2013 to 2016 (42,224
# hard disks, 2,111 failed; cross-validated by serial); benchmarks/smart_prediction.py prints what
# they are worth.  Sectors lost in a burst foretell more than as many lost over a month.  Growth of
# sectors that a scan found unreadable comes with pending sectors, and command timeouts (Seagate's
# favourite) double the false alarms for 5 failures more in 100.  Marks of their own for each maker
# or model gained nothing on drives they were not chosen on.
_GROWTH = (
    _ailing(
        "DriveSectorsGrowing",
        Severity.WARNING,
        _burst(REALLOCATED, 40),
        _grew(PENDING, 1),
        _grew(REPORTED, 1),
        _grew(OFFLINE, 1),
        title="{model} ({drive}) on {host} has new bad sectors: {value}",
        advice="See that {drive} is backed up, and let it read itself "
        "whole: `smartctl -t long`. Of 100 hard disks with this sign in public records 56 were "
        "recorded as failed in the end, 18 within a month and 31 within three; 60 of 100 failures "
        "showed it a day or more ahead, half of these three months or more. A false alarm came "
        "1.4 times in 100 drive-years.",
    ),
    _ailing(
        "DriveFailureLikely",
        Severity.HIGH,
        _burst(REALLOCATED, 72),
        _grew(PENDING, 2),
        _grew(REPORTED, 8),
        _grew(REPORTED, 1, _grew(REALLOCATED, 8)),
        title="{model} ({drive}) on {host} is likely to fail: {value}",
        advice="Back up {drive} now and plan its replacement. Of 100 hard "
        "disks with this sign in public records 62 were recorded as failed in the end, 21 within "
        "a month and 37 within three; 54 of 100 failures showed it a day or more ahead. A false "
        "alarm came once in 100 drive-years.",
    ),
    _ailing(
        "DriveFailureImminent",
        Severity.CRITICAL,
        _grew(REALLOCATED, 512),
        _grew(PENDING, 12),
        _grew(REPORTED, 12),
        _grew(PENDING, 2, _grew(REALLOCATED, 1)),
        title="{model} ({drive}) on {host} is failing: {value}",
        advice="Replace {drive} now, and check the backup of what is on "
        "it. Of 100 hard disks with this sign in public records 74 were recorded as failed in the "
        "end, 31 within a month and 52 within three; 43 of 100 failures showed it a day or more "
        "ahead. A false alarm came once in 200 drive-years. 31 of 100 failures showed no sign in "
        "any counter: its absence is no promise.",
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
        _ailing(
            name,
            Severity.WARNING,
            _grew(REPORTED, 1),
            kind=kind,
            title="{model} ({drive}) on {host} could not read what it held: {value}",
            advice="Look for damaged files and restore them from the backup, then watch {drive}: "
            "solid state drives often fail without any such sign, and how many of those with it "
            "fail is not measured.",
        )
        for name, kind in (("SsdErrorsGrowing", "ssd"), ("NvmeErrorsGrowing", "nvme"))
    ),
)


RULES: tuple[Rule, ...] = (
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
    State(
        name="DriveSelfTestFailed",
        metric=SELF_TEST_FAILED,
        severity=Severity.HIGH,
        when=1,
        title="{model} ({drive}) on {host} failed its own test",
        advice="Asked to read itself, {drive} found what it could not. Back up what is on it; "
        "`smartctl -l selftest` names the first bad block and how many hours of running ago that "
        "was. Then test again (`smartctl -t long`): the newest test that ended counts, so one that "
        "passes closes this. If it fails again, replace the drive.",
    ),
    State(
        name="DriveBlind",
        metric=BLIND,
        severity=Severity.WARNING,
        when=1,
        hold_for=timedelta(hours=48),
        title="{model} ({drive}) on {host} has told nothing for two days: {reason}",
        advice="Nobody would notice it fail. By reason: denied, no helper: run the agent as root "
        "or start forewarn-helper.socket. No smartctl: install smartmontools. Timed out, "
        "unreadable: look at its cable and dmesg; run `smartctl -a` by hand. Unsupported: its USB "
        'bridge is unknown; try its type in [checks.smart.options] devices = ["/dev/sda -d sat"]. '
        "No scan, not found: run `smartctl --scan-open` by hand, see whether the agent's unit "
        "hides /dev from it, and name the drive in devices. What is not to be watched: "
        "[checks.smart] enabled = false.",
    ),
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
    Wear(
        name="SsdWillWearOut",
        metric=LIFE_USED,
        severity=Severity.INFO,
        reaches=1.0,
        within=timedelta(days=90),
        levels={Severity.WARNING: timedelta(days=30)},
        title="{model} ({drive}) on {host} will have used up its rated life about {due}",
        advice="{value} is used; by the pace of its last steps it is used up between {earliest} "
        "and {latest}. Order a replacement, and see what writes so much: `iotop -ao`. Most drives "
        "go on beyond 100 %, without their maker's warranty; this is no date of failure.",
    ),
    Wear(
        name="SsdWillRunOutOfSpare",
        metric=SPARE_USED,
        severity=Severity.WARNING,
        reaches=1.0,
        within=timedelta(days=60),
        levels={Severity.HIGH: timedelta(days=14)},
        title="{model} ({drive}) on {host} will have too few spare blocks about {due}",
        advice="{value} of the spare above its maker's threshold is used; by the pace of its last "
        "steps the threshold is reached between {earliest} and {latest}. Back up {drive} and plan "
        "its replacement before then: without spare the next bad block cannot be mended.",
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
)
