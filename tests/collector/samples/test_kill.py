"""Whatever was acknowledged before a kill -9 is there afterwards, once."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.collector.samples import writer
from tests.collector.samples.contract import SECOND, T0

from forewarn_checks.base import Lane
from forewarn_collector.samples.duck import DuckSampleStore

ROOT = Path(__file__).parents[3]


def write_and_die(directory: Path, acknowledgements: int) -> int:
    """Run the writer, kill it after some acknowledgements, return the last one heard."""
    command = [sys.executable, "-m", writer.__name__, str(directory)]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": paths}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT) as process:
        assert process.stdout is not None
        last = -1
        for line in process.stdout:
            last = int(line)
            acknowledgements -= 1
            if acknowledgements == 0:
                break
        process.kill()
        # What it said before it died counts, heard in time or not.
        for line in process.stdout:
            last = int(line) if line.endswith(b"\n") else last
    return last


def check(directory: Path, acknowledged: int) -> None:
    """Every run up to the mark is held once, and the mark covers what was acknowledged."""
    store = DuckSampleStore(directory)
    assert store.findings == ()
    for host in writer.HOSTS:
        mark = store.mark(host, "spool-a", Lane.LIVE)
        assert mark >= acknowledged
        assert store.sequences(host) == [("spool-a", Lane.LIVE, n) for n in range(mark + 1)]
        until = T0 + (mark + 1) * 900 * SECOND
        (series,) = store.history(host, "disk_free_bytes", T0, until, steps=mark + 1)
        assert series.at.tolist() == [T0 + n * 900 * SECOND for n in range(mark + 1)]
    store.close()


def kill(directory: Path, times: int) -> None:
    """Kill the writer again and again, checking each time."""
    chance = random.Random(9)
    for _ in range(times):
        check(directory, write_and_die(directory, chance.randint(1, 60)))


def test_nothing_acknowledged_is_lost_or_doubled_by_kill_9(tmp_path: Path) -> None:
    kill(tmp_path, times=10)


@pytest.mark.lab
def test_nothing_is_lost_or_doubled_by_200_kills(tmp_path: Path) -> None:
    kill(tmp_path, times=200)
