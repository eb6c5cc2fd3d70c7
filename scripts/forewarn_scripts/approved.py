"""The scripts one has signed for, kept at one's own machine: what a new one is compared with.

A collector may say what it likes of what was approved before; this folder is the person's own.

DIR/<hash of client and name>     the bytes that were signed for last
"""

import difflib
import hashlib
import os
from pathlib import Path

from forewarn_scripts.order import script_hash

FOLDER = "approved"


def folder(credentials: Path) -> Path:
    """Return where they lie, beside the file of credentials."""
    return credentials.with_name(FOLDER)


def remember(place: Path, client: str, name: str, script: bytes) -> None:
    """Keep what was signed for under this name.  Raises OSError."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = _path(place, client, name)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(script)
    new.replace(path)


def last(place: Path, client: str, name: str) -> bytes | None:
    """Return what was signed for last under this name, None for nothing."""
    try:
        return _path(place, client, name).read_bytes()
    except OSError:
        return None


def compared(before: bytes | None, script: bytes) -> list[str]:
    """Return what is to be looked at: all of a script, or how it differs from the one before."""
    text = script.decode("utf-8", "replace").split("\n")
    if before is None:
        return ["the script; you signed for none of this name before:", *_set_in(text)]
    if before == script:
        return [f"the script is the one you signed for before, {script_hash(script)[:16]}…"]
    old = before.decode("utf-8", "replace").split("\n")
    changed = list(difflib.unified_diff(old, text, "signed before", "now", lineterm=""))
    if not changed:
        return ["the script differs in bytes that are no text; all of it:", *_set_in(text)]
    head = (
        f"the script, compared with what you signed for before ({script_hash(before)[:16]}… is "
        f"now {script_hash(script)[:16]}…):"
    )
    return [head, *_set_in(changed)]


def _set_in(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _path(place: Path, client: str, name: str) -> Path:
    return place / hashlib.sha256(f"{client}\0{name}".encode()).hexdigest()
