"""Write tables for spreadsheet programs, so that no cell is taken for a formula."""

import csv
import io
from collections.abc import Iterable, Sequence

from forewarn_collector.text import plain

# What makes a program compute; a cell that begins so gets an apostrophe in front.
_FORMULA = frozenset("=+-@\t\r|%＝＋－＠")
_LONGEST_CELL = 2000


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Return a table as CSV in UTF-8 with a mark that says so; every cell is quoted."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "replace")


def _cell(value: str) -> str:
    text = plain(value, _LONGEST_CELL)
    # Programs pass over blanks before they look for a formula.
    return f"'{text}" if text.lstrip()[:1] in _FORMULA and text.strip() else text
