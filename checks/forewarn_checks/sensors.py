"""Temperatures, fans and batteries, as the hardware reports them."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from forewarn_checks._series import series
from forewarn_checks.base import (
    Check,
    Component,
    Level,
    Metric,
    NothingToRead,
    Options,
    Panel,
    Reading,
    Sample,
    Severity,
    State,
    Threshold,
    Unit,
    WrongSystem,
)
from forewarn_checks.linux.hwmon import Battery, Fan, Temperature, read_batteries, read_hwmon

_LABELS = ("chip", "sensor")

TEMPERATURE = Metric("sensor_temperature_celsius", Unit.CELSIUS, "What it measures.", _LABELS)
MARGIN = Metric(
    "sensor_margin_celsius",
    Unit.CELSIUS,
    "How far below the critical temperature that the hardware itself gives; not read without one.",
    _LABELS,
)
FAN = Metric("sensor_fan_rpm", Unit.COUNT, "Turns a minute; 0 may be meant, in silence.", _LABELS)
FAN_FAILED = Metric(
    "sensor_fan_failed",
    Unit.COUNT,
    "1 when the hardware calls the fan broken, or it turns but too slowly, else 0.",
    _LABELS,
)
CHARGE = Metric("sensor_battery_charge_ratio", Unit.RATIO, "How full the battery is.", _LABELS)
HEALTH = Metric(
    "sensor_battery_health_ratio",
    Unit.RATIO,
    "What the battery holds when full, as a share of what it held when new.",
    _LABELS,
)
CYCLES = Metric("sensor_battery_cycles", Unit.COUNT, "Full charges it has been through.", _LABELS)

_MOST = 120  # sensors; two series each


def read_linux(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Read every sensor that a driver shows; nothing in most guests and containers."""
    if sys.platform == "win32":
        raise WrongSystem
    yield from readings(Path("/"))


def readings(root: Path) -> Iterator[Reading]:
    """Yield what the sensors below `root` say.  Raises NothingToRead where there is none."""
    seen: set[tuple[str, str]] = set()
    for part in (*read_batteries(root), *read_hwmon(root)):
        name = (part.name, "battery") if isinstance(part, Battery) else (part.chip, part.sensor)
        # a driver may give two sensors one label; one series cannot hold both
        if name in seen or len(seen) >= _MOST:
            continue
        seen.add(name)
        yield from samples(part)
    if not seen:
        raise NothingToRead(
            "no driver shows a sensor; on real hardware load one: sensors-detect of lm-sensors"
        )


def samples(part: Temperature | Fan | Battery) -> Iterator[Sample]:
    """Yield the samples of one sensor; what it does not tell is left out."""
    told: tuple[tuple[Metric, float | None], ...]
    match part:
        case Temperature(chip, sensor, celsius, critical):
            margin = None if critical is None else critical - celsius
            told = ((TEMPERATURE, celsius), (MARGIN, margin))
        case Fan(chip, sensor, rpm, failed):
            told = ((FAN, rpm), (FAN_FAILED, failed))
        case Battery(chip, charge, health, cycles):
            sensor, told = "battery", ((CHARGE, charge), (HEALTH, health), (CYCLES, cycles))
    yield from series({"chip": chip, "sensor": sensor}, *told)


CHECK = Check(
    name="sensors",
    help="Temperatures, fans and batteries, as the hardware reports them.",
    every=timedelta(minutes=2),
    timeout=timedelta(seconds=20),
    metrics=(TEMPERATURE, MARGIN, FAN, FAN_FAILED, CHARGE, HEALTH, CYCLES),
    component=Component("sensor", _LABELS),
    read_linux=read_linux,
    read_windows=None,
    rules=(
        Threshold(
            name="SensorHot",
            metric=MARGIN,
            severity=Severity.WARNING,
            below=5,
            clear_at=10,
            hold_for=timedelta(minutes=15),
            clear_for=timedelta(minutes=15),
            levels={Severity.HIGH: Level(below=0, clear_at=3)},
            title="{sensor} of {chip} on {host} is {value} from its critical temperature",
            advice=(
                "The hardware itself gives the mark: at it the part slows down, then switches off "
                "to save itself. Look for a failed fan, dust, a filter, dried thermal paste, a "
                "blocked rack door, a warm room; then for a program that keeps every processor "
                "busy. Several hot sensors at once mean air, one alone means its own cooler."
            ),
        ),
        State(
            name="FanFailed",
            metric=FAN_FAILED,
            severity=Severity.HIGH,
            when=1,
            hold_for=timedelta(minutes=5),
            clear_for=timedelta(minutes=10),
            title="Fan {sensor} of {chip} on {host} has failed or is too slow",
            advice=(
                "See it turn, clean it, and replace it before the parts behind it overheat; "
                "sensors (package lm-sensors) shows its speed and limit. If the board's limit is "
                "wrong for this fan, set fanX_min in /etc/sensors3.conf."
            ),
        ),
        Threshold(
            name="BatteryWorn",
            metric=HEALTH,
            severity=Severity.WARNING,
            below=0.50,
            clear_at=0.60,
            hold_for=timedelta(hours=24),
            clear_for=timedelta(hours=24),
            title="Battery {chip} of {host} holds only {value} of what it did when new",
            advice=(
                "Order a battery and swap it; worn cells fail suddenly and may swell. A swollen "
                "case or a lifting touchpad means stop using it now. If it was replaced lately, "
                "let it discharge and charge fully once, so that it learns what it holds."
            ),
        ),
    ),
    panels=(
        Panel(TEMPERATURE),
        Panel(MARGIN),
        Panel(FAN),
        Panel(FAN_FAILED, drawn_as="state"),
        Panel(CHARGE, drawn_as="bar"),
        Panel(HEALTH, drawn_as="bar"),
        Panel(CYCLES),
    ),
)
