"""Scripts: those that come with forewarn, and those that operators sent in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Path, Request, Response
from markupsafe import Markup

from forewarn_collector.api.guard import Asker, Here, missing
from forewarn_collector.pages.printed import hides_something, printed
from forewarn_collector.pages.view import clock, render
from forewarn_collector.queries.orders import list_orders, list_scripts
from forewarn_scripts.library import LibraryScript, all_scripts

Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class Shelved:
    """One body of the library."""

    script: LibraryScript
    system: str
    sha256: str
    interpreter: str
    body: bytes


def get_scripts(request: Request, asker: Asker, collector: Here) -> Response:
    """Show the library, and what was sent in."""
    with collector.database.read() as connection:
        kept = list_scripts(connection, asker)
    shelf = shelved()
    return render(
        request,
        "scripts.html",
        asker=asker,
        clock=clock("UTC", collector.now()),
        library=list(all_scripts().values()),
        kept=kept,
        shelf={digest: one.script.name for digest, one in shelf.items()},
    )


def get_script(sha256: Digest, request: Request, asker: Asker, collector: Here) -> Response:
    """Show one script by its hash: its text, what it can do, and where it was ordered."""
    now = collector.now()
    with collector.database.read() as connection:
        kept = list_scripts(connection, asker, sha256=sha256)
        orders = list_orders(connection, asker, now, script_sha256=sha256, limit=20).orders
    own = shelved().get(sha256)
    if own is None and not kept:
        raise missing()
    text = (own.body if own else kept[0].body).decode("utf-8", "replace")
    return render(
        request,
        "script.html",
        asker=asker,
        clock=clock("UTC", now),
        sha256=sha256,
        name=own.script.name if own else kept[0].name,
        own=own,
        kept=kept,
        size=len(own.body if own else kept[0].body),
        body=_numbered(text),
        hides=hides_something(text),
        orders=[(one, one.stage(now)) for one in orders],
    )


def shelved() -> Mapping[str, Shelved]:
    """Return the bodies of the library by their hashes."""
    return {
        body.sha256: Shelved(one, system, body.sha256, body.interpreter, body.script)
        for one in all_scripts().values()
        for system, body in one.bodies.items()
    }


def _numbered(text: str) -> list[Markup]:
    return printed(text.removesuffix("\n")).split("\n")
