"""What the rules about failing drives are worth, measured on drives whose end is known.

    python -m benchmarks.smart_prediction --events EVENTS.parquet --drives DRIVES.parquet [--json]

The histories are fed to the product's own declared rules through its own counters and its own
step from reading to alert.  EVENTS holds one row for every change: `serial_number`, `hour_start`
in power-on hours, and the raw `smart_5`, `smart_187`, `smart_197` and `smart_198` that hold from
then on; null where the drive did not tell.  DRIVES holds `serial_number`, `model`, `manufacturer`,
`max_date`, `min_hours`, `max_hours` and `failed`; a drive that failed did so at `max_hours`.

A drive's readings are carried forward daily, but days without a change are left out: counters that
stand still only ever let growth leave its window, so no first alarm can fall on such a day.  With
`--daily` every day is played, to show just that.

Counted is the first alarm of each severity of each drive, as over a whole rack that nobody mends.
Recall counts alarms a day or more before the failure; a false alarm is one on a drive that was not
recorded as failed.  The interval of recall is a bootstrap over drives.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from forewarn_checks import smart
from forewarn_checks.base import Growth, Severity
from forewarn_collector.rules.book import BookedRule, declared
from forewarn_collector.rules.counters import Counter, count
from forewarn_collector.rules.growth import is_about
from forewarn_collector.rules.kind import OK, Alert, Observation
from forewarn_collector.rules.step import EventKind, step

HOUR = 3_600_000_000
DAY = 24
SINCE = "2014-04-01"  # before, only some of the counters were recorded
NAMES = {Severity.WARNING: "WARN", Severity.HIGH: "HIGH", Severity.CRITICAL: "CRIT"}
COUNTERS = {
    "smart_5": smart.REALLOCATED.name,
    "smart_187": smart.REPORTED.name,
    "smart_197": smart.PENDING.name,
    "smart_198": smart.OFFLINE.name,
}
_RESAMPLES = 1000

Reading = tuple[int, Mapping[str, float]]
"""Power-on hour, and the counters that the drive told then."""


@dataclass(frozen=True, slots=True)
class Drive:
    """One drive and its end."""

    serial: str
    model: str
    manufacturer: str
    first_hour: int
    last_hour: int
    failed: bool
    readings: tuple[Reading, ...]


def drives(events: Path, table: Path) -> Iterator[Drive]:
    """Yield every drive seen since `SINCE`, by serial."""
    asked = f"""
        SELECT d.serial_number, d.model, d.manufacturer, d.min_hours, d.max_hours, d.failed = 1,
               list(struct_pack(h := e.hour_start, {_packed()}) ORDER BY e.hour_start)
        FROM read_parquet(?) d JOIN read_parquet(?) e USING (serial_number)
        WHERE d.max_date >= ?::DATE GROUP BY ALL ORDER BY ALL
    """
    with duckdb.connect() as connection:
        answer = connection.execute(asked, [str(table), str(events), SINCE])
        while rows := answer.fetchmany(2000):
            for serial, model, manufacturer, first, last, failed, told in rows:
                readings = tuple((row["h"], _counters(row)) for row in told)
                yield Drive(serial, model, manufacturer, first, last, bool(failed), readings)


def _packed() -> str:
    return ", ".join(f"{column} := e.{column}" for column in COUNTERS)


def _counters(row: Mapping[str, int | None]) -> Mapping[str, float]:
    return {
        name: float(value)
        for column, name in COUNTERS.items()
        if (value := row[column]) is not None
    }


def every_day(drive: Drive) -> Drive:
    """Return the drive with its readings carried forward to every day of its life."""
    readings: list[Reading] = []
    for (hour, told), after in zip(
        drive.readings, [*(r[0] for r in drive.readings[1:]), drive.last_hour], strict=True
    ):
        readings += [(at, told) for at in range(hour, max(after, hour + 1), DAY)]
    return Drive(
        drive.serial,
        drive.model,
        drive.manufacturer,
        drive.first_hour,
        drive.last_hour,
        drive.failed,
        tuple(readings),
    )


def rules(labels: Mapping[str, str]) -> tuple[BookedRule, ...]:
    """Return the declared rules of growth that tell a failing hard disk, mildest first."""
    found = [
        one.booked
        for one in declared()
        if isinstance(one.booked.rule, Growth)
        and is_about(one.booked.rule, labels)
        and set(one.booked.counters) & set(COUNTERS.values())
    ]
    return tuple(sorted(found, key=lambda booked: booked.rule.severity.rank))


def first_alarms(drive: Drive, judged: Sequence[BookedRule]) -> Mapping[Severity, int]:
    """Return the power-on hour of the first alarm of each severity that there was."""
    counters: dict[str, Counter] = {}
    alerts: dict[str, Alert] = dict.fromkeys((booked.name for booked in judged), OK)
    first: dict[Severity, int] = {}
    for hour, told in drive.readings:
        at = hour * HOUR
        for name, value in told.items():
            counters[name] = count(counters.get(name), at, value)
        if not any(counter.rises for counter in counters.values()):
            continue  # without a rise nothing can have grown
        seen = Observation(at, 0.0, received=at, counters=dict(counters))
        for booked in judged:
            alerts[booked.name], happened = step(alerts[booked.name], seen, booked, at)
            if any(one.kind is EventKind.OPENED for one in happened):
                first.setdefault(booked.rule.severity, hour)
    return first


@dataclass(frozen=True, slots=True)
class Table:
    """Every drive as a row: how long it was seen, how it ended, when it first alarmed."""

    manufacturer: NDArray[np.str_]
    model: NDArray[np.str_]
    first: NDArray[np.float64]
    last: NDArray[np.float64]
    failed: NDArray[np.bool_]
    alarm: Mapping[Severity, NDArray[np.float64]]  # infinite without one

    def of(self, rows: NDArray[np.bool_]) -> "Table":
        """Return some of the rows."""
        return Table(
            self.manufacturer[rows],
            self.model[rows],
            self.first[rows],
            self.last[rows],
            self.failed[rows],
            {severity: hours[rows] for severity, hours in self.alarm.items()},
        )


def table_of(
    found: Sequence[Drive], alarms: Sequence[Mapping[Severity, int]], severities: Sequence[Severity]
) -> Table:
    """Return drives and their first alarms as columns."""
    return Table(
        np.array([drive.manufacturer for drive in found]),
        np.array([drive.model for drive in found]),
        np.array([drive.first_hour for drive in found], float),
        np.array([drive.last_hour for drive in found], float),
        np.array([drive.failed for drive in found]),
        {
            severity: np.array([one.get(severity, np.inf) for one in alarms], float)
            for severity in severities
        },
    )


def score(table: Table, severity: Severity) -> dict[str, float | int | None]:
    """Return what the alarms of one severity were worth."""
    alarm, failed = table.alarm[severity], table.failed
    alarmed = np.isfinite(alarm)
    lead = (table.last - alarm) / DAY
    caught = alarmed & failed & (lead >= 1)
    years = float((np.minimum(alarm, table.last) - table.first).sum()) / DAY / 365.25
    false = int((alarmed & ~failed).sum())
    low, high = _interval(caught[failed])
    return {
        "drives": len(alarm),
        "failed": int(failed.sum()),
        "alarms": int(alarmed.sum()),
        "recall": _share(int(caught.sum()), int(failed.sum())),
        "recall_low": low,
        "recall_high": high,
        "false_alarms_per_100_drive_years": round(100 * false / years, 4) if years else None,
        "precision": _share(int((alarmed & failed).sum()), int(alarmed.sum())),
        **{
            f"failing_within_{days}_days": _within(alarmed, failed, lead, days) for days in (30, 90)
        },
        **{
            f"lead_days_p{part}": round(float(np.percentile(lead[caught], part)), 1)
            if caught.any()
            else None
            for part in (25, 50, 75)
        },
    }


def _within(
    alarmed: NDArray[np.bool_], failed: NDArray[np.bool_], lead: NDArray[np.float64], days: int
) -> float | None:
    """Return the share that failed in time, of the alarms that were followed for so long."""
    soon = alarmed & failed & (lead <= days)
    return _share(int(soon.sum()), int((soon | (alarmed & (lead >= days))).sum()))


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _interval(caught: NDArray[np.bool_]) -> tuple[float | None, float | None]:
    """Return a 95 % interval of the share; the seed is fixed."""
    if not len(caught):
        return None, None
    random = np.random.default_rng(0)
    # To draw drives with replacement and count those caught is to draw from a binomial.
    shares = random.binomial(len(caught), caught.mean(), _RESAMPLES) / len(caught)
    low, high = np.percentile(shares, (2.5, 97.5))
    return round(float(low), 4), round(float(high), 4)


def measure(events: Path, table: Path, *, daily: bool = False) -> Table:
    """Play every drive through the rules.  Says on standard error how far it is."""
    judged = rules({"type": "hdd"})
    severities = [booked.rule.severity for booked in judged]
    found, alarms, began = [], [], time.monotonic()
    for number, drive in enumerate(drives(events, table), start=1):
        alarms.append(first_alarms(every_day(drive) if daily else drive, judged))
        found.append(drive)
        if number % 2000 == 0:
            print(f"\r{number} drives, {time.monotonic() - began:.0f} s", end="", file=sys.stderr)
    print(f"\r{len(found)} drives, {time.monotonic() - began:.0f} s", file=sys.stderr)
    return table_of(found, alarms, severities)


def report(table: Table) -> dict[str, object]:
    """Return the figures of each severity, and the same by manufacturer."""
    told: dict[str, object] = {NAMES[one]: score(table, one) for one in table.alarm}
    told["manufacturers"] = {
        str(name): {
            NAMES[one]: score(table.of(table.manufacturer == name), one) for one in table.alarm
        }
        for name in np.unique(table.manufacturer)
    }
    return told


def print_table(table: Table) -> None:
    """Print one line a severity and manufacturer."""
    print(
        "                recall (95 %)          false/100 y  precision  <=30 d  <=90 d  lead days"
    )
    for severity in table.alarm:
        rows = {"all": table}
        rows |= {
            str(name): table.of(table.manufacturer == name)
            for name in np.unique(table.manufacturer)
        }
        for name, part in rows.items():
            told = score(part, severity)
            print(
                f"{NAMES[severity]:<5}{name:<9}"
                f"  {_shown(told['recall'], 3)} ({_shown(told['recall_low'], 3)}"
                f" to {_shown(told['recall_high'], 3)})"
                f"  {_shown(told['false_alarms_per_100_drive_years'], 2):>9}"
                f"  {_shown(told['precision'], 3):>9}"
                f"  {_shown(told['failing_within_30_days'], 2):>7}"
                f"  {_shown(told['failing_within_90_days'], 2):>6}"
                f"  {_shown(told['lead_days_p25'], 0)}/{_shown(told['lead_days_p50'], 0)}"
                f"/{_shown(told['lead_days_p75'], 0)}"
            )


def _shown(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0],
        epilog="The data: Backblaze's drive statistics as change-only histories in Parquet.",
    )
    parser.add_argument("--events", type=Path, required=True, help="Parquet file of changes")
    parser.add_argument("--drives", type=Path, required=True, help="Parquet file of drives")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--daily", action="store_true", help="play unchanged days, too (minutes)")
    options = parser.parse_args(arguments)
    for path in (options.events, options.drives):
        if not path.is_file():
            parser.error(f"there is no file {path}; give a Parquet file as described above")
    table = measure(options.events, options.drives, daily=options.daily)
    if options.json:
        print(json.dumps(report(table), indent=2))
    else:
        print_table(table)


if __name__ == "__main__":
    main()
