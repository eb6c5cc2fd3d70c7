"""Find the line of a TOML file on which a key stands, for error messages."""

import re
import tomllib
from collections.abc import Mapping, Sequence

Path = tuple[str | int, ...]
"""Where a value stands: ``("destinations", 0, "url")``."""

_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"))*)\s*=""")


def line_of(text: str, path: Path) -> int:
    """Return the line, from 1, that writes `path`, or the nearest table around it.

    `text` must be valid TOML.  It is a reader's aid, not a parser: a line inside a multi-line
    string that looks like a key may be taken for one.
    """
    best, found = 0, 1
    made: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        written = line.strip()
        if written.startswith("["):
            names = _names(_header(written))
            if names is None:
                continue
            if written.startswith("[["):
                outer = _absolute(names[:-1], made)
                made[(*outer, names[-1])] = made.get((*outer, names[-1]), -1) + 1
            here = table = _absolute(names, made)
        elif key := _KEY.match(line):
            names = _names(f"{key[1]} = 0")
            if names is None:
                continue
            here = (*table, *names)
        else:
            continue
        shared = _shared(here, path)
        if shared > best and shared == min(len(here), len(path)):
            best, found = shared, number
    return found


def resolves(table: object, path: Path) -> bool:
    """Say whether `path` leads to something in a parsed TOML file."""
    for part in path:
        in_table = isinstance(table, Mapping) and part in table
        in_array = isinstance(table, list) and isinstance(part, int) and part < len(table)
        if not in_table and not in_array:
            return False
        table = table[part]  # type: ignore[index]  # one of the two, as just asked
    return True


def write_path(path: Sequence[str | int]) -> str:
    """Return ``destinations[0].url``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _header(line: str) -> str:
    """Return the header without what follows it, as a single table."""
    end = line.rfind("]]") if line.startswith("[[") else line.rfind("]")
    return f"[{line[2:end]}]" if line.startswith("[[") else line[: end + 1]


def _names(toml: str) -> tuple[str, ...] | None:
    """Return the names along the only path of a one-line document; None if it is none."""
    try:
        inner = tomllib.loads(toml)
    except tomllib.TOMLDecodeError:
        return None  # a line of an array, not a header
    names: list[str] = []
    while isinstance(inner, dict) and inner:
        name, inner = next(iter(inner.items()))
        names.append(name)
    return tuple(names) or None


def _absolute(names: Sequence[str], made: Mapping[Path, int]) -> Path:
    """Return the path of a header with the index of the last element of every array on it."""
    path: Path = ()
    for name in names:
        path = (*path, name)
        if path in made:
            path = (*path, made[path])
    return path


def _shared(one: Path, other: Path) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
