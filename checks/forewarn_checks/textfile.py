"""Figures that other programs leave in a folder, in the text format of Prometheus."""

import os
import stat
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from forewarn_checks.base import (
    CannotRead,
    Check,
    Component,
    Fact,
    Metric,
    NothingToRead,
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

_LABELS = ("file", "metric", "series")

VALUE = Metric(
    "textfile_value",
    Unit.COUNT,
    "A figure as it stands there, in the unit that its name says; series are its labels.",
    _LABELS,
)
TOTAL = Metric(
    "textfile_value_total", Unit.COUNT, "The same of what is declared a counter.", _LABELS
)
AGE = Metric("textfile_age_seconds", Unit.SECONDS, "Time since the file was written.", ("file",))
BROKEN = Metric(
    "textfile_broken",
    Unit.COUNT,
    "1 when the file cannot be read or is not of the format, else 0.",
    ("file",),
)

FOLDER = Option(
    name="folder",
    default="",
    help="Where the files lie, e.g. '/var/lib/prometheus/node-exporter'; those that end in .prom "
    "are read.",
)

_MOST_FILES = 64
_MOST_BYTES = 2**20  # of one file
_MOST_SERIES = 500  # of all


def read_linux(options: Options) -> Iterator[Reading]:
    """Read every ``*.prom`` of the folder."""
    if sys.platform == "win32":
        raise WrongSystem
    yield from readings(options, time.time())


def read_windows(options: Options) -> Iterator[Reading]:
    """Read every ``*.prom`` of the folder."""
    yield from readings(options, time.time())


def readings(options: Options, now: float) -> Iterator[Reading]:
    """Yield what the files say at `now` (seconds since 1970), and their ages.

    Raises NothingToRead without a folder or a file, CannotRead when it may not be looked into.
    """
    from forewarn_checks._exposition import BadText, Point, parse

    folder = str(options.get(FOLDER.name) or "")
    if not folder:
        raise NothingToRead("no folder is named; name one: [checks.textfile.options] folder")
    try:
        paths = sorted(each for each in Path(folder).iterdir() if each.suffix == ".prom")
    except FileNotFoundError:
        raise NothingToRead(f"{folder}: there is no such folder") from None
    except OSError as error:
        raise CannotRead(f"{folder}: {error.strerror}; let the agent look into it") from error
    if not paths:
        raise NothingToRead(f"{folder}: there is no file that ends in .prom")
    room = _MOST_SERIES
    troubles: list[str] = []
    for path in paths[:_MOST_FILES]:
        try:
            text, written = _text(path)
            points = {(each.name, each.series): each for each in parse(text)}
        except (OSError, BadText) as error:
            yield BROKEN.sample(1, file=path.name)
            troubles.append(f"{path.name}: {error}")
            continue
        yield BROKEN.sample(0, file=path.name)
        yield AGE.sample(max(0.0, now - written), file=path.name)
        told: list[Point] = list(points.values())[:room]
        room -= len(told)
        for point in told:
            metric = TOTAL if point.counter else VALUE
            yield metric.sample(point.value, file=path.name, metric=point.name, series=point.series)
        if len(told) < len(points):
            troubles.append(f"{path.name}: more than {_MOST_SERIES} series; the rest is left out")
    if len(paths) > _MOST_FILES:
        troubles.append(f"{folder}: only the first {_MOST_FILES} of {len(paths)} files are read")
    yield Fact("textfile_troubles", troubles)


def _text(path: Path) -> tuple[str, float]:
    """Return a file's text and when it was written; never waits, never reads a device.

    Raises OSError.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError("is no plain file")
        if found.st_size > _MOST_BYTES:
            raise OSError(f"is larger than {_MOST_BYTES} bytes")
        return file.read(_MOST_BYTES).decode("utf-8", "replace"), found.st_mtime


_DAY = timedelta(days=1).total_seconds()

CHECK = Check(
    name="textfile",
    help="Figures that other programs leave in a folder, in the text format of Prometheus.",
    every=timedelta(minutes=1),
    timeout=timedelta(seconds=20),
    metrics=(VALUE, TOTAL, AGE, BROKEN),
    component=Component("textfile", ("file",)),
    read_linux=read_linux,
    read_windows=read_windows,
    options=(FOLDER,),
    works_on=(FOLDER,),
    rules=(
        Threshold(
            name="TextfileStale",
            metric=AGE,
            severity=Severity.WARNING,
            above=1.1 * _DAY,
            clear_at=_DAY,
            title="{file} on {host} was not written for {value}",
            advice=(
                "Whatever writes it has stopped: its timer or cron job was lost, or it fails "
                "before its end. Its figures are as old as that, however fresh they look. See "
                "systemctl list-timers and the journal. If it is written more rarely on purpose, "
                "raise the mark for this group; if it is not needed, delete it."
            ),
        ),
        State(
            name="TextfileBroken",
            metric=BROKEN,
            severity=Severity.WARNING,
            when=1,
            hold_for=timedelta(minutes=5),
            hold_readings=3,
            title="{file} on {host} cannot be read",
            advice=(
                "The host's facts (textfile_troubles) name the line or the missing right. A file "
                "that is read while it is written is broken now and then: let its program write "
                "beside it and move it into place. The agent's user must be able to read it."
            ),
        ),
    ),
    panels=(Panel(VALUE), Panel(TOTAL), Panel(AGE), Panel(BROKEN, drawn_as="state")),
)
