"""What is asked of the embedded store: every question reads hot tables and sealed files as one.

Each function works inside a transaction of its caller: the list of generations and files it reads
first stays true until it is done, whatever a seal does meanwhile.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from forewarn_checks.base import Lane
from forewarn_collector.samples import (
    CheckStatus,
    Histories,
    Newest,
    Points,
    Reading,
    Series,
    Span,
    sealed,
)
from forewarn_collector.samples.hot import BAD_OUTCOMES, OUTCOMES, generations
from forewarn_collector.samples.names import LANES, Shapes, Spools

_MANY_SHAPES = 2_000  # above, naming them one by one costs more than reading the host whole

_MANY_HOSTS = 3_000
_NONE = np.empty(0, np.int64)
NO_HISTORIES = Histories(_NONE, _NONE, _NONE, np.empty(0), np.empty(0))

# Two outcomes count as a failed check: see `hot.BAD_OUTCOMES`.
_FAILED = f"outcome IN {BAD_OUTCOMES}"
_STATUS_COLUMNS = "host, subject, moment, received, milliseconds, outcome, error, entry"


@dataclass(frozen=True, slots=True)
class Asking:
    """One reader's view of the store: a connection inside a transaction."""

    connection: duckdb.DuckDBPyConnection
    directory: Path
    shapes: Shapes
    spools: Spools

    def points(self, after: int, through: int) -> Points:
        """Return the points of entries `after` + 1 to `through`, which must still be hot."""
        parts = [
            f"SELECT host, shape, moment, value, received, entry FROM samples_{number} {{0}}"
            f" UNION ALL SELECT host, subject, moment, {_FAILED}::DOUBLE, received, entry"
            f" FROM runs_{number} {{0}}"
            for number in generations(self.connection)
        ]
        union = " UNION ALL ".join(parts).format("WHERE entry > $after AND entry <= $through")
        columns = self.connection.execute(
            f"SELECT * FROM ({union}) ORDER BY entry, moment",
            {"after": after, "through": through},
        ).fetchnumpy()
        return Points(
            host=columns["host"].astype(np.int64),
            shape=columns["shape"].astype(np.int64),
            at=columns["moment"],
            value=columns["value"],
            received=columns["received"],
            through=through,
        )

    def newest(self, through: int) -> Newest:
        """Return when the newest runs of entries up to `through` were, by host and check."""
        parts = ["SELECT host, subject, moment FROM statuses"]
        parts.extend(
            f"SELECT host, subject, moment FROM runs_{number} WHERE entry <= $through"
            for number in generations(self.connection)
        )
        columns = self.connection.execute(
            f"SELECT host, subject, max(moment) AS at FROM ({' UNION ALL '.join(parts)})"
            " GROUP BY host, subject",
            {"through": through} if len(parts) > 1 else {},
        ).fetchnumpy()
        return Newest(
            host=columns["host"].astype(np.int64),
            shape=columns["subject"].astype(np.int64),
            at=columns["at"].astype(np.int64),
        )

    def latest_of(self, hosts: Collection[int]) -> dict[int, list[Reading]]:
        """Return the latest value of every series of some hosts: hot, and where checks read last.

        A series that its check has not yielded for longer than one sealed file is left out.
        """
        found: dict[int, list[Reading]] = {host: [] for host in hosts}
        if not found:
            return found
        among = f"host IN ({', '.join(f'{host:d}' for host in found)})"
        parts = [
            f"SELECT host, shape, moment, value, received FROM samples_{number} WHERE {among}"
            for number in generations(self.connection)
        ]
        parts.extend(self._latest_sealed(among))
        rows = self.connection.execute(
            "SELECT host, shape, arg_max(value, moment), max(moment), arg_max(received, moment)"
            f" FROM ({' UNION ALL '.join(parts)}) GROUP BY host, shape ORDER BY host, shape"
        ).fetchall()
        for host, *reading in rows:
            found[host].append(self._reading(*reading))
        return found

    def _latest_sealed(self, among: str) -> Iterator[str]:
        """Yield the query of the files that hold the last successful run of each check.

        Of each host only its own files count: another's may hold what it no longer has.
        """
        held = (
            "SELECT DISTINCT host, path FROM files JOIN statuses ON entry BETWEEN first_entry"
            f" AND last_entry AND host BETWEEN first_host AND last_host WHERE {among}"
        )
        rows = self.connection.execute(f"SELECT DISTINCT path FROM ({held})").fetchall()
        paths = {path for (path,) in rows}
        files = [file for file in sealed.files(self.connection) if file.path in paths]
        samples = [file for file in files if file.kind == sealed.SAMPLES]
        runs = [file for file in files if file.kind == sealed.RUNS]
        if samples and runs:
            yield (
                "SELECT s.host, s.shape, s.ms * 1000, s.value, coalesce(r.received, s.ms * 1000)"
                f" FROM ({self._owned(samples, among, held)}) s LEFT JOIN"
                " (SELECT host, ms, max(ms + lag_ms) * 1000 AS received"
                f" FROM ({self._owned(runs, among, held)}) GROUP BY host, ms) r"
                " ON r.ms = s.ms AND r.host = s.host"
            )

    def _owned(self, files: Sequence[sealed.SealedFile], among: str, held: str) -> str:
        """Return the query of the rows of files that are of a host and path of `held`."""
        source = sealed.source(self.directory, files, named=True)
        whole = str(self.directory / "_")[:-1].replace("'", "''")
        return (
            f"SELECT rows.* FROM (SELECT * FROM {source} WHERE {among}) rows JOIN ({held}) held"
            f" ON held.host = rows.host AND rows.filename = '{whole}' || held.path"
        )

    def _reading(self, shape: int, value: float, at: int, received: int) -> Reading:
        named = self.shapes[shape]
        return Reading(named.metric, dict(named.labels), value, at, received)

    def statuses(self, host: int | None) -> Mapping[int, Sequence[CheckStatus]]:
        """Return how the latest run of each check went, by host."""
        rows = self.connection.execute(
            latest_statuses(generations(self.connection), host) + " ORDER BY host, subject"
        ).fetchall()
        found: dict[int, list[CheckStatus]] = {}
        for number, subject, at, received, milliseconds, outcome, error, _entry in rows:
            check = dict(self.shapes[subject].labels)["check"]
            status = CheckStatus(check, OUTCOMES[outcome], error, at, received, milliseconds / 1000)
            found.setdefault(number, []).append(status)
        return found

    def history(self, host: int, metric: str, since: int, until: int, steps: int) -> list[Series]:
        """Return every series of a metric on a host in [since, until), thinned to `steps`."""
        wanted = self.shapes.of_metric(metric)
        if not wanted or until <= since or steps < 1:
            return []
        chosen = f"AND shape IN ({', '.join(map(str, wanted))})"
        if len(wanted) > _MANY_SHAPES:
            chosen = ""
        parts = [
            f"SELECT shape, moment, value FROM samples_{number} WHERE host = $host {chosen}"
            for number in generations(self.connection)
        ]
        held = sealed.files(
            self.connection,
            "kind = ? AND first_host <= ? AND last_host >= ? AND first_moment < ?"
            " AND last_moment >= ?",
            (sealed.SAMPLES, host, host, until, since),
        )
        if held:
            # Milliseconds in the files: the finer bounds below decide.
            parts.append(
                "SELECT shape, ms * 1000 AS moment, value"
                f" FROM {sealed.source(self.directory, held)} WHERE host = $host {chosen}"
                " AND ms >= $since // 1000 AND ms <= $until // 1000"
            )
        step = -(-(until - since) // steps)
        columns = self.connection.execute(
            "SELECT shape, max(moment) AS moment, avg(value) AS mean, min(value) AS low,"
            f" max(value) AS high FROM ({' UNION ALL '.join(parts)})"
            " WHERE moment >= $since AND moment < $until"
            " GROUP BY shape, (moment - $since) // $step ORDER BY shape, moment",
            {"host": host, "since": since, "until": until, "step": step},
        ).fetchnumpy()
        return self._series(set(wanted), columns)

    def _series(self, wanted: set[int], columns: Mapping[str, NDArray[np.generic]]) -> list[Series]:
        shapes = columns["shape"].astype(np.int64)
        bounds = np.flatnonzero(np.diff(shapes)) + 1
        found = []
        for rows in np.split(np.arange(len(shapes)), bounds):
            if not len(rows) or int(shapes[rows[0]]) not in wanted:
                continue
            found.append(
                Series(
                    dict(self.shapes[int(shapes[rows[0]])].labels),
                    columns["moment"][rows].astype(np.int64),
                    columns["mean"][rows].astype(np.float64),
                    columns["low"][rows].astype(np.float64),
                    columns["high"][rows].astype(np.float64),
                )
            )
        return found

    def histories(
        self,
        host: NDArray[np.int64],
        shape: NDArray[np.int64],
        until: NDArray[np.int64],
        span: Span,
    ) -> Histories:
        """Return what many series were up to and at a moment of each, thinned as `span` says."""
        if not len(host):
            return NO_HISTORIES
        wanted = {"row": np.arange(len(host)), "host": host, "shape": shape, "until": until}
        hosts, shapes = np.unique(host), np.unique(shape)
        begin, end = int(until.min()) - span.back, int(until.max())
        # A list within the scan leaves most row groups unread; a join alone would read them all.
        among = f"host BETWEEN {hosts[0]} AND {hosts[-1]}"
        if len(hosts) <= _MANY_HOSTS:
            among = f"host IN ({', '.join(map(str, hosts.tolist()))})"
        if len(shapes) <= _MANY_SHAPES:
            among += f" AND shape IN ({', '.join(map(str, shapes.tolist()))})"
        parts = [
            f"SELECT host, shape, moment, value FROM samples_{number} WHERE {among}"
            for number in generations(self.connection)
        ]
        held = sealed.files(
            self.connection,
            "kind = ? AND first_host <= ? AND last_host >= ? AND first_moment <= ?"
            " AND last_moment > ?",
            (sealed.SAMPLES, int(hosts[-1]), int(hosts[0]), end, begin),
        )
        if held:
            parts.append(
                "SELECT host, shape, ms * 1000 AS moment, value"
                f" FROM {sealed.source(self.directory, held)} WHERE {among}"
                f" AND ms BETWEEN {begin // 1000} AND {end // 1000}"
            )
        self.connection.register("wanted", wanted)
        try:
            columns = self.connection.execute(
                "SELECT row, min(moment) AS first, max(moment) AS last, min(value) AS low,"
                " max(value) AS high FROM (SELECT row, moment, value, until - moment AS age"
                f" FROM ({' UNION ALL '.join(parts)}) JOIN wanted USING (host, shape)"
                " WHERE age >= 0 AND age < $back) GROUP BY row,"
                " CASE WHEN age < $fine_for THEN age // $fine ELSE -1 - age // $coarse END"
                " ORDER BY row, first",
                {name: getattr(span, name) for name in Span.__slots__},
            ).fetchnumpy()
        finally:
            self.connection.unregister("wanted")
        return Histories(
            columns["row"].astype(np.int64),
            columns["first"].astype(np.int64),
            columns["last"].astype(np.int64),
            columns["low"].astype(np.float64),
            columns["high"].astype(np.float64),
        )

    def sequences(self, host: int) -> list[tuple[str, Lane, int]]:
        """Return (spool, lane, sequence) of every run held."""
        parts = [
            f"SELECT spool, lane, sequence FROM runs_{number} WHERE host = $host"
            for number in generations(self.connection)
        ]
        held = sealed.files(
            self.connection,
            "kind = ? AND first_host <= ? AND last_host >= ?",
            (sealed.RUNS, host, host),
        )
        if held:
            source = sealed.source(self.directory, held)
            parts.append(f"SELECT spool, lane, sequence FROM {source} WHERE host = $host")
        rows = self.connection.execute(
            " UNION ALL ".join(parts) + " ORDER BY spool, lane, sequence", {"host": host}
        ).fetchall()
        return [(self.spools[spool][1], LANES[lane], sequence) for spool, lane, sequence in rows]

    def count_runs(self) -> tuple[int, int]:
        """Return how many runs are held in all, and how many of them twice."""
        columns = "spool, lane, sequence"
        parts = [f"SELECT {columns} FROM runs_{n}" for n in generations(self.connection)]
        held = sealed.files(self.connection, "kind = ?", (sealed.RUNS,))
        if held:
            parts.append(f"SELECT {columns} FROM {sealed.source(self.directory, held)}")
        row = self.connection.execute(
            "SELECT coalesce(sum(held), 0)::BIGINT, coalesce(sum(held - 1), 0)::BIGINT FROM"
            f" (SELECT count(*) AS held FROM ({' UNION ALL '.join(parts)}) GROUP BY {columns})"
        ).fetchone()
        assert row is not None
        return row[0], row[1]


def latest_statuses(hot: Sequence[int], host: int | None = None) -> str:
    """Return the query of the latest run of each check, as rows of table `statuses`.

    `entry` is that of the latest run that read something: where its samples are.
    """
    where = "" if host is None else f"WHERE host = {host:d}"
    parts = [f"SELECT {_STATUS_COLUMNS} FROM statuses {where}"]
    parts.extend(
        f"SELECT host, subject, moment, received, milliseconds, outcome, coalesce(error, ''),"
        f" CASE WHEN outcome = 0 THEN entry END FROM runs_{number}"
        f" LEFT JOIN errors_{number} USING (host, subject, moment, entry) {where}"
        for number in hot
    )
    newest = ", ".join(
        f"arg_max({column}, moment) AS {column}"
        for column in ("received", "milliseconds", "outcome", "error")
    )
    return (
        f"SELECT host, subject, max(moment) AS moment, {newest},"
        " arg_max(entry, moment) FILTER (entry IS NOT NULL) AS entry"
        f" FROM ({' UNION ALL '.join(parts)}) GROUP BY host, subject"
    )
