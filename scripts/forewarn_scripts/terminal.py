"""How the command speaks: answers on stdout, everything beside them on stderr."""

import functools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, ParamSpec, TypeVar

import typer
from pydantic import JsonValue
from rich.console import Console, RenderableType
from rich.markup import escape

from forewarn_scripts.client import AskError, BadRequest, Conflict, NotAllowed, NotFound
from forewarn_scripts.credentials import NotLoggedIn
from forewarn_scripts.exits import CONFLICT, NOT_ALLOWED, NOT_FOUND, TROUBLE, WRONG_USE
from forewarn_scripts.shown import plain

_EXITS: tuple[tuple[type[Exception], int], ...] = (
    (NotLoggedIn, NOT_ALLOWED),
    (NotAllowed, NOT_ALLOWED),
    (NotFound, NOT_FOUND),
    (Conflict, CONFLICT),
    (BadRequest, WRONG_USE),
    (AskError, TROUBLE),
)

P = ParamSpec("P")
R = TypeVar("R")


def tells_trouble(command: Callable[P, R]) -> Callable[P, R]:
    """Make a subcommand end with one sentence and its exit code instead of a traceback."""

    @functools.wraps(command)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except tuple(kind for kind, _ in _EXITS) as trouble:
            fail(str(trouble), next(code for kind, code in _EXITS if isinstance(trouble, kind)))

    return told


def print_out(what: RenderableType) -> None:
    """Print an answer."""
    if sys.stdout.isatty():
        Console(highlight=False).print(what)
        return
    # A pipe has no width: a line stays a line there, and none is filled with spaces.
    console = Console(highlight=False, width=10_000)
    with console.capture() as drawn:
        console.print(what)
    typer.echo("\n".join(line.rstrip() for line in drawn.get().splitlines()))


def print_json(document: JsonValue) -> None:
    """Print an answer for programs."""
    typer.echo(json.dumps(document, indent=2))


def note(text: str) -> None:
    """Say something beside the answer."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(escape(plain(text)))


def fail(text: str, code: int) -> NoReturn:
    """Say what went wrong and end."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[red]error:[/] {escape(plain(text))}")
    raise typer.Exit(code)


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that something is under way; gives a function to say how far it is."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _text: None
        return
    with console.status(f"{what} …") as status:
        yield lambda text: status.update(f"{what}: {escape(text)} …")
