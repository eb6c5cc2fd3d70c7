"""The spool: what was taken is sent or counted, whatever the disk does."""

import errno
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import FileIO
from pathlib import Path

import pytest

from forewarn_agent.durable import Disk, InUse
from forewarn_agent.limits import MIB, Limits
from forewarn_agent.marks import Drop
from forewarn_agent.spool import Spool
from forewarn_checks.base.wire import Lane, Outcome, Run, Sample

SMALL = Limits(segment_bytes=2000, memory_bytes=3000, leave_free_bytes=0, leave_free_ratio=0.0)


def a_run(
    text: str = "", *, at: float = 1.0, boot: str = "b1", samples: tuple[Sample, ...] = ()
) -> Run:
    return Run(
        sequence=0,
        check="disk",
        started_at="2026-11-21T08:00:00.000Z",
        boot=boot,
        boottime_seconds=at,
        duration_seconds=0.1,
        outcome=Outcome.OK,
        error=text,
        samples=samples,
    )


class FaultyDisk(Disk):
    """Fails as told: `full` at writing, `ill` at fsync; `fsyncs` counts those that went well."""

    def __init__(self) -> None:
        self.full = False
        self.ill = False
        self.fsyncs = 0
        self.failed: list[int] = []

    def write(self, file: FileIO, data: bytes) -> None:
        # The marks lie in blocks the disk gave long ago; they are written even when it is full.
        if self.full and Path(str(file.name)).name != "marks":
            file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file.name))
        super().write(file, data)

    def fsync(self, file: FileIO) -> None:
        assert id(file) not in self.failed, "a file whose fsync failed was asked again"
        if self.ill:
            self.failed.append(id(file))
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(file.name))
        self.fsyncs += 1
        super().fsync(file)


@pytest.fixture
def disk() -> FaultyDisk:
    return FaultyDisk()


class Opened:
    """Opens the spool of a test, again and again, and closes what it opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._spools: list[Spool] = []

    def __call__(
        self,
        limits: Limits = SMALL,
        disk: Disk | None = None,
        disk_free: Callable[[], int] | None = None,
    ) -> Spool:
        self.close()
        self._spools.append(Spool.open(self.path, limits=limits, disk=disk, disk_free=disk_free))
        return self._spools[-1]

    def close(self) -> None:
        for spool in self._spools:
            spool.close()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(tmp_path / "spool")
    yield opened
    opened.close()


@pytest.fixture
def spool(opened: Opened, disk: FaultyDisk) -> Spool:
    return opened(disk=disk)


def sequences(spool: Spool, lane: Lane = Lane.LIVE) -> list[int]:
    return [run.sequence for run in spool.peek(lane, 10_000, 10**9)]


def test_a_run_comes_out_as_it_went_in(spool: Spool) -> None:
    run = a_run("ü \U0001f600", samples=(Sample("disk_free_bytes", 3.5, {"mountpoint": "/"}),))
    assert spool.append(run) == 1
    (out,) = spool.peek(Lane.LIVE, 10, 10_000)
    assert out == Run(**{f: getattr(run, f) for f in run.__slots__} | {"sequence": 1})


def test_what_was_received_is_not_sent_again_even_after_a_restart(
    spool: Spool, opened: Opened
) -> None:
    for _ in range(5):
        spool.append(a_run())
    sequences(spool)
    spool.through(Lane.LIVE, 3)
    assert sequences(spool) == [4, 5]
    assert sequences(opened()) == [4, 5]


def test_sequences_go_on_after_everything_was_received_and_forgotten(
    spool: Spool, opened: Opened
) -> None:
    for _ in range(50):
        spool.append(a_run("x" * 300))
    sequences(spool)
    spool.through(Lane.LIVE, 50)
    assert spool.waiting(Lane.LIVE) == 0
    for segment in opened.path.glob("*.seg"):
        segment.unlink()
    assert opened().append(a_run()) == 51


def test_one_spool_has_one_owner(spool: Spool, opened: Opened) -> None:
    with pytest.raises(InUse, match="held by another process"):
        Spool.open(opened.path)


def test_a_run_costs_one_fsync(spool: Spool, disk: FaultyDisk) -> None:
    spool.append(a_run())
    before = disk.fsyncs
    spool.append(a_run())
    assert disk.fsyncs == before + 1


def test_bounds_cost_the_oldest_segment_and_every_lost_run_is_counted(opened: Opened) -> None:
    limits = Limits(most_bytes=MIB, segment_bytes=20_000, leave_free_bytes=0, leave_free_ratio=0)
    spool = opened(limits)
    for _ in range(2000):
        spool.append(a_run("x" * 1000))
    left = sequences(spool)
    assert spool.size_bytes <= MIB
    assert spool.drops()[Lane.LIVE] == {Drop.FULL: 2000 - len(left)}
    assert left == list(range(2001 - len(left), 2001))
    again = opened(limits)
    assert again.drops() == spool.drops()


def test_runs_older_than_the_bound_go_and_a_wall_clock_has_no_say(spool: Spool) -> None:
    week = timedelta(days=7).total_seconds()
    for at in (0.0, 1.0):
        for _ in range(5):
            spool.append(a_run("x" * 600, at=at))
    spool.append(a_run("x" * 600, at=week))
    assert spool.dropped(Lane.LIVE) == 0
    spool.append(a_run(at=week + 3))
    assert spool.drops()[Lane.LIVE] == {Drop.AGE: 10}
    assert sequences(spool) == [11, 12]


def test_a_full_disk_costs_old_segments_first(spool: Spool, disk: FaultyDisk) -> None:
    for _ in range(12):
        spool.append(a_run("x" * 600))
    disk.full = True
    spool.append(a_run())
    assert spool.degraded.startswith("No space left")
    dropped = spool.dropped(Lane.LIVE)
    assert dropped
    assert sequences(spool) == list(range(dropped + 1, 14))


def test_a_disk_that_takes_nothing_leaves_a_ring_in_memory(spool: Spool, disk: FaultyDisk) -> None:
    spool.append(a_run())
    disk.full = True
    for _ in range(40):
        spool.append(a_run("x" * 100))
    lost = spool.drops()[Lane.LIVE][Drop.MEMORY]
    assert sequences(spool) == [1, *range(2 + lost, 42)]
    disk.full = False
    spool.append(a_run())
    assert not spool.degraded
    assert sequences(spool) == [1, *range(2 + lost, 43)]


def test_what_only_memory_held_is_counted_after_a_crash(
    spool: Spool, disk: FaultyDisk, opened: Opened
) -> None:
    spool.append(a_run())
    disk.full = True
    for _ in range(3):
        spool.append(a_run())
    again = opened()
    assert again.drops()[Lane.LIVE] == {Drop.MEMORY: 3}
    assert sequences(again) == [1]
    assert again.append(a_run()) == 5


def test_a_failed_fsync_moves_on_to_a_new_file(
    spool: Spool, disk: FaultyDisk, opened: Opened
) -> None:
    spool.append(a_run())
    disk.ill = True
    spool.append(a_run())
    assert spool.degraded.startswith("Input/output error")
    disk.ill = False
    spool.append(a_run())
    assert sequences(spool) == [1, 2, 3]
    assert sequences(opened()) == [1, 2, 3]


def test_a_receipt_for_what_was_never_sent_deletes_nothing_unsent(spool: Spool) -> None:
    for _ in range(6):
        spool.append(a_run())
    spool.peek(Lane.LIVE, 2, 10_000)
    assert spool.through(Lane.LIVE, 2**63 - 1) == 2
    assert sequences(spool) == [3, 4, 5, 6]


def demote(spool: Spool) -> int:
    return spool.demote(older_than=timedelta(minutes=5), boot="b1", boottime_seconds=1000.0)


def test_demoted_runs_keep_their_sequence_and_let_newer_ones_overtake(
    spool: Spool, opened: Opened
) -> None:
    for _ in range(8):
        spool.append(a_run("x" * 400))
    sequences(spool)
    spool.through(Lane.LIVE, 2)
    assert demote(spool) == 6
    spool.append(a_run())
    again = opened()
    assert sequences(again, Lane.LIVE) == [9]
    assert sequences(again, Lane.BACKFILL) == [3, 4, 5, 6, 7, 8]


def test_young_runs_are_not_demoted(spool: Spool) -> None:
    spool.append(a_run(at=990.0))
    assert demote(spool) == 0
    assert sequences(spool) == [1]


def test_a_refused_run_is_counted_and_kept_for_whoever_asks_why(
    spool: Spool, opened: Opened
) -> None:
    spool.append(a_run("poison"))
    spool.append(a_run())
    spool.quarantine(Lane.LIVE, 1)
    assert sequences(spool) == [2]
    assert spool.drops()[Lane.LIVE] == {Drop.REFUSED: 1}
    assert b"poison" in next((opened.path / "corrupt").iterdir()).read_bytes()


def test_a_flipped_bit_costs_one_run(spool: Spool, opened: Opened) -> None:
    for index in range(10):
        spool.append(a_run(f"run {index}"))
    spool.close()
    (segment,) = opened.path.glob("*.seg") if False else sorted(opened.path.glob("*.seg"))[:1]
    data = bytearray(segment.read_bytes())
    data[data.index(b"run 3")] ^= 1
    segment.write_bytes(data)
    again = opened()
    assert sequences(again) == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert again.drops()[Lane.LIVE] == {Drop.DAMAGED: 1}
    third = opened()
    assert sequences(third) == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert third.drops()[Lane.LIVE] == {Drop.DAMAGED: 1}


def test_damage_found_while_running_is_mended_too(spool: Spool, opened: Opened) -> None:
    for index in range(4):
        spool.append(a_run(f"run {index}"))
    (segment,) = opened.path.glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[data.index(b"run 0")] ^= 1
    segment.write_bytes(data)
    assert sequences(spool) == [2, 3, 4]
    assert spool.append(a_run()) == 5
    assert sequences(spool) == [2, 3, 4, 5]
    assert spool.dropped(Lane.LIVE) == 1


def test_a_segment_that_vanished_is_counted(spool: Spool, opened: Opened) -> None:
    for _ in range(4):
        spool.append(a_run())
    sequences(spool)
    spool.through(Lane.LIVE, 1)
    next(opened.path.glob("*.seg")).unlink()
    assert sequences(spool) == []
    assert spool.drops()[Lane.LIVE] == {Drop.DAMAGED: 3}


def test_lost_marks_keep_the_name_and_never_give_a_sequence_twice(
    spool: Spool, opened: Opened
) -> None:
    for _ in range(3):
        spool.append(a_run())
    (opened.path / "marks").write_bytes(b"\0" * 100)
    again = opened()
    assert again.spool_id == spool.spool_id
    assert sequences(again) == [1, 2, 3]
    assert again.append(a_run()) > 1_000_000


def test_a_torn_slot_costs_only_the_newest_marks(spool: Spool, opened: Opened) -> None:
    for _ in range(3):
        spool.append(a_run())
    sequences(spool)
    spool.through(Lane.LIVE, 1)
    before = (opened.path / "marks").read_bytes()
    spool.through(Lane.LIVE, 2)
    after = (opened.path / "marks").read_bytes()
    torn = next(i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
    (opened.path / "marks").write_bytes(after[: torn + 1] + before[torn + 1 :])
    again = opened()
    assert again.spool_id == spool.spool_id
    assert sequences(again) == [2, 3]


def test_a_run_that_cannot_be_written_arrives_as_a_failed_one(spool: Spool) -> None:
    broken = Run(
        **{f: getattr(a_run(), f) for f in Run.__slots__} | {"facts": {"os_name": b"bytes"}}
    )
    spool.append(broken)
    (run,) = spool.peek(Lane.LIVE, 1, 1)
    assert run.outcome is Outcome.FAILED
    assert "cannot be sent" in run.error


def test_no_number_that_json_lacks_and_no_lone_surrogate_leaves(spool: Spool) -> None:
    odd = (Sample("a", float("nan")), Sample("b", 1.0, {"mountpoint": "/\udcff"}))
    spool.append(a_run(samples=odd))
    (run,) = spool.peek(Lane.LIVE, 1, 1)
    assert run.samples == (Sample("b", 1.0, {"mountpoint": "/?"}),)


def test_a_folder_that_cannot_be_used_leaves_a_spool_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    spool = Spool.open(tmp_path / "file" / "spool")
    assert spool.degraded
    assert spool.append(a_run()) == 1
    assert sequences(spool) == [1]
    assert spool.through(Lane.LIVE, 1) == 1
    assert sequences(spool) == []


def test_a_small_file_system_can_still_be_used() -> None:
    bounds = Limits().on(24 * MIB)
    assert bounds.most_bytes == 24 * MIB // 20
    assert bounds.leave_free_bytes < 3 * MIB
    assert Limits().on(10**12).most_bytes == 64 * MIB


def test_little_free_space_stops_the_spool_from_growing(opened: Opened) -> None:
    free = 10**12
    limits = Limits(segment_bytes=2000)
    spool = opened(limits, disk_free=lambda: free)
    for _ in range(40):
        spool.append(a_run("x" * 600))
    full_size, free = spool.size_bytes, 0
    for _ in range(40):
        spool.append(a_run("x" * 600))
    assert spool.size_bytes <= full_size + 2000
    assert spool.dropped(Lane.LIVE) + len(sequences(spool)) == 80
    spool.close()
