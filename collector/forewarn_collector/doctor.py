"""Look an instance over: what would stop it, or soon will."""

import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from forewarn_collector import certificates, control
from forewarn_collector.certificates import Files
from forewarn_collector.config import ConfigError
from forewarn_collector.control import ControlError, NotRunning
from forewarn_collector.ingest import Room
from forewarn_collector.instance import InstanceError, read_pepper, read_settings
from forewarn_collector.state import audit
from forewarn_collector.state import outbox as rows
from forewarn_collector.state.database import Database

# Older ones can corrupt a database when two connections checkpoint and write at the same moment;
# here one writer does both, so it is a warning.
_SQLITE_GOOD = (3, 51, 3)
_SECRET = ("ca.key", "leaf.key", "secrets/pepper", "state.sqlite")


class Mark(StrEnum):
    """How one look ended."""

    WELL = "ok"
    WARNING = "warning"
    TROUBLE = "trouble"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.  `text` says what was found and, unless all is well, what to do."""

    subject: str
    mark: Mark
    text: str


def examine(directory: Path, database: Database, now: datetime) -> Iterator[Finding]:
    """Look at everything in turn, the most basic first."""
    yield _rights(directory)
    yield _settings(directory)
    yield _disk(directory)
    yield from _certificates(directory, now)
    yield _pepper(directory)
    yield _sqlite()
    yield _whole(database)
    yield _audit(database)
    yield _outbox(database, now)
    yield _running(directory)


def _well(subject: str, text: str) -> Finding:
    return Finding(subject, Mark.WELL, text)


def _rights(directory: Path) -> Finding:
    open_to_others = [
        name
        for name in _SECRET
        if (directory / name).exists() and stat.S_IMODE((directory / name).stat().st_mode) & 0o077
    ]
    if open_to_others:
        files = " ".join(str(directory / name) for name in open_to_others)
        return Finding("rights", Mark.TROUBLE, f"open to others; run: chmod 600 {files}")
    owner = directory.stat().st_uid
    foreign = [path.name for path in directory.iterdir() if path.stat().st_uid != owner]
    if foreign:
        text = f"of another owner: {', '.join(sorted(foreign))}; run: chown -R {owner} {directory}"
        return Finding("rights", Mark.TROUBLE, text)
    return _well("rights", f"{directory} and its secrets are for their owner only")


def _settings(directory: Path) -> Finding:
    try:
        settings = read_settings(directory)
    except ConfigError as wrong:
        return Finding("settings", Mark.TROUBLE, str(wrong))
    if not settings.config.destinations:
        text = "no destination is told of tickets; add [[destinations]] to collector.toml"
        return Finding("settings", Mark.WARNING, text)
    if settings.config.warnings:
        return Finding("settings", Mark.WARNING, "; ".join(settings.config.warnings))
    return _well("settings", f"valid; {len(settings.book.names())} rules are on")


def _disk(directory: Path) -> Finding:
    free = shutil.disk_usage(directory).free
    missing = Room(directory=directory).missing()
    if missing:
        text = f"{free} bytes free; batches are refused until {missing} more are"
        return Finding("disk", Mark.TROUBLE, text)
    return _well("disk", f"{free / 2**30:.1f} GiB free")


def _certificates(directory: Path, now: datetime) -> Iterator[Finding]:
    files = Files(directory)
    ends: tuple[tuple[str, Callable[[Files], datetime], timedelta], ...] = (
        ("authority", certificates.authority_ends, timedelta(days=365)),
        ("certificate", certificates.leaf_ends, certificates.RENEW_BEFORE - timedelta(days=1)),
    )
    for subject, read, early in ends:
        try:
            left = read(files) - now
        except (OSError, ValueError, IndexError) as unreadable:
            yield Finding(subject, Mark.TROUBLE, f"{unreadable}; restore it from a backup")
            continue
        if left <= timedelta(0):
            yield Finding(subject, Mark.TROUBLE, f"ended {-left.days} days ago; start serve")
        elif left < early:
            yield Finding(subject, Mark.WARNING, f"ends in {left.days} days")
        else:
            yield _well(subject, f"good for {left.days} days")


def _pepper(directory: Path) -> Finding:
    try:
        read_pepper(directory)
    except InstanceError as gone:
        return Finding("pepper", Mark.TROUBLE, str(gone))
    return _well("pepper", "there")


def _sqlite() -> Finding:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < _SQLITE_GOOD:
        text = (
            f"SQLite {version} has a rare fault that 3.51.3 mended; one writer keeps clear of it."
            " A Python with a newer SQLite is better"
        )
        return Finding("sqlite", Mark.WARNING, text)
    return _well("sqlite", version)


def _whole(database: Database) -> Finding:
    with database.read() as connection:
        told = connection.exec_driver_sql("PRAGMA quick_check").scalar()
    if told != "ok":
        text = f"state.sqlite is damaged: {told}; stop serve and restore a backup"
        return Finding("state", Mark.TROUBLE, text)
    return _well("state", "state.sqlite is whole")


def _audit(database: Database) -> Finding:
    with database.read() as connection:
        broken = audit.broken_at(connection)
    if broken is not None:
        return Finding("audit", Mark.TROUBLE, f"row {broken} or one before it was changed")
    return _well("audit", "every row follows from those before it")


def _outbox(database: Database, now: datetime) -> Finding:
    with database.read() as connection:
        dead = len(rows.find(connection, states=("dead",)))
        queued = rows.find(connection, states=("queued",))
    if dead:
        text = f"{dead} messages were given up; see outbox list --state dead, then outbox replay"
        return Finding("outbox", Mark.WARNING, text)
    if queued and now - queued[0].created_at > timedelta(minutes=10):
        waits = now - queued[0].created_at
        text = f"{len(queued)} messages wait, the oldest for {waits}; {queued[0].last_answer}"
        return Finding("outbox", Mark.WARNING, text)
    return _well("outbox", f"{len(queued)} messages wait")


def _running(directory: Path) -> Finding:
    try:
        status = control.ask(directory, "status")
    except NotRunning as absent:
        return Finding("serve", Mark.WARNING, str(absent))
    except ControlError as trouble:
        return Finding("serve", Mark.TROUBLE, str(trouble))
    return _well("serve", f"runs since {status['started_at']} with {status['hosts']} hosts")
