"""Take over sealed files into a new hot file: what is needed when the old one was lost."""

from pathlib import Path

import duckdb

from forewarn_collector.samples import sealed

Found = list[tuple[sealed.SealedFile, dict[str, int]]]


def rebuild(connection: duckdb.DuckDBPyConnection, directory: Path, found: Found) -> int:
    """Fill the empty kept tables from the sealed files found; return their last commit, or 0.

    Works inside the caller's transaction.  Error texts of past runs are not in the files and stay
    empty.
    """
    if not found:
        return 0
    for table in ("shapes", "spools"):
        names = str(directory / f"{table}.parquet")
        connection.execute(f"INSERT INTO {table} SELECT * FROM read_parquet(?)", [names])
    counted = _without_replaced(found)
    sealed.record(connection, [file for file, _ in counted])
    runs = [file for file, _ in counted if file.kind == sealed.RUNS]
    if runs:
        source = sealed.source(directory, runs)
        connection.execute(
            "INSERT INTO marks SELECT spool, lane, max(sequence)"
            f" FROM {source} GROUP BY spool, lane"
        )
        for file in runs:
            _take_statuses(connection, directory, file)
        connection.execute(
            "CREATE OR REPLACE TABLE statuses AS SELECT host, subject, max(moment) AS moment,"
            " arg_max(received, moment) AS received, arg_max(milliseconds, moment) AS milliseconds,"
            " arg_max(outcome, moment) AS outcome, arg_max(error, moment) AS error,"
            " arg_max(entry, moment) FILTER (entry IS NOT NULL) AS entry"
            " FROM statuses GROUP BY host, subject ORDER BY host"
        )
    return max(file.last_entry for file, _ in found)


def find(connection: duckdb.DuckDBPyConnection, directory: Path) -> Found:
    """Return every sealed file with its notes, outside of any transaction.

    A file that cannot be read is renamed to ``….damaged``.
    """
    found: Found = []
    for path in sealed.on_disk(directory):
        try:
            notes = sealed.notes_of(connection, path)
            relative = path.relative_to(directory).as_posix()
            file = sealed.describe(connection, directory, relative, notes)
        except (duckdb.Error, KeyError):
            path.rename(path.with_name(path.name + ".damaged"))
            continue
        found.append((file, notes))
    return found


def _without_replaced(found: Found) -> Found:
    """Leave out what a merge had made or replaced when it was cut short.

    A merged set counts if all its parts are there; then the files it was made of do not.
    """
    whole: Found = []
    for file, notes in sorted(found, key=lambda pair: -pair[0].level):
        parts = [other for other, _ in found if _one_set(file, other)]
        complete = len(parts) == notes["parts"]
        covered = any(_covers(other, file) for other, _ in whole)
        if complete and not covered:
            whole.append((file, notes))
    return whole


def _one_set(one: sealed.SealedFile, other: sealed.SealedFile) -> bool:
    return (one.kind, one.level, one.first_entry) == (other.kind, other.level, other.first_entry)


def _covers(merged: sealed.SealedFile, file: sealed.SealedFile) -> bool:
    return (
        merged.kind == file.kind
        and merged.level > file.level
        and merged.first_entry <= file.first_entry
        and file.last_entry <= merged.last_entry
    )


def _take_statuses(
    connection: duckdb.DuckDBPyConnection, directory: Path, file: sealed.SealedFile
) -> None:
    connection.execute(
        "INSERT INTO statuses SELECT host, subject, max(ms) * 1000,"
        " arg_max((ms + lag_ms) * 1000, ms), arg_max(milliseconds, ms), arg_max(outcome, ms), '',"
        " CASE WHEN bool_or(outcome = 0) THEN ?::BIGINT END"
        f" FROM {sealed.source(directory, [file])} GROUP BY host, subject",
        [file.last_entry],
    )
