"""The spool against an oracle: crashes at any disk call, power cuts, full and ill disks, bad bits.

Nothing is lost but what was counted, nothing arrives twice, no sequence is given twice.
"""

import errno
import os
import shutil
import tempfile
from datetime import timedelta
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from forewarn_agent.durable import Disk
from forewarn_agent.limits import Limits
from forewarn_agent.record import run_from_json
from forewarn_agent.spool import Spool
from forewarn_checks.base.wire import Lane, Outcome, Run

LIMITS = Limits(
    most_bytes=9000,
    segment_bytes=800,
    reserve_bytes=100,
    memory_bytes=1500,
    leave_free_bytes=0,
    leave_free_ratio=0.0,
)
LANES = st.sampled_from(Lane)


class PowerCut(BaseException):
    """Nothing after this call happened."""


class RememberingDisk(Disk):
    """Knows what would be left after a power cut: what was fsynced, under the names then synced.

    `calls_left` counts down to a cut; -1 never cuts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pinned = folder.parent / f"{folder.name}.pinned"  # so that no inode is used twice
        self.pinned.mkdir()
        self.contents: dict[int, bytes] = {}
        self.names: dict[str, int] = {}
        self.full = False
        self.ill = False
        self.calls_left = -1
        if folder.exists():
            for path in folder.iterdir():
                if path.is_file():
                    self.contents[path.stat().st_ino] = path.read_bytes()
            self._sync_names()

    def write(self, file: FileIO, data: bytes) -> None:
        if self._cut():
            file.write(data[: len(data) // 2])
            raise PowerCut
        if self.full and not self._is_marks(file):
            file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(file, data)

    def fsync(self, file: FileIO) -> None:
        if self._cut():
            raise PowerCut
        if self.ill and not self._is_marks(file):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.contents[os.fstat(file.fileno()).st_ino] = Path(str(file.name)).read_bytes()

    def sync_directory(self, directory: Path) -> None:
        if self._cut():
            raise PowerCut
        self._sync_names()

    def left(self, target: Path, *, names_too: bool) -> None:
        """Put what a power cut leaves into `target`; `names_too` forgets unsynced names."""
        target.mkdir()
        current = {p.name: p.stat().st_ino for p in self.folder.iterdir() if p.is_file()}
        for name, inode in (self.names if names_too else current).items():
            (target / name).write_bytes(self.contents.get(inode, b""))

    def _cut(self) -> bool:
        self.calls_left = max(-1, self.calls_left - 1)
        return self.calls_left == 0

    def _sync_names(self) -> None:
        self.names = {}
        for path in self.folder.iterdir():
            if path.is_file():
                inode = path.stat().st_ino
                self.names[path.name] = inode
                if not (self.pinned / str(inode)).exists():
                    os.link(path, self.pinned / str(inode))

    @staticmethod
    def _is_marks(file: FileIO) -> bool:
        return Path(str(file.name)).name.startswith("marks")


class SpoolAgainstOracle(RuleBasedStateMachine):
    """One agent's spool and a collector that never forgets."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="spool-states-"))
        self.lives = 0
        self.taken: set[str] = set()
        self.unsure: set[str] = set()  # the crash came before append returned
        self.received: dict[str, Lane] = {}
        self.acknowledged: set[str] = set()
        self.marks = dict.fromkeys(Lane, 0)
        self.by_sequence: dict[int, str] = {}
        self.damages = 0
        self.disk: RememberingDisk
        self.spool: Spool
        self._begin(self.root / "0")
        self.spool_id = self.spool.spool_id

    def teardown(self) -> None:
        self.disk.full = self.disk.ill = False
        self.disk.calls_left = -1
        self._take("last")
        for lane in (Lane.LIVE, Lane.BACKFILL, Lane.RESULTS):
            while self._send(lane, most=100, receipt_arrives=True):
                pass
        lost = self.taken - self.unsure - self.received.keys()
        dropped = sum(self.spool.dropped(lane) for lane in Lane)
        assert len(lost) <= dropped + self.damages
        if not self.damages:
            known_gone = len(self.unsure) + len(self.received.keys() - self.acknowledged)
            assert dropped <= len(lost) + known_gone
        self.spool.close()
        shutil.rmtree(self.root)

    @rule(padding=st.integers(0, 400), lane=st.sampled_from([Lane.LIVE, Lane.LIVE, Lane.RESULTS]))
    def take(self, padding: int, lane: Lane) -> None:
        self._take("x" * padding, lane)

    @rule(lane=LANES, most=st.integers(1, 5), receipt_arrives=st.booleans())
    def send(self, lane: Lane, most: int, receipt_arrives: bool) -> None:
        self._send(lane, most=most, receipt_arrives=receipt_arrives)

    @rule(lane=LANES, beyond=st.integers(1, 1000))
    def receipt_that_claims_too_much(self, lane: Lane, beyond: int) -> None:
        """What was handed out it may claim; so the collector holds it, or nobody does."""
        self._send(lane, most=3, receipt_arrives=False)
        before = self.spool.mark(lane)
        assert self.spool.through(lane, self.marks[lane]) <= max(before, self.marks[lane])

    @rule()
    def demote(self) -> None:
        if self._send(Lane.LIVE, most=1, receipt_arrives=True):
            self.spool.demote(older_than=timedelta(0), boot="b", boottime_seconds=1e9)

    @rule()
    def restart(self) -> None:
        """A kill -9 between two calls: the kernel keeps everything."""
        self.spool.close()
        self._begin(self.disk.folder)

    @rule(names_too=st.booleans())
    def power_cut(self, names_too: bool) -> None:
        self._crash(names_too=names_too)

    @rule(calls=st.integers(1, 8), names_too=st.booleans(), padding=st.integers(0, 400))
    def power_cut_while_taking(self, calls: int, names_too: bool, padding: int) -> None:
        self.disk.calls_left = calls
        try:
            self._take("x" * padding)
        except PowerCut:
            self._crash(names_too=names_too)
        self.disk.calls_left = -1

    @rule(calls=st.integers(1, 8), names_too=st.booleans(), lane=LANES)
    def power_cut_while_forgetting(self, calls: int, names_too: bool, lane: Lane) -> None:
        self.disk.calls_left = calls
        try:
            self._send(lane, most=3, receipt_arrives=True)
        except PowerCut:
            self._crash(names_too=names_too)
        self.disk.calls_left = -1

    @rule(calls=st.integers(1, 4), names_too=st.booleans())
    def power_cut_while_opening(self, calls: int, names_too: bool) -> None:
        self.spool.close()
        self.disk.calls_left = calls
        try:
            self.spool = Spool.open(self.disk.folder, limits=LIMITS, disk=self.disk)
        except PowerCut:
            self._crash(names_too=names_too)
        self.disk.calls_left = -1

    @rule(full=st.booleans())
    def fill_or_empty_the_disk(self, full: bool) -> None:
        self.disk.full = full

    @rule(ill=st.booleans())
    def make_the_disk_ill_or_well(self, ill: bool) -> None:
        self.disk.ill = ill

    @precondition(lambda self: self.damages < 3)
    @rule(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), data=st.data())
    def flip_a_bit(self, place: float, bit: int, data: st.DataObject) -> None:
        segments = sorted(self.disk.folder.glob("*.seg"))
        if not segments:
            return
        segment = data.draw(st.sampled_from(segments))
        content = bytearray(segment.read_bytes())
        content[int(place * len(content))] ^= 1 << bit
        with segment.open("r+b") as file:
            file.write(content)
        self.disk.contents[segment.stat().st_ino] = bytes(content)
        self.damages += 1

    @invariant()
    def the_spool_keeps_its_name(self) -> None:
        assert self.spool.spool_id == self.spool_id

    @invariant()
    def the_spool_keeps_its_bound(self) -> None:
        assert self.spool.size_bytes <= LIMITS.most_bytes

    def _take(self, text: str, lane: Lane = Lane.LIVE) -> None:
        token = f"{len(self.taken)}:{text}"
        self.taken.add(token)
        self.unsure.add(token)
        sequence = self.spool.append(
            Run(
                sequence=0,
                check="disk",
                started_at="",
                boot="b",
                boottime_seconds=1.0,
                duration_seconds=0.0,
                outcome=Outcome.OK,
                error=token,
            ),
            lane,
        )
        self.unsure.discard(token)
        assert self.by_sequence.setdefault(sequence, token) == token

    def _send(self, lane: Lane, *, most: int, receipt_arrives: bool) -> int:
        """Send a batch to the collector, who drops repeats as it must; say how many runs."""
        records = self.spool.records(lane, limit_runs=most, limit_bytes=10**6)
        for record in records:
            run = run_from_json(record.payload)
            assert run.sequence == record.sequence
            assert self.by_sequence.setdefault(run.sequence, run.error) == run.error
            if record.sequence > self.marks[lane]:
                assert run.error not in self.received, "arrived twice"
                self.received[run.error] = lane
                self.marks[lane] = record.sequence
        if records and receipt_arrives:
            self.spool.through(lane, self.marks[lane])
            self.acknowledged |= {run_from_json(record.payload).error for record in records}
        return len(records)

    def _begin(self, folder: Path) -> None:
        self.lives += 1
        if hasattr(self, "disk"):
            shutil.rmtree(self.disk.pinned)
        self.disk = RememberingDisk(folder)
        self.spool = Spool.open(folder, limits=LIMITS, disk=self.disk)

    def _crash(self, *, names_too: bool) -> None:
        self.spool.close()
        target = self.root / str(self.lives)
        self.disk.left(target, names_too=names_too)
        old = self.disk.folder
        self._begin(target)
        shutil.rmtree(old)


TestSpoolAgainstOracle = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"  # a cut leaves files open, as it should
)(SpoolAgainstOracle.TestCase)
TestSpoolAgainstOracle.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, print_blob=True
)
