"""The commands about one host: what it is, what people say of it, how it changed."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from forewarn_scripts import shown
from forewarn_scripts.answers import AssetChanges, Host, Imported
from forewarn_scripts.asking import AsJson, Which, here, host_id
from forewarn_scripts.asset_table import COLUMNS, BadTable, Line, read_table
from forewarn_scripts.client import Collector, read
from forewarn_scripts.exits import NOT_WELL, WRONG_USE
from forewarn_scripts.terminal import fail, note, print_json, print_out, tells_trouble, working

app = typer.Typer(help="One host.", no_args_is_help=True)

_AT_ONCE = 50


@app.command("show")
@tells_trouble
def host_show(
    which: Which,
    history: Annotated[
        bool, typer.Option("--history", help="How it changed: parts, system, what people said.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show all there is to know of one host."""
    with here() as collector, working("asking for the host"):
        which = host_id(collector, which)
        path = f"/hosts/{which}/changes" if history else f"/hosts/{which}"
        body = collector.get(path)
    if not history:
        _show_host(body, as_json=as_json)
    elif as_json:
        print_json(json.loads(body))
    else:
        print_out(shown.changes_table(read(AssetChanges, body).changes))


@app.command("set")
@tells_trouble
def host_set(
    which: Which,
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FIELD=VALUE]...",
            help=f"What no agent can read: {', '.join(COLUMNS)}. An empty value takes it away.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    host_class: Annotated[
        str | None, typer.Option("--class", help="server, workstation or roaming")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="A tag; give all of them, '' for none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change a host's name, class or tags, or what is said of it as an asset (role operator)."""
    change: dict[str, JsonValue] = {}
    if name is not None:
        change["name"] = name
    if host_class is not None:
        change["host_class"] = host_class
    if tag is not None:
        change["tags"] = [one for one in tag if one]
    if fields:
        change["asset"] = _asset(fields)
    if not change:
        fail("nothing to change: give FIELD=VALUE, --name, --class or --tag", WRONG_USE)
    with here() as collector, working("changing the host"):
        body = collector.patch(f"/hosts/{host_id(collector, which)}", change)
    _show_host(body, as_json=as_json)


@app.command("import")
@tells_trouble
def host_import(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.csv",
            exists=True,
            dir_okay=False,
            help="Columns: host, client (where names repeat) and any of " + ", ".join(COLUMNS),
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would change.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say of many hosts what no agent can read (role operator).

    Tells first what would change and which lines are wrong; those are left out.  Exit code 6:
    something was left out.
    """
    try:
        lines, wrong = read_table(file.read_bytes())
    except BadTable as trouble:
        fail(f"{file}: {trouble}", WRONG_USE)
    with here() as collector:
        told = _send(collector, lines, apply=False)
        troubles = sorted(
            [(one.line, one.text) for one in wrong]
            + [(one.line, one.text) for one in told.troubles]
        )
        if not as_json:
            print_out(shown.imports_table(told.changes))
        for line, text in troubles:
            note(f"{file}: line {line}: {text}")
        apply = bool(told.changes) and not dry_run
        if apply and not yes and not as_json:
            apply = typer.confirm(_summary(told), err=True)
        if apply:
            told = _send(collector, lines, apply=True)
    if as_json:
        left: list[JsonValue] = [{"line": line, "text": text} for line, text in troubles]
        changes: list[JsonValue] = [one.model_dump() for one in told.changes]
        print_json({"applied": apply, "changes": changes, "troubles": left})
    else:
        note(f"{'changed' if apply else 'would change'} {_count(told)}, left out {len(troubles)}")
    if troubles:
        raise typer.Exit(NOT_WELL)


def _asset(fields: Iterable[str]) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for one in fields:
        name, equals, value = one.partition("=")
        if not equals:
            fail(f"{one[:60]!r} is no FIELD=VALUE; the fields are {', '.join(COLUMNS)}", WRONG_USE)
        found[name] = value or None
    return found


def _send(collector: Collector, lines: Sequence[Line], *, apply: bool) -> Imported:
    """Send the lines in parts, and return what they change together."""
    parts = []
    with working("changing hosts" if apply else "comparing") as tell:
        for begin in range(0, len(lines), _AT_ONCE):
            some = lines[begin : begin + _AT_ONCE]
            rows: list[JsonValue] = [
                {"line": one.line, "host": one.host, "client": one.client, "fields": {**one.fields}}
                for one in some
            ]
            parts.append(read(Imported, collector.post("/assets", rows=rows, apply=apply)))
            tell(f"up to line {some[-1].line}")
    return Imported(
        applied=apply,
        changes=tuple(one for part in parts for one in part.changes),
        troubles=tuple(one for part in parts for one in part.troubles),
    )


def _count(told: Imported) -> str:
    hosts = len({one.host_id for one in told.changes})
    return f"{len(told.changes)} fields of {hosts} hosts"


def _summary(told: Imported) -> str:
    return f"Change {_count(told)}?"


def _show_host(body: bytes, *, as_json: bool) -> None:
    if as_json:
        print_json(json.loads(body))
    else:
        print_out(shown.host_whole(read(Host, body), datetime.now(UTC)))
