"""Every recorded answer at hand, replayed: no exception, the values of a second parser, no noise.

The recordings are of other projects and people and are no part of this repository.  Put them into
``../shared/data`` beside it, or name the folder in FOREWARN_DATA.
"""

import csv
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from forewarn_checks import smart
from forewarn_checks._process import Done
from forewarn_checks._smart_drives import Drive, ask
from forewarn_checks._smartctl import Device, Smartctl
from forewarn_checks.base import State, Threshold

REPOSITORY = Path(__file__).parents[3]
DATA = Path(os.environ.get("FOREWARN_DATA", REPOSITORY.parent / "shared" / "data"))
SMARTCTL = DATA / "smart" / "smartctl"
RECORDINGS = sorted(path for path in SMARTCTL.glob("*/*") if path.is_file())
ONCE = {5: "reallocated_sectors", 187: "reported_uncorrectable", 197: "pending_sectors"} | {
    198: "offline_uncorrectable",
    199: "crc_errors",
}
QUIET = ("healthy_", "hdd_sentinel_", "seagate_188_", "poh_", "nvme_errlog_only", "temp_weird")

pytestmark = pytest.mark.skipif(
    not RECORDINGS, reason=f"no recordings of smartctl in {SMARTCTL}; set FOREWARN_DATA"
)


class Replay:
    """Answers every question about a drive with one recording, and counts the questions."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.calls: list[Sequence[str]] = []

    def __call__(self, argv: Sequence[str], timeout_seconds: float) -> Done:
        self.calls.append(argv)
        return Done("" if "background" in argv else self.text, 0)


def replay(path: Path) -> tuple[Drive, dict[str, float], list[Sequence[str]]]:
    fake = Replay(path.read_text("utf-8", "replace"))
    drive = ask(Smartctl("smartctl", run=fake), Device("/dev/sda"))
    got = {one.metric.removeprefix("smart_"): one.value for one in smart.samples(drive)}
    return drive, got, fake.calls


def leading(text: str) -> int | None:
    match = re.match(r"\s*(\d+)", text)
    return int(match[1]) if match else None


def believable(count: int | None) -> bool:
    return count is not None and count < 2**31 and count not in (0xFFFF, 0xFFFFFF)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem[:60])
def test_a_recording_costs_one_process_and_wakes_nothing(path: Path) -> None:
    """Two for a SCSI drive whose power-on time stands in a log of its own."""
    drive, got, calls = replay(path)
    assert len(calls) <= (2 if drive.report.protocol == "SCSI" else 1)
    assert all("standby,3" in argv for argv in calls)
    assert got or drive.state != "ok"


@pytest.mark.parametrize(
    "path", [path for path in RECORDINGS if path.suffix == ".json"], ids=lambda path: path.stem[:60]
)
def test_json_values_equal_a_second_parser(path: Path) -> None:
    document = json.loads(path.read_text("utf-8", "replace"))
    drive, got, _ = replay(path)
    if drive.state != "ok":
        return
    passed = document.get("smart_status", {}).get("passed")
    if passed is not None:
        assert got["passed"] == float(passed)
    log = document.get("nvme_smart_health_information_log", {})
    for field, name, scale in (
        ("media_errors", "reported_uncorrectable", 1),
        ("critical_warning", "critical_warning", 1),
        ("percentage_used", "life_used_ratio", 0.01),
        ("available_spare", "spare_ratio", 0.01),
        ("data_units_written", "written_bytes", 512_000),
        ("power_cycles", "power_cycles", 1),
        ("unsafe_shutdowns", "unsafe_shutdowns", 1),
    ):
        if field in log:
            assert got[name] == pytest.approx(log[field] * scale), name
    for row in document.get("ata_smart_attributes", {}).get("table", ()):
        name = ONCE.get(row["id"], "")
        raw = leading(row["raw"]["string"])
        if name in got and not row["when_failed"]:
            assert got[name] == raw, name
        if name and believable(raw) and not re.search("Unknown|Bogus", row["name"]):
            assert name in got


@pytest.mark.parametrize(
    "path", [path for path in RECORDINGS if path.suffix == ".json"], ids=lambda path: path.stem[:60]
)
def test_attributes_equal_a_second_parser_and_stay_few(path: Path) -> None:
    """Thirty rows at most, each under its id, none packed and none twice."""
    document = json.loads(path.read_text("utf-8", "replace"))
    drive, _, _ = replay(path)
    told = list(smart.attribute_samples(drive))
    assert len(told) <= 60
    assert len({(one.metric, one.labels["id"], one.labels["attribute"]) for one in told}) == len(
        told
    )
    rows = {
        str(row["id"]): row for row in document.get("ata_smart_attributes", {}).get("table", ())
    }
    for one in told:
        row = rows.get(one.labels["id"])
        if row is None:
            assert one.labels["id"] in ("nvme", "scsi")
        elif one.metric == "smart_attribute_raw":
            assert one.value == leading(row["raw"]["string"])
            assert one.value < 2**47
        else:
            assert one.value == row["value"] - row["thresh"]


@pytest.mark.parametrize(
    "path",
    [path for path in RECORDINGS if path.parent.name == "hw-probe"],
    ids=lambda path: path.stem[:60],
)
def test_text_values_equal_a_second_parser(path: Path) -> None:
    text = path.read_text("utf-8", "replace")
    drive, got, _ = replay(path)
    assert drive.state == "ok"
    verdict = re.search(r"self-assessment test result: (\w+)", text)
    if verdict:
        assert got["passed"] == float(verdict[1] == "PASSED")
    rows = re.findall(
        r"^ *(\d+) (\S+) +[POSRCK+-]{6} +\d+ +\d+ +\S+ +(-|NOW|Past) +(.*)$", text, re.MULTILINE
    )
    for number, _name, failed, raw in rows:
        name = ONCE.get(int(number), "")
        if name in got and failed != "NOW":
            assert got[name] == leading(raw), name
    for label, name in (
        ("Media and Data Integrity Errors", "reported_uncorrectable"),
        ("Power Cycles", "power_cycles"),
        ("Unsafe Shutdowns", "unsafe_shutdowns"),
    ):
        match = re.search(rf"^{label}: +([\d,]+)$", text, re.MULTILINE)
        if match:
            assert got[name] == int(match[1].replace(",", "")), name


@pytest.mark.parametrize(
    "path",
    [path for path in RECORDINGS if path.name.startswith(QUIET)],
    ids=lambda path: path.stem[:60],
)
def test_packed_saturated_and_healthy_recordings_break_no_rule(path: Path) -> None:
    """A drive that calls itself failed is no such recording."""
    _, got, _ = replay(path)
    broken = {
        rule.name
        for rule in smart.CHECK.rules
        if isinstance(rule, Threshold | State) and breaks(rule, got, smart_type(path))
    }
    assert broken - ({"DriveFailing"} if failed(path) else set()) == set()


def smart_type(path: Path) -> str:
    drive, _, _ = replay(path)
    samples = list(smart.samples(drive))
    return samples[0].labels["type"] if samples else ""


def failed(path: Path) -> bool:
    with (SMARTCTL / "INDEX_hw-probe.csv").open(newline="") as index:
        rows = {row["file"]: row for row in csv.DictReader(index)}
    return rows[f"hw-probe/{path.name}"]["overall_health"] == "FAILED"


def breaks(rule: Threshold | State, got: dict[str, float], kind: str) -> bool:
    value = got.get(rule.metric.name.removeprefix("smart_"))
    if value is None or rule.where.get("type", kind) != kind:
        return False
    if isinstance(rule, State):
        return value == rule.when
    if rule.above is not None:
        return value >= rule.above
    return rule.below is not None and value <= rule.below
