"""What every subcommand shares: the folder, the form of answers, and how trouble is told.

Exit codes: 0 all is well; 1 what was asked for is not well; 2 wrong usage or configuration; 3 no
usable instance; 4 the running collector could not be asked, or refused.
"""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NoReturn, ParamSpec, TypeVar

import typer
from pydantic import JsonValue
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from forewarn_collector.config import ConfigError
from forewarn_collector.control import ControlError
from forewarn_collector.http.server import CannotListen
from forewarn_collector.instance import DEFAULT_DIRECTORY, InstanceError
from forewarn_collector.samples.duck import StoreInUse, StoreUnusable
from forewarn_collector.state.migrations import NewerState

NOT_WELL, WRONG_USE, NO_INSTANCE, NOT_ASKED = 1, 2, 3, 4

Directory = Annotated[
    Path,
    typer.Option(
        "--dir",
        envvar="FOREWARN_DIR",
        help="The collector's folder; everything of it is in there.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
HERE = DEFAULT_DIRECTORY

_EXITS: Mapping[type[Exception], int] = {
    ConfigError: WRONG_USE,
    InstanceError: NO_INSTANCE,
    NewerState: NO_INSTANCE,
    CannotListen: NOT_WELL,
    StoreInUse: NOT_WELL,
    StoreUnusable: NOT_WELL,
    ControlError: NOT_ASKED,
}
_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False, soft_wrap=True)

P = ParamSpec("P")
R = TypeVar("R")


def tells_trouble(command: Callable[P, R]) -> Callable[P, R]:
    """Make a subcommand end with one sentence and its exit code instead of a traceback."""

    @functools.wraps(command)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except tuple(_EXITS) as trouble:
            code = next(code for kind, code in _EXITS.items() if isinstance(trouble, kind))
            fail(str(trouble), code)
        except PermissionError as trouble:
            fail(f"{trouble.filename}: not allowed for this user; run as the folder's owner", 3)

    return told


def fail(text: str, code: int) -> NoReturn:
    """Say what went wrong and end."""
    _err.print(f"[red]error:[/] {escape(text)}")
    raise typer.Exit(code)


def say(text: str) -> None:
    """Print a line for people."""
    _out.print(escape(text), soft_wrap=True)


def note(text: str) -> None:
    """Print a line for people beside the answer, on stderr."""
    _err.print(escape(text))


def print_json(value: JsonValue | Mapping[str, JsonValue]) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under headings."""
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    _out.print(table)
