"""The command `forewarn-collector`; its exit codes are in `commands.frame`."""

import os
from typing import Annotated

import typer

from forewarn_collector import clock, doctor, instance
from forewarn_collector.commands import (
    auditing,
    entry,
    hosting,
    judging,
    keeping,
    measuring,
    telling,
)
from forewarn_collector.commands.frame import (
    HERE,
    NO_INSTANCE,
    NOT_WELL,
    WRONG_USE,
    AsJson,
    Directory,
    fail,
    print_json,
    print_table,
    say,
    tells_trouble,
)
from forewarn_collector.state.database import open_sqlite
from forewarn_collector.state.migrations import migrate

app = typer.Typer(
    name="forewarn-collector",
    help="Take in what agents send, judge it, and tell of it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # locals may hold secrets
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(entry.tokens, name="token")
app.add_typer(entry.users, name="user")
app.add_typer(hosting.hosts, name="host")
app.add_typer(judging.rules, name="rules")
app.add_typer(telling.destinations, name="destination")
app.add_typer(telling.outbox, name="outbox")
app.add_typer(auditing.audits, name="audit")
app.add_typer(hosting.packages, name="packages")
app.command()(measuring.bench)
app.command()(keeping.backup)
app.command()(keeping.restore)


@app.command()
@tells_trouble
def init(
    agents: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to listen for agents.")
    ] = instance.DEFAULT_AGENTS,
    operators: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to listen for people.")
    ] = instance.DEFAULT_OPERATORS,
    url: Annotated[
        str,
        typer.Option(
            metavar="https://NAME:PORT",
            help="Where agents reach this collector.",
            show_default="made of this machine's name",
        ),
    ] = "",
    as_json: AsJson = False,
    directory: Directory = HERE,
) -> None:
    """Make a collector: folder, settings, certificate authority and databases."""
    try:
        made = instance.create(
            directory.absolute(), agents=agents, operators=operators, url=url, now=clock.now()
        )
    except ValueError as wrong:
        fail(str(wrong), WRONG_USE)
    except FileExistsError as left:
        fail(f"{left.filename} is left of an unfinished init; remove {directory}", NO_INSTANCE)
    config = instance.read_settings(directory).config
    if as_json:
        print_json(
            {
                "directory": str(directory.absolute()),
                "collector_id": made,
                "url": config.url,
                "agents": config.agents,
                "operators": config.operators,
            }
        )
        return
    say(f"Made collector {made} in {directory.absolute()}")
    say(f"  agents reach it at {config.url}, people at https://{config.operators}")
    say(f"Next: forewarn-collector user create NAME --role admin --dir {directory}")
    say(f"      forewarn-collector serve --dir {directory}")


@app.command()
@tells_trouble
def serve(directory: Directory = HERE) -> None:
    """Listen, judge and tell until told to stop.

    Logs to stderr; one line on stdout once both listeners answer.  SIGTERM ends it within seconds,
    SIGHUP reads the settings again.
    """
    # Not above: other commands need none of it, and importing it takes a second.
    from forewarn_collector import logs
    from forewarn_collector import serve as serving
    from forewarn_collector.service_manager import notify

    def ready(line: str) -> None:
        typer.echo(line)
        notify("READY=1")

    os.umask(0o077)
    directory = instance.find(directory)
    logs.configure()
    serving.run(directory, ready=ready, now=clock.now)


@app.command("migrate")
@tells_trouble
def migrate_command(directory: Directory = HERE) -> None:
    """Bring the state database to this release; a copy is kept first.  `serve` does the same."""
    path = instance.state_path(instance.find(directory))
    database = open_sqlite(path)
    try:
        done = migrate(database, path, clock.now())
    finally:
        database.close()
    if not done.changed:
        say(f"{path} is at step {done.after} already")
    else:
        say(f"{path} went from step {done.before or 'nothing'} to {done.after}")
        if done.snapshot:
            say(f"  what it was before is kept in {done.snapshot}")


@app.command("doctor")
@tells_trouble
def doctor_command(as_json: AsJson = False, directory: Directory = HERE) -> None:
    """Look the instance over: rights, settings, disk, certificates, databases, deliveries.

    Exit code 1: something is in trouble; warnings alone do not count.
    """
    directory = instance.find(directory)
    with instance.opened_state(directory) as database:
        found = list(doctor.examine(directory, database, clock.now()))
    if as_json:
        print_json(
            {
                "findings": [
                    {"subject": f.subject, "mark": str(f.mark), "text": f.text} for f in found
                ]
            }
        )
    else:
        print_table(("", "subject", "finding"), [(str(f.mark), f.subject, f.text) for f in found])
    if any(finding.mark is doctor.Mark.TROUBLE for finding in found):
        raise typer.Exit(NOT_WELL)
