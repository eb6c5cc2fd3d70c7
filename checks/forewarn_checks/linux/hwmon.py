"""Read the sensors that drivers show in sysfs: ``class/hwmon`` and ``class/power_supply``."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forewarn_checks.linux.sysfs import folder, number, word

_INPUT = re.compile(r"(temp|fan)(\d+)_input")
# What drivers give for a sensor that is not wired or a limit that is not set lies outside:
# -128 and 127 from one byte, 65261.8 from an unset NVMe limit, 0 and 255 from boards.
_READ = (-50.0, 126.0)
_LIMIT = (40.0, 126.0)


@dataclass(frozen=True, slots=True)
class Temperature:
    """One thermometer, in degrees Celsius; `critical` is None where the hardware gives none."""

    chip: str
    sensor: str
    celsius: float
    critical: float | None


@dataclass(frozen=True, slots=True)
class Fan:
    """One fan.  `failed` is None where its driver would not tell."""

    chip: str
    sensor: str
    rpm: int
    failed: bool | None


@dataclass(frozen=True, slots=True)
class Battery:
    """A battery that feeds this host, not a mouse's.  None is what it does not say."""

    name: str
    charge_ratio: float | None
    health_ratio: float | None  # what it holds when full, of what it held when new
    cycles: int | None


def read_hwmon(root: Path) -> Iterator[Temperature | Fan]:
    """Yield what the chips below ``root/sys/class/hwmon`` measure, in a lasting order."""
    chips = sorted((chip_name(chip), chip) for chip in folder(root / "sys/class/hwmon"))
    for name, chip in chips:
        for file in folder(chip):
            match = _INPUT.fullmatch(file.name)
            value = number(file) if match else None
            if match is None or value is None:
                continue  # ENODATA: the device sleeps
            prefix = match[1] + match[2]
            sensor = word(chip / f"{prefix}_label") or prefix
            if number(chip / f"{prefix}_fault") == 1 and match[1] == "temp":
                continue
            if match[1] == "temp":
                found = _temperature(name, sensor, value, number(chip / f"{prefix}_crit"))
                yield from [found] if found else []
            else:
                yield Fan(name, sensor, value, _has_failed(chip, prefix, value))


def chip_name(chip: Path) -> str:
    """Return the driver's name for a chip and what it sits on, e.g. ``jc42 0-0018``.

    Numbers of hwmon folders change from boot to boot; so do those of NVMe drives, which are
    named by serial.
    """
    driver = word(chip / "name") or chip.name
    serial = word(chip / "device/serial")
    if serial:
        return f"{driver} {serial}"
    try:
        device = (chip / "device").resolve(strict=True).name
    except OSError:
        return driver  # a virtual one
    return device if device.startswith(driver) else f"{driver} {device}"


def _temperature(chip: str, sensor: str, milli: int, limit: int | None) -> Temperature | None:
    celsius = milli / 1000
    if not _READ[0] < celsius < _READ[1]:
        return None
    critical = None if limit is None else limit / 1000
    if critical is not None and not _LIMIT[0] <= critical < _LIMIT[1]:
        critical = None
    return Temperature(chip, sensor, celsius, critical)


def _has_failed(chip: Path, fan: str, rpm: int) -> bool | None:
    fault, alarm = number(chip / f"{fan}_fault"), number(chip / f"{fan}_alarm")
    if fault is None and alarm is None:
        return None
    # an alarm at 0 is what an empty socket gives, too
    return fault == 1 or (alarm == 1 and rpm > 0)


def read_batteries(root: Path) -> Iterator[Battery]:
    """Yield the batteries below ``root/sys/class/power_supply`` that are in place."""
    for supply in folder(root / "sys/class/power_supply"):
        if word(supply / "type") != "Battery" or word(supply / "scope") == "Device":
            continue
        if number(supply / "present") == 0:
            continue
        charge = number(supply / "capacity")
        cycles = number(supply / "cycle_count")
        yield Battery(
            name=supply.name,
            charge_ratio=None if charge is None else min(max(charge / 100, 0.0), 1.0),
            health_ratio=_health(supply),
            cycles=cycles if cycles and cycles > 0 else None,  # 0: it does not count
        )


def _health(supply: Path) -> float | None:
    for unit in ("energy", "charge"):
        full = number(supply / f"{unit}_full")
        design = number(supply / f"{unit}_full_design")
        if full is not None and design is not None and full > 0 and design > 0:
            return min(full / design, 1.0)
    return None
