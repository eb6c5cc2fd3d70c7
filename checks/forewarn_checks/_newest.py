"""Find the newest of what a pattern names, and how large it and those before it are."""

import fnmatch
import os
import stat
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MOST_LOOKED_AT = 20_000
_BEFORE = 5


class TooMany(Exception):
    """The pattern leads to more files than are looked at."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One backup: a file, or a folder with all that is in it."""

    path: str
    written: float  # seconds since 1970, the newest of all that is in it
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Copies:
    """The newest copy, how many there are, and the usual size of those just before it."""

    newest: Copy
    count: int
    usual_bytes: float | None

    @property
    def size_ratio(self) -> float | None:
        """The newest's size against the usual one; None without one to compare it with."""
        return self.newest.size_bytes / self.usual_bytes if self.usual_bytes else None


def look(pattern: str) -> Copies | None:
    """Return what lies at `pattern`, whose parts may hold ``*``, ``?`` and ``[…]``; None: nothing.

    Raises PermissionError where a folder may not be looked into, TooMany, or OSError.
    """
    budget = Budget(_MOST_LOOKED_AT)
    copies = sorted(
        (measure(path, budget) for path in matching(pattern, budget)),
        key=lambda copy: (copy.written, copy.path),
        reverse=True,
    )
    if not copies:
        return None
    before = [copy.size_bytes for copy in copies[1 : 1 + _BEFORE]]
    return Copies(copies[0], len(copies), statistics.median(before) if before else None)


class Budget:
    """How many more entries may be looked at."""

    def __init__(self, entries: int) -> None:
        self._left = entries

    def spend(self) -> None:
        """Take one.  Raises TooMany when none is left."""
        self._left -= 1
        if self._left < 0:
            raise TooMany(f"leads to more than {_MOST_LOOKED_AT} files; make it narrower")


def matching(pattern: str, budget: Budget) -> Iterator[str]:
    """Yield the paths that `pattern` names; unlike glob, what may not be read raises."""
    parts = Path(pattern).parts
    yield from _below(parts[0], parts[1:], budget)


def _below(place: str, parts: tuple[str, ...], budget: Budget) -> Iterator[str]:
    if not parts:
        yield place
        return
    part, rest = parts[0], parts[1:]
    if not any(sign in part for sign in "*?["):
        following = os.path.join(place, part)  # noqa: PTH118 - `place` ends in / at the root
        if _is_there(following):
            yield from _below(following, rest, budget)
        return
    with os.scandir(place) as entries:
        for entry in entries:
            budget.spend()
            if fnmatch.fnmatchcase(entry.name, part) and (not rest or entry.is_dir()):
                yield from _below(entry.path, rest, budget)


def _is_there(path: str) -> bool:
    try:
        os.stat(path)  # noqa: PTH116 - PermissionError is to be told from absence
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def measure(path: str, budget: Budget) -> Copy:
    """Return a file, or a folder with all that is below it; links inside are not followed."""
    found = os.stat(path)  # noqa: PTH116 - a text, as scandir gives it
    if not stat.S_ISDIR(found.st_mode):
        return Copy(path, found.st_mtime, found.st_size)
    written, size, folders = 0.0, 0, [path]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                budget.spend()
                inner = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    written = max(written, inner.st_mtime)
                    size += inner.st_size
    return Copy(path, written or found.st_mtime, size)
