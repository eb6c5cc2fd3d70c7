"""The spool under kill -9, and on a file system that is really full."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from forewarn_agent.limits import MIB, Limits
from forewarn_agent.spool import Drop, Spool
from forewarn_checks.base.wire import Lane, Outcome, Run

# Appends, tells the sequence, and now and then takes a receipt or demotes; until it is killed.
WRITER = """
import os
import sys
from datetime import timedelta
from pathlib import Path
from forewarn_agent.limits import Limits
from forewarn_agent.spool import Spool
from forewarn_checks.base.wire import Lane, Outcome, Run

spool = Spool.open(Path(sys.argv[1]), limits=Limits(segment_bytes=4000, reserve_bytes=4096))
heard = int(sys.argv[2])
while True:
    heard += 1
    sequence = spool.append(
        Run(sequence=0, check="disk", started_at="", boot="b", boottime_seconds=1.0,
            duration_seconds=0.0, outcome=Outcome.OK, error=f"run {heard}")
    )
    os.write(1, f"taken {heard} {sequence}\\n".encode())
    if heard % 7 == 0:
        lane = Lane.BACKFILL if heard % 2 else Lane.LIVE
        for record in spool.records(lane, limit_runs=5, limit_bytes=10**6):
            os.write(1, f"sent {lane} {record.sequence}\\n".encode())
            spool.through(lane, record.sequence)
    if heard % 31 == 0:
        spool.demote(older_than=timedelta(0), boot="b", boottime_seconds=9.0)
"""


class Killed:
    """What the killed processes told, and whether the spool agrees."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.taken: dict[int, int] = {}  # sequence by number of the run
        self.sent: list[int] = []
        self.begun = 0

    def once(self, seconds: float) -> None:
        """Let a writer run and kill it."""
        argv = [sys.executable, "-c", WRITER, str(self.directory), str(self.begun)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            told = [writer.stdout.readline()]
            try:
                writer.wait(seconds)
            except subprocess.TimeoutExpired:
                writer.kill()
            told += writer.stdout.read().splitlines()
        for line in told:
            word, *numbers = line.split()
            if word == b"taken":
                number, sequence = map(int, numbers)
                assert sequence not in self.taken.values(), "a sequence was given twice"
                self.taken[number] = sequence
                self.begun = number
            else:
                self.sent.append(int(numbers[1]))
        self.begun += 1  # the one that was on its way may or may not be there

    def check(self) -> None:
        """All that was taken was sent or is still there; a receipt cut off means one sent twice."""
        spool = Spool.open(self.directory)
        waiting = [run.sequence for lane in Lane for run in spool.peek(lane, 10**6, 10**9)]
        dropped = sum(spool.dropped(lane) for lane in Lane)
        spool.close()
        assert dropped == 0
        assert len(waiting) == len(set(waiting))
        assert set(self.taken.values()) <= set(waiting) | set(self.sent)
        assert len(set(waiting) & set(self.sent)) <= 1


def kill_often(directory: Path, times: int) -> None:
    killed, random = Killed(directory), Random(1)
    for _ in range(times):
        killed.once(random.uniform(0.0, 0.03))
        killed.check()
    assert len(killed.taken) > times


def test_twenty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    kill_often(tmp_path / "spool", 20)


@pytest.mark.lab
def test_two_hundred_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    kill_often(tmp_path / "spool", 200)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "forewarn-test", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root and the right to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    with path.open("ab", buffering=0) as file:
        for size in (MIB, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    assert shutil.disk_usage(path.parent).free == 0


def test_a_disk_that_is_really_full_keeps_the_newest_runs(small_disk: Path) -> None:
    """Someone else fills the disk while the spool holds a megabyte: it goes on inside that."""
    limits = Limits(segment_bytes=20_000, leave_free_bytes=0)
    spool = Spool.open(small_disk / "spool", limits=limits)
    for _ in range(500):
        spool.append(a_run())
    fill(small_disk / "other")
    for _ in range(500):
        spool.append(a_run())
    assert not spool.degraded
    left = [run.sequence for run in spool.peek(Lane.LIVE, 10**6, 10**9)]
    assert left == list(range(1001 - len(left), 1001))
    assert spool.drops()[Lane.LIVE] == {Drop.FULL: 1000 - len(left)}
    spool.close()
    again = Spool.open(small_disk / "spool", limits=limits)
    assert [run.sequence for run in again.peek(Lane.LIVE, 10**6, 10**9)] == left
    assert again.through(Lane.LIVE, 1000) == 1000
    again.close()


def a_run() -> Run:
    return Run(
        sequence=0,
        check="disk",
        started_at="",
        boot="b",
        boottime_seconds=1.0,
        duration_seconds=0.0,
        outcome=Outcome.OK,
        error="x" * 1000,
    )
