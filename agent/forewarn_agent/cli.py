"""The command `forewarn-agent`.

Exit codes: 0 all is well; 1 something watched or asked for is not well; 2 wrong usage or
agent.toml; 3 this host is not enrolled; 4 the collector refused or was not reached.
"""

import dataclasses
import json
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import psutil
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from forewarn_agent import config, enrol, identity, once, paths, service_commands, status
from forewarn_agent.exits import NOT_ENROLLED, NOT_WELL, REFUSED, WRONG_USE
from forewarn_agent.shown import amount
from forewarn_checks.base import Check, Outcome, Run, Sample
from forewarn_checks.base.catalog import all_checks, all_metrics

app = typer.Typer(
    name="forewarn-agent",
    help="Sample this host, keep the samples safe, and ship them to the collector.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # locals may hold secrets
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(help="Look after agent.toml.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(service_commands.app, name="service")

_DIR = typer.Option(
    "--dir",
    envvar=paths.DIRECTORY_VARIABLE,
    help="Where the agent keeps identity, spool and status; agent.toml may lie there too.",
    show_default=str(paths.default_directory()),
)
Directory = Annotated[Path, _DIR]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]

_out = Console()
_err = Console(stderr=True)


@app.command("enrol")
def enrol_command(
    string: Annotated[
        str,
        typer.Argument(
            help="What the collector's `token create` printed; - reads it from stdin, which "
            "keeps it out of the list of processes."
        ),
    ],
    directory: Directory = paths.default_directory(),
    force: Annotated[
        bool, typer.Option("--force", help="Enrol a host that is enrolled: it becomes a new one.")
    ] = False,
) -> None:
    """Make this host known to a collector.

    Asking again with the same string after a lost answer is safe.  Exit code 4: the collector
    refused or was not reached; 2: the string cannot be read; 1: enrolled already.
    """
    given = sys.stdin.readline() if string == "-" else string
    introduction = enrol.Introduction(socket.gethostname(), paths.system_name(), _version())
    try:
        enrolled = enrol.enrol(directory, enrol.parse(given), introduction, force=force)
    except enrol.BadString as failure:
        _fail(str(failure), WRONG_USE)
    except enrol.AlreadyEnrolled as failure:
        _fail(str(failure), NOT_WELL)
    except enrol.CannotEnrol as failure:
        _fail(str(failure), REFUSED)
    except OSError as failure:
        _fail(_not_allowed(directory, failure), NOT_WELL)
    _out.print(
        f"[green]Enrolled[/] {escape(socket.gethostname())} as host {enrolled.host_id}\n"
        f"  client {escape(enrolled.client)}, site {escape(enrolled.site)}\n"
        f"  collector {escape(enrolled.url)}\n"
        f"Next: forewarn-agent run --dir {escape(str(directory))}"
        + (" (restart it if it runs)" if force else ""),
        highlight=False,
    )


@app.command()
def run(directory: Directory = paths.default_directory()) -> None:
    """Sample on schedule and ship, until told to stop.

    Logs to stderr.  SIGTERM ends it within five seconds, SIGHUP reads agent.toml again.  Exit
    code 3: this host is not enrolled; 2: agent.toml cannot be used.
    """
    # Replaced by a fresh interpreter: what this command line imported would stay resident.
    # One malloc arena, early trimming, no column numbers of source lines: each a little less.
    environment = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "65536", **os.environ}
    paths.become(
        [
            sys.executable,
            "-P",
            "-X",
            "no_debug_ranges",
            "-m",
            "forewarn_agent.main",
            str(directory),
        ],
        environment,
    )


@app.command("once")
def once_command(
    check: Annotated[
        list[str] | None, typer.Option("--check", help="Only this check; may be repeated.")
    ] = None,
    cost: Annotated[
        bool,
        typer.Option("--cost", help="One check after another, and what processor time each took."),
    ] = False,
    as_json: AsJson = False,
    directory: Directory = paths.default_directory(),
) -> None:
    """Sample now, print what was read, send nothing.

    Needs no enrolment, no root and no configuration; agent.toml is used when it can be read.
    Exit code 1: a check failed or timed out; 2: unknown check or bad agent.toml.
    """
    known = all_checks()
    for name in check or ():
        if name not in known:
            _fail(f"there is no check {name!r}; the checks are {', '.join(known)}", WRONG_USE)
    try:
        settings = config.load(config.find(directory))
    except config.ConfigError as failure:
        _fail(str(failure), WRONG_USE)
    chosen = [known[name] for name in known if name in (check or settings.enabled())]
    with Progress(
        SpinnerColumn(),
        TextColumn("sampling {task.description}"),
        BarColumn(20),
        TimeElapsedColumn(),
        console=_err,
        transient=True,
        disable=as_json or not _err.is_terminal,
    ) as progress:
        waiting = [one.name for one in chosen]
        task = progress.add_task(", ".join(waiting), total=len(chosen))
        runs: dict[str, Run] = {}
        costs: dict[str, float] = {}
        for done in _sampled(chosen, settings, costs if cost else None):
            runs[done.check] = done
            waiting.remove(done.check)
            progress.update(task, advance=1, description=", ".join(waiting))
    ordered = [runs[one.name] for one in chosen]
    if as_json:
        print(json.dumps(once.document(ordered, costs), indent=2, allow_nan=False))
    else:
        for each in ordered:
            _print_run(each, costs.get(each.check))
    if any(each.outcome in once.BAD for each in ordered):
        raise typer.Exit(NOT_WELL)


@app.command("status")
def status_command(
    as_json: AsJson = False, directory: Directory = paths.default_directory()
) -> None:
    """Say how the agent of this host is doing.

    Exit code 3: not enrolled; 1: it is not running, or the collector or a check is in trouble.
    """
    try:
        enrolled = identity.is_enrolled(directory)
        told = status.read(directory) if enrolled else None
    except (OSError, ValueError) as failure:
        _fail(_not_allowed(directory, failure), NOT_WELL)
    health = status.judge(told, psutil.pid_exists)
    if as_json:
        shown = {"enrolled": enrolled, "health": health, "agent": None}
        print(json.dumps(shown | ({"agent": dataclasses.asdict(told)} if told else {}), indent=2))
    elif not enrolled:
        _err.print(f"{escape(str(directory))} holds no identity: enrol this host first")
    elif told is None:
        _err.print("This host is enrolled; its agent has not run yet: forewarn-agent run")
    else:
        _print_status(told, health)
    if not enrolled:
        raise typer.Exit(NOT_ENROLLED)
    if health != "ok":
        raise typer.Exit(NOT_WELL)


@app.command("doctor")
def doctor_command(
    as_json: AsJson = False, directory: Directory = paths.default_directory()
) -> None:
    """Look the agent over: rights, program, settings, disk, identity, collector, clock, sending.

    Exit code 1: something is in trouble; warnings alone do not count.
    """
    from forewarn_agent import doctor

    try:
        found = list(doctor.examine(directory, doctor.Outside(is_running=psutil.pid_exists)))
    except OSError as failure:
        _fail(_not_allowed(directory, failure), NOT_WELL)
    if as_json:
        told = [{"subject": f.subject, "mark": str(f.mark), "text": f.text} for f in found]
        print(json.dumps({"findings": told}, indent=2))
    else:
        table = Table("", "subject", "finding", box=None, header_style="bold", pad_edge=False)
        for f in found:
            table.add_row(str(f.mark), escape(f.subject), escape(f.text))
        _out.print(table, highlight=False)
    if any(f.mark is doctor.Mark.TROUBLE for f in found):
        raise typer.Exit(NOT_WELL)


@app.command("lockdown")
def lockdown_command(
    reason: Annotated[str, typer.Option(help="Why; orders that are refused say so.")] = "",
    lift: Annotated[bool, typer.Option("--lift", help="Let orders be run again.")] = False,
    helper_directory: Annotated[
        Path, typer.Option("--helper-dir", help="Where the helper keeps its journal.")
    ] = paths.helper_directory(),
) -> None:
    """Let nothing be run on this host, whoever signed it, and end what runs now.

    Needs root.  Only this command, here, lifts it again; sampling goes on.
    """
    from forewarn_agent import lockdown

    try:
        changed = (
            lockdown.lift(helper_directory) if lift else lockdown.begin(helper_directory, reason)
        )
    except OSError as failure:
        _fail(f"{helper_directory}: {failure.strerror}; run this as root", NOT_WELL)
    state = "orders are judged by policy.toml again" if lift else "nothing is run on this host"
    _out.print(state if changed else f"{state}; it was so before", highlight=False)


@config_app.command("check")
def config_check(
    directory: Directory = paths.default_directory(),
    file: Annotated[
        Path | None, typer.Option("--file", help="Check this file instead of the one in use.")
    ] = None,
) -> None:
    """Read agent.toml as the agent would and name everything that is wrong with it.

    Exit code 2: it cannot be used.
    """
    path = file or config.find(directory)
    try:
        settings = config.load(path)
    except config.ConfigError as failure:
        for problem in failure.problems:
            _err.print(f"[red]wrong[/] {escape(problem)}", highlight=False)
        raise typer.Exit(WRONG_USE) from None
    except OSError as failure:
        _fail(f"{path} cannot be read: {failure.strerror}", WRONG_USE)
    where = escape(str(path)) if path else "no agent.toml; the defaults are in force"
    enabled = ", ".join(settings.enabled()) or "none"
    _out.print(f"[green]good[/] {where}\n     checks enabled: {enabled}", highlight=False)


@config_app.command("sample")
def config_sample() -> None:
    """Print an agent.toml with every option, what it means and its default."""
    print(config.sample_config(), end="")


_COLOURS = {
    Outcome.OK: "green",
    Outcome.NOTHING: "yellow",
    Outcome.UNSUPPORTED: "yellow",
    Outcome.FAILED: "red",
    Outcome.TIMED_OUT: "red",
}


def _sampled(
    chosen: Iterable[Check], settings: config.AgentConfig, costs: dict[str, float] | None
) -> Iterator[Run]:
    """Yield the runs as they end, and put what each cost into `costs` where that is asked for."""
    if costs is None:
        yield from once.sample(chosen, settings)
        return
    for run, seconds in once.sample_with_cost(chosen, settings):
        costs[run.check] = seconds
        yield run


def _print_run(run: Run, cpu_seconds: float | None) -> None:
    colour = _COLOURS[run.outcome]
    took = f"{run.duration_seconds:.2f} s"
    if cpu_seconds is not None:
        took += f", {cpu_seconds:.2f} s of processor"
    _out.print(
        f"[bold]{run.check}[/]  [{colour}]{run.outcome}[/]  [dim]{took}[/]",
        highlight=False,
    )
    if run.error:
        _out.print(f"  {escape(run.error)}", highlight=False)
    if run.samples:
        _out.print(_samples_table(run))
    for name, value in run.facts.items():
        shown = _counted(value) if isinstance(value, list) else str(value)
        _out.print(f"  [dim]fact[/] {escape(name)}: {escape(shown)}", highlight=False)
    _out.print()


def _counted(rows: Sequence[object]) -> str:
    return "1 entry" if len(rows) == 1 else f"{len(rows)} entries"


def _samples_table(run: Run) -> Table:
    """One block for each part of the host, headed by its labels."""
    metrics = all_metrics()
    parts: dict[str, list[Sample]] = {}
    for sample in run.samples:
        labels = "  ".join(f"{name}={value}" for name, value in sample.labels.items())
        parts.setdefault(labels, []).append(sample)
    table = Table(box=None, show_header=False, padding=(0, 0, 0, 2))
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    for labels, samples in parts.items():
        if labels:
            table.add_row(f"[cyan]{escape(labels)}[/]", "")
        for sample in samples:
            metric = metrics.get(sample.metric)
            shown = amount(sample.value, metric.unit if metric else None)
            table.add_row(("  " if labels else "") + escape(sample.metric), shown)
    return table


def _print_status(told: status.Status, health: str) -> None:
    colour = "green" if health == "ok" else "red"
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_row("health", f"[{colour}]{escape(health)}[/]")
    table.add_row("host", told.host_id)
    table.add_row("collector", escape(told.collector))
    table.add_row("agent", f"{told.version}, process {told.pid}, since {told.started_at}")
    table.add_row("settings", escape(told.config_file or "defaults"))
    if told.config_problem:
        table.add_row("", f"[red]{escape(told.config_problem)}[/]")
    table.add_row("last receipt", told.received_at or "never")
    if told.send_problem:
        table.add_row("sending", f"[red]{escape(told.send_problem)}[/]")
    table.add_row("waiting", _by_lane(told.waiting))
    table.add_row("dropped", _by_lane(told.dropped))
    _out.print(table, highlight=False)
    checks = Table("check", "outcome", "when", "seconds", "said", box=None, header_style="dim")
    for name, each in told.checks.items():
        colour = _COLOURS[Outcome(each.outcome)]
        checks.add_row(
            name,
            f"[{colour}]{each.outcome}[/]",
            each.at,
            f"{each.duration_seconds:.2f}",
            escape(each.error),
        )
    _out.print(checks, highlight=False)


def _by_lane(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{lane} {count}" for lane, count in counts.items()) or "nothing"


def _fail(text: str, code: int) -> NoReturn:
    _err.print(f"[red]{escape(text)}[/]", highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def _not_allowed(directory: Path, failure: Exception) -> str:
    if isinstance(failure, PermissionError):
        return f"{directory} may only be used by its owner; run this as root, or give --dir"
    return f"{directory} cannot be used: {failure}"


def _version() -> str:
    return version("forewarn")


if __name__ == "__main__":
    app()
