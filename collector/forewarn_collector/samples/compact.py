"""Merge sealed files: those of an hour when it is over, those of a day when that is.

One host's history is then a few pages of a few files, and values that stay the same for hours
cost nothing.  A merge is cut into ranges of hosts, so that its memory is bounded.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import duckdb
import numpy as np

from forewarn_collector.samples import sealed
from forewarn_collector.samples.sealed import SealedFile

_SPANS = {1: 3_600_000_000, 2: 86_400_000_000}  # microseconds, by level
_ROWS_A_PART = 10_000_000
_COLUMNS = {
    sealed.SAMPLES: ("host, shape, ms, value", "host, shape, ms"),
    sealed.RUNS: (
        "host, spool, lane, sequence, subject, ms, lag_ms, milliseconds, outcome",
        "host, spool, subject, sequence",
    ),
}


def compact(
    connection: duckdb.DuckDBPyConnection, directory: Path
) -> Iterator[tuple[list[SealedFile], list[SealedFile]]]:
    """Yield (merged, made of) once merged files are on disk; the caller makes them count."""
    for level, span in _SPANS.items():
        for kind in _COLUMNS:
            for group in ripe(sealed.files(connection), kind, level, span):
                yield _merge(connection, directory, group, level), group


def ripe(files: Sequence[SealedFile], kind: str, level: int, span: int) -> list[list[SealedFile]]:
    """Return the groups to merge into one of `level`: two or more neighbours of a past span.

    Neighbours by commit, so that what a merged file covers is one range of commits.
    """
    newest = max((file.stamp for file in files), default=0) // span
    candidates = [file for file in files if file.kind == kind]
    candidates.sort(key=lambda file: (file.first_entry, file.first_host))
    grouped = groupby(candidates, key=lambda f: (f.stamp // span, f.level >= level))
    groups = [(key, list(group)) for key, group in grouped]
    return [
        group
        for (bucket, merged), group in groups
        if not merged and bucket < newest and len(group) > 1
    ]


def _merge(
    connection: duckdb.DuckDBPyConnection,
    directory: Path,
    group: Sequence[SealedFile],
    level: int,
) -> list[SealedFile]:
    kind = group[0].kind
    columns, order = _COLUMNS[kind]
    source = sealed.source(directory, group)
    ranges = _ranges(connection, source)
    notes = {
        "level": level,
        "parts": len(ranges),
        "first_entry": min(file.first_entry for file in group),
        "last_entry": max(file.last_entry for file in group),
        "stamp": max(file.stamp for file in group),
    }
    made = []
    for part, (first, last) in enumerate(ranges):
        name = f"{notes['first_entry']}-{level}-{part}"
        path = sealed.place(kind, notes["stamp"], name)
        query = (
            f"SELECT {columns} FROM {source} WHERE host BETWEEN {first} AND {last} ORDER BY {order}"
        )
        sealed.copy_out(connection, query, directory / path, notes, kind)
        made.append(sealed.describe(connection, directory, path, notes))
    return made


def _ranges(connection: duckdb.DuckDBPyConnection, source: str) -> list[tuple[int, int]]:
    """Return ranges of hosts of about `_ROWS_A_PART` rows each."""
    columns = connection.execute(
        f"SELECT host, count(*) AS row_count FROM {source} GROUP BY host ORDER BY host"
    ).fetchnumpy()
    part = (np.cumsum(columns["row_count"]) - 1) // _ROWS_A_PART
    hosts = columns["host"]
    firsts = np.flatnonzero(np.diff(part, prepend=-1))
    lasts = np.append(firsts[1:] - 1, len(hosts) - 1)
    return [
        (int(hosts[first]), int(hosts[last])) for first, last in zip(firsts, lasts, strict=True)
    ]
