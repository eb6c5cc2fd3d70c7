"""Read series out of a CSV or Parquet file, or say in which line what is wrong.

Columns: host, metric, labels (a JSON object, may be empty), ts (unix seconds), value.  A row whose
value is empty or NaN is no reading; anything else that makes no sense is a mistake.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from duckdb import DuckDBPyConnection, DuckDBPyRelation
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

_COLUMNS = ("host", "metric", "labels", "ts", "value")
_WANTED = "columns are host, metric, labels (JSON), ts (unix seconds), value"
_LONGEST_LINE = 65_536
_LATEST = 32_503_680_000
"""The year 3000: what is later was not written in seconds."""
_LABELS = TypeAdapter(dict[str, str])

_CHECKED = f"""
    SELECT line, host, metric, labels, ts, value, CASE
        WHEN coalesce(trim(host), '') = '' THEN 'has no host'
        WHEN coalesce(trim(metric), '') = '' THEN 'has no metric'
        WHEN TRY_CAST(ts AS DOUBLE) IS NULL OR NOT isfinite(TRY_CAST(ts AS DOUBLE))
            THEN 'ts ''' || coalesce(ts[:40], '') || ''' is no number; write unix seconds'
        WHEN TRY_CAST(ts AS DOUBLE) NOT BETWEEN 0 AND {_LATEST}
            THEN 'ts ' || ts[:40] || ' is no moment in unix seconds; milliseconds?'
        WHEN coalesce(trim(value), '') <> '' AND TRY_CAST(value AS DOUBLE) IS NULL
            THEN 'value ''' || value[:40] || ''' is no number'
        WHEN isinf(TRY_CAST(value AS DOUBLE)) THEN 'value is infinite'
    END AS trouble FROM numbered
"""
_READINGS = """
    SELECT host, metric, coalesce(labels, '') AS labels, line,
        (CAST(ts AS DOUBLE) * 1000000)::BIGINT AS moment, CAST(value AS DOUBLE) AS value
    FROM checked WHERE isfinite(TRY_CAST(value AS DOUBLE)) ORDER BY moment, line
"""


class BadSeriesFile(Exception):
    """A file of series cannot be replayed; the text says where, why and what to do."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The readings of a file in order of time, as columns.  `moment` is in microseconds.

    `kinds` are the distinct pairs of metric and labels, `kind` the index of each row's.
    """

    host: NDArray[np.str_]
    kind: NDArray[np.int64]
    moment: NDArray[np.int64]
    value: NDArray[np.float64]
    kinds: tuple[tuple[str, dict[str, str]], ...]


def read_series(path: Path) -> Rows:
    """Return the readings of a file.  Raises BadSeriesFile."""
    if not path.is_file():
        raise BadSeriesFile(
            f"{path}: is a folder or not there; give a CSV or Parquet file: {_WANTED}"
        )
    with duckdb.connect() as connection:
        try:
            return _rows(connection, path)
        except OSError as wrong:
            raise BadSeriesFile(f"{path}: {wrong.strerror}; make it readable") from None
        except duckdb.Error as wrong:
            raise BadSeriesFile(f"{path}: {_said(str(wrong))}; {_WANTED}") from None


def _rows(connection: DuckDBPyConnection, path: Path) -> Rows:
    table, unit, first = _opened(connection, path)
    _need(path, table.columns)
    texts = ", ".join(f"{name}::VARCHAR AS {name}" for name in _COLUMNS)
    connection.execute(
        "CREATE TEMP TABLE numbered AS"
        f" SELECT row_number() OVER () + {first - 1} AS line, {texts} FROM given"
    )
    connection.execute(f"CREATE TEMP VIEW checked AS {_CHECKED}")
    bad = connection.execute(
        "SELECT line, trouble, count(*) OVER () FROM checked WHERE trouble IS NOT NULL"
        " ORDER BY line LIMIT 1"
    ).fetchone()
    if bad is not None:
        line, trouble, count = bad
        others = f" ({count - 1} more such {unit}s)" if count > 1 else ""
        raise BadSeriesFile(f"{path}: {unit} {line}: {trouble}{others}")
    found = connection.execute(_READINGS).fetchnumpy()
    if not len(found["moment"]):
        raise BadSeriesFile(f"{path}: holds no reading; give at least one row")
    pairs, kind = np.unique(
        np.stack([found["metric"].astype(str), found["labels"].astype(str)]),
        axis=1,
        return_inverse=True,
    )
    kind = kind.reshape(-1).astype(np.int64)
    kinds = []
    for number, (metric, labels) in enumerate(pairs.T.tolist()):
        try:
            kinds.append((metric, _LABELS.validate_json(labels or "{}")))
        except ValidationError:
            line = int(found["line"][kind == number].min())
            raise BadSeriesFile(
                f"{path}: {unit} {line}: labels {labels[:80]!r} are no JSON object of texts; "
                'write {"mountpoint": "/"}'
            ) from None
    return Rows(
        host=found["host"].astype(str),
        kind=kind,
        moment=found["moment"].astype(np.int64),
        value=found["value"].astype(np.float64),
        kinds=tuple(kinds),
    )


def _opened(connection: DuckDBPyConnection, path: Path) -> tuple[DuckDBPyRelation, str, int]:
    """Return the table, registered as `given`, what its rows are called, and the first's number."""
    if _is_parquet(path):
        table, unit, first = connection.read_parquet(str(path)), "row", 1
    else:
        # Without guessing: a file that makes no sense is to be told of by its lines.
        columns = ", ".join(f"'{_quoted(name)}': 'VARCHAR'" for name in _header(path))
        table = connection.sql(
            f"""SELECT * FROM read_csv('{_quoted(str(path))}', auto_detect = false, header = true,
            delim = ',', quote = '"', escape = '"', columns = {{{columns}}})"""
        )
        unit, first = "line", 2
    table.create_view("given")
    return table, unit, first


def _is_parquet(path: Path) -> bool:
    """Say what a file is by what is in it: names end in .parquet, .PARQUET, .pq or nothing."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1" or path.suffix == ".parquet"


def _header(path: Path) -> list[str]:
    """Return the names in the first line.  Raises BadSeriesFile when it has too little."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        names = next(csv.reader([file.readline(_LONGEST_LINE)]), [])
    _need(path, names)
    if len(set(names)) < len(names):
        raise BadSeriesFile(f"{path}: line 1: names a column twice; {_WANTED}")
    return names


def _need(path: Path, names: Sequence[str]) -> None:
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        raise BadSeriesFile(f"{path}: has no column {', '.join(missing)}; {_WANTED}")


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _said(error: str) -> str:
    """Return what DuckDB says, with the line where it names one."""
    line = re.search(r"CSV Error on Line: (\d+)", error)
    columns = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", error)
    if line is None:
        return error.splitlines()[0]
    if columns is not None:
        return f"line {line[1]}: has {columns[2]} columns, the first has {columns[1]}"
    rest = [text.strip() for text in error.splitlines()[1:] if text.strip()]
    said = [text for text in rest if not text.startswith("Original Line")]
    return f"line {line[1]}: {said[0] if said else error.splitlines()[0]}"
