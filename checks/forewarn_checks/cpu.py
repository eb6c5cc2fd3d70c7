"""Processors: how busy they are and who waits for them."""

import functools
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psutil

from forewarn_checks._series import series
from forewarn_checks.base import (
    CannotRead,
    Check,
    Component,
    Fact,
    Growth,
    Increase,
    Metric,
    Options,
    Panel,
    Reading,
    Severity,
    Threshold,
    Unit,
    WrongSystem,
)
from forewarn_checks.linux.pressure import read_pressure
from forewarn_checks.linux.processor import (
    Shares,
    Times,
    parse_loadavg,
    parse_model,
    parse_stat,
    shares_between,
)
from forewarn_checks.linux.throttle import read_throttled

USED = Metric(
    "cpu_used_ratio",
    Unit.RATIO,
    "Share of processor time not idle since the run before; time stolen by the hypervisor counts.",
)
IOWAIT = Metric(
    "cpu_iowait_ratio", Unit.RATIO, "Share of processor time idle while a disk was awaited (Linux)."
)
STEAL = Metric(
    "cpu_steal_ratio",
    Unit.RATIO,
    "Share of processor time the hypervisor gave to others while this host had work (Linux).",
)
LOAD = Metric(
    "cpu_load_per_thread",
    Unit.COUNT,
    "Tasks that ran, were ready to or waited for a disk, averaged over a minute, for each "
    "hardware thread (Linux).",
)
PRESSURE = Metric(
    "cpu_pressure_ratio",
    Unit.RATIO,
    "Share of the last minute in which some task was ready but had no processor (Linux with PSI).",
)
THROTTLED = Metric(
    "cpu_throttled_seconds",
    Unit.SECONDS,
    "Time since boot in which heat or power held back the core that was held back longest, a "
    "counter (Linux 5.9 on Intel; none in guests).",
)

_FIRST_INTERVAL_SECONDS = 0.5  # 50 ticks a processor: shares to two per cent on a single one


# Where libfaketime turns the clock, time.sleep fails with EINVAL; waiting for an event does not.
_pause = threading.Event().wait


class Utilisation:
    """Turns growing processor times into the shares of the time since it was last asked.

    The first answer spans a short interval of its own: an average since boot says nothing about
    now.  So does one asked within that interval of the last.
    """

    def __init__(
        self,
        read: Callable[[], Times],
        *,
        sleep: Callable[[float], object] = _pause,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._sleep = sleep
        self._clock = clock
        self._before: Times | None = None
        self._read_at = 0.0

    def shares(self) -> Shares | None:
        """Return the shares; None when the counters stood still or went back."""
        if self._before is None or self._clock() - self._read_at < _FIRST_INTERVAL_SECONDS:
            self._before = self._read()
            self._sleep(_FIRST_INTERVAL_SECONDS)
        before, after = self._before, self._read()
        self._before, self._read_at = after, self._clock()
        return shares_between(before, after)


def _times_linux() -> Times:
    try:
        return parse_stat(Path("/proc/stat").read_text("utf-8", "replace"))
    except (OSError, ValueError) as error:
        raise CannotRead(f"/proc/stat: {error}; is /proc mounted?") from error


def _times_windows() -> Times:
    times = psutil.cpu_times()
    # Kernel time, here "system", holds interrupts and DPCs already; psutil lists them again.
    total = times.user + times.system + times.idle
    return Times(idle=_millis(times.idle), iowait=0, steal=0, total=_millis(total))


def _millis(seconds: float) -> int:
    return round(seconds * 1000)


_LINUX = Utilisation(_times_linux)
_WINDOWS = Utilisation(_times_windows)


def read_linux(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Read utilisation since the run before, load and pressure."""
    if sys.platform == "win32":
        raise WrongSystem
    shares = _LINUX.shares()
    if shares is not None:
        yield USED.sample(shares.used)
        yield IOWAIT.sample(shares.iowait)
        yield STEAL.sample(shares.steal)
    load = parse_loadavg(Path("/proc/loadavg").read_text("utf-8", "replace"))
    yield from series(
        {},
        (LOAD, None if load is None else load / (os.cpu_count() or 1)),
        (PRESSURE, read_pressure("cpu")),
        (THROTTLED, read_throttled(Path("/"))),
    )
    yield from _facts(_model_linux())


def read_windows(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Read utilisation since the run before; Windows keeps none of the others."""
    if sys.platform != "win32":
        raise WrongSystem
    shares = _WINDOWS.shares()
    if shares is not None:
        yield USED.sample(shares.used)
    yield from _facts(_model_windows())


def _facts(model: str) -> Iterator[Fact]:
    yield Fact("cpu_model", model or platform.machine())
    cores = _cores()
    if cores is not None:
        yield Fact("cpu_cores", cores)
    yield Fact("cpu_threads", os.cpu_count() or 1)


@functools.cache  # the kernel asks every processor for its clock rate to write cpuinfo
def _model_linux() -> str:
    try:
        return parse_model(Path("/proc/cpuinfo").read_text("utf-8", "replace"))
    except OSError:
        return ""


@functools.cache
def _model_windows() -> str:
    if sys.platform != "win32":
        raise WrongSystem
    import winreg

    path = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
    except OSError:
        return ""


@functools.cache  # on Linux it reads a file a processor
def _cores() -> int | None:
    return psutil.cpu_count(logical=False)


CHECK = Check(
    name="cpu",
    help="How busy the processors are, and who waits for them.",
    every=timedelta(seconds=60),
    timeout=timedelta(seconds=10),
    metrics=(USED, IOWAIT, STEAL, LOAD, PRESSURE, THROTTLED),
    component=Component("cpu"),
    read_linux=read_linux,
    read_windows=read_windows,
    rules=(
        Threshold(
            name="CpuSaturated",
            metric=USED,
            severity=Severity.WARNING,
            above=0.95,
            clear_at=0.85,
            hold_for=timedelta(minutes=15),
            clear_for=timedelta(minutes=15),
            title="The processors of {host} are saturated ({value} busy)",
            advice=(
                "Find who uses them: top -o %CPU (Task Manager > Details > CPU on Windows). One "
                "runaway program wants a restart. If steal is high, the hypervisor is overbooked: "
                "move the guest or give it more weight. If it is meant, a batch job say, raise "
                "hold_for of this rule for the host, or give the host more processors."
            ),
        ),
        Growth(
            name="CpuThrottled",
            severity=Severity.WARNING,
            any_of=(Increase(metric=THROTTLED, by=600),),
            window=timedelta(hours=1),
            title="Heat or power holds back the processors of {host}: {value}",
            advice=(
                "Within an hour: {value}, in which they ran slower than asked to. Look for a "
                "failed fan, dust, a blocked door, a warm room, and a power supply or cap that "
                "gives too little (ipmitool sel list). Thin laptops do it under any long load; "
                "raise the mark of this rule for them."
            ),
        ),
    ),
    panels=(
        Panel(USED, drawn_as="bar"),
        Panel(LOAD),
        Panel(IOWAIT),
        Panel(STEAL),
        Panel(PRESSURE),
        Panel(THROTTLED),
    ),
)
