"""What the spool must remember beside the runs: who it is, what was received, what was lost.

Two slots in one small file are written in turn, in place: a torn write costs the newer slot and
never the older, one fsync is enough, and a full disk does not refuse what it already holds.
"""

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from io import FileIO
from pathlib import Path
from typing import Any, Final

from forewarn_agent.durable import Disk
from forewarn_checks.base.wire import Lane

_SLOT_BYTES: Final = 8192
_HEAD: Final = struct.Struct("<II")  # crc32 and length of the JSON that follows


class Drop(StrEnum):
    """Why a run was given up."""

    FULL = "full"  # the bounds of the spool, or the disk
    AGE = "age"
    MEMORY = "memory"  # the ring, while the disk took nothing, or what was in it at a crash
    DAMAGED = "damaged"  # the disk gave back other bytes than it got
    REFUSED = "refused"  # the collector will never take it


@dataclass(frozen=True, slots=True)
class Cut:
    """A segment to be cut to `length` bytes, 0 for unlinked.  Its lost runs are counted already.

    Counted first and cut after, with the intention on record, a crash between the two neither
    forgets a loss nor counts it twice.
    """

    name: str
    length: int


@dataclass(frozen=True, slots=True)
class InMemory:
    """Runs of a lane that only the ring holds: the first sequence, and how many."""

    first: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """One state of the spool.  `following` is the lowest sequence not yet given."""

    spool: str
    following: int = 1
    through: Mapping[Lane, int] = field(default_factory=dict)
    dropped: Mapping[Lane, Mapping[Drop, int]] = field(default_factory=dict)
    cuts: tuple[Cut, ...] = ()
    in_memory: Mapping[Lane, InMemory] = field(default_factory=dict)

    def mark(self, lane: Lane) -> int:
        """Return up to which sequence of `lane` the collector holds everything."""
        return self.through.get(lane, 0)

    def received(self, lane: Lane, through: int) -> "Marks":
        """Return these marks with `lane` received up to `through`."""
        return replace(self, through={**self.through, lane: through})

    def lost(self, lane: Lane, reason: Drop, count: int) -> "Marks":
        """Return these marks with `count` more runs given up."""
        reasons = dict(self.dropped.get(lane, {}))
        reasons[reason] = reasons.get(reason, 0) + count
        return replace(self, dropped={**self.dropped, lane: reasons}) if count else self


class MarksFile:
    """The file that holds marks."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._file: FileIO | None = None
        self._turn = 0
        self._suspect = False  # its last fsync failed

    def load(self) -> Marks | None:
        """Return the newest marks that are whole, None when there are none.  Raises OSError."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        found = [
            slot
            for start in (0, _SLOT_BYTES)
            if (slot := _decode(data[start : start + _SLOT_BYTES])) is not None
        ]
        if not found:
            return None
        self._turn, marks = max(found, key=lambda slot: slot[0])
        return marks

    def save(self, marks: Marks) -> None:
        """Return once `marks` are durable.  Raises OSError; what was saved before then stands."""
        self._turn += 1
        slot = _encode(marks, self._turn)
        if self._file is None and not self._reopened():
            self._file = self._make(slot)
            return
        assert self._file is not None
        try:
            self._file.seek(self._turn % 2 * _SLOT_BYTES)
            self._disk.write(self._file, slot)
            self._disk.fsync(self._file)
        except OSError:
            self.close()  # a file that failed its fsync is not asked again; a new one is made
            self._suspect = True
            raise

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _reopened(self) -> bool:
        """Go on in the file there is: that also works on a full disk."""
        if self._suspect:
            return False
        try:
            if self._path.stat().st_size != 2 * _SLOT_BYTES:
                return False
        except FileNotFoundError:
            return False
        self._file = FileIO(self._path, "r+")
        return True

    def _make(self, slot: bytes) -> FileIO:
        """Write a whole new file beside the old one and put it in its place."""
        fresh = self._path.with_suffix(".tmp")  # one left behind by a failure is written over
        file = FileIO(fresh, "w+")
        try:
            self._disk.write(file, slot + slot)
            self._disk.fsync(file)
            file.close()  # Windows renames no open file
            fresh.replace(self._path)
            self._disk.sync_directory(self._path.parent)
            self._suspect = False
            return FileIO(self._path, "r+")
        except BaseException:
            file.close()
            raise


def _encode(marks: Marks, turn: int) -> bytes:
    text = json.dumps(
        {
            "turn": turn,
            "spool": marks.spool,
            "following": marks.following,
            "through": marks.through,
            "dropped": marks.dropped,
            "cuts": [[cut.name, cut.length] for cut in marks.cuts],
            "in_memory": {lane: [m.first, m.count] for lane, m in marks.in_memory.items()},
        }
    ).encode()
    return (_HEAD.pack(zlib.crc32(text), len(text)) + text).ljust(_SLOT_BYTES, b"\0")


def _decode(slot: bytes) -> tuple[int, Marks] | None:
    """Return turn and marks of a slot, None when it is torn."""
    if len(slot) < _HEAD.size:
        return None
    crc, length = _HEAD.unpack_from(slot)
    text = slot[_HEAD.size : _HEAD.size + length]
    if len(text) != length or zlib.crc32(text) != crc:
        return None
    try:
        kept: dict[str, Any] = json.loads(text)
        return int(kept["turn"]), Marks(
            spool=str(kept["spool"]),
            following=int(kept["following"]),
            through={Lane(lane): int(mark) for lane, mark in kept["through"].items()},
            dropped={
                Lane(lane): {Drop(reason): int(count) for reason, count in reasons.items()}
                for lane, reasons in kept["dropped"].items()
            },
            cuts=tuple(Cut(str(name), int(length)) for name, length in kept["cuts"]),
            in_memory={Lane(lane): InMemory(*held) for lane, held in kept["in_memory"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # another version's words, under a CRC that holds: as good as torn
