"""Services: what has failed or restarts, and whether those named in the settings run."""

import fnmatch
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import timedelta
from pathlib import Path

from forewarn_checks._process import Execute, execute
from forewarn_checks.base import (
    CannotRead,
    Check,
    Component,
    Growth,
    Increase,
    Metric,
    NothingToRead,
    Option,
    Options,
    Panel,
    Reading,
    Severity,
    State,
    WrongSystem,
)
from forewarn_checks.base import Unit as In
from forewarn_checks.linux.units import Unit, full_name, parse_list, parse_restarts, some
from forewarn_checks.windows.services import Memory as WindowsMemory
from forewarn_checks.windows.services import Service

COUNT = Metric("services_failed", In.COUNT, "Services in failure, those not listed included.")
FAILED = Metric(
    "service_failed",
    In.COUNT,
    "1 when the unit ended badly or is being started again after that, else 0; on Windows when the "
    "service should run by itself and ended badly.",
    ("service",),
)
RUNNING = Metric(
    "service_running", In.COUNT, "1 when a service of option watch runs, else 0.", ("service",)
)
RESTARTS = Metric(
    "service_restarts",
    In.COUNT,
    "How often systemd has started the service again by itself, a counter; on Windows how often it "
    "was found in another process, since the agent's start.",
    ("service",),
)

WATCH = Option(
    name="watch",
    default=(),
    help="Services that must run, e.g. ['nginx', 'postgresql@15-main', 'Spooler'].",
    remote=True,
)
IGNORE = Option(
    name="ignore",
    default=("run-*", "systemd-coredump@*"),
    help="Units whose failure is nobody's business, with * and ? as in the shell.",
    remote=True,
)

_KINDS = "service,mount,socket,timer,swap,path"
_LIST = ("systemctl", "list-units", "--all", f"--type={_KINDS}", "--plain", "--no-legend", "--full")
_SHOW = ("systemctl", "show", "--property=Id,NRestarts")
_PATIENCE_SECONDS = 15.0
_MOST_FAILED = 40  # units with series of their own; the count has all of them
_MOST_WATCHED = 50
_MOST_WELL = 100  # units said to be well
_FIRST_RUNS = 10
_RUNS_BETWEEN_LOOKS = 15
_MOST_LOOKED_AT = 100


class Memory:
    """What earlier runs of this process said, so that a failure that is over is said to be over.

    Only what fails or restarts has series, or thousands of units would.  The first runs after a
    start also say of others that they are well: one may have failed before the start.
    """

    def __init__(self) -> None:
        self.failed: set[str] = set()
        self.restarted: set[str] = set()
        self.runs = 0

    def well(self, failed: Set[str], units: Mapping[str, Unit]) -> tuple[str, ...]:
        """Return the units to be told of although they have not failed."""
        wanted = self.failed - failed
        if self.runs < _FIRST_RUNS:
            wanted |= {unit.name for unit in units.values() if unit.is_well} - failed
        ranked = sorted(
            wanted,
            key=lambda name: (
                name not in self.failed,
                not (name in units and units[name].runs),
                name,
            ),
        )
        return tuple(ranked[:_MOST_WELL])

    def remember(self, failed: Iterable[str], restarted: Iterable[str]) -> None:
        """Keep in mind which units failed and which were started again, as far as there is room."""
        self.runs += 1
        self.failed = set(some([*self.failed, *failed], _MOST_WELL, first=self.failed))
        self.restarted = set(
            some([*self.restarted, *restarted], _MOST_FAILED, first=self.restarted)
        )


_MEMORY = Memory()
_WINDOWS_MEMORY = WindowsMemory()


def read_linux(options: Options) -> Iterator[Reading]:
    """Ask systemd for its units in two calls; nothing where it does not run the host."""
    if sys.platform == "win32":
        raise WrongSystem
    if not Path("/run/systemd/system").is_dir():  # sd_booted(3)
        raise NothingToRead("systemd does not run this host, and nothing else is asked")
    yield from readings(execute, options, _MEMORY)


def readings(run: Execute, options: Options, memory: Memory) -> Iterator[Reading]:
    """Yield what `run` hears from systemctl.  Raises CannotRead when it does not answer."""
    known = parse_list(_ask(run, _LIST))
    units = {name: unit for name, unit in known.items() if not _is_ignored(name, options)}
    watched = [full_name(name) for name in _names(options, WATCH)][:_MOST_WATCHED]
    failed = {name for name, unit in units.items() if unit.has_failed}
    yield COUNT.sample(len(failed))
    told = some(failed, _MOST_FAILED, first=watched)
    for name in told:
        yield FAILED.sample(1, service=name)
    for name in memory.well(failed, units):
        yield FAILED.sample(0, service=name)
    for name in watched:
        yield RUNNING.sample(name in known and known[name].runs, service=name)
    restarts = _restarts(run, known, {*watched, *told}, memory)
    for name, count in restarts.items():
        yield RESTARTS.sample(count, service=name)
    memory.remember(told, (name for name, count in restarts.items() if count))


def _restarts(
    run: Execute, units: Mapping[str, Unit], named: Set[str], memory: Memory
) -> dict[str, int]:
    """Return the restarts of the services `named` or known to restart; now and then of others.

    To show a unit costs PID 1 a quarter of a millisecond, and more the more there are (11 s for
    2,000), so others are asked rarely, and a bounded number of them in turn.
    """
    wanted = {
        name
        for name in named | memory.restarted | memory.failed
        if name in units and name.endswith(".service")
    }
    others: list[str] = []
    if memory.runs % _RUNS_BETWEEN_LOOKS == 0:
        others = in_turn(_long_lived(units), memory.runs // _RUNS_BETWEEN_LOOKS)
    asked = sorted(wanted.union(others))
    found = parse_restarts(_ask(run, (*_SHOW, "--", *asked))) if asked else {}
    return _most_restarted(found, wanted)


def _long_lived(units: Mapping[str, Unit]) -> list[str]:
    return sorted(
        name for name, unit in units.items() if unit.sub == "running" and name.endswith(".service")
    )


def in_turn(names: Sequence[str], turn: int) -> list[str]:
    """Return the part of `names` whose turn it is, no longer than one look may be."""
    parts = max(1, -(-len(names) // _MOST_LOOKED_AT))
    return list(names[turn % parts :: parts])


def _most_restarted(found: Mapping[str, int], wanted: Set[str]) -> dict[str, int]:
    others = sorted(
        (name for name, count in found.items() if count and name not in wanted),
        key=lambda name: (-found[name], name),
    )
    return {name: found[name] for name in [*sorted(wanted & found.keys()), *others[:_MOST_FAILED]]}


def _ask(run: Execute, argv: Sequence[str]) -> str:
    try:
        done = run(argv, _PATIENCE_SECONDS)
    except OSError as error:
        raise CannotRead(f"systemctl: {error}; it is part of package systemd") from error
    if done.status is None:
        raise CannotRead(
            f"{argv[0]} {argv[1]} did not end within {_PATIENCE_SECONDS:g} s; "
            "see whether PID 1 or dbus hangs: journalctl -u dbus"
        )
    if done.status != 0:
        said = " ".join(done.errors.split())[:300]
        raise CannotRead(
            f"{argv[0]} {argv[1]} ended with {done.status}: {said}. Without root it needs the "
            "system bus: install package dbus"
        )
    return done.output


def read_windows(options: Options) -> Iterator[Reading]:
    """Ask the service manager for all services in one call."""
    if sys.platform != "win32":
        raise WrongSystem
    from forewarn_checks.windows.services import all_services

    yield from readings_windows(all_services(), options, _WINDOWS_MEMORY)


def readings_windows(
    services: Sequence[Service], options: Options, memory: WindowsMemory
) -> Iterator[Reading]:
    """Yield what `services` say: one that starts by itself and ended badly has failed."""
    by_name = {each.name.lower(): each for each in services}
    watched = _names(options, WATCH)[:_MOST_WATCHED]
    told = memory.look(services, _names(options, IGNORE), watched)
    yield COUNT.sample(told.failed_count)
    for name in told.failed:
        yield FAILED.sample(1, service=name)
    for name in told.well:
        yield FAILED.sample(0, service=name)
    for name in watched:
        known = by_name.get(name.lower())
        yield RUNNING.sample(known is not None and known.status == "running", service=name)
    for name, count in told.restarts.items():
        yield RESTARTS.sample(count, service=name)


def _is_ignored(name: str, options: Options) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _names(options, IGNORE))


def _names(options: Options, option: Option) -> list[str]:
    names = options.get(option.name, option.default)
    assert isinstance(names, tuple | list)
    # a name that looks like an option, or is empty, is no name of a service
    return [name for name in names if name and not name.startswith("-")]


CHECK = Check(
    name="services",
    help="Services that failed, restart again and again, or should run and do not.",
    every=timedelta(minutes=2),
    timeout=timedelta(seconds=40),
    metrics=(COUNT, FAILED, RUNNING, RESTARTS),
    component=Component("service", ("service",)),
    read_linux=read_linux,
    read_windows=read_windows,
    options=(WATCH, IGNORE),
    rules=(
        State(
            name="ServiceFailed",
            metric=FAILED,
            severity=Severity.WARNING,
            when=1,
            hold_for=timedelta(minutes=5),
            clear_for=timedelta(minutes=10),
            title="{service} on {host} has failed",
            advice=(
                "See why: systemctl status {service}, journalctl -u {service} -b; on Windows Event "
                "Viewer > System, source Service Control Manager. Mend the cause, "
                "then systemctl restart {service}. What is no longer needed: systemctl disable "
                "--now and systemctl reset-failed {service}, or leave it out: "
                "[checks.services.options] ignore."
            ),
        ),
        Growth(
            name="ServiceRestarting",
            severity=Severity.WARNING,
            any_of=(Increase(metric=RESTARTS, by=5),),
            window=timedelta(hours=1),
            title="{service} on {host} restarts again and again: {value}",
            advice=(
                "Within an hour: {value}. It ends by itself and is started again, so users see it "
                "come and go. See what it says before it ends: journalctl -u {service} -b. "
                "'oom-kill' there means memory, 'watchdog' that it hung."
            ),
        ),
        State(
            name="ServiceStopped",
            metric=RUNNING,
            severity=Severity.HIGH,
            when=0,
            hold_for=timedelta(minutes=5),
            clear_for=timedelta(minutes=5),
            title="{service} on {host} does not run",
            advice=(
                "It is named as one that must run. See who stopped it and when: systemctl status "
                "{service}, journalctl -u {service} (Event Viewer > System, source Service "
                "Control Manager, on Windows). Start it: systemctl start {service}, or Start-"
                "Service. If it is not needed any more, take it out of [checks.services.options] "
                "watch."
            ),
        ),
    ),
    panels=(
        Panel(COUNT),
        Panel(FAILED, drawn_as="state"),
        Panel(RUNNING, drawn_as="state"),
        Panel(RESTARTS),
    ),
)
