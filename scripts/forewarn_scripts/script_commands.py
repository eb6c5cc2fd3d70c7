"""The subcommands about scripts: those the collector keeps, and the library."""

import json
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.table import Table
from rich.text import Text

from forewarn_checks.base.durations import write_duration
from forewarn_scripts import library
from forewarn_scripts.answers import ScriptList
from forewarn_scripts.asking import AsJson, here
from forewarn_scripts.client import read
from forewarn_scripts.exits import NOT_FOUND, WRONG_USE
from forewarn_scripts.library import LibraryScript, NoSuchScript
from forewarn_scripts.manifest import BadArgument, Flag
from forewarn_scripts.shown import plain
from forewarn_scripts.terminal import fail, print_json, print_out, tells_trouble

app = typer.Typer(help="Scripts: those the collector keeps, and the library.")


@app.callback(invoke_without_command=True)
@tells_trouble
def scripts(context: typer.Context, as_json: AsJson = False) -> None:
    """List the scripts the collector keeps."""
    if context.invoked_subcommand is not None:
        return
    with here() as collector:
        body = collector.get("/scripts")
    if as_json:
        print_json(json.loads(body))
        return
    table = _table("SHA256", "NAME", "CLIENT", "BYTES", "BY")
    for one in read(ScriptList, body).scripts:
        table.add_row(
            one.sha256[:16],
            plain(one.name),
            plain(one.client),
            str(one.size),
            plain(one.created_by),
        )
    print_out(table)


@app.command("library")
def show_library(
    name: Annotated[str | None, typer.Argument(help="One script: all there is to know.")] = None,
    system: Annotated[
        str, typer.Option("--body", metavar="SYSTEM", help="Print its body: linux or windows.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """List the maintenance scripts that come with forewarn, or show one; asks no collector."""
    if name is None:
        _list(as_json=as_json)
        return
    try:
        script = library.find(name)
        if system:
            typer.echo(script.body(system).script.decode(), nl=False)
        elif as_json:
            print_json(_told(script))
        else:
            _show(script)
    except NoSuchScript as none:
        fail(str(none), NOT_FOUND)


@app.command("policy")
def policy_entry(
    name: Annotated[str, typer.Argument(help="A script of the library.")],
    argv: Annotated[list[str] | None, typer.Argument(metavar="[-- ARGS]")] = None,
    system: Annotated[str, typer.Option(help="For hosts of which system.")] = "linux",
) -> None:
    """Print the entry of a host's policy.toml that allows exactly this script.

    Arguments that are given are allowed with these values alone, the others with every value the
    script takes; a flag (--yes) is part of the entry only when it is given.
    """
    try:
        script = library.find(name)
        body = script.body(system)
        shapes = script.manifest.shapes(argv or ())
    except NoSuchScript as none:
        fail(str(none), NOT_FOUND)
    except BadArgument as bad:
        fail(f"no entry: {bad}", WRONG_USE)
    typer.echo("[[allow]]")
    for key, value in (
        ("name", name),
        ("sha256", body.sha256),
        ("interpreter", body.interpreter),
        ("run_as", script.manifest.run_as),
    ):
        typer.echo(f'{key} = "{value}"')
    typer.echo("args = [")
    for argument, pattern in shapes:
        # A literal string of TOML takes every pattern as it is; a contract test keeps ' out.
        typer.echo(f"    {{ name = \"{argument}\", pattern = '{pattern}' }},")
    typer.echo("]")


def _list(*, as_json: bool) -> None:
    scripts = library.all_scripts().values()
    if as_json:
        print_json({"scripts": [_told(one) for one in scripts]})
        return
    table = _table("NAME", "RISK", "SYSTEMS", "WHAT")
    for one in scripts:
        table.add_row(one.name, one.manifest.risk, ", ".join(one.bodies), one.manifest.help)
    print_out(table)


def _show(script: LibraryScript) -> None:
    manifest = script.manifest
    bound = write_duration(manifest.timeout)
    lines = [
        script.name,
        f"  {manifest.help}",
        f"  risk: {manifest.risk}; runs as {manifest.run_as}, for {bound} at most",
    ]
    if manifest.helps_with:
        lines.append(f"  may help with: {', '.join(manifest.helps_with)}")
    lines += [f"  {system}: {body.sha256}" for system, body in script.bodies.items()]
    for one in manifest.arguments:
        default = "" if isinstance(one, Flag) or one.default is None else f" [{one.default}]"
        word = f"--{one.name}" if isinstance(one, Flag) else f"--{one.name}=…"
        lines += [f"  {word}{default}", f"      {one.help}"]
        if not isinstance(one, Flag):
            lines.append(f"      {one.takes()}")
    print_out(Text("\n".join(lines)))


def _told(script: LibraryScript) -> JsonValue:
    manifest = script.manifest
    return {
        "name": script.name,
        "help": manifest.help,
        "risk": manifest.risk.value,
        "run_as": manifest.run_as,
        "timeout_seconds": int(manifest.timeout.total_seconds()),
        "helps_with": list(manifest.helps_with),
        "systems": {
            system: {"sha256": body.sha256, "interpreter": body.interpreter}
            for system, body in script.bodies.items()
        },
        "arguments": [
            {
                "name": one.name,
                "kind": one.kind,
                "help": one.help,
                "takes": one.takes(),
                "default": None if isinstance(one, Flag) else one.default,
            }
            for one in manifest.arguments
        ],
    }


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
