"""The benchmark of drive rules: that it feeds the product's own, and counts right."""

import csv
import gzip
import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.benchmarks.load import DATA, load

from forewarn_checks import smart
from forewarn_checks.base import Severity

benchmark = load("smart_prediction")
EXAMPLES = DATA / "labelled" / "examples_daily.csv.gz"
RULES = benchmark.rules({"type": "hdd"})
PENDING, REALLOCATED = smart.PENDING.name, smart.REALLOCATED.name
WARN, HIGH, CRITICAL = Severity.WARNING, Severity.HIGH, Severity.CRITICAL

Readings = Sequence[tuple[int, Mapping[str, float]]]


def drive(readings: Readings, *, last_hour: int = 10_000, failed: bool = True) -> Any:
    return benchmark.Drive("Z305", "ST4000DM000", "ST", 0, last_hour, failed, tuple(readings))


def test_it_judges_by_the_declared_rules_of_hard_disks() -> None:
    names = [booked.name for booked in RULES]
    assert names == ["DriveSectorsGrowing", "DriveFailureLikely", "DriveFailureImminent"]


def test_the_first_alarm_of_each_severity_counts() -> None:
    told = [(0, {PENDING: 5.0}), (24, {PENDING: 6.0}), (48, {PENDING: 7.0}), (72, {PENDING: 50.0})]
    assert benchmark.first_alarms(drive(told), RULES) == {WARN: 24, HIGH: 48, CRITICAL: 72}


def test_a_counter_that_a_drive_begins_to_tell_is_a_baseline() -> None:
    told = [(0, {REALLOCATED: 0.0}), (24, {REALLOCATED: 0.0, PENDING: 900.0})]
    assert benchmark.first_alarms(drive(told), RULES) == {}


CHANGES = st.lists(
    st.tuples(
        st.integers(1, 60),  # days to the change before
        st.sampled_from([0, 1, 40, 130, 500]),
        st.sampled_from([0, 1, 2, 16]),
    ),
    max_size=12,
)


@given(CHANGES)
def test_days_without_a_change_bring_no_first_alarm(changes: list[tuple[int, int, int]]) -> None:
    """So they may be left out: whoever plays them all comes to the same."""
    hour, readings = 0, [(0, {REALLOCATED: 0.0, PENDING: 0.0})]
    for days, reallocated, pending in changes:
        hour += days * benchmark.DAY
        before = readings[-1][1]
        now = {REALLOCATED: before[REALLOCATED] + reallocated, PENDING: float(pending)}
        readings.append((hour, now))
    one = drive(readings, last_hour=hour + 90 * benchmark.DAY)
    assert benchmark.first_alarms(benchmark.every_day(one), RULES) == benchmark.first_alarms(
        one, RULES
    )


def test_the_figures_mean_what_they_say() -> None:
    """Four drives of 1000 days: caught in time, caught too late, false, and quiet."""
    day, far = benchmark.DAY, 1000 * benchmark.DAY
    found = [drive([], last_hour=far, failed=failed) for failed in (True, True, False, False)]
    alarms = [{HIGH: far - 40 * day}, {HIGH: far - 12}, {HIGH: far - 500 * day}, {}]
    told = benchmark.score(benchmark.table_of(found, alarms, [HIGH]), HIGH)
    assert told["recall"] == 0.5
    assert told["precision"] == pytest.approx(2 / 3, abs=1e-4)
    years = (960 + 999.5 + 500 + 1000) / 365.25
    assert told["false_alarms_per_100_drive_years"] == pytest.approx(100 / years, abs=1e-3)
    assert told["failing_within_30_days"] == pytest.approx(1 / 3, abs=1e-4)
    assert told["failing_within_90_days"] == pytest.approx(2 / 3, abs=1e-4)
    assert told["lead_days_p50"] == 40
    assert told["recall_low"] is not None
    assert told["recall_high"] is not None
    assert told["recall_low"] <= 0.5 <= told["recall_high"]


def test_from_files_to_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events, drives = tmp_path / "events.parquet", tmp_path / "drives.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"""COPY (SELECT * FROM (VALUES
                ('A', 0, 0, NULL, 0, 0), ('A', 240, 600, NULL, 20, 0), ('B', 0, 0, 0, 0, 0),
                ('old', 0, 0, 0, 0, 0), ('old', 24, 0, 0, 9, 0)
            ) t(serial_number, hour_start, smart_5, smart_187, smart_197, smart_198))
            TO '{events}' (FORMAT parquet)"""
        )
        connection.execute(
            f"""COPY (SELECT * FROM (VALUES
                ('A', 'ST4000DM000', 'ST', TIMESTAMP '2015-01-01', 0, 480, 1),
                ('B', 'WDC WD30EFRX', 'WDC', TIMESTAMP '2015-01-01', 0, 48000, 0),
                ('old', 'WDC WD30EFRX', 'WDC', TIMESTAMP '2013-06-01', 0, 48000, 0)
            ) t(serial_number, model, manufacturer, max_date, min_hours, max_hours, failed))
            TO '{drives}' (FORMAT parquet)"""
        )
    benchmark.main(["--events", str(events), "--drives", str(drives), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert {told[name]["recall"] for name in ("WARN", "HIGH", "CRIT")} == {1.0}
    assert told["CRIT"]["drives"] == 2
    assert told["CRIT"]["lead_days_p50"] == 10
    assert told["CRIT"]["false_alarms_per_100_drive_years"] == 0
    assert told["manufacturers"]["WDC"]["WARN"]["recall"] is None
    benchmark.main(["--events", str(events), "--drives", str(drives)])
    assert capsys.readouterr().out.count("\n") == 10


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmark.main(["--events", str(tmp_path / "none"), "--drives", str(tmp_path / "none")])
    assert "there is no file" in capsys.readouterr().err


def examples() -> list[tuple[str, Any]]:
    """Return real drives with a row for every day, and what they are examples of."""
    with gzip.open(EXAMPLES, "rt", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["serial_number"])
    found = []
    for serial, days in groupby(rows, key=lambda row: row["serial_number"]):
        told = sorted(days, key=lambda row: int(row["power_on_hours"]))
        readings = tuple(
            (
                int(row["power_on_hours"]),
                {
                    name: float(row[column])
                    for column, name in benchmark.COUNTERS.items()
                    if row[column]
                },
            )
            for row in told
        )
        failed = told[0]["case"].startswith("failed")
        one = benchmark.Drive(
            serial, told[0]["model"], "", readings[0][0], readings[-1][0], failed, readings
        )
        found.append((told[0]["case"], one))
    return found


@pytest.mark.skipif(not EXAMPLES.is_file(), reason="the labelled drive histories are not here")
def test_real_drives() -> None:
    """Those that failed gradually mostly alarm; silent and clean ones never can."""
    alarmed: dict[str, list[bool]] = {}
    for case, one in examples():
        changes = [
            reading
            for before, reading in zip([None, *one.readings], one.readings, strict=False)
            if before is None or before[1] != reading[1]
        ]
        sparse = benchmark.Drive(
            one.serial, one.model, "", one.first_hour, one.last_hour, one.failed, tuple(changes)
        )
        daily = benchmark.first_alarms(one, RULES)
        assert daily == benchmark.first_alarms(sparse, RULES), one.serial
        alarmed.setdefault(case, []).append(HIGH in daily)
    shares = {case: sum(each) / len(each) for case, each in alarmed.items()}
    assert shares["failed_gradual"] >= 0.6
    assert shares["failed_silent"] == shares["healthy_clean"] == 0
