"""Read every file of the store beside the process that owns it: sealed ones, and its hot tail.

`lay_out` is called in that process; the rest needs nothing but the paths it returns.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from forewarn_collector.samples import Points, Shape, sealed
from forewarn_collector.samples.hot import BAD_OUTCOMES, generations

_WINDOW = 6 * 3_600_000_000


@dataclass(frozen=True, slots=True)
class Spread:
    """Where everything lies.  `tail` is a file of hot points, `names` one of all shapes."""

    samples: Sequence[str]
    runs: Sequence[str]
    tail: str
    names: str

    def shapes(self) -> list[Shape]:
        """Return every shape; the index is its number."""
        with duckdb.connect() as connection:
            rows = connection.execute(
                "SELECT metric, labels FROM read_parquet(?) ORDER BY number", [self.names]
            ).fetchall()
        return [
            Shape(metric, tuple((name, value) for name, value in json.loads(labels)))
            for metric, labels in rows
        ]

    def points(
        self, shapes: Sequence[int], began: int, ended: int, *, as_received: bool = True
    ) -> Iterator[Points]:
        """Yield points of some shapes in the order they were received, from `began` to `ended`.

        Unless `as_received`, as if each had been received when it was read.
        Of a check's run that failed there is the point ``check_failed``, as for the engine.
        """
        if not shapes:
            return
        with duckdb.connect() as connection:
            connection.execute("SET preserve_insertion_order = false")
            for begin in range(began, ended, _WINDOW):
                end = min(begin + _WINDOW, ended)
                yield _points(connection, self._query(shapes, begin, end, as_received=as_received))

    def _query(self, shapes: Sequence[int], begin: int, end: int, *, as_received: bool) -> str:
        among = f"shape IN ({', '.join(map(str, shapes))})"
        came = "received" if as_received else "moment"
        run_came = "(ms + lag_ms) * 1000" if as_received else "ms * 1000"
        hot = _table([self.tail])
        parts = [f"SELECT host, shape, moment, value, {came} AS received FROM {hot} WHERE {among}"]
        if self.samples and self.runs:
            # A run's own row says when what it read was received.
            heard = (
                f"SELECT host, subject, ms, ms * 1000 AS moment, {run_came} AS received,"
                f" (outcome IN {BAD_OUTCOMES})::DOUBLE AS failed FROM {_table(self.runs)}"
                f" WHERE {run_came} >= {begin} AND {run_came} < {end}"
            )
            parts.append(
                f"SELECT host, shape, s.ms * 1000 AS moment, value, h.received FROM"
                f" {_table(self.samples)} s JOIN (SELECT host, ms, max(received) AS received"
                f" FROM ({heard}) GROUP BY host, ms) h USING (host, ms) WHERE {among}"
            )
            parts.append(
                f"SELECT host, subject AS shape, moment, failed AS value, received FROM ({heard})"
                f" WHERE subject IN ({', '.join(map(str, shapes))})"
            )
        return (
            f"SELECT * FROM ({' UNION ALL '.join(parts)}) WHERE received >= {begin}"
            f" AND received < {end} ORDER BY received, moment"
        )


def lay_out(connection: duckdb.DuckDBPyConnection, directory: Path, into: Path) -> Spread:
    """Write hot points and names into a folder, and return where everything is.

    Inside the caller's transaction, so that nothing is in two files or in none.
    """
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    tail, names = into / "tail.parquet", into / "shapes.parquet"
    parts = [
        "SELECT 0 AS host, 0 AS shape, 0::BIGINT AS moment, 0.0 AS value, 0::BIGINT AS received"
    ]
    for number in generations(connection):
        parts.append(f"SELECT host, shape, moment, value, received FROM samples_{number}")
        parts.append(
            f"SELECT host, subject, moment, (outcome IN {BAD_OUTCOMES})::DOUBLE, received"
            f" FROM runs_{number}"
        )
    _copy(connection, f"SELECT * FROM ({' UNION ALL '.join(parts)}) WHERE host > 0", tail)
    _copy(connection, "SELECT * FROM shapes ORDER BY number", names)
    held = sealed.files(connection)
    return Spread(
        samples=[str(directory / file.path) for file in held if file.kind == sealed.SAMPLES],
        runs=[str(directory / file.path) for file in held if file.kind == sealed.RUNS],
        tail=str(tail),
        names=str(names),
    )


def _copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    target = str(path).replace("'", "''")
    connection.execute(f"COPY ({query}) TO '{target}' (FORMAT parquet)")


def _table(paths: Sequence[str]) -> str:
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    return f"read_parquet([{listed}])"


def _points(connection: duckdb.DuckDBPyConnection, query: str) -> Points:
    columns = connection.execute(query).fetchnumpy()
    return Points(
        host=columns["host"].astype(np.int64),
        shape=columns["shape"].astype(np.int64),
        at=columns["moment"].astype(np.int64),
        value=columns["value"].astype(np.float64),
        received=columns["received"].astype(np.int64),
        through=0,
    )
