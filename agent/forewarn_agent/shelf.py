"""The spool's disk: segments by lane and the marks beside them, kept within bounds.

Segments leave only whole and oldest first.  What is owed and leaves is counted before it goes.
"""

import errno
import logging
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Final

from forewarn_agent.durable import FULL, Disk
from forewarn_agent.keepsakes import Reserve, keep_corrupt
from forewarn_agent.limits import Bounds, Limits
from forewarn_agent.marks import Cut, Drop, Marks, MarksFile
from forewarn_agent.record import Damaged, Record
from forewarn_agent.segment import HEAD_BYTES, Name, Segment, salvage, spool_id
from forewarn_checks.base.wire import Lane, Run

log = logging.getLogger(__name__)

_GIVEN_UP_FIRST: Final = (Lane.BACKFILL, Lane.LIVE, Lane.RESULTS)
_KEPT_WHEN_LOW: Final = 4  # segments that may be there however little is free
_SKIPPED_WHEN_LOST: Final = 1_000_000
_ILL: Final = frozenset({errno.EIO, errno.ENOENT, errno.ESTALE})
"""Errors of reading that say the bytes are gone; any other, say EMFILE, will pass."""


def stream(lane: Lane) -> Lane:
    """Return the lane that runs of `lane` were taken into: backfill was live once."""
    return Lane.LIVE if lane is Lane.BACKFILL else lane


class Shelf:
    """What of a spool is on disk.  Not safe to use from several threads: the spool locks."""

    def __init__(
        self, directory: Path, limits: Limits, disk_free: Callable[[], int] | None, disk: Disk
    ) -> None:
        self.marks = Marks(spool=str(uuid.uuid4()))
        self.segments: dict[Lane, list[Segment]] = {lane: [] for lane in Lane}
        self._directory = directory
        self._limits = limits
        self._disk_free = disk_free or (lambda: shutil.disk_usage(directory).free)
        self._disk = disk
        self._bounds: Bounds | None = None  # None until loaded; then nothing can be stored
        self._marks_file = MarksFile(directory / "marks", disk)
        self._reserve = Reserve(directory / "reserve")
        self._performed: list[Cut] = []

    def load(self) -> None:
        """Take over what an earlier process left.  Raises OSError when the disk refuses."""
        names = self._names()
        self._bounds = self._limits.on(shutil.disk_usage(self._directory).total)
        self.marks = self._marks_file.load() or self._marks_without_file(names)
        for cut in self.marks.cuts:
            self._perform(cut)
        damaged: list[tuple[Segment, Exception, Name | None]] = []
        for index, name in enumerate(names):
            same = [n for n in names[index + 1 :] if stream(n.lane) is stream(name.lane)]
            following = same[0] if same else None
            if (failure := self._adopt(name, following)) is not None:
                damaged.append((Segment(self._directory, name), failure, following))
        unreadable = sum(s.most_records() for s, _, following in damaged if not following)
        seen = max([*(s.last + 1 for s in self.all()), *(name.first for name in names), 1])
        # Counted before anything is mended: mending takes away what the sequences were seen by.
        following_sequence = max(self.marks.following, seen) + unreadable
        self.marks = replace(self.marks, following=following_sequence)
        for segment, failure, following in damaged:
            self._place(segment)
            after = (following.first, following.number) if following else None
            self._mend(segment, failure, after)
        self._reserve.fill(self._bounds, self._disk_free())

    def close(self) -> None:
        """Let go of all files; nothing is written from now on."""
        self._bounds = None
        for segment in self.all():
            segment.close()
        self._marks_file.close()

    def all(self) -> Iterator[Segment]:
        """Yield every segment."""
        for segments in self.segments.values():
            yield from segments

    def save(self) -> bool:
        """Make the marks durable; False when the disk refuses.

        What was never loaded is not ours to write: its marks are another life's.
        """
        if self._bounds is None:
            return False
        try:
            if self._performed:
                self._disk.sync_directory(
                    self._directory
                )  # else a power cut undoes what is counted
                left = tuple(cut for cut in self.marks.cuts if cut not in self._performed)
                self.marks = replace(self.marks, cuts=left)
                self._performed.clear()
            self._marks_file.save(self.marks)
        except OSError as failure:
            log.warning("%s/marks cannot be written: %s", self._directory, failure)
            return False
        return True

    def store(self, lane: Lane, record: Record) -> None:
        """Write `record` durably as the newest of `lane`, at the cost of the oldest if need be.

        Raises OSError when the disk takes nothing, even so.
        """
        tried_anew = False
        while True:
            try:
                self._write(lane, record)
                return
            except OSError as failure:
                if failure.errno in FULL:
                    if not (self._reserve.release() or self.evict(Drop.FULL)):
                        raise
                elif tried_anew:
                    raise
                else:
                    tried_anew = True
                    log.error("%s: %s; going on in a new file", self._directory, failure)
                    for segment in self.segments[lane]:
                        segment.seal()

    def owed(self, lane: Lane) -> Iterator[Record]:
        """Yield what the collector may not hold, oldest first, mending what is damaged."""
        reached = 0
        while segment := next(
            (s for s in self.segments[lane] if s.owed and s.last > reached), None
        ):
            try:
                for record in segment.records():
                    if record.sequence > reached:
                        reached = record.sequence
                        yield record
                reached = max(reached, segment.last)
            except (Damaged, OSError) as failure:
                if not self._mended(segment, failure):
                    return

    def settle(self, lane: Lane) -> None:
        """Forget what the mark of `lane` covers.  The newest segment stays, to be written on."""
        saved = self.save()
        mark = self.marks.mark(lane)
        for segment in tuple(self.segments[lane]):
            if segment.name.first > mark:
                return
            try:
                segment.forget(mark)
            except (Damaged, OSError) as failure:
                self._mended(segment, failure)
                continue
            if saved and not segment.owed and segment is not self._newest(lane):
                self._remove(segment)

    def evict(self, reason: Drop) -> bool:
        """Give up the oldest segment; False when only the newest of each lane are left."""
        lanes = [self.segments[lane] for lane in _GIVEN_UP_FIRST]
        held = [s for lane in lanes for s in lane if not s.owed]
        sealed = [s for lane in lanes for s in lane if s is not self._newest(s.name.lane)]
        victim = next(iter(held + sealed), None)
        if victim is None:
            return False
        self._give_up(victim, reason)
        return True

    def expire(self, run: Run) -> None:
        """Give up segments whose newest run is too old, `run` being the present.

        Told by the boot clock: setting the wall clock forward must not cost a single run.
        """
        keep = self._limits.keep_for.total_seconds()
        for lane, segments in self.segments.items():
            while segments and segments[0] is not self._newest(lane):
                boot, boottime = segments[0].newest()
                since = boottime if boot == run.boot else 0.0  # another boot: at least since this
                if run.boottime_seconds - since <= keep:
                    break
                self._give_up(segments[0], Drop.AGE)

    def demote(self) -> int:
        """Rename all live segments into the backfill lane; return how many owed runs moved.

        The name carries the live mark along, so that runs before it are not sent again.  Oldest
        first, each a rename: a crash leaves every segment in one lane or the other.
        """
        moved = 0
        live, backfill = self.segments[Lane.LIVE], self.segments[Lane.BACKFILL]
        mark = self.marks.mark(Lane.LIVE)
        while live:
            segment = live[0]
            if not segment.owed:
                self._remove(segment)
                continue
            through = max(segment.name.through, mark)
            segment.seal()
            segment.move(replace(segment.name, lane=Lane.BACKFILL, through=through))
            backfill.append(live.pop(0))
            moved += segment.owed
        self._disk.sync_directory(self._directory)
        return moved

    def keep_corrupt(self, name: str, data: bytes) -> None:
        """Leave `data` in corrupt/ for whoever wants to know why."""
        keep_corrupt(self._directory / "corrupt", name, data, self._limits)

    # Opening

    def _names(self) -> list[Name]:
        """Return the segments found, oldest first, once their names are durable.

        A rename that a power cut could still undo would bring sent runs back into another lane.
        """
        names = [Name.parse(path.name) for path in self._directory.iterdir()]
        self._disk.sync_directory(self._directory)
        return sorted((name for name in names if name), key=lambda name: name.first)

    def _marks_without_file(self, names: list[Name]) -> Marks:
        """Return marks for a new spool, or for one that lost them."""
        if not names:
            return self.marks
        log.error("%s/marks is gone or damaged; sending again what is left", self._directory)
        known = [spool for name in names if (spool := spool_id(self._directory / str(name)))]
        # Whatever was given before, was received and is gone must not be given again.
        following = names[-1].first + _SKIPPED_WHEN_LOST
        return Marks(spool=known[-1] if known else self.marks.spool, following=following)

    def _adopt(self, name: Name, following: Name | None) -> Exception | None:
        """Take a segment of an earlier process into its lane; return what is wrong with it.

        Raises OSError when it cannot be read for a reason that will pass.
        """
        segment = Segment(self._directory, name)
        try:
            segment.scan(self.marks.mark(name.lane), following.first if following else None)
        except FileNotFoundError:
            return None  # cut, just now
        except (Damaged, OSError) as failure:
            if not self._is_damage(segment, failure):
                raise
            return failure
        self._place(segment)
        if following is not None:
            segment.seal()
        if not segment.count:
            self._remove(segment)
        return None

    # Room

    def _write(self, lane: Lane, record: Record) -> None:
        if self._bounds is None:
            raise OSError(errno.EROFS, "the spool could not be opened")
        newest = self._newest(lane)
        if newest and not newest.sealed and newest.end + len(record) <= self._bounds.segment_bytes:
            newest.append(record, self._disk)
            return
        if newest:
            newest.seal()
        self._make_room(self._bounds)
        segment = Segment(self._directory, Name(lane, record.sequence, record.number))
        segment.create(self.marks.spool, (record,), self._disk)
        self._place(segment)
        # Only once a write went well: else, on a full quota, making and giving back never ends.
        self._reserve.fill(self._bounds, self._disk_free())

    def _make_room(self, bounds: Bounds) -> None:
        """Make room for one more segment."""
        while self._committed(bounds) + bounds.segment_bytes > bounds.most_bytes:
            if not self.evict(Drop.FULL):
                break
        if self._disk_free() < bounds.leave_free_bytes and len(tuple(self.all())) > _KEPT_WHEN_LOW:
            self.evict(Drop.FULL)

    def _committed(self, bounds: Bounds) -> int:
        """Return the bytes that segments take, those still written to at their full size."""
        return sum(
            segment.end if segment.sealed else max(segment.end, bounds.segment_bytes)
            for segment in self.all()
        )

    # Segments

    def _newest(self, lane: Lane) -> Segment | None:
        """Return the segment that `lane` is written to, None for a lane that only gets renamed."""
        segments = self.segments[lane]
        return segments[-1] if segments and lane is not Lane.BACKFILL else None

    def _place(self, segment: Segment) -> None:
        lane = self.segments[segment.name.lane]
        lane.append(segment)
        lane.sort(key=lambda placed: placed.name.first)

    def _remove(self, segment: Segment) -> None:
        """Unlink a segment of which nothing is owed."""
        segment.close()
        self.segments[segment.name.lane].remove(segment)
        with suppress(OSError):
            segment.path.unlink()

    def _give_up(self, segment: Segment, reason: Drop) -> None:
        lane = segment.name.lane
        if segment.owed:
            log.warning("%d %s runs given up: %s", segment.owed, lane, reason)
        segment.close()
        self.segments[lane].remove(segment)
        self.marks = self.marks.lost(lane, reason, segment.owed)
        self._cut(Cut(str(segment.name), 0))

    def _cut(self, cut: Cut) -> None:
        """Put on record that a segment is to be cut, then cut it."""
        self.marks = replace(self.marks, cuts=(*self.marks.cuts, cut))
        self.save()
        self._perform(cut)

    def _perform(self, cut: Cut) -> None:
        path = self._directory / cut.name
        try:
            if cut.length == 0:
                path.unlink()
            elif path.stat().st_size > cut.length:
                with FileIO(path, "r+") as file:
                    file.truncate(cut.length)
                    self._disk.fsync(file)
        except FileNotFoundError:
            pass
        except OSError as failure:
            log.warning("%s cannot be cut: %s", path, failure)
            return  # stays on record; the next start tries again
        self._performed.append(cut)

    def _is_damage(self, segment: Segment, failure: Exception) -> bool:
        """Say whether the bytes are gone or wrong, and it is no passing lack of, say, files."""
        if isinstance(failure, Damaged) or getattr(failure, "errno", None) in _ILL:
            return True
        log.warning("%s cannot be read now: %s", segment.path, failure)
        return False

    def _mended(self, segment: Segment, failure: Exception) -> bool:
        """Mend a segment of this life; False when the failure will pass by itself."""
        if self._is_damage(segment, failure):
            self._mend(segment, failure, (segment.last + 1, segment.last_number + 1))
            return True
        return False

    def _mend(self, segment: Segment, why: Exception, following: tuple[int, int] | None) -> None:
        """Keep the whole records of a damaged segment, count the others, go on."""
        segment.seal()
        lane = segment.name.lane
        self.segments[lane].remove(segment)
        try:
            data = segment.path.read_bytes()
        except OSError:
            data = b""
        mark = self.marks.mark(lane)
        left = salvage(data, segment.name, through=mark, following=following)
        log.error("%s is damaged (%s): %d runs lost", segment.path, why, left.lost)
        self.keep_corrupt(f"damaged-{segment.name}", data[left.end :])
        lost = left.lost + self._rescue(segment.name, left.later)
        self.marks = self.marks.lost(lane, Drop.DAMAGED, lost)
        length = left.end if left.end > HEAD_BYTES else 0
        self._cut(Cut(str(segment.name), length))
        if length:
            self._readopt(segment.name)

    def _rescue(self, name: Name, records: tuple[Record, ...]) -> int:
        """Put whole records from behind the damage into a segment of their own.

        Returns how many could not be.
        """
        if not records:
            return 0
        first = records[0]
        segment = Segment(self._directory, replace(name, first=first.sequence, number=first.number))
        try:
            segment.create(self.marks.spool, records, self._disk)
        except OSError as failure:
            log.error("%s: %d whole runs could not be saved: %s", name, len(records), failure)
            return len(records)
        segment.seal()
        self._place(segment)
        return 0

    def _readopt(self, name: Name) -> None:
        segment = Segment(self._directory, name)
        with suppress(Damaged, OSError):
            segment.scan(self.marks.mark(name.lane), None)
            segment.seal()
            self._place(segment)
