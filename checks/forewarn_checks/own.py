"""Your own checks: programs of root's, run with limits, that speak as Nagios plugins do."""

import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from forewarn_checks._at_once import AtOnce
from forewarn_checks._limited import Ended, Limits, Run, run_limited
from forewarn_checks._named import read_entries
from forewarn_checks._plugin_output import Measure, Said, parse_output
from forewarn_checks.base import (
    CannotRead,
    Check,
    Component,
    Fact,
    Level,
    Metric,
    NothingToRead,
    Option,
    Options,
    Panel,
    Reading,
    Severity,
    State,
    Threshold,
    Unit,
    WrongSystem,
)

_MEASURED = ("check", "measure")

STATE = Metric(
    "own_state",
    Unit.COUNT,
    "What the check says: 0 fine, 1 warning, 2 critical; not read while it does not know.",
    ("check",),
)
UNKNOWN = Metric(
    "own_unknown",
    Unit.COUNT,
    "1 when the check does not know, was not run or did not end as a check does, else 0.",
    ("check",),
)
DURATION = Metric("own_duration_seconds", Unit.SECONDS, "How long the check ran.", ("check",))
COUNT = Metric("own_measure", Unit.COUNT, "A figure the check gave, without a unit.", _MEASURED)
SECONDS = Metric("own_measure_seconds", Unit.SECONDS, "A time the check gave.", _MEASURED)
BYTES = Metric("own_measure_bytes", Unit.BYTES, "An amount of bytes the check gave.", _MEASURED)
RATIO = Metric("own_measure_ratio", Unit.RATIO, "A percentage the check gave.", _MEASURED)
COUNTER = Metric("own_measure_total", Unit.COUNT, "A counter the check gave (unit c).", _MEASURED)
CRITICAL = Metric(
    "own_critical_ratio",
    Unit.RATIO,
    "The figure as a share of where the check itself becomes critical, if that is above it.",
    _MEASURED,
)

FOLDER = Option(
    name="folder",
    default="",
    help="Where programs lie that are each run without arguments; empty is "
    "/etc/forewarn/checks.d, on Windows %PROGRAMDATA%\\forewarn\\checks.d.",
)
COMMANDS = Option(
    name="commands",
    default=(),
    help="Programs with arguments, e.g. "
    "['root disk = /usr/lib/nagios/plugins/check_disk -w 20% -c 10% -p /'].",
)
TIMEOUT = Option(
    name="timeout_seconds", default=30, help="Longest wait for one check before it is killed."
)
MEMORY = Option(
    name="memory_megabytes", default=256, help="Most memory of each process of a check (Linux)."
)

_MOST = 64
_MOST_MEASURES = 20  # of one check
_LONGEST_SECONDS = 125.0  # of all
_LONGEST_TEXT = 240
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}(\.(sh|py|pl|rb|exe|bat|cmd))?")
_STATES = {0: "fine", 1: "warning", 2: "critical", 3: "unknown"}
_METRICS = {
    Unit.COUNT: COUNT,
    Unit.SECONDS: SECONDS,
    Unit.BYTES: BYTES,
    Unit.RATIO: RATIO,
}

Distrust = Callable[[str], str]
"""Returns why a program may not be run, "" when it may."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, and the limits it runs in."""

    argv: tuple[str, ...]
    limits: Limits


@dataclass(frozen=True, slots=True)
class Result:
    """What a check said; `why` when nothing can be taken from it."""

    status: int
    said: Said
    seconds: float
    why: str = ""


def read_linux(options: Options) -> Iterator[Reading]:
    """Run every check of the folder and of the settings, at most eight at a time."""
    if sys.platform == "win32":
        raise WrongSystem
    yield from readings(options, Path("/etc/forewarn/checks.d"), _AT_ONCE)


def read_windows(options: Options) -> Iterator[Reading]:
    """Run every check of the folder and of the settings, at most eight at a time."""
    data = Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData"))
    yield from readings(options, data / "forewarn" / "checks.d", _AT_ONCE)


def _perform(command: Command) -> Result:
    if sys.platform == "win32":
        from forewarn_checks.windows.trusted import distrust as distrust_here
    else:
        from forewarn_checks.linux.trusted import distrust as distrust_here
    return perform(command, distrust_here, run_limited)


def perform(command: Command, distrust: Distrust, run: Run) -> Result:
    """Run one check, if its program can be trusted."""
    if why := distrust(command.argv[0]):
        return Result(3, Said("", ()), 0.0, f"not run: {why}")
    began = time.perf_counter()
    try:
        ended = run(command.argv, command.limits)
    except OSError as error:
        return Result(3, Said("", ()), 0.0, f"not run: {error}")
    return judge(ended, time.perf_counter() - began)


def judge(ended: Ended, seconds: float) -> Result:
    """Return what an ended program means."""
    said = parse_output(ended.output)
    if ended.cut:
        return Result(3, replace(said, measures=()), seconds, ended.cut)
    if ended.status not in _STATES:
        why = f"ended with {ended.status}, which means nothing of a check"
        return Result(3, said, seconds, why)
    return Result(ended.status, said, seconds, "" if said.text else "it printed nothing")


_AT_ONCE = AtOnce(_perform)


def readings(options: Options, usual: Path, at_once: AtOnce[Command, Result]) -> Iterator[Reading]:
    """Yield what every check says; those of folder `usual` unless the settings name another.

    Raises NothingToRead without any, CannotRead at the end for settings that make no sense.
    """
    limits = Limits(
        seconds=min(max(_number(options, TIMEOUT), 1), 60),
        memory_bytes=max(_number(options, MEMORY), 16) * 2**20,
    )
    folder = Path(str(options.get(FOLDER.name) or usual))
    entries = read_entries(
        options, COMMANDS, parse_command, check="own", most=_MOST, name_of=_name_of
    )
    commands = {each.name: Command(each.thing, limits) for each in entries}
    for name, path in _in_folder(folder):
        commands.setdefault(name, Command((path,), limits))
    if not commands and not entries.bad:
        raise NothingToRead(
            f"{folder}: there is no check; put programs of root's there, or name some: "
            "[checks.own.options] commands"
        )
    commands = dict(list(commands.items())[:_MOST])
    results = dict(at_once(list(commands.values()), _LONGEST_SECONDS))
    late = Result(3, Said("", ()), 0.0, f"not run: the others took {_LONGEST_SECONDS:g} s")
    told: list[dict[str, str | int | float | bool | None]] = []
    for name, command in commands.items():
        result = results[command] or late
        yield from _samples(name, result)
        if result.status:
            text = "; ".join(each for each in (result.why, result.said.text) if each)
            told.append(
                {"check": name, "says": _STATES[result.status], "text": text[:_LONGEST_TEXT]}
            )
    yield Fact("own_checks_not_fine", told)
    entries.complain()


def _samples(name: str, result: Result) -> Iterator[Reading]:
    yield UNKNOWN.sample(result.status == 3, check=name)
    if result.status != 3:
        yield STATE.sample(result.status, check=name)
    if result.seconds:
        yield DURATION.sample(result.seconds, check=name)
    for measure in result.said.measures[:_MOST_MEASURES]:
        labels = {"check": name, "measure": measure.label}
        yield _metric_of(measure).sample(measure.value, **labels)
        if measure.critical_ratio is not None:
            yield CRITICAL.sample(measure.critical_ratio, **labels)


def _metric_of(measure: Measure) -> Metric:
    return COUNTER if measure.counter else _METRICS[measure.unit]


def _in_folder(folder: Path) -> list[tuple[str, str]]:
    """Return name and path of each program in `folder`; what packages left behind is none.

    Raises CannotRead when it is there and may not be looked into.
    """
    try:
        found = sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CannotRead(
            f"{folder}: {error.strerror}; let the agent look into it: chmod 755"
        ) from error
    return [(each.name, str(each)) for each in found if _NAME.fullmatch(each.name)][:_MOST]


def parse_command(text: str) -> tuple[str, ...]:
    """Return the argv of a command line, quoted as for a shell.  Raises ValueError."""
    # a Windows path is full of backslashes, which a POSIX shell would take away
    argv = shlex.split(text, posix="\\" not in text)
    if not argv or not (argv[0].startswith("/") or argv[0][1:3] == ":\\"):
        raise ValueError("write NAME = /whole/path/of/program and its arguments")
    return tuple(word.strip('"') for word in argv)


def _name_of(argv: tuple[str, ...]) -> str:
    return re.split(r"[/\\]", argv[0])[-1]


def _number(options: Options, option: Option) -> int:
    value = options.get(option.name, option.default)
    assert isinstance(value, int)
    return value


CHECK = Check(
    name="own",
    help="Your own checks, and any plugin made for Nagios: root's programs, run as the agent.",
    every=timedelta(minutes=5),
    timeout=timedelta(seconds=140),
    metrics=(STATE, UNKNOWN, DURATION, COUNT, SECONDS, BYTES, RATIO, COUNTER, CRITICAL),
    component=Component("own", ("check",)),
    read_linux=read_linux,
    read_windows=read_windows,
    options=(FOLDER, COMMANDS, TIMEOUT, MEMORY),
    rules=(
        Threshold(
            name="OwnCheckBad",
            metric=STATE,
            severity=Severity.WARNING,
            above=1,
            clear_at=0,
            levels={Severity.HIGH: Level(above=2, clear_at=1)},
            hold_for=timedelta(minutes=4),
            title="{check} on {host} is not fine",
            advice=(
                "The host's facts (own_checks_not_fine) have its own words, and its figures are "
                "beside them. Run it there to see all of it: forewarn-agent once --check own. "
                "What to do is known to whoever wrote or configured the check; write it into the "
                "advice of this rule for your hosts."
            ),
        ),
        State(
            name="OwnCheckUnknown",
            metric=UNKNOWN,
            severity=Severity.WARNING,
            when=1,
            hold_for=timedelta(minutes=9),
            hold_readings=2,
            title="{check} on {host} cannot tell",
            advice=(
                "What it watches is not known. The host's facts (own_checks_not_fine) say why: "
                "not run because others than root could change it, killed after its time, too "
                "much memory, a missing right or module, wrong arguments. Run it as the agent "
                "does: runuser -u forewarn -- and its path."
            ),
        ),
    ),
    panels=(
        Panel(STATE),
        Panel(UNKNOWN, drawn_as="state"),
        Panel(CRITICAL),
        Panel(COUNT),
        Panel(SECONDS),
        Panel(BYTES),
        Panel(RATIO),
        Panel(COUNTER),
        Panel(DURATION),
    ),
)
