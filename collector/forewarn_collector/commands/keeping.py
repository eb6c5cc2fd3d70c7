"""Copies of a collector: `backup` and `restore`."""

import time
from pathlib import Path
from typing import Annotated

import typer

from forewarn_collector import backup as copies
from forewarn_collector import clock
from forewarn_collector.commands.frame import (
    HERE,
    NOT_WELL,
    AsJson,
    Directory,
    fail,
    print_json,
    say,
    tells_trouble,
)
from forewarn_collector.instance import find


@tells_trouble
def backup(
    to: Annotated[Path, typer.Argument(help="A new folder for the copy.")],
    as_json: AsJson = False,
    directory: Directory = HERE,
) -> None:
    """Copy the whole collector, running or not, to a new folder.

    The copy holds every secret of the collector; keep it as safe.  Agents do not notice.
    """
    began = time.monotonic()
    try:
        copied = copies.back_up(find(directory), to.absolute(), clock.now())
    except (copies.CannotCopy, OSError) as trouble:
        fail(str(trouble), NOT_WELL)
    took = time.monotonic() - began
    if as_json:
        print_json({"folder": str(to.absolute()), "bytes": copied, "seconds": round(took, 3)})
    else:
        say(f"{to.absolute()} holds the collector: {copied / 1e6:.1f} MB, in {took:.1f} s")


@tells_trouble
def restore(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="What `backup` made.")],
    directory: Directory = HERE,
) -> None:
    """Put a backup back as the collector in --dir, which must not hold one.

    Run it as the user that the collector runs as.  Every file is compared with its checksum first.
    """
    try:
        files = copies.restore(source, directory.absolute())
    except (copies.CannotCopy, OSError) as trouble:
        fail(str(trouble), NOT_WELL)
    say(f"{directory.absolute()} holds the collector of {source} again, {files} files")
    say(f"Next: forewarn-collector doctor --dir {directory}")
