"""A file of records: how one is named, written, read and mended.

A segment is only ever appended to, renamed, cut or unlinked.  Its name says what a damaged file
could not: ``<lane>-<first sequence>-<first number>-<through>.seg``, where runs up to `through`
had been received before the file came into its lane.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from forewarn_agent.durable import Disk
from forewarn_agent.record import (
    FRAME_BYTES,
    Damaged,
    Record,
    find_records,
    frame,
    payload_bytes,
    run_from_json,
    unframe,
)
from forewarn_checks.base.wire import Lane

_MAGIC: Final = b"forewarn spool 1\n"
_SPOOL_ID_BYTES: Final = 36
HEAD_BYTES: Final = len(_MAGIC) + _SPOOL_ID_BYTES
_NAME: Final = re.compile(r"(live|backfill|results)-(\d{19})-(\d{19})-(\d{19})\.seg")


@dataclass(frozen=True, slots=True)
class Name:
    """What the name of a segment says."""

    lane: Lane
    first: int
    number: int
    through: int = 0

    def __str__(self) -> str:
        return f"{self.lane}-{self.first:019d}-{self.number:019d}-{self.through:019d}.seg"

    @classmethod
    def parse(cls, text: str) -> "Name | None":
        """Return the name that `text` spells, None when it spells none."""
        match = _NAME.fullmatch(text)
        if match is None:
            return None
        return cls(Lane(match[1]), int(match[2]), int(match[3]), int(match[4]))


@dataclass(frozen=True, slots=True)
class Salvage:
    """What is left of a damaged segment.

    `end` is where the good beginning ends, `later` are whole records after the damage that are
    still owed, `lost` counts those owed and gone.
    """

    end: int
    later: tuple[Record, ...]
    lost: int


class Segment:
    """One segment and what is known of it without reading it.

    `end` is how many of its bytes are trusted, `done` how many records from the start are
    received, `owed` how many are not.
    """

    def __init__(self, directory: Path, name: Name) -> None:
        self.directory = directory
        self.name = name
        self.end = HEAD_BYTES
        self.last = name.first - 1
        self.last_number = name.number - 1
        self.count = 0
        self.done = 0
        self.sealed = False  # to be appended to no more
        self._done_end = HEAD_BYTES
        self._last_start = HEAD_BYTES
        self._newest: tuple[str, float] | None = None
        self._file: FileIO | None = None

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.directory / str(self.name)

    @property
    def owed(self) -> int:
        """How many of its records the collector may not hold."""
        return self.count - self.done

    def newest(self) -> tuple[str, float]:
        """Return boot and boot time of the last run, ("", 0) when it cannot be read."""
        if self._newest is None:
            try:
                record = next(self._read(self._last_start, self.end))
                run = run_from_json(record.payload)
                self._newest = (run.boot, run.boottime_seconds)
            except (StopIteration, Damaged, OSError, ValueError):
                return ("", 0.0)
        return self._newest

    def create(self, spool: str, records: tuple[Record, ...], disk: Disk) -> None:
        """Make the file with its first records; durable on return.  Raises OSError, then gone."""
        data = _MAGIC + spool.encode() + b"".join(frame(record) for record in records)
        file = FileIO(self.path, "w+")  # a name is never given twice to what was durable
        try:
            disk.write(file, data)
            disk.fsync(file)
            disk.sync_directory(self.directory)
        except BaseException as failure:
            file.close()
            if isinstance(failure, OSError):
                with suppress(OSError):
                    self.path.unlink()
            raise
        self._file = file
        for record in records:
            self._note(record)

    def append(self, record: Record, disk: Disk) -> None:
        """Add one record; durable on return.  Raises OSError; the segment is then as it was.

        After a failed fsync it is closed for good: what lies behind `end` cannot be known.
        """
        if self._file is None:
            self._file = FileIO(self.path, "r+")  # an earlier process made it
            self._file.seek(self.end)
        try:
            disk.write(self._file, frame(record))
        except OSError:
            self._cut_back(self._file)
            raise
        try:
            disk.fsync(self._file)
        except OSError:
            self._cut_back(self._file)
            self.seal()
            raise
        self._note(record)

    def seal(self) -> None:
        """Append no more, ever."""
        self.close()
        self.sealed = True

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def scan(self, through: int, before: int | None) -> None:
        """Read the whole file and learn what it holds.  Raises Damaged and OSError.

        Stops, without complaint, at a record that is not `before`: a file that failed its fsync
        may hold what was written again into the next.
        """
        for record in self._read(HEAD_BYTES, self.path.stat().st_size):
            if before is not None and record.sequence >= before:
                break
            self._note(record)
        self.forget(through)

    def most_records(self) -> int:
        """Return how many records a file of this size holds at most, damaged or not."""
        try:
            return self.path.stat().st_size // FRAME_BYTES + 1
        except OSError:
            return 2**20

    def records(self) -> Iterator[Record]:
        """Yield what is owed, oldest first.  Raises Damaged and OSError."""
        return self._read(self._done_end, self.end)

    def forget(self, through: int) -> None:
        """Count the records up to `through` as received.  Raises Damaged and OSError."""
        through = max(through, self.name.through)
        if through >= self.last:
            self.done, self._done_end = self.count, self.end
            return
        if through < self.name.first:
            return
        for record in self._read(self._done_end, self.end):
            if record.sequence > through:
                return
            self.done += 1
            self._done_end += len(record)

    def move(self, name: Name) -> None:
        """Rename the file into another lane.  Raises OSError; it then stays where it was."""
        self.seal()
        self.path.rename(self.directory / str(name))
        self.name = name

    def _note(self, record: Record) -> None:
        self.count += 1
        self.last, self.last_number = record.sequence, record.number
        self._last_start, self._newest = self.end, None
        self.end += len(record)

    def _cut_back(self, file: FileIO) -> None:
        """Take away what a failed write left behind; a file that refuses is closed."""
        try:
            file.truncate(self.end)
            file.seek(self.end)
        except OSError:
            self.seal()

    def _read(self, offset: int, end: int) -> Iterator[Record]:
        previous = 0
        with self.path.open("rb") as file:
            file.seek(offset)
            while offset < end:
                head = file.read(FRAME_BYTES)
                if len(head) < FRAME_BYTES:
                    raise Damaged(offset)
                try:
                    record = unframe(head + file.read(min(payload_bytes(head), end)))
                except Damaged:
                    raise Damaged(offset) from None
                if record.sequence <= previous:
                    raise Damaged(offset)
                yield record
                previous = record.sequence
                offset += len(record)


def spool_id(path: Path) -> str:
    """Return the id of the spool that made the segment, "" when it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return ""
    if len(head) < HEAD_BYTES or not head.startswith(_MAGIC):
        return ""
    return head[len(_MAGIC) :].decode("ascii", "replace")


def salvage(data: bytes, name: Name, *, through: int, following: tuple[int, int] | None) -> Salvage:
    """Say what a damaged segment still holds and what it lost.

    `following` is (sequence, number) of the first record after this segment, None when nobody
    knows; then a torn last record counts as never written, and one of full length as lost.
    """
    through = max(through, name.through)
    sequence, number = name.first - 1, name.number - 1
    good_end = end = HEAD_BYTES
    intact = True
    later: list[Record] = []
    lost = 0
    for start, record in find_records(data, HEAD_BYTES):
        if record.sequence <= sequence:
            continue
        if start != end:
            intact = False
            lost += _gone((sequence, number), (record.sequence, record.number), through)
        sequence, number = record.sequence, record.number
        end = start + len(record)
        if intact:
            good_end = end
        elif sequence > through:
            later.append(record)
    if following is not None:
        lost += _gone((sequence, number), following, through)
    elif len(data) - end >= FRAME_BYTES:
        length = payload_bytes(data[end : end + FRAME_BYTES])
        lost += 1 if end + FRAME_BYTES + length <= len(data) else 0
    return Salvage(good_end, tuple(later), lost)


def _gone(before: tuple[int, int], after: tuple[int, int], through: int) -> int:
    """Return how many records between two (sequence, number) are missing and still owed."""
    return max(0, min(after[1] - before[1] - 1, after[0] - 1 - max(before[0], through)))
