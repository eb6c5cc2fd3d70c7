"""Open the embedded store as the last process left it, however that one ended.

Damage is moved aside, never deleted: a new hot file is begun, and what sealed files say (rows,
marks, statuses) is taken over into it.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from forewarn_collector.samples import hot, sealed
from forewarn_collector.samples.hot import transaction
from forewarn_collector.samples.names import Shapes, Spools
from forewarn_collector.samples.rebuild import find, rebuild

Settings = dict[str, str | bool | int | float | list[str]]

HOT = "hot.duckdb"
_WAL = ".wal"

# What DuckDB says of a damaged file; anything else (a lock, a right, a version) is not damage.
_DAMAGE = (
    "not a valid DuckDB database",
    "Corrupt database file",
    "Could not read enough bytes",
    "Failure while replaying WAL",
    "does not match stored checksum",
)


class StoreInUse(Exception):
    """Another process has the sample store open."""


class StoreUnusable(Exception):
    """The sample store cannot be opened, and not because it is damaged."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An open hot file and everything of it that is kept in memory."""

    connection: duckdb.DuckDBPyConnection
    shapes: Shapes
    spools: Spools
    generation: int
    entry: int
    ledger: Sequence[tuple[int, int]]
    heard: Mapping[int, int]
    findings: tuple[str, ...]


def open_store(
    directory: Path, *, cursor: Callable[[], int], memory_limit_bytes: int, threads: int
) -> Opened:
    """Open, or make, the store in `directory`.

    Raises StoreInUse when another process has it, StoreUnusable when it may not be opened.
    """
    directory.mkdir(parents=True, exist_ok=True)
    settings: Settings = {
        "memory_limit": f"{memory_limit_bytes // 1_000_000}MB",
        "threads": str(threads),
        "temp_directory": str(directory / "tmp"),
        "preserve_insertion_order": "false",
        # Sealed files are named by us; nothing may be fetched or loaded from elsewhere.
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    shutil.rmtree(directory / "tmp", ignore_errors=True)  # what a killed sort left
    path = directory / HOT
    findings = []
    try:
        connection = _connect(path, settings)
    except _Damaged as damage:
        aside = _move_aside(path)
        findings.append(
            f"samples: {path} was damaged ({damage}) and was moved to {aside.name}; a new one was"
            " begun from the sealed files; what was received since the last seal is in the old one"
        )
        connection = _connect(path, settings)
    _prepare(connection, directory, cursor)
    sealed.sweep(directory, sealed.files(connection))
    return _read(connection, tuple(findings))


class _Damaged(Exception):
    pass


def _connect(path: Path, settings: Settings) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(str(path), config=settings)
    except duckdb.Error as error:
        text = str(error)
        if "lock on file" in text:
            raise StoreInUse(
                f"samples: {path} is in use by another process; only one `serve` may run on it"
            ) from error
        damaged = isinstance(
            error, duckdb.SerializationException | duckdb.InternalException | duckdb.FatalException
        )
        if damaged or any(sign in text for sign in _DAMAGE):
            raise _Damaged(text.splitlines()[0]) from error
        raise StoreUnusable(f"samples: cannot open {path}: {text.splitlines()[0]}") from error


def _move_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    wal = path.with_name(path.name + _WAL)
    if wal.exists():
        wal.rename(aside.with_name(aside.name + _WAL))
    return aside


def _prepare(
    connection: duckdb.DuckDBPyConnection, directory: Path, cursor: Callable[[], int]
) -> None:
    """Make the tables if this file is new, taking over what sealed files hold."""
    hot.make_tables(connection)
    if hot.generations(connection):
        return
    found = find(connection, directory)
    with transaction(connection):
        last_entry = rebuild(connection, directory, found)
        judged = cursor() if cursor() < 2**62 else 0
        # Never a number that the engine has already passed: it would not judge those rows.
        begin = max(last_entry, judged) + 1
        hot.begin_generation(connection, begin, begin)


def _read(connection: duckdb.DuckDBPyConnection, findings: tuple[str, ...]) -> Opened:
    shapes, spools = hot.read_names(connection)
    hot_now = hot.generations(connection)
    hot.read_marks(connection, spools, hot_now)
    ledger = hot.read_ledger(connection, hot_now)
    first = connection.execute("SELECT max(first_entry) FROM generations").fetchone()
    entry = ledger[-1][0] if ledger else 0
    return Opened(
        connection=connection,
        shapes=shapes,
        spools=spools,
        generation=hot_now[-1],
        entry=max(entry, int(first[0]) - 1 if first else 0),
        ledger=ledger,
        heard=hot.read_heard(connection, hot_now),
        findings=findings,
    )
