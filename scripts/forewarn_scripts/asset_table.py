"""Read a table of hosts, as people keep them in spreadsheets, for `forewarn host import`.

BadTable     the file as a whole cannot be read; the text says where and what to do
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

LARGEST_BYTES = 20_000_000
COLUMNS = (
    *("model", "serial", "purchased_at", "warranty_until"),
    *("contract", "owner", "location", "cost"),
)
"""The fields a table may set; each is a column of this name."""

_WHOSE = ("host", "client")


class BadTable(ValueError):
    """The file cannot be read as a table of hosts."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table, counted as an editor does.  An empty cell says nothing."""

    line: int
    host: str
    client: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class Trouble:
    """A line that is not taken, and why."""

    line: int
    text: str


def read_table(data: bytes) -> tuple[Sequence[Line], Sequence[Trouble]]:
    """Return the lines of a CSV file, and those that are wrong.  Raises BadTable.

    Commas, semicolons or tabs part the cells, whichever the first line uses; UTF-8, with or
    without a byte order mark.
    """
    if len(data) > LARGEST_BYTES:
        raise BadTable(f"it is larger than {LARGEST_BYTES // 1_000_000} MB; split it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        line = data[: wrong.start].count(b"\n") + 1
        raise BadTable(f"line {line} is not UTF-8; save it as UTF-8 CSV") from None
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    lines: list[Line] = []
    troubles: list[Trouble] = []
    named: dict[tuple[str, str], int] = {}
    try:
        names = _names(next(reader, []))
        begins = reader.line_num + 1
        for cells in reader:
            at, begins = begins, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            found = _line(at, names, cells)
            if isinstance(found, Line):
                before = named.setdefault((found.host, found.client), at)
                if before != at:
                    found = Trouble(at, f"host {found.host!r} stands on line {before} already")
            if isinstance(found, Line):
                lines.append(found)
            else:
                troubles.append(found)
    except csv.Error as wrong:
        raise BadTable(
            f"line {reader.line_num}: {wrong}; is a quotation mark not closed?"
        ) from None
    return lines, troubles


def _names(cells: Sequence[str]) -> list[str]:
    """Return the names of the columns.  Raises BadTable."""
    names = [cell.strip().lower().replace(" ", "_") for cell in cells]
    unknown = [name for name in names if name not in (*_WHOSE, *COLUMNS)]
    known = f"the columns are {', '.join((*_WHOSE, *COLUMNS))}"
    if unknown:
        raise BadTable(f"line 1: no column is called {unknown[0][:40]!r}; {known}")
    if "host" not in names or len(set(names)) < len(names) or len(names) < 2:
        raise BadTable(f"line 1 must name each column once, host among them; {known}")
    return names


def _line(at: int, names: Sequence[str], cells: Sequence[str]) -> Line | Trouble:
    if len(cells) != len(names):
        return Trouble(at, f"it has {len(cells)} cells; the first line names {len(names)}")
    said = {name: cell.strip() for name, cell in zip(names, cells, strict=True)}
    host, client = said.pop("host"), said.pop("client", "")
    if not 0 < len(host) <= 255 or len(client) > 100:
        return Trouble(at, "it names no host" if not host else "host or client is too long a name")
    too_long = next((name for name, text in said.items() if len(text) > 400), None)
    if too_long is not None:
        return Trouble(at, f"{too_long}: {len(said[too_long])} characters are too many")
    return Line(at, host, client, {name: text for name, text in said.items() if text})
