"""The hot tables: what arrived since the last seal, in the embedded DuckDB file.

Rows are appended to the tables of one *generation*; sealing begins a new one and later drops the
old tables whole, so that no row is ever deleted one by one.  Nothing on the way in touches an
index: marks and statuses of the hot rows are worked out when asked, those of sealed rows are kept.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from forewarn_checks.base import Outcome
from forewarn_collector.samples import Arrival
from forewarn_collector.samples.names import LANE_NUMBERS, Shapes, Spools, refuse_broken

OUTCOMES = tuple(Outcome)
OUTCOME_NUMBERS = {outcome: number for number, outcome in enumerate(OUTCOMES)}
BAD_OUTCOMES = (OUTCOME_NUMBERS[Outcome.FAILED], OUTCOME_NUMBERS[Outcome.TIMED_OUT])

_LONGEST_SECONDS = 2_000_000.0  # fits its column as milliseconds

ErrorRow = tuple[int, int, int, str, int]
_ERROR = ("INTEGER", "INTEGER", "BIGINT", "VARCHAR", "BIGINT")
Columns = dict[str, NDArray[np.generic]]

_KEPT = """
CREATE TABLE IF NOT EXISTS shapes(number INTEGER, metric VARCHAR, labels VARCHAR);
CREATE TABLE IF NOT EXISTS spools(number INTEGER, host INTEGER, spool VARCHAR);
CREATE TABLE IF NOT EXISTS generations(number INTEGER, first_entry BIGINT);
-- What sealed rows said last; the hot rows are newer.
CREATE TABLE IF NOT EXISTS marks(spool INTEGER, lane TINYINT, through BIGINT);
CREATE TABLE IF NOT EXISTS statuses(host INTEGER, subject INTEGER, moment BIGINT, received BIGINT,
    milliseconds INTEGER, outcome TINYINT, error VARCHAR, entry BIGINT);
CREATE TABLE IF NOT EXISTS files(path VARCHAR, kind VARCHAR, level TINYINT,
    first_entry BIGINT, last_entry BIGINT, first_moment BIGINT, last_moment BIGINT,
    first_host INTEGER, last_host INTEGER, row_count BIGINT, bytes BIGINT, stamp BIGINT);
"""

# `entry` numbers the durable commits; `subject` is the number of shape check_failed{check}.
_GENERATION = """
CREATE TABLE samples_{0}(host INTEGER, shape INTEGER, moment BIGINT, value DOUBLE,
    received BIGINT, entry BIGINT);
CREATE TABLE runs_{0}(host INTEGER, spool INTEGER, lane TINYINT, sequence BIGINT,
    subject INTEGER, moment BIGINT, received BIGINT, milliseconds INTEGER, outcome TINYINT,
    entry BIGINT);
CREATE TABLE errors_{0}(host INTEGER, subject INTEGER, moment BIGINT, error VARCHAR,
    entry BIGINT);
"""


@contextmanager
def transaction(
    connection: duckdb.DuckDBPyConnection,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Commit at the end, or roll back when the block raises."""
    connection.execute("BEGIN")
    try:
        yield connection
    except BaseException:
        with suppress(duckdb.Error):  # broken for good; the first error says why
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def make_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables that outlive every generation."""
    connection.execute(_KEPT)


def begin_generation(connection: duckdb.DuckDBPyConnection, number: int, first_entry: int) -> None:
    """Make the tables of a new generation, inside the caller's transaction."""
    connection.execute(_GENERATION.format(number))
    connection.execute("INSERT INTO generations VALUES (?, ?)", [number, first_entry])


def drop_generation(connection: duckdb.DuckDBPyConnection, number: int) -> None:
    """Drop the tables of a sealed generation, inside the caller's transaction."""
    for table in ("samples", "runs", "errors"):
        connection.execute(f"DROP TABLE {table}_{number}")
    connection.execute("DELETE FROM generations WHERE number = ?", [number])


def generations(connection: duckdb.DuckDBPyConnection) -> list[int]:
    """Return the generations not yet sealed, oldest first."""
    rows = connection.execute("SELECT number FROM generations ORDER BY number").fetchall()
    return [number for (number,) in rows]


@dataclass(frozen=True, slots=True)
class Entry:
    """The rows of one commit, as columns for three tables."""

    samples: Columns
    runs: Columns
    errors: Sequence[ErrorRow]
    points: int


def entry_of(arrivals: Sequence[Arrival], shapes: Shapes, spools: Spools, number: int) -> Entry:
    """Return the rows that arrivals make, all of commit `number`."""
    samples = _sample_columns(arrivals, number)
    runs, errors = _run_columns(arrivals, shapes, spools, number)
    points = len(samples["host"]) + len(runs["host"])
    return Entry(samples, runs, errors, points)


def insert_entry(connection: duckdb.DuckDBPyConnection, generation: int, entry: Entry) -> None:
    """Append rows to the tables of a generation, inside the caller's transaction."""
    _insert(connection, f"samples_{generation}", entry.samples)
    _insert(connection, f"runs_{generation}", entry.runs)
    _insert_texts(connection, f"errors_{generation}", _ERROR, entry.errors)


def insert_names(
    connection: duckdb.DuckDBPyConnection,
    shapes: Shapes,
    spools: Spools,
    known: tuple[int, int],
) -> tuple[int, int]:
    """Append the shapes and spools that are not yet `known`; return how many now are."""
    now = len(shapes), len(spools)
    new = enumerate(shapes[known[0] : now[0]], known[0])
    named = [(number, shape.metric, json.dumps(shape.labels)) for number, shape in new]
    _insert_texts(connection, "shapes", ("INTEGER", "VARCHAR", "VARCHAR"), named)
    owned = [(number, *spools[number]) for number in range(known[1], now[1])]
    _insert_texts(connection, "spools", ("INTEGER", "INTEGER", "VARCHAR"), owned)
    return now


def _insert(connection: duckdb.DuckDBPyConnection, table: str, columns: Columns) -> None:
    # A registered dict of numpy columns is the fastest way in: 50,000 rows take 10 ms, fsynced.
    if not columns or not len(next(iter(columns.values()))):
        return
    connection.register("rows_in", columns)
    try:
        connection.execute(f"INSERT INTO {table} SELECT * FROM rows_in")
    finally:
        connection.unregister("rows_in")


def _insert_texts(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    types: tuple[str, ...],
    rows: Sequence[tuple[int | str, ...]],
) -> None:
    # Texts go in as one JSON: 250 rows take 1 ms, and 70 to 130 ms in every other way.
    if not rows:
        return
    fields = {f"c{place}": kind for place, kind in enumerate(types)}
    values = [dict(zip(fields, row, strict=True)) for row in rows]
    connection.execute(
        f"INSERT INTO {table} SELECT unnest(from_json($rows, $form), recursive := true)",
        {"rows": json.dumps(values), "form": json.dumps([fields])},
    )


def _sample_columns(arrivals: Sequence[Arrival], number: int) -> Columns:
    counts = np.array([len(arrival.shapes) for arrival in arrivals])
    total = int(counts.sum())
    each = chain.from_iterable
    return {
        "host": np.repeat(np.array([a.host for a in arrivals], np.int32), counts),
        "shape": np.fromiter(each(a.shapes for a in arrivals), np.int32, total),
        "moment": np.fromiter(each(a.times for a in arrivals), np.int64, total),
        "value": np.fromiter(each(a.values for a in arrivals), np.float64, total),
        "received": np.repeat(np.array([a.received for a in arrivals], np.int64), counts),
        "entry": np.full(total, number, np.int64),
    }


def _run_columns(
    arrivals: Sequence[Arrival], shapes: Shapes, spools: Spools, number: int
) -> tuple[Columns, list[ErrorRow]]:
    rows = []
    errors: list[ErrorRow] = []
    subjects: dict[str, int] = {}
    for arrival in arrivals:
        spool = spools.number(arrival.host, arrival.spool)
        lane = LANE_NUMBERS[arrival.lane]
        for run in arrival.runs:
            subject = subjects.get(run.check)
            if subject is None:
                subject = shapes.number("check_failed", {"check": run.check})
                subjects[run.check] = subject
            milliseconds = round(min(max(run.duration_seconds, 0.0), _LONGEST_SECONDS) * 1000)
            outcome = OUTCOME_NUMBERS[run.outcome]
            rows.append(
                (arrival.host, spool, lane, run.sequence, subject, run.at, arrival.received,
                 milliseconds, outcome)
            )  # fmt: skip
            if run.error:
                refuse_broken(run.error)
                errors.append((arrival.host, subject, run.at, run.error, number))
    names = ("host", "spool", "lane", "sequence", "subject", "moment", "received",
             "milliseconds", "outcome")  # fmt: skip
    table = np.array(rows, np.int64).reshape(-1, len(names))
    runs: Columns = {name: table[:, place].copy() for place, name in enumerate(names)}
    runs["entry"] = np.full(len(rows), number, np.int64)
    return runs, errors


def marks_with(generation: int) -> str:
    """Return the query of the marks of sealed rows once `generation` is sealed, too."""
    return (
        "SELECT spool, lane, max(through) AS through FROM (SELECT spool, lane, through FROM marks"
        f" UNION ALL SELECT spool, lane, sequence FROM runs_{generation}) GROUP BY spool, lane"
    )


def read_names(connection: duckdb.DuckDBPyConnection) -> tuple[Shapes, Spools]:
    """Return every name, numbered as when it was written."""
    shapes = Shapes()
    for number, metric, labels in _rows(connection, "SELECT * FROM shapes ORDER BY number"):
        if shapes.number(metric, dict(json.loads(labels))) != number:
            raise ValueError(f"shape {number} was written twice or is missing")
    spools = Spools()
    for number, host, spool in _rows(connection, "SELECT * FROM spools ORDER BY number"):
        if spools.number(host, spool) != number:
            raise ValueError(f"spool {number} was written twice or is missing")
    return shapes, spools


def read_marks(connection: duckdb.DuckDBPyConnection, spools: Spools, hot: Sequence[int]) -> None:
    """Set the marks of every spool: those of sealed rows and of hot ones."""
    parts = ["SELECT spool, lane, through FROM marks"]
    parts.extend(f"SELECT spool, lane, sequence FROM runs_{number}" for number in hot)
    query = f"SELECT spool, lane, max(through) FROM ({' UNION ALL '.join(parts)}) GROUP BY ALL"
    for spool, lane, through in _rows(connection, query):
        spools.reach(spool, lane, through)


def read_ledger(connection: duckdb.DuckDBPyConnection, hot: Sequence[int]) -> list[tuple[int, int]]:
    """Return how many points each hot commit holds, oldest first."""
    parts = [f"SELECT entry FROM {table}_{n}" for n in hot for table in ("samples", "runs")]
    union = " UNION ALL ".join(parts)
    query = f"SELECT entry, count(*) FROM ({union}) GROUP BY entry ORDER BY entry"
    return [(entry, points) for entry, points in _rows(connection, query)]


def read_heard(connection: duckdb.DuckDBPyConnection, hot: Sequence[int]) -> dict[int, int]:
    """Return when each host was last heard."""
    parts = ["SELECT host, received FROM statuses"]
    parts.extend(f"SELECT host, received FROM runs_{number}" for number in hot)
    query = f"SELECT host, max(received) FROM ({' UNION ALL '.join(parts)}) GROUP BY host"
    return dict(_rows(connection, query))


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = connection.execute(query).fetchall()
    return rows
