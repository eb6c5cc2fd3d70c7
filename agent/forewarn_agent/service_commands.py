"""The words `forewarn-agent service …`: the agent as a service of Windows.

On Linux the installer makes the service, and systemd starts and stops it.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from forewarn_agent import paths, service_access
from forewarn_agent.exits import NOT_WELL, WRONG_USE

app = typer.Typer(
    help="The agent as a service of Windows; on Linux see systemctl.", no_args_is_help=True
)

_HERE = paths.default_directory()
Directory = Annotated[
    Path,
    typer.Option(
        "--dir",
        envvar=paths.DIRECTORY_VARIABLE,
        help="Where the service keeps identity, spool, status and logs.",
        show_default=str(_HERE),
    ),
]
_out = Console()
_err = Console(stderr=True)


@app.command("install")
def install(directory: Directory = _HERE) -> None:
    """Make the services of agent and helper, or change those there are to this program.

    Starts nothing.  Closes the folders to all but the service, SYSTEM and administrators.  Exit
    code 1: Windows refused.
    """
    if sys.platform != "win32":
        _elsewhere()
    from forewarn_agent import service_control as control

    try:
        unknown = control.install(directory, _HERE, paths.helper_directory())
    except (control.CannotControl, OSError) as failure:
        _fail(str(failure))
    _out.print(
        f"service {service_access.NAME} installed, as {escape(service_access.ACCOUNT)}",
        highlight=False,
    )
    if unknown:
        _err.print(f"this Windows does not know: {', '.join(unknown)}", highlight=False)


@app.command("uninstall")
def uninstall() -> None:
    """Stop the services and remove them; what they kept stays.  Exit code 1: Windows refused."""
    if sys.platform != "win32":
        _elsewhere()
    from forewarn_agent import service_control as control

    try:
        control.remove()
    except control.NoSuchService:
        _out.print("there is no such service; nothing to do")
    except control.CannotControl as failure:
        _fail(str(failure))
    else:
        _out.print("service removed")


@app.command("start")
def start() -> None:
    """Start the service and wait until it samples.  Exit code 1: it does not."""
    if sys.platform != "win32":
        _elsewhere()
    from forewarn_agent import service_control as control

    try:
        control.start()
    except control.CannotControl as failure:
        _fail(str(failure))


@app.command("stop")
def stop() -> None:
    """Stop the service and wait until it has.  Exit code 1: it does not stop."""
    if sys.platform != "win32":
        _elsewhere()
    from forewarn_agent import service_control as control

    try:
        control.stop()
    except control.CannotControl as failure:
        _fail(str(failure))


@app.command("state")
def state(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Print stopped, starting, running, stopping or absent.  Exit code 1: it does not run."""
    if sys.platform != "win32":
        _elsewhere()
    from forewarn_agent import service_control as control

    try:
        found = control.state()
    except control.CannotControl as failure:
        _fail(str(failure))
    print(json.dumps({"state": found}) if as_json else found)  # noqa: T201 - the answer
    if found != "running":
        raise typer.Exit(NOT_WELL)


def _elsewhere() -> NoReturn:
    _err.print(
        "this is for Windows; on Linux the installer makes the service, and systemctl start, "
        "stop and status forewarn-agent do the rest",
        highlight=False,
    )
    raise typer.Exit(WRONG_USE)


def _fail(text: str) -> NoReturn:
    _err.print(f"[red]{escape(text)}[/]", highlight=False, soft_wrap=True)
    raise typer.Exit(NOT_WELL)
