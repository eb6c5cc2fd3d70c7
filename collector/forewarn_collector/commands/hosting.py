"""What hosts are installed from: `packages build`, `add` and `list`."""

from pathlib import Path
from typing import Annotated

import typer

from forewarn_collector import control
from forewarn_collector import packages as wheelhouse
from forewarn_collector.commands.frame import (
    HERE,
    NOT_WELL,
    AsJson,
    Directory,
    fail,
    note,
    print_json,
    print_table,
    say,
    tells_trouble,
)
from forewarn_collector.control import ControlError
from forewarn_collector.instance import find

packages = typer.Typer(help="The packages that hosts are installed from.", no_args_is_help=True)

hosts = typer.Typer(help="Hosts that are known.", no_args_is_help=True)

_HERE = wheelhouse.default_folder()
Folder = Annotated[
    Path, typer.Option("--folder", help="Where they lie.", show_default="of this installation")
]


@packages.command("build")
@tells_trouble
def build(
    wheel: Annotated[Path, typer.Option(exists=True, help="forewarn's own wheel.")],
    lock: Annotated[
        list[Path], typer.Option(exists=True, help="What else, with hashes; may be repeated.")
    ],
    folder: Folder = _HERE,
) -> None:
    """Fetch what hosts need from the package index that pip is set up for, for every Python."""
    try:
        lists = wheelhouse.build(folder, wheel, lock, note)
    except wheelhouse.CannotBuild as trouble:
        fail(str(trouble), NOT_WELL)
    say(f"{folder} serves {lists} kinds of hosts; a running collector sees it after a restart")


@packages.command("add")
@tells_trouble
def add(
    build: Annotated[Path, typer.Argument(exists=True, help="As a release brings it.")],
    folder: Folder = _HERE,
) -> None:
    """Offer a build of the agent that brings its own Python, as hosts with Windows need."""
    try:
        kind = wheelhouse.add(folder, build)
    except wheelhouse.CannotBuild as trouble:
        fail(str(trouble), NOT_WELL)
    say(f"{folder} serves {kind}; a running collector sees it after a restart")


@packages.command("list")
@tells_trouble
def show(as_json: AsJson = False, folder: Folder = _HERE) -> None:
    """Say which kinds of hosts can be installed from here, and how much each fetches."""
    offer = wheelhouse.read_offer(folder)
    kinds = {
        name.removesuffix(".txt"): wheelhouse.read_list(path)
        for name, path in offer.files.items()
        if name.endswith(".txt")
    }
    if as_json:
        print_json(
            {
                kind: {"wheels": len(wheels), "bytes": sum(wheel.size for wheel in wheels)}
                for kind, wheels in kinds.items()
            }
        )
        return
    if not kinds:
        say(f"{folder} offers nothing: hosts cannot be installed from this collector")
    print_table(
        ("kind", "wheels", "MB"),
        [
            (kind, str(len(wheels)), f"{sum(w.size for w in wheels) / 1e6:.1f}")
            for kind, wheels in kinds.items()
        ],
    )


@hosts.command("settle")
@tells_trouble
def settle(
    host: Annotated[str, typer.Argument(metavar="ID", help="The host's id; its page shows it.")],
    directory: Directory = HERE,
) -> None:
    """Say that two machines no longer share a host's identity; whoever speaks next is the host.

    Enrol the copy anew first, or stop it: forewarn-agent enrol --force STRING.
    """
    try:
        told = control.ask(find(directory), "settle", host=host)
    except ControlError as trouble:
        fail(str(trouble), NOT_WELL)
    if told["settled"]:
        say("settled; orders are handed out again")
    else:
        say("nothing was to be settled: nobody shares this host's identity")
