"""What drives raise at the moment they are first seen."""

from typing import Any

import duckdb
import pytest
from tests.benchmarks.load import DATA, load

from forewarn_checks import smart
from forewarn_checks._smart_drives import Drive
from forewarn_checks._smartctl import Device
from forewarn_checks.base import Severity
from forewarn_collector.rules.book import declared

benchmark = load("smart_first_sight")
RULES = [one.booked for one in declared() if one.booked.check == "smart"]
DRIVES = DATA / "hw_probe_summary.parquet"


def row(**told: Any) -> dict[str, Any]:
    """Return a drive that tells nothing but what is said."""
    cells = {f"{cell}{number}": None for number in benchmark.IDS for cell in ("r", "n", "nm")}
    cells |= dict.fromkeys(("cw", "media", "pused", "spare", "sparethr", "errlog", "wf"))
    return cells | {"kind": "HDD", "model": "ST4000DM000", "path": "x", "health": "PASSED"} | told


def attribute(number: int, name: str, raw: str, value: float = 100.0) -> dict[str, Any]:
    return {f"nm{number}": name, f"r{number}": raw, f"n{number}": value}


def raised(told: dict[str, Any]) -> dict[str, Severity]:
    drive = Drive(Device(""), "ok", report=benchmark.report_of(told))
    return dict(benchmark.raised(list(smart.samples(drive)), RULES))


def test_old_damage_raises_nothing() -> None:
    told = row(
        **attribute(5, "Reallocated_Sector_Ct", "4000"),
        **attribute(197, "Current_Pending_Sector", "900"),
        **attribute(199, "UDMA_CRC_Error_Count", "70000"),
    )
    assert raised(told) == {}


def test_the_drives_own_verdict_pages() -> None:
    assert raised(row(health="FAILED")) == {"DriveFailing": Severity.CRITICAL}
    assert raised(row(kind="NVMe", health="FAILED", cw=4.0)) == {"DriveFailing": Severity.CRITICAL}


def test_what_has_to_hold_is_held() -> None:
    """A rule with a wait fires in the two days the drive is read alike."""
    told = row(**attribute(194, "Temperature_Celsius", "61 (Min/Max 20/65)"))
    assert raised(told) == {"DriveHot": Severity.WARNING}


def test_an_attribute_past_its_threshold_counts_only_while_it_is() -> None:
    hot = attribute(190, "Airflow_Temperature_Cel", "30")
    assert raised(row(**hot, wf="190:Past")) == {}
    assert raised(row(**hot, wf="190:Past,5:NOW")) == {"DriveAttributeFailing": Severity.HIGH}


@pytest.mark.skipif(not DRIVES.is_file(), reason="the table of drives in the field is not here")
def test_few_drives_that_pass_page_at_first_sight(tmp_path: Any) -> None:
    """Every fortieth of 90,000 real drives; less than 1 % of those may page."""
    some = tmp_path / "some.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT * FROM read_parquet('{DRIVES}') WHERE hash(path) % 40 = 0)"
            f" TO '{some}' (FORMAT parquet)"
        )
    passed = benchmark.measure(some)["PASSED"]
    assert passed.drives > 2000
    assert passed.paged / passed.drives < 0.01
