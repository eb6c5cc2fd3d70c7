"""Whether something keeps the clock right, and how far off it is."""

import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from forewarn_checks._process import Execute, execute
from forewarn_checks.base import (
    CannotRead,
    Check,
    Component,
    Fact,
    Level,
    Metric,
    NothingToRead,
    Options,
    Panel,
    Reading,
    Severity,
    State,
    Threshold,
    Unit,
    WrongSystem,
)

if TYPE_CHECKING:
    from forewarn_checks._time_sources import Clock

SYNCHRONISED = Metric(
    "clock_synchronised",
    Unit.COUNT,
    "1 when something keeps the clock right by a source, else 0.",
)
OFFSET = Metric(
    "clock_offset_seconds",
    Unit.SECONDS,
    "How far the clock is ahead of its source, below 0 when behind; read where it is told.",
)
DEVIATION = Metric(
    "clock_deviation_seconds",
    Unit.SECONDS,
    "How far off the clock is at most: the offset, whatever its sign, and its uncertainty.",
)
AGE = Metric(
    "clock_source_age_seconds",
    Unit.SECONDS,
    "Time since the source was last heard; read where it is told.",
)

_PATIENCE_SECONDS = 8.0
_CHRONYC = ("chronyc", "-n", "-c", "tracking")
_NTPQ = ("ntpq", "-n", "-c", "rv")
_SHOW = ("timedatectl", "show", "--property=NTPSynchronized")
_STATUS = ("timedatectl", "timesync-status")
_W32TM = ("w32tm", "/query", "/status", "/verbose")


def read_linux(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Ask chronyd, ntpd, timesyncd and the kernel, in this order, until one answers."""
    if sys.platform == "win32":
        raise WrongSystem
    yield from readings(execute, time.time())


def readings(run: Execute, now: float) -> Iterator[Reading]:
    """Yield what the first program says that answers at `now` (seconds since 1970).

    Raises NothingToRead when there is none, CannotRead when those that are there say nothing.
    """
    from forewarn_checks import _time_sources as sources

    clock = sources.parse_chronyc(_said(run, _CHRONYC) or "", now)
    clock = clock or sources.parse_ntpq(_said(run, _NTPQ) or "")
    if clock is None:
        shown = _said(run, _SHOW)
        if shown is None:
            raise NothingToRead(
                "none of chronyc, ntpq and timedatectl answers, so nobody can say how right the "
                "clock is; a container has its host's; else install package chrony"
            )
        clock = sources.parse_timedatectl(shown, _said(run, _STATUS) or "")
    if clock is None:
        raise CannotRead("timedatectl: does not say whether the clock is synchronised")
    yield from _samples(clock)


def read_windows(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Ask the Windows Time service."""
    if sys.platform != "win32":
        raise WrongSystem
    yield from readings_windows(execute)


def readings_windows(run: Execute) -> Iterator[Reading]:
    """Yield what ``w32tm`` says.  Raises CannotRead when the service does not answer."""
    from forewarn_checks import _time_sources as sources

    clock = sources.parse_w32tm(_said(run, _W32TM) or "")
    if clock is None:
        raise CannotRead(
            "w32tm /query /status: no answer; start the service Windows Time (w32time), and see "
            "that it starts by itself"
        )
    yield from _samples(clock)


def _said(run: Execute, argv: tuple[str, ...]) -> str | None:
    """Return what a program prints; None when it is not there, fails or hangs."""
    try:
        done = run(argv, _PATIENCE_SECONDS)
    except OSError:
        return None
    return done.output if done.status == 0 else None


def _samples(clock: "Clock") -> Iterator[Reading]:
    yield SYNCHRONISED.sample(clock.synchronised)
    yield Fact("clock_keeper", clock.keeper)
    yield Fact("clock_source", clock.source)
    if clock.offset_seconds is not None:
        yield OFFSET.sample(clock.offset_seconds)
        yield DEVIATION.sample(abs(clock.offset_seconds) + (clock.bound_seconds or 0.0))
    if clock.age_seconds is not None:
        yield AGE.sample(clock.age_seconds)


CHECK = Check(
    name="clock",
    help="Whether something keeps the clock right, and how far off it is.",
    every=timedelta(minutes=15),
    timeout=timedelta(seconds=40),
    metrics=(SYNCHRONISED, OFFSET, DEVIATION, AGE),
    component=Component("clock"),
    read_linux=read_linux,
    read_windows=read_windows,
    rules=(
        State(
            name="ClockUnsynchronised",
            metric=SYNCHRONISED,
            severity=Severity.WARNING,
            when=0,
            hold_for=timedelta(hours=1),
            hold_readings=3,
            clear_for=timedelta(minutes=10),
            title="Nothing keeps the clock of {host} right",
            advice=(
                "It drifts by seconds a day, until logins and certificates fail. See chronyc "
                "sources, timedatectl timesync-status, or w32tm /query /peers: is the service "
                "on, has it a server, and does UDP port 123 to it get through? A virtual machine "
                "may be kept right by its host: then say so there, or turn the check off."
            ),
        ),
        Threshold(
            name="ClockOff",
            metric=DEVIATION,
            severity=Severity.WARNING,
            above=1.0,
            clear_at=0.5,
            levels={Severity.HIGH: Level(above=60.0, clear_at=30.0)},
            hold_for=timedelta(minutes=25),
            clear_for=timedelta(minutes=10),
            title="The clock of {host} may be {value} off",
            advice=(
                "Logs no longer line up; at five minutes Kerberos and Active Directory refuse "
                "logins. clock_offset_seconds has the part that is known. A large offset at a "
                "small uncertainty: it was set by hand or the machine slept; chronyc makestep or "
                "w32tm /resync mends it. A large uncertainty: its source is far away or gone."
            ),
        ),
        Threshold(
            name="ClockSourceGone",
            metric=AGE,
            severity=Severity.WARNING,
            above=timedelta(hours=24).total_seconds(),
            clear_at=timedelta(hours=12).total_seconds(),
            title="The clock of {host} has not heard its source for {value}",
            advice=(
                "It still calls itself right and drifts meanwhile. See chronyc sources or w32tm "
                "/query /peers: is the server gone, its name no longer known, or UDP port 123 "
                "closed since? Name more than one server."
            ),
        ),
    ),
    panels=(Panel(SYNCHRONISED, drawn_as="state"), Panel(OFFSET), Panel(DEVIATION), Panel(AGE)),
)
