"""Whether named processes run, how many there are, and what they use."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from forewarn_checks._named import nothing_named, read_entries
from forewarn_checks.base import (
    Check,
    Component,
    Metric,
    Option,
    Options,
    Panel,
    Reading,
    Severity,
    Threshold,
    Unit,
    WrongSystem,
)

if TYPE_CHECKING:
    from forewarn_checks._processes_seen import Process, Use

_ONE = ("process",)

COUNT = Metric("process_count", Unit.COUNT, "How many run.", _ONE)
MISSING = Metric("process_missing", Unit.COUNT, "How many fewer run than should, else 0.", _ONE)
SURPLUS = Metric(
    "process_surplus",
    Unit.COUNT,
    "How many more run than should, else 0; read only where the option names a bound.",
    _ONE,
)
CPU = Metric(
    "process_cpu_ratio",
    Unit.RATIO,
    "Processor time they used since the run before, of one processor: 2 is two kept busy.",
    _ONE,
)
MEMORY = Metric(
    "process_memory_bytes",
    Unit.BYTES,
    "Memory they hold (resident); what they share counts for each.",
    _ONE,
)
THREADS = Metric("process_threads", Unit.COUNT, "Threads of all.", _ONE)
DESCRIPTORS = Metric(
    "process_descriptors",
    Unit.COUNT,
    "Open files and sockets of all (handles on Windows); read where all may be seen.",
    _ONE,
)
DESCRIPTORS_RATIO = Metric(
    "process_descriptors_ratio",
    Unit.RATIO,
    "The same of the one that is nearest to its limit, as a share of that (Linux).",
    _ONE,
)
YOUNGEST = Metric(
    "process_youngest_age_seconds", Unit.SECONDS, "Time since the last of them began.", _ONE
)

PATTERNS = Option(
    name="patterns",
    default=(),
    help="Names or whole command lines, * and ? allowed, and how many there should be (at least "
    "one unless said), e.g. ['web = nginx*', 'workers = *python*worker.py* 4..16', "
    "'miner = xmrig* 0..0'].",
)

_MOST = 40
_MOST_LOOKED_AT = 500  # processes of one pattern whose use is added up


class Memory:
    """The processor time each process had used when it was last looked at."""

    def __init__(self) -> None:
        self.at = 0.0  # by the wall clock, as processes tell when they began
        self.tick: float | None = None  # by one that nobody sets
        self.used: dict[tuple[int, float], float] = {}


_MEMORY = Memory()


def read_linux(options: Options) -> Iterator[Reading]:
    """Look through all processes once."""
    if sys.platform == "win32":
        raise WrongSystem
    yield from _read(options)


def read_windows(options: Options) -> Iterator[Reading]:
    """Look through all processes once."""
    yield from _read(options)


def _read(options: Options) -> Iterator[Reading]:
    from forewarn_checks._processes_seen import all_processes, use_of

    yield from readings(
        options, all_processes, use_of, _MEMORY, now=time.time(), tick=time.monotonic()
    )


def readings(
    options: Options,
    every_process: "Callable[[], Iterable[Process]]",
    use_of: "Callable[[int], Use | None]",
    memory: Memory,
    *,
    now: float,
    tick: float,
) -> Iterator[Reading]:
    """Yield what is known of each pattern at `now` (seconds since 1970) and `tick` (since any).

    Raises NothingToRead without a pattern, CannotRead at the end for those that make no sense.
    """
    from forewarn_checks._processes_seen import parse_wanted

    entries = read_entries(options, PATTERNS, parse_wanted, check="processes", most=_MOST)
    if not entries.good and not entries.bad:
        raise nothing_named(PATTERNS, "processes", "web = nginx*")
    running = list(every_process())
    used: dict[tuple[int, float], float] = {}
    for each in entries:
        wanted = each.thing
        found = [process for process in running if wanted.means(process)]
        yield COUNT.sample(len(found), process=each.name)
        yield MISSING.sample(max(0, wanted.least - len(found)), process=each.name)
        if wanted.most is not None:
            yield SURPLUS.sample(max(0, len(found) - wanted.most), process=each.name)
        uses = {
            (process.number, process.began): use
            for process in found[:_MOST_LOOKED_AT]
            if (use := use_of(process.number)) is not None
        }
        used |= {key: use.cpu_seconds for key, use in uses.items()}
        yield from _use(each.name, uses, memory, tick)
        if found:
            youngest = max(process.began for process in found)
            yield YOUNGEST.sample(max(0.0, now - youngest), process=each.name)
    memory.at, memory.tick, memory.used = now, tick, used
    entries.complain()


def _use(
    name: str, uses: "Mapping[tuple[int, float], Use]", memory: Memory, tick: float
) -> Iterator[Reading]:
    from forewarn_checks._processes_seen import total

    sum_of = total(uses.values())
    if sum_of is None:
        return
    yield MEMORY.sample(sum_of.memory_bytes, process=name)
    yield THREADS.sample(sum_of.threads, process=name)
    if sum_of.descriptors is not None:
        yield DESCRIPTORS.sample(sum_of.descriptors, process=name)
    if sum_of.descriptors_ratio is not None:
        yield DESCRIPTORS_RATIO.sample(sum_of.descriptors_ratio, process=name)
    if memory.tick is not None and tick > memory.tick:
        # one that began since has used all of its time since
        grown = sum(
            use.cpu_seconds - memory.used.get(key, 0.0)
            for key, use in uses.items()
            if key in memory.used or key[1] >= memory.at
        )
        yield CPU.sample(max(0.0, grown) / (tick - memory.tick), process=name)


CHECK = Check(
    name="processes",
    help="Whether named processes run, how many there are, and what they use.",
    every=timedelta(minutes=1),
    timeout=timedelta(seconds=25),
    metrics=(
        COUNT,
        MISSING,
        SURPLUS,
        CPU,
        MEMORY,
        THREADS,
        DESCRIPTORS,
        DESCRIPTORS_RATIO,
        YOUNGEST,
    ),
    component=Component("process", _ONE),
    read_linux=read_linux,
    read_windows=read_windows,
    options=(PATTERNS,),
    works_on=(PATTERNS,),
    rules=(
        Threshold(
            name="ProcessMissing",
            metric=MISSING,
            severity=Severity.HIGH,
            above=1,
            clear_at=0,
            hold_for=timedelta(minutes=3),
            clear_for=timedelta(minutes=3),
            title="{process}: {value} missing on {host}",
            advice=(
                "Fewer run than should. See why it ended: its log, journalctl -b -p warning, and "
                "whether the kernel killed it for want of memory (journalctl -k | grep -i oom; "
                "Event Viewer > Application on Windows). Start it again, and let systemd or the "
                "service manager do that in future: Restart=on-failure."
            ),
        ),
        Threshold(
            name="ProcessTooMany",
            metric=SURPLUS,
            severity=Severity.WARNING,
            above=1,
            clear_at=0,
            hold_for=timedelta(minutes=5),
            clear_for=timedelta(minutes=5),
            title="{process}: {value} too many on {host}",
            advice=(
                "More run than should. See whether they are stuck and for how long: ps -eo "
                "pid,etime,stat,wchan:20,args. Jobs that overlap because one takes too long want "
                "a lock (flock) or a timer that does not start a second one. One that should not "
                "be there at all: find out who started it before you end it."
            ),
        ),
        Threshold(
            name="ProcessDescriptorsHigh",
            metric=DESCRIPTORS_RATIO,
            severity=Severity.WARNING,
            above=0.8,
            clear_at=0.7,
            hold_for=timedelta(minutes=5),
            clear_for=timedelta(minutes=10),
            title="{process} on {host} has {value} of the open files it may have",
            advice=(
                "At the limit it can accept no connection and open no file. See what they are: "
                "ls -l /proc/PID/fd. Sockets that wait to be closed are a leak: restart it and "
                "tell its maker. If it simply needs more: LimitNOFILE= in its unit."
            ),
        ),
    ),
    panels=(
        Panel(COUNT),
        Panel(CPU),
        Panel(MEMORY),
        Panel(DESCRIPTORS),
        Panel(DESCRIPTORS_RATIO, drawn_as="bar"),
        Panel(THREADS),
        Panel(YOUNGEST),
    ),
)
