"""Whether only root could have put a program where it lies."""

import os
import stat
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Protocol

_MOST_LINKS = 40
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_ANYBODY_RUNS = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


class Entry(Protocol):
    """What lstat(2) says of a path."""

    @property
    def st_mode(self) -> int: ...
    @property
    def st_uid(self) -> int: ...


def distrust(
    path: str,
    lstat: Callable[[str], Entry] = os.lstat,
    readlink: Callable[[str], str] = os.readlink,
) -> str:
    """Return why the program at `path` may not be run, "" when it may.

    It, every folder above it, and the same of every link on the way must be root's and writable
    by nobody else: then nobody else can put another program in its place, also not between this
    look and its start.
    """
    if not path.startswith("/"):
        return f"{path}: is no whole path, from / on"
    place, links, steps = "/", 0, ["", *_steps(path)]
    try:
        while steps:
            step = steps.pop(0)
            if step == "..":
                place = str(PurePosixPath(place).parent)
                continue
            place = str(PurePosixPath(place) / step)
            found = lstat(place)
            if stat.S_ISLNK(found.st_mode) and found.st_uid == 0 and links < _MOST_LINKS:
                links += 1
                target = readlink(place)
                steps = [*_steps(target), *steps]
                place = "/" if target.startswith("/") else str(PurePosixPath(place).parent)
            elif why := _distrust_one(place, found):
                return why
        found = lstat(place)
    except OSError as error:
        return f"{place}: {error.strerror or error}"
    if not stat.S_ISREG(found.st_mode) or not found.st_mode & _ANYBODY_RUNS:
        return f"{place}: is no program; chmod 755 makes a file one"
    return ""


def _steps(path: str) -> list[str]:
    return [part for part in PurePosixPath(path).parts if part != "/"]


def _distrust_one(place: str, found: Entry) -> str:
    if found.st_uid != 0:
        return f"{place}: belongs to user {found.st_uid}, not to root; chown root {place}"
    if stat.S_ISLNK(found.st_mode):
        return f"{place}: links without end"
    if found.st_mode & _OTHERS_WRITE:
        return f"{place}: others than root may write to it; chmod go-w {place}"
    return ""
