"""What every subcommand shares: the collector one is logged in to, and which host is meant."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from forewarn_scripts import credentials
from forewarn_scripts.answers import HostPage
from forewarn_scripts.client import BadRequest, Collector, NotFound, read
from forewarn_scripts.exits import TROUBLE
from forewarn_scripts.terminal import fail, note

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
Which = Annotated[str, typer.Argument(metavar="NAME|ID", help="A host's name or id.")]
Number = Annotated[int, typer.Argument(min=1, max=2**31 - 1, help="The ticket's number.")]
Text = Annotated[str, typer.Argument(help="What to write; - reads it from standard input.")]

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def here() -> Collector:
    """Return the collector one is logged in to.  Raises NotLoggedIn."""
    return Collector(credentials.load(credentials.place()))


def host_id(collector: Collector, which: str) -> str:
    """Return the id of the one host that is meant.  Raises NotFound or BadRequest."""
    if _UUID.fullmatch(which):
        return which
    quoted = which.replace("\\", "\\\\").replace('"', '\\"')
    page = read(HostPage, collector.get("/hosts", select=f'host:"{quoted}"', limit=10))
    if not page.hosts:
        raise NotFound(f"there is no host {which!r}, or none that you may see")
    if len(page.hosts) > 1:
        alike = "; ".join(f"{h.id} at {h.client} / {h.site}" for h in page.hosts)
        raise BadRequest(f"several hosts are called {which!r}; give the id: {alike}")
    return page.hosts[0].id


def save(path: Path, content: bytes) -> None:
    """Write an answer to a file, or end the command with what is in the way."""
    try:
        path.write_bytes(content)
    except OSError as failure:
        fail(f"cannot write {path}: {failure.strerror}", TROUBLE)
    note(f"wrote {path}, {len(content) // 1000 + 1} kB")


def given(text: str) -> str:
    """Return `text`, or what stands on standard input for ``-``."""
    return sys.stdin.read() if text == "-" else text
