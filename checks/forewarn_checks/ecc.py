"""Errors of memory modules with ECC."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from forewarn_checks._series import series
from forewarn_checks.base import (
    Check,
    Component,
    Growth,
    Increase,
    Metric,
    NothingToRead,
    Options,
    Panel,
    Reading,
    Severity,
    Unit,
    WrongSystem,
)
from forewarn_checks.linux.edac import read_modules

_LABELS = ("controller", "module")

CORRECTED = Metric(
    "ecc_corrected_errors", Unit.COUNT, "Errors found and mended since boot, a counter.", _LABELS
)
UNCORRECTED = Metric(
    "ecc_uncorrected_errors",
    Unit.COUNT,
    "Errors found that could not be mended since boot, a counter.",
    _LABELS,
)

_MOST = 128  # modules


def read_linux(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Read the counts that EDAC drivers keep."""
    if sys.platform == "win32":
        raise WrongSystem
    yield from readings(Path("/"))


def readings(root: Path) -> Iterator[Reading]:
    """Yield the counts of every module below `root`.  Raises NothingToRead without any."""
    modules = list(read_modules(root))
    if not modules:
        raise NothingToRead(
            "no memory controller reports: memory without ECC, a guest, or no EDAC driver loaded"
        )
    for module in modules[:_MOST]:
        labels = {"controller": module.controller, "module": module.name}
        yield from series(labels, (CORRECTED, module.corrected), (UNCORRECTED, module.uncorrected))


CHECK = Check(
    name="ecc",
    help="Errors of memory modules with ECC.",
    every=timedelta(minutes=5),
    timeout=timedelta(seconds=20),
    metrics=(CORRECTED, UNCORRECTED),
    component=Component("memory module", _LABELS),
    read_linux=read_linux,
    read_windows=None,
    rules=(
        Growth(
            name="EccErrorsUncorrected",
            severity=Severity.CRITICAL,
            any_of=(Increase(metric=UNCORRECTED, by=1),),
            window=timedelta(days=7),
            title="Memory module {module} of {host} lost data: {value}",
            advice=(
                "Within 7 days: {value}. What was in that memory is wrong or its program was "
                "killed. Move work away, replace {module} (controller {controller}) now and check "
                "what was written since. dmesg and ras-mc-ctl --errors (rasdaemon) say where."
            ),
        ),
        Growth(
            name="EccErrorsGrowing",
            severity=Severity.WARNING,
            any_of=(Increase(metric=CORRECTED, by=10),),
            window=timedelta(days=1),
            title="Memory module {module} of {host} is corrected often: {value}",
            advice=(
                "Within a day: {value}. A single flipped bit now and then is normal; a module that "
                "goes on is about to fail. Reseat {module} (controller {controller}) at the next "
                "restart, replace it if they return, and look at its temperature."
            ),
        ),
    ),
    panels=(Panel(CORRECTED), Panel(UNCORRECTED)),
)
