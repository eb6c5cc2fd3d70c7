"""Sealed files: Parquet under ``raw/`` and ``runs/``, and the list of those that count.

A file counts once its row in table `files` is committed, in the same transaction that drops the
hot rows it was made of.  What is on disk without a row was never finished and is swept away at
the next start; so a crash at any point neither loses nor doubles.

Samples are sorted by host, shape and time: one host's readings are a few pages of each file, and
equal values lie together.  Moments are kept to the millisecond.
"""

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

SAMPLES = "samples"
RUNS = "runs"
_FOLDERS = {SAMPLES: "raw", RUNS: "runs"}

# `{source}` is a table of rows as they arrived.
_SELECT = {
    SAMPLES: "SELECT host, shape, moment // 1000 AS ms, value FROM {source}"
    " ORDER BY host, shape, ms",
    RUNS: "SELECT host, spool, lane, sequence, subject, moment // 1000 AS ms,"
    " (received - moment) // 1000 AS lag_ms, milliseconds, outcome FROM {source}"
    " ORDER BY host, spool, subject, sequence",
}
# Plain pages of Parquet 1: the delta and split encodings of Parquet 2 cost half as much again.
# Samples go without dictionaries: the moments of a check repeat for each of its series, and zstd
# sees that only while they are not packed into bits (a day takes 1.76 bytes a sample, not 3.28).
_OPTIONS = {
    SAMPLES: "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880, DICTIONARY_SIZE_LIMIT 1",
    RUNS: "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """One file that counts.  `path` is below the store's directory, `stamp` when it was sealed.

    Its rows are all those of entries `first_entry` to `last_entry` on hosts `first_host` to
    `last_host`.  `level` is 0 as sealed, 1 for an hour, 2 for a day.
    """

    path: str
    kind: str
    level: int
    first_entry: int
    last_entry: int
    first_moment: int
    last_moment: int
    first_host: int
    last_host: int
    row_count: int
    bytes: int
    stamp: int


def write(
    connection: duckdb.DuckDBPyConnection, directory: Path, kind: str, table: str, name: str
) -> SealedFile | None:
    """Write a table of hot rows to a file that survives a power cut; None if it has no rows.

    The file does not count before it is `record`ed.
    """
    row = connection.execute(
        f"SELECT min(entry), max(entry), max(received) FROM {table}"
    ).fetchone()
    if row is None or row[0] is None:
        return None
    notes = {"level": 0, "parts": 1, "first_entry": row[0], "last_entry": row[1], "stamp": row[2]}
    path = place(kind, row[2], name)
    copy_out(connection, _SELECT[kind].format(source=table), directory / path, notes, kind)
    return describe(connection, directory, path, notes)


def describe(
    connection: duckdb.DuckDBPyConnection, directory: Path, path: str, notes: dict[str, int]
) -> SealedFile:
    """Return what is to be recorded of a written file.  Raises KeyError when a note is missing."""
    row = connection.execute(
        "SELECT min(ms) * 1000, max(ms) * 1000, min(host), max(host), count(*)"
        " FROM read_parquet(?)",
        [str(directory / path)],
    ).fetchone()
    assert row is not None
    folder = path.partition("/")[0]
    return SealedFile(
        path=path,
        kind=next(kind for kind in _FOLDERS if _FOLDERS[kind] == folder),
        level=notes["level"],
        first_entry=notes["first_entry"],
        last_entry=notes["last_entry"],
        first_moment=row[0],
        last_moment=row[1],
        first_host=row[2],
        last_host=row[3],
        row_count=row[4],
        bytes=(directory / path).stat().st_size,
        stamp=notes["stamp"],
    )


def keep_names(connection: duckdb.DuckDBPyConnection, directory: Path) -> None:
    """Write the names beside the files, so that these can be read should the hot file be lost."""
    for table in ("shapes", "spools"):
        path = directory / f"{table}.parquet"
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        count = row[0] if row else 0
        if path.exists() and _count_of(connection, path) == count:
            continue
        query = f"SELECT * FROM {table} ORDER BY number"
        copy_out(connection, query, path, {"count": count})


def place(kind: str, stamp: int, name: str) -> str:
    """Return where a file sealed at `stamp` (microseconds) lies below the store's directory."""
    when = datetime.fromtimestamp(stamp // 1_000_000, UTC)
    return f"{_FOLDERS[kind]}/{when:%Y/%m/%d/%H%M}-{name}.parquet"


def copy_out(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    path: Path,
    notes: dict[str, int],
    kind: str = RUNS,
) -> None:
    """Write what `query` selects to `path`: whole and on disk, or not at all."""
    made = _make_folders(path.parent)
    temporary = path.with_suffix(".tmp")
    metadata = ", ".join(f"{key}: '{value}'" for key, value in notes.items())
    target = str(temporary).replace("'", "''")
    connection.execute(
        f"COPY ({query}) TO '{target}' ({_OPTIONS[kind]}, KV_METADATA {{{metadata}}})"
    )
    _sync(temporary)
    temporary.rename(path)
    for folder in (path.parent, *made):
        _sync(folder)


def notes_of(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, int]:
    """Return what `copy_out` was told about a file."""
    rows = connection.execute(
        "SELECT key, value FROM parquet_kv_metadata(?)", [str(path)]
    ).fetchall()
    return {bytes(key).decode(): int(bytes(value)) for key, value in rows}


def record(
    connection: duckdb.DuckDBPyConnection,
    made: Iterable[SealedFile],
    replaced: Iterable[SealedFile] = (),
) -> None:
    """Make files count, and others no longer, inside the caller's transaction."""
    for file in replaced:
        connection.execute("DELETE FROM files WHERE path = ?", [file.path])
    for file in made:
        marks = ", ".join("?" * 12)
        connection.execute(
            "INSERT INTO files(path, kind, level, first_entry, last_entry, first_moment,"
            " last_moment, first_host, last_host, row_count, bytes, stamp)"
            f" VALUES ({marks})",
            list(astuple(file)),
        )


def files(
    connection: duckdb.DuckDBPyConnection, where: str = "true", values: Sequence[object] = ()
) -> list[SealedFile]:
    """Return the files that count and satisfy a condition, oldest first."""
    columns = ", ".join(SealedFile.__slots__)
    found = connection.execute(
        f"SELECT {columns} FROM files WHERE {where} ORDER BY stamp, path",
        list(values),
    ).fetchall()
    return [SealedFile(**dict(zip(SealedFile.__slots__, row, strict=True))) for row in found]


def sweep(directory: Path, counted: Iterable[SealedFile]) -> int:
    """Delete files that were never finished or no longer count; return how many."""
    keep = {file.path for file in counted}
    swept = 0
    for path in on_disk(directory):
        if path.relative_to(directory).as_posix() not in keep:
            path.unlink()
            swept += 1
    for folder in _FOLDERS.values():
        for path in (directory / folder).rglob("*.tmp"):
            path.unlink()
    return swept


def on_disk(directory: Path) -> list[Path]:
    """Return every Parquet file below the store's directory, whether it counts or not."""
    return [
        path for folder in _FOLDERS.values() for path in (directory / folder).rglob("*.parquet")
    ]


def remove(directory: Path, gone: Iterable[SealedFile]) -> None:
    """Delete files that no longer count, and the folders they leave empty."""
    for file in gone:
        path = directory / file.path
        path.unlink(missing_ok=True)
        for folder in list(path.relative_to(directory).parents)[:-2]:
            with contextlib.suppress(OSError):  # not empty
                (directory / folder).rmdir()


def source(directory: Path, counted: Sequence[SealedFile], *, named: bool = False) -> str:
    """Return the table expression that reads these files, `named` with a column `filename`."""
    paths = ", ".join("'" + str(directory / file.path).replace("'", "''") + "'" for file in counted)
    return f"read_parquet([{paths}]{', filename = true' if named else ''})"


def _count_of(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    return notes_of(connection, path).get("count", -1)


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and its parents; return those whose entries changed."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return [path.parent for path in missing]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
