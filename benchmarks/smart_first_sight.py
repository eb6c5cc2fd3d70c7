"""How many drives raise an alert at the moment they are first seen, by what they were found to be.

    python -m benchmarks.smart_first_sight --drives DRIVES.parquet [--json]

Each drive's numbers go through the product's own belief (what is packed, saturated or of unknown
meaning is dropped), its own declared rules and its own step, as if an agent had just been enrolled
and then read the very same for two days.  Nothing grows in that time, so what is counted is noise
or truth about the past: a page is an alert that is high or critical.

DRIVES holds one row a drive: `kind` (HDD, SSD or NVMe), `model`, `path` (any name of its own),
`health` (PASSED or FAILED), `wf` (attributes past their threshold, ``5:NOW,190:Past``), the ATA
attributes as `r5`, `n5` and `nm5` (raw text, normalised value, name; also 10, 169, 177, 184, 187,
188, 190, 194, 196, 197, 198, 199, 202, 231 and 233), and of NVMe drives `cw`, `media`, `pused`,
`spare`, `sparethr` and `errlog`.  Which attributes are pre-failure is not in it: every one that is
past its threshold now is taken to be, which can only add pages.
"""

import argparse
import json
import re
import sys
import time
from collections import Counter as Tallied
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from forewarn_checks import smart
from forewarn_checks._smart_drives import Drive
from forewarn_checks._smart_report import Attribute, NvmeLog, Report
from forewarn_checks._smartctl import Device
from forewarn_checks.base import Growth, Sample, Severity, State, Threshold, Wear
from forewarn_collector.counting import is_about, observation
from forewarn_collector.rules.book import BookedRule, declared
from forewarn_collector.rules.counters import Counter, count
from forewarn_collector.rules.kind import OK, AlertState, Observation
from forewarn_collector.rules.step import step
from forewarn_collector.rules.tally import Moment

IDS = (5, 10, 169, 177, 184, 187, 188, 190, 194, 196, 197, 198, 199, 202, 231, 233)
PAGES = (Severity.HIGH, Severity.CRITICAL)
_HOUR = 3_600_000_000
_HOURS = 48
_FAILED = re.compile(r"(\d+):(\w+)")
_NVME = ("cw", "media", "pused", "spare", "sparethr", "errlog")

Cell = str | int | float | None
Row = Mapping[str, Cell]


def rows(table: Path) -> Iterator[Row]:
    """Yield every drive."""
    attributes = [f"{column}{number}" for number in IDS for column in ("r", "n", "nm")]
    names = ["kind", "model", "path", "health", "wf", *attributes, *_NVME]
    with duckdb.connect() as connection:
        answer = connection.execute(f"SELECT {', '.join(names)} FROM read_parquet(?)", [str(table)])
        while found := answer.fetchmany(5000):
            for row in found:
                yield dict(zip(names, row, strict=True))


def report_of(row: Row) -> Report:
    """Return what the drive said of itself, as if smartctl had just told it."""
    kind = row["kind"]
    failing = {number for number, when in _FAILED.findall(str(row["wf"] or "")) if "NOW" in when}
    return Report(
        protocol="NVMe" if kind == "NVMe" else "ATA",
        model=str(row["model"] or ""),
        serial=str(row["path"]),
        rotation_rpm={"HDD": 7200, "SSD": 0}.get(str(kind)),
        passed={"PASSED": True, "FAILED": False}.get(str(row["health"])),
        attributes=() if kind == "NVMe" else tuple(_attributes(row, failing)),
        nvme=_nvme(row) if kind == "NVMe" else None,
    )


def _attributes(row: Row, failing: set[str]) -> Iterator[Attribute]:
    for number in IDS:
        name, value = row[f"nm{number}"], row[f"n{number}"]
        if name is not None:
            yield _attribute(number, str(name), value, str(row[f"r{number}"] or ""), failing)
    known = {str(number) for number in IDS if row[f"nm{number}"] is not None}
    for number_text in sorted(failing - known):
        yield _attribute(int(number_text), "Unknown_Attribute", None, "", failing)


def _attribute(number: int, name: str, value: Cell, raw: str, failing: set[str]) -> Attribute:
    return Attribute(
        id=number,
        name=name,
        value=None if value is None else int(value),
        threshold=None,
        raw_text=raw,
        raw=None,
        failing_now=str(number) in failing,
        prefailure=True,
    )


def _nvme(row: Row) -> NvmeLog:
    warning, media, used, spare, threshold, errors = (
        None if row[name] is None else int(row[name] or 0) for name in _NVME
    )
    return NvmeLog(
        critical_warning=warning,
        spare_percent=spare,
        spare_threshold_percent=threshold,
        used_percent=used,
        units_written=1,
        media_errors=media,
        error_entries=errors,
    )


def raised(samples: Sequence[Sample], rules: Sequence[BookedRule]) -> Mapping[str, Severity]:
    """Return the rules that fire when a drive reads like this, and goes on so for two days."""
    values = {sample.metric: sample.value for sample in samples}
    labels = samples[0].labels if samples else {}
    fired: dict[str, Severity] = {}
    for booked in rules:
        alert, counters = OK, dict[str, Counter]()
        for hour in range(_HOURS):
            seen = _observation(booked, values, labels, hour * _HOUR, counters)
            if seen is None:
                break
            alert, _ = step(alert, seen, booked, seen.at)
            if alert.state is AlertState.OK and hour:
                break  # a second look at the very same begins nothing new
            if alert.state is AlertState.FIRING:
                fired[booked.name] = alert.severity
                break
    return fired


def _observation(
    booked: BookedRule,
    values: Mapping[str, float],
    labels: Mapping[str, str],
    at: int,
    counters: dict[str, Counter],
) -> Observation | None:
    """Return what a rule sees of a drive; None when it is not about it."""
    rule = booked.rule
    if isinstance(rule, Growth | Wear):
        for name in booked.counters:
            if name in values:
                counters[name] = count(counters.get(name), at, values[name])
        about = counters and is_about(rule, labels)
        return observation(rule, Moment(at, at, 0, dict(counters))) if about else None
    assert isinstance(rule, Threshold | State), rule
    value = values.get(rule.metric.name)
    if value is None or any(labels.get(name) != wanted for name, wanted in rule.where.items()):
        return None
    companion = None if booked.companion is None else values.get(booked.companion.name)
    return Observation(at, value, companion)


@dataclass(slots=True)
class Group:
    """Drives of one kind that gave the same verdict of themselves."""

    drives: int = 0
    paged: int = 0
    warned: int = 0
    rules: Tallied[str] = field(default_factory=Tallied)

    def told(self) -> dict[str, object]:
        """Return the figures."""
        return {
            "drives": self.drives,
            "paged": self.paged,
            "paged_share": round(self.paged / self.drives, 6) if self.drives else None,
            "warned": self.warned,
            "rules": dict(self.rules.most_common()),
        }


def measure(table: Path) -> dict[str, Group]:
    """Return, by verdict and by verdict and kind, what raised what."""
    rules = [one.booked for one in declared() if one.booked.check == smart.CHECK.name]
    found: dict[str, Group] = {}
    began = time.monotonic()
    for number, row in enumerate(rows(table), start=1):
        drive = Drive(Device(""), "ok", report=report_of(row))
        fired = raised(list(smart.samples(drive)), rules)
        health = str(row["health"] or "unknown")
        for name in (health, f"{health} {row['kind']}"):
            group = found.setdefault(name, Group())
            group.drives += 1
            group.paged += any(severity in PAGES for severity in fired.values())
            group.warned += Severity.WARNING in fired.values()
            group.rules.update(f"{name} ({severity})" for name, severity in fired.items())
        if number % 5000 == 0:
            print(f"\r{number} drives, {time.monotonic() - began:.0f} s", end="", file=sys.stderr)
    print(f"\r{sum(map(_once, found.items()))} drives", file=sys.stderr)
    return dict(sorted(found.items()))


def _once(group: tuple[str, Group]) -> int:
    return group[1].drives if " " not in group[0] else 0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--drives", type=Path, required=True, help="Parquet file, one row a drive")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    if not options.drives.is_file():
        parser.error(f"there is no file {options.drives}; give a Parquet file as described above")
    found = measure(options.drives)
    if options.json:
        print(json.dumps({name: group.told() for name, group in found.items()}, indent=2))
        return
    for name, group in found.items():
        share = 100 * group.paged / group.drives
        print(f"{name:<14} {group.drives:>6} drives  {group.paged:>5} paged ({share:.3f} %)")
        for rule, times in group.rules.most_common():
            print(f"    {times:>6}  {rule}")


if __name__ == "__main__":
    main()
