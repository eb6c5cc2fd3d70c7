"""How busy drives are, and how long requests to them take."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import psutil

from forewarn_checks._series import series
from forewarn_checks.base import (
    Check,
    Component,
    Condition,
    Level,
    Metric,
    NothingToRead,
    Options,
    Panel,
    Reading,
    Sample,
    Severity,
    Threshold,
    Unit,
    WrongSystem,
)
from forewarn_checks.linux.drives import Drive, read_drives
from forewarn_checks.windows.drives import read_drives as read_windows_drives

_LABELS = ("drive", "device")

BUSY = Metric(
    "disk_io_busy_ratio",
    Unit.RATIO,
    "Share of the time since the run before in which a request was under way (Linux).",
    _LABELS,
)
QUEUE = Metric(
    "disk_io_queue", Unit.COUNT, "Requests under way at a time, on average since then.", _LABELS
)
WAIT = Metric(
    "disk_io_wait_seconds",
    Unit.SECONDS,
    "What a request took, on average since the run before, queueing included; not read where "
    "there was none.",
    _LABELS,
)
READ_WAIT = Metric("disk_io_read_wait_seconds", Unit.SECONDS, "The same, of reads alone.", _LABELS)
WRITE_WAIT = Metric(
    "disk_io_write_wait_seconds", Unit.SECONDS, "The same, of writes alone.", _LABELS
)
READS = Metric("disk_io_reads_per_second", Unit.COUNT, "Reads a second, on average.", _LABELS)
WRITES = Metric("disk_io_writes_per_second", Unit.COUNT, "Writes a second, on average.", _LABELS)
READ = Metric("disk_io_read_per_second_bytes", Unit.BYTES, "Read in a second, on average.", _LABELS)
WRITTEN = Metric(
    "disk_io_written_per_second_bytes", Unit.BYTES, "Written in a second, on average.", _LABELS
)

_MOST = 64  # drives; nine series each
_FIRST_INTERVAL_SECONDS = 1.0
# Where libfaketime turns the clock, time.sleep fails with EINVAL; waiting for an event does not.
_pause = threading.Event().wait


class Counted(Protocol):
    """What psutil counts of one device since the system started; times in milliseconds."""

    @property
    def read_count(self) -> int: ...
    @property
    def write_count(self) -> int: ...
    @property
    def read_bytes(self) -> int: ...
    @property
    def write_bytes(self) -> int: ...
    @property
    def read_time(self) -> int: ...
    @property
    def write_time(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Count:
    """The counters of one drive, growing while it is the same drive.  Times in seconds."""

    reads: int
    writes: int
    read_bytes: int
    written_bytes: int
    read_seconds: float
    write_seconds: float
    busy_seconds: float | None  # None where the system does not count it


Counts = Mapping[tuple[str, str], Count]
"""By serial (else name) and name of the drive: a name can pass to another drive."""


class Traffic:
    """Turns growing counters into what went on since it was last asked.

    The first answer spans a short interval of its own: an average since boot says nothing.
    """

    def __init__(
        self,
        count: Callable[[], Counts],
        *,
        pause: Callable[[float], object] = _pause,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count = count
        self._pause = pause
        self._clock = clock
        self._before: Counts | None = None
        self._counted_at = 0.0

    def readings(self) -> Iterator[Sample]:
        """Yield the samples of every drive that was there before.

        Raises NothingToRead where no drive counts what it does.
        """
        if self._before is None or self._clock() - self._counted_at < _FIRST_INTERVAL_SECONDS:
            self._take()
            self._pause(_FIRST_INTERVAL_SECONDS)
        before, began = self._before or {}, self._counted_at
        after = self._take()
        if not after:
            raise NothingToRead("no drive counts its requests here, as in most containers")
        elapsed = self._counted_at - began
        for (drive, device), count in list(after.items())[:_MOST]:
            earlier = before.get((drive, device))
            if earlier is not None and elapsed > 0:
                yield from samples(earlier, count, elapsed, drive=drive, device=device)

    def _take(self) -> Counts:
        self._before, self._counted_at = self._count(), self._clock()
        return self._before


def samples(
    before: Count, after: Count, elapsed: float, *, drive: str, device: str
) -> Iterator[Sample]:
    """Yield what one drive did in `elapsed` seconds; nothing when a counter went back."""
    labels = {"drive": drive, "device": device}
    reads, writes = after.reads - before.reads, after.writes - before.writes
    read, written = after.read_bytes - before.read_bytes, after.written_bytes - before.written_bytes
    reading, writing = (
        after.read_seconds - before.read_seconds,
        after.write_seconds - before.write_seconds,
    )
    if min(reads, writes, read, written, reading, writing) < 0:
        return  # the drive was taken out and put back
    busy = None
    if after.busy_seconds is not None and before.busy_seconds is not None:
        busy = (after.busy_seconds - before.busy_seconds) / elapsed
    yield from series(
        labels,
        (BUSY, None if busy is None else min(max(busy, 0.0), 1.0)),
        (QUEUE, (reading + writing) / elapsed),
        (WAIT, _mean(reading + writing, reads + writes)),
        (READ_WAIT, _mean(reading, reads)),
        (WRITE_WAIT, _mean(writing, writes)),
        (READS, reads / elapsed),
        (WRITES, writes / elapsed),
        (READ, read / elapsed),
        (WRITTEN, written / elapsed),
    )


def _mean(seconds: float, requests: int) -> float | None:
    """Return what one request took; None where there was none, for 0 would be the best of all."""
    return seconds / requests if requests else None


def counts(drives: Iterable[Drive], counted: Mapping[str, Counted]) -> dict[tuple[str, str], Count]:
    """Return the counters of the drives among all the devices that `counted` holds."""
    return {
        (drive.serial or drive.name, drive.name): _count(counted[drive.name])
        for drive in drives
        if drive.name in counted
    }


def _count(of: Counted) -> Count:
    busy = getattr(of, "busy_time", None)  # psutil has it on Linux alone
    return Count(
        reads=of.read_count,
        writes=of.write_count,
        read_bytes=of.read_bytes,
        written_bytes=of.write_bytes,
        read_seconds=of.read_time / 1000,
        write_seconds=of.write_time / 1000,
        busy_seconds=None if busy is None else busy / 1000,
    )


def _count_linux() -> Counts:
    return counts(read_drives(), psutil.disk_io_counters(perdisk=True))


def _count_windows() -> Counts:
    return counts(read_windows_drives(), psutil.disk_io_counters(perdisk=True))


_LINUX = Traffic(_count_linux)
_WINDOWS = Traffic(_count_windows)


def read_linux(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Read what each drive did since the run before."""
    if sys.platform == "win32":
        raise WrongSystem
    yield from _LINUX.readings()


def read_windows(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Read what each drive did since the run before; needs the counters diskperf turns on."""
    if sys.platform != "win32":
        raise WrongSystem
    yield from _WINDOWS.readings()


CHECK = Check(
    name="disk_io",
    help="How busy drives are, and how long requests to them take.",
    every=timedelta(minutes=5),
    timeout=timedelta(seconds=20),
    metrics=(BUSY, QUEUE, WAIT, READ_WAIT, WRITE_WAIT, READS, WRITES, READ, WRITTEN),
    component=Component("drive", ("drive",)),  # as SMART names it: one ticket a drive
    read_linux=read_linux,
    read_windows=read_windows,
    rules=(
        # A busy drive is no trouble, nor is a slow request that wakes a sleeping one: it takes
        # requests that are always waiting, each for what people notice, and for long.  The marks
        # are chosen, not measured on a fleet.
        Threshold(
            name="DriveSlow",
            metric=WAIT,
            severity=Severity.WARNING,
            above=0.5,
            clear_at=0.25,
            and_=Condition(metric=QUEUE, above=1),
            hold_for=timedelta(minutes=30),
            clear_for=timedelta(minutes=15),
            levels={
                Severity.HIGH: Level(
                    above=2.0, clear_at=1.0, and_=Condition(metric=QUEUE, above=1)
                ),
            },
            title="Requests to {device} ({drive}) on {host} take {value}",
            advice=(
                "Every program that reads or writes there waits. See who does it: iotop -oPa, or "
                "pidstat -d 5 (Resource Monitor > Disk on Windows). A backup, scrub or rebuild "
                "ends by itself. If little is read and written, the drive repeats requests: look "
                "at its SMART readings, its cable and dmesg. In a guest, the storage below is "
                "overbooked."
            ),
        ),
    ),
    panels=(
        Panel(BUSY, drawn_as="bar"),
        Panel(WAIT),
        Panel(READ_WAIT),
        Panel(WRITE_WAIT),
        Panel(QUEUE),
        Panel(READ),
        Panel(WRITTEN),
        Panel(READS),
        Panel(WRITES),
    ),
)
