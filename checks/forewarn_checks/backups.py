"""Whether backups are made: the age of the newest, and whether it has shrunk."""

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from forewarn_checks._named import nothing_named, read_entries
from forewarn_checks.base import (
    CannotRead,
    Check,
    Component,
    Fact,
    Level,
    Metric,
    Option,
    Options,
    Panel,
    Reading,
    Severity,
    State,
    Threshold,
    Unit,
    WrongSystem,
)
from forewarn_checks.base.durations import parse_duration

if TYPE_CHECKING:
    from forewarn_checks._at_once import AtOnce
    from forewarn_checks._newest import Copies

FOUND = Metric(
    "backup_found", Unit.COUNT, "1 when there is at least one, 0 when there is none.", ("backup",)
)
COUNT = Metric("backup_copies", Unit.COUNT, "How many there are.", ("backup",))
AGE = Metric("backup_age_seconds", Unit.SECONDS, "Time since the newest was written.", ("backup",))
OVERDUE = Metric(
    "backup_overdue_seconds",
    Unit.SECONDS,
    "How much older the newest is than it may be; below 0 while it may be as old.",
    ("backup",),
)
SIZE = Metric("backup_size_bytes", Unit.BYTES, "Size of the newest.", ("backup",))
SIZE_RATIO = Metric(
    "backup_size_ratio",
    Unit.RATIO,
    "Its size against the median of the five before it; not read without one before it.",
    ("backup",),
)

PATHS = Option(
    name="paths",
    default=(),
    help="Files or folders, * and ? allowed, and how often a new one must come (26h unless said), "
    "e.g. ['db = /backup/db-*.dump', 'images = /backup/*.img every 8d'].",
)

_MOST = 40
_LONGEST_SECONDS = 50.0
_USUAL = timedelta(hours=26)  # daily, with two hours to spare
_FORM = re.compile(r"(?P<pattern>.+?)(?:\s+every\s+(?P<every>\S+))?")


@dataclass(frozen=True, slots=True)
class Backup:
    """What to look for and how old the newest may be."""

    pattern: str
    every: timedelta = _USUAL

    def __str__(self) -> str:
        return self.pattern


def parse_backup(text: str) -> Backup:
    """Return the backup ``PATTERN [every DURATION]`` names.  Raises ValueError."""
    match = _FORM.fullmatch(text)
    if match is None or not Path(match["pattern"]).is_absolute():
        raise ValueError("write a whole path, and after it, if not daily: every 8d")
    return Backup(match["pattern"], parse_duration(match["every"]) if match["every"] else _USUAL)


def read_linux(options: Options) -> Iterator[Reading]:
    """Look at every path; a dead mount under one does not hide the others."""
    if sys.platform == "win32":
        raise WrongSystem
    yield from _read(options)


def read_windows(options: Options) -> Iterator[Reading]:
    """Look at every path; a dead share under one does not hide the others."""
    yield from _read(options)


def _read(options: Options) -> Iterator[Reading]:
    from forewarn_checks._at_once import AtOnce

    yield from readings(options, AtOnce(look), time.time())


def look(backup: Backup) -> "Copies | str":
    """Return what is found, in words why nothing can be told; raises nothing."""
    from forewarn_checks._newest import TooMany, look

    try:
        return look(backup.pattern) or "there is none"
    except PermissionError as error:
        return f"{error.filename}: the agent may not look into it; grant it read access"
    except (OSError, TooMany) as error:
        return str(error)


def readings(
    options: Options, at_once: "AtOnce[Backup, Copies | str]", now: float
) -> Iterator[Reading]:
    """Yield what is known of each backup at `now` (seconds since 1970).

    Raises CannotRead at the end for what could not be looked at: it is neither found nor missing.
    """
    entries = read_entries(options, PATHS, parse_backup, check="backups", most=_MOST)
    if not entries.good and not entries.bad:
        raise nothing_named(PATHS, "backups", "db = /backup/db-*.dump")
    found = dict(at_once([each.thing for each in entries], _LONGEST_SECONDS))
    blind: list[str] = []
    newest: list[dict[str, str | int | float | bool | None]] = []
    for each in entries:
        copies = found[each.thing]
        if copies is None:
            blind.append(f"{each.name}: no answer; is it on a mount that is dead?")
        elif isinstance(copies, str) and copies != "there is none":
            blind.append(f"{each.name}: {copies}")
        elif isinstance(copies, str):
            yield FOUND.sample(0, backup=each.name)
        else:
            newest.append({"backup": each.name, "newest": copies.newest.path})
            yield from _samples(each.name, copies, each.thing.every, now)
    yield Fact("backups_newest", newest)
    if blind:
        raise CannotRead("; ".join(blind[:5]))
    entries.complain()


def _samples(name: str, copies: "Copies", every: timedelta, now: float) -> Iterator[Reading]:
    age = max(0.0, now - copies.newest.written)
    yield FOUND.sample(1, backup=name)
    yield COUNT.sample(copies.count, backup=name)
    yield AGE.sample(age, backup=name)
    yield OVERDUE.sample(age - every.total_seconds(), backup=name)
    yield SIZE.sample(copies.newest.size_bytes, backup=name)
    if copies.size_ratio is not None:
        yield SIZE_RATIO.sample(copies.size_ratio, backup=name)


CHECK = Check(
    name="backups",
    help="Whether backups are made: the age of the newest, and whether it has shrunk.",
    every=timedelta(minutes=15),
    timeout=timedelta(seconds=60),
    metrics=(FOUND, COUNT, AGE, OVERDUE, SIZE, SIZE_RATIO),
    component=Component("backup", ("backup",)),
    read_linux=read_linux,
    read_windows=read_windows,
    options=(PATHS,),
    works_on=(PATHS,),
    in_child=True,
    rules=(
        Threshold(
            name="BackupOverdue",
            metric=OVERDUE,
            severity=Severity.WARNING,
            above=0,
            clear_at=-1,
            levels={
                Severity.HIGH: Level(above=timedelta(days=2).total_seconds(), clear_at=0),
            },
            title="The newest backup {backup} on {host} is too old",
            advice=(
                "No new one came in its time; it is over by {value}. See when its job last ran "
                "and what it said: systemctl list-timers, the journal, the console of the backup "
                "program. Most often the target is full, not mounted, or a password has changed. "
                "Make one now by hand, and see that it can be restored."
            ),
        ),
        State(
            name="BackupMissing",
            metric=FOUND,
            severity=Severity.HIGH,
            when=0,
            hold_for=timedelta(minutes=20),
            hold_readings=2,
            title="There is no backup {backup} on {host}",
            advice=(
                "Nothing lies where it should. See that the disk or share of it is mounted, that "
                "the path in [checks.backups.options] is right, and who deleted what was there: "
                "a retention that went wrong, a person, or somebody who encrypts and wants money. "
                "Until that is known, touch no other copy, and check those elsewhere."
            ),
        ),
        Threshold(
            name="BackupShrunk",
            metric=SIZE_RATIO,
            severity=Severity.WARNING,
            below=0.5,
            clear_at=0.7,
            hold_for=timedelta(minutes=25),
            title="The newest backup {backup} on {host} has {value} of its usual size",
            advice=(
                "Half or less of the five before it: something was left out, or it broke off. "
                "Read its log, list what is in it, and restore a file as a trial. An incremental "
                "copy after a full one is smaller by nature: give the two patterns of their own. "
                "One that is being written has its size later."
            ),
        ),
    ),
    panels=(
        Panel(AGE),
        Panel(SIZE),
        Panel(SIZE_RATIO),
        Panel(COUNT),
        Panel(OVERDUE),
        Panel(FOUND, drawn_as="state"),
    ),
)
