"""Keep runs on disk until the collector holds them.

    lock         held while a process owns the spool
    marks        what was received and what was lost (marks.py)
    reserve      room that is given back first when the disk is full
    <lane>-….seg runs, in the order they were taken (segment.py, shelf.py)
    corrupt/     the latest bytes that made no sense

A run is durable when `append` returns.  Its sequence is given once, whatever lane it travels in.
Nothing here raises because of a disk: one that is full costs the oldest segment, one that takes
nothing leaves a ring in memory, and every run given up is counted by lane and reason.
"""

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from io import FileIO
from pathlib import Path

from forewarn_agent.durable import Disk, InUse, take_lock
from forewarn_agent.limits import Limits
from forewarn_agent.marks import Drop, InMemory
from forewarn_agent.record import Record, record_of, run_from_json
from forewarn_agent.shelf import Shelf, stream
from forewarn_checks.base.wire import Lane, Run

__all__ = ["Spool", "Limits", "Drop", "InUse", "Record", "run_from_json"]

log = logging.getLogger(__name__)


class Spool:
    """The runs that wait.  Safe to use from several threads of the one process that owns it."""

    def __init__(self, shelf: Shelf, limits: Limits) -> None:
        """Use `open` instead."""
        self._shelf = shelf
        self._limits = limits
        self._mutex = threading.RLock()
        self._lock_file: FileIO | None = None
        self._numbers = dict.fromkeys(Lane, 0)
        self._handed = dict.fromkeys(Lane, 0)
        self._ring: deque[tuple[Lane, Record]] = deque()
        self._degraded = ""

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        limits: Limits | None = None,
        disk_free: Callable[[], int] | None = None,
        disk: Disk | None = None,
    ) -> "Spool":
        """Return the spool kept in `directory`, made if need be.

        Raises InUse when another process owns it.  A disk that refuses leaves a spool that keeps
        runs in memory only until it is opened anew; `degraded` then says why.
        """
        limits, disk = limits or Limits(), disk or Disk()
        spool = cls(Shelf(directory, limits, disk_free, disk), limits)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            spool._lock_file = take_lock(directory / "lock")
            spool._shelf.load()
            spool._take_over()
        except OSError as failure:
            spool._shelf.close()
            spool._shelf = Shelf(directory, limits, disk_free, disk)
            spool._degrade(failure)
        except BaseException:
            spool.close()
            raise
        return spool

    def close(self) -> None:
        """Let go of the spool.  What is only in memory is lost, and counted at the next start."""
        with self._mutex:
            self._shelf.close()
            if self._lock_file is not None:
                self._lock_file.close()
                self._lock_file = None

    @property
    def spool_id(self) -> str:
        """The random name of this spool; with lane and sequence it names a run for ever."""
        return self._shelf.marks.spool

    @property
    def newest(self) -> int:
        """The highest sequence given so far, 0 when none was."""
        return self._shelf.marks.following - 1

    @property
    def degraded(self) -> str:
        """Why runs are kept in memory only, "" while the disk takes them."""
        return self._degraded

    @property
    def size_bytes(self) -> int:
        """The disk space that runs take."""
        with self._mutex:
            return sum(segment.end for segment in self._shelf.all())

    def mark(self, lane: Lane) -> int:
        """Return up to which sequence of `lane` the collector holds everything."""
        return self._shelf.marks.mark(lane)

    def waiting(self, lane: Lane) -> int:
        """Return how many runs of `lane` the collector is not known to hold."""
        with self._mutex:
            in_memory = sum(1 for kept, _ in self._ring if kept is lane)
            return in_memory + sum(segment.owed for segment in self._shelf.segments[lane])

    def dropped(self, lane: Lane) -> int:
        """Return how many runs of `lane` were given up since the spool was made."""
        return sum(self._shelf.marks.dropped.get(lane, {}).values())

    def drops(self) -> Mapping[Lane, Mapping[Drop, int]]:
        """Return how many runs were given up, by lane and reason."""
        return self._shelf.marks.dropped

    def append(self, run: Run, lane: Lane = Lane.LIVE) -> int:
        """Keep `run` under the next sequence and return that.  Never raises.

        Durable on return unless `degraded` says otherwise.
        """
        with self._mutex:
            sequence = self._shelf.marks.following
            self._shelf.marks = replace(self._shelf.marks, following=sequence + 1)
            self._numbers[stream(lane)] += 1
            record = record_of(run, sequence=sequence, number=self._numbers[stream(lane)])
            try:
                self._shelf.expire(run)
                self._drain()
                self._shelf.store(lane, record)
            except OSError as failure:
                self._remember(lane, record)
                self._degrade(failure)
            else:
                self._recover()
            return sequence

    def records(
        self, lane: Lane, *, limit_runs: int, limit_bytes: int, limit_samples: int = 2**63
    ) -> tuple[Record, ...]:
        """Return the oldest runs of `lane` that fit the limits, one at least if there is any."""
        with self._mutex:
            taken: list[Record] = []
            size = samples = 0
            for record in self._owed(lane):
                size += len(record.payload)
                samples += record.samples
                over = len(taken) >= limit_runs or size > limit_bytes or samples > limit_samples
                if taken and over:
                    break
                taken.append(record)
            if taken:
                self._handed[lane] = max(self._handed[lane], taken[-1].sequence)
            return tuple(taken)

    def peek(self, lane: Lane, limit_runs: int, limit_bytes: int) -> tuple[Run, ...]:
        """Return the oldest runs of `lane`, parsed; see `records`."""
        records = self.records(lane, limit_runs=limit_runs, limit_bytes=limit_bytes)
        return tuple(run_from_json(record.payload) for record in records)

    def through(self, lane: Lane, sequence: int) -> int:
        """Forget the runs of `lane` up to `sequence`: the collector holds them.  Return the mark.

        What was never handed out cannot have been received: a claim beyond it is cut down.
        """
        with self._mutex:
            handed = self._handed[lane]
            if sequence > handed:
                log.warning(
                    "a receipt claims %s runs up to %d, but none after %d was sent; they are kept",
                    lane,
                    sequence,
                    handed,
                )
            self._received(lane, min(sequence, handed))
            return self.mark(lane)

    def quarantine(self, lane: Lane, sequence: int) -> None:
        """Give up the runs of `lane` up to `sequence`, which the collector refuses for good.

        Their bytes are kept in corrupt/ and every one of them is counted.
        """
        with self._mutex:
            refused = []
            for record in self._owed(lane):
                if record.sequence > sequence:
                    break
                refused.append(record.payload)
            self._shelf.keep_corrupt(f"refused-{lane}-{sequence}.json", b"\n".join(refused))
            self._shelf.marks = self._shelf.marks.lost(lane, Drop.REFUSED, len(refused))
            self._received(lane, sequence)

    def demote(self, *, older_than: timedelta, boot: str, boottime_seconds: float) -> int:
        """Move live runs into the backfill lane when the oldest waits too long; say how many.

        Newer runs then leave first.  Only to be called right after a receipt: the live mark must
        say all that the collector holds, or a run would arrive once in each lane.
        """
        with self._mutex:
            oldest = next(iter(self._owed(Lane.LIVE)), None)
            if oldest is None:
                return 0
            with suppress(ValueError):
                run = run_from_json(oldest.payload)
                waited = boottime_seconds - run.boottime_seconds
                if run.boot == boot and waited < older_than.total_seconds():
                    return 0
            try:
                return self._shelf.demote()
            except OSError as failure:
                log.warning("live runs could not be moved to the backfill lane: %s", failure)
                return 0

    def renew(self) -> None:
        """Go on as a new spool: the collector knows this one's sequences from another life.

        A restored snapshot or a clone would otherwise have its new runs taken for repeats.
        """
        with self._mutex:
            self._shelf.marks = replace(self._shelf.marks, spool=str(uuid.uuid4()))
            self._shelf.save()

    def _take_over(self) -> None:
        """Count on from what the disk holds, and count what an earlier process took along."""
        for lane, held in self._shelf.marks.in_memory.items():
            stored = sum(1 for r in self._owed(lane) if r.sequence >= held.first)
            lost = max(0, held.count - stored)
            self._shelf.marks = self._shelf.marks.lost(lane, Drop.MEMORY, lost)
        self._shelf.marks = replace(self._shelf.marks, in_memory={})
        for segment in self._shelf.all():
            lane = segment.name.lane
            taken_into = stream(lane)
            self._numbers[taken_into] = max(self._numbers[taken_into], segment.last_number)
            # It may have been sent by the process before us, whose receipt never came.
            self._handed[lane] = max(self._handed[lane], segment.last)
        for lane in Lane:
            self._handed[lane] = max(self._handed[lane], self.mark(lane))
        # Before anything is sent: a run that is only in a cache yet may be gone after a power
        # cut, but its sequence is not given to another.
        self._shelf.save()

    def _owed(self, lane: Lane) -> Iterator[Record]:
        yield from self._shelf.owed(lane)
        mark = self.mark(lane)
        yield from (r for kept, r in tuple(self._ring) if kept is lane and r.sequence > mark)

    def _received(self, lane: Lane, sequence: int) -> None:
        if sequence <= self.mark(lane):
            return
        left = [(k, r) for k, r in self._ring if k is not lane or r.sequence > sequence]
        self._ring = deque(left)
        self._shelf.marks = self._shelf.marks.received(lane, sequence)
        self._note_ring()
        self._shelf.settle(lane)

    # The ring

    def _drain(self) -> None:
        """Store what the ring holds.  Raises OSError when the disk still takes nothing."""
        if not self._ring:
            return
        while self._ring:
            self._shelf.store(*self._ring[0])
            self._ring.popleft()
        self._note_ring()
        self._shelf.save()

    def _remember(self, lane: Lane, record: Record) -> None:
        """Keep a run in memory, at the cost of the oldest there."""
        self._ring.append((lane, record))
        size = sum(len(kept) for _, kept in self._ring)
        while size > self._limits.memory_bytes and len(self._ring) > 1:
            victim = next((kept for kept in self._ring if kept[0] is not Lane.RESULTS), None)
            victim = victim or self._ring[0]
            self._ring.remove(victim)
            size -= len(victim[1])
            self._shelf.marks = self._shelf.marks.lost(victim[0], Drop.MEMORY, 1)
        self._note_ring()
        self._shelf.save()

    def _note_ring(self) -> None:
        """Put on record what only memory holds, so that a crash does not lose it uncounted."""
        held: dict[Lane, InMemory] = {}
        for lane, record in self._ring:
            known = held.get(lane, InMemory(record.sequence, 0))
            held[lane] = InMemory(known.first, known.count + 1)
        self._shelf.marks = replace(self._shelf.marks, in_memory=held)

    def _degrade(self, failure: OSError) -> None:
        if not self._degraded:
            log.error("the spool keeps runs in memory only: %s", failure)
        self._degraded = f"{failure.strerror or failure}: {failure.filename or 'spool'}"

    def _recover(self) -> None:
        if self._degraded:
            log.warning("the spool's disk takes runs again")
        self._degraded = ""
