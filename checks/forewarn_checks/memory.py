"""Memory and swap."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil

from forewarn_checks.base import (
    CannotRead,
    Check,
    Component,
    Condition,
    Fact,
    Growth,
    Increase,
    Level,
    Metric,
    Options,
    Panel,
    Reading,
    Severity,
    Threshold,
    Unit,
    WrongSystem,
)
from forewarn_checks.linux.meminfo import Memory, parse_kills, parse_meminfo
from forewarn_checks.linux.pressure import read_pressure

_MIB = 2**20

TOTAL = Metric("memory_total_bytes", Unit.BYTES, "Memory the system can use.")
AVAILABLE = Metric(
    "memory_available_bytes", Unit.BYTES, "Memory programs can still get without swapping."
)
USED = Metric("memory_used_ratio", Unit.RATIO, "Share of memory that is not available.")
SWAP_TOTAL = Metric("swap_total_bytes", Unit.BYTES, "Swap space, or page files on Windows.")
SWAP_USED = Metric("swap_used_ratio", Unit.RATIO, "Used share of swap; 0 when there is none.")
COMMIT = Metric(
    "memory_commit_ratio",
    Unit.RATIO,
    "Memory promised to programs, as a share of what the system would promise; Linux goes past 1 "
    "unless told not to (vm.overcommit_memory), Windows refuses at 1.",
)
PRESSURE = Metric(
    "memory_pressure_ratio",
    Unit.RATIO,
    "Share of the last minute in which some program waited for memory (Linux with PSI).",
)

KILLS = Metric(
    "memory_oom_kills",
    Unit.COUNT,
    "Programs the kernel killed since boot because memory ran out, in the host or in a group with "
    "a limit of its own, a counter (Linux 4.13 and later).",
)


def read_linux(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Read ``/proc/meminfo`` and the memory pressure, where the kernel accounts for it."""
    if sys.platform == "win32":
        raise WrongSystem
    try:
        memory = parse_meminfo(Path("/proc/meminfo").read_text("utf-8", "replace"))
    except (OSError, ValueError) as error:
        raise CannotRead(f"/proc/meminfo: {error}; is /proc mounted?") from error
    yield from readings(memory, read_pressure("memory"), _kills())


def _kills() -> int | None:
    try:
        return parse_kills(Path("/proc/vmstat").read_text("utf-8", "replace"))
    except OSError:
        return None


def readings(memory: Memory, pressure: float | None, kills: int | None = None) -> Iterator[Reading]:
    """Yield what a Linux host says of its memory; None is what its kernel does not tell."""
    yield TOTAL.sample(memory.total_bytes)
    yield AVAILABLE.sample(memory.available_bytes)
    yield USED.sample(1 - memory.available_bytes / memory.total_bytes)
    yield SWAP_TOTAL.sample(memory.swap_total_bytes)
    yield SWAP_USED.sample(_share(memory.swap_free_bytes, memory.swap_total_bytes))
    if memory.commit_limit_bytes and memory.committed_bytes is not None:
        yield COMMIT.sample(memory.committed_bytes / memory.commit_limit_bytes)
    if pressure is not None:
        yield PRESSURE.sample(pressure)
    if kills is not None:
        yield KILLS.sample(kills)
    yield Fact("memory_bytes", memory.total_bytes)


def _share(free: int, total: int) -> float:
    return 1 - free / total if total > 0 else 0.0


def read_windows(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Read memory, commit charge and page files."""
    if sys.platform != "win32":
        raise WrongSystem
    memory = psutil.virtual_memory()
    yield TOTAL.sample(memory.total)
    yield AVAILABLE.sample(memory.available)
    yield USED.sample(1 - memory.available / memory.total)
    limit, left = _commit_windows()
    if limit > 0:
        yield COMMIT.sample(1 - left / limit)
    try:
        swap = psutil.swap_memory()
    except (RuntimeError, OSError):
        # It asks a performance counter, and those may be turned off or broken.  The limit of
        # commit is memory and page files together, so their size is known, their use is not.
        yield SWAP_TOTAL.sample(max(0, limit - memory.total))
    else:
        yield SWAP_TOTAL.sample(swap.total)
        yield SWAP_USED.sample(min(swap.percent / 100, 1.0))
    yield Fact("memory_bytes", memory.total)


def _commit_windows() -> tuple[int, int]:
    """Return how much Windows promises to programs in all, and how much of that is left."""
    if sys.platform != "win32":
        raise WrongSystem
    import ctypes  # here, because a Linux agent has no use for it

    class MemoryStatus(ctypes.Structure):
        """MEMORYSTATUSEX of sysinfoapi.h."""

        _fields_ = (
            ("length", ctypes.c_uint32),
            ("load_percent", ctypes.c_uint32),
            ("memory_total", ctypes.c_uint64),
            ("memory_free", ctypes.c_uint64),
            ("commit_limit", ctypes.c_uint64),
            ("commit_left", ctypes.c_uint64),
            ("address_space_total", ctypes.c_uint64),
            ("address_space_free", ctypes.c_uint64),
            ("reserved", ctypes.c_uint64),
        )

    status = MemoryStatus(length=ctypes.sizeof(MemoryStatus))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return 0, 0
    return int(status.commit_limit), int(status.commit_left)


CHECK = Check(
    name="memory",
    help="Memory and swap.",
    every=timedelta(seconds=60),
    timeout=timedelta(seconds=10),
    metrics=(TOTAL, AVAILABLE, USED, SWAP_TOTAL, SWAP_USED, COMMIT, PRESSURE, KILLS),
    component=Component("memory"),
    read_linux=read_linux,
    read_windows=read_windows,
    rules=(
        Threshold(
            name="MemoryLow",
            metric=USED,
            severity=Severity.WARNING,
            above=0.95,
            clear_at=0.90,
            and_=Condition(metric=AVAILABLE, below=1024 * _MIB),
            hold_for=timedelta(minutes=10),
            clear_for=timedelta(minutes=10),
            levels={
                Severity.HIGH: Level(
                    above=0.98, clear_at=0.96, and_=Condition(metric=AVAILABLE, below=256 * _MIB)
                ),
            },
            title="{host} is almost out of memory ({value} used)",
            advice=(
                "Find who holds it: ps -eo pid,user,rss,comm --sort=-rss | head (Task Manager > "
                "Details > Commit size on Windows). See whether programs were killed for it "
                "already: journalctl -k | grep -i 'out of memory'. A program that only grows "
                "leaks and wants a restart and an update; steady need wants more memory."
            ),
        ),
        Threshold(
            name="SwapThrashing",
            metric=PRESSURE,
            severity=Severity.WARNING,
            above=0.20,
            clear_at=0.10,
            and_=Condition(metric=SWAP_USED, above=0.10),
            hold_for=timedelta(minutes=5),
            clear_for=timedelta(minutes=10),
            levels={Severity.HIGH: Level(above=0.50, clear_at=0.40)},
            title="Programs on {host} wait for memory {value} of the time",
            advice=(
                "Pages are written to swap and fetched back faster than work gets done. See the "
                "traffic in vmstat 1 (columns si and so) and who is swapped: grep VmSwap "
                "/proc/[0-9]*/status | sort -k2 -n | tail. Stop or move the largest, or add "
                "memory; more swap does not help."
            ),
        ),
        Growth(
            name="MemoryKills",
            severity=Severity.WARNING,
            any_of=(Increase(metric=KILLS, by=1),),
            window=timedelta(days=1),
            title="{host} killed programs because memory ran out: {value}",
            advice=(
                "Within a day: {value}. See which: journalctl -k | grep -i 'killed process'. "
                "'Memory cgroup' in that line means a container or a service ran into its own "
                "limit (MemoryMax): raise it or mend the leak. Otherwise the whole host ran out; "
                "the program killed is the largest, not always the one to blame. See that it was "
                "started again."
            ),
        ),
    ),
    panels=(
        Panel(USED, drawn_as="bar"),
        Panel(AVAILABLE),
        Panel(TOTAL),
        Panel(SWAP_USED, drawn_as="bar"),
        Panel(SWAP_TOTAL),
        Panel(COMMIT),
        Panel(PRESSURE),
        Panel(KILLS),
    ),
)
