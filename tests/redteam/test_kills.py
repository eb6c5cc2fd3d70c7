"""Kill the helper at every system call that changes something, and start it again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CALLS = "write,fsync,ftruncate,rename,unlink,mkdir,clone,clone3,vfork,memfd_create,fcntl"
ONE_ORDER = str(Path(__file__).with_name("one_order.py"))


def helper(place: Path, kind: str, *before: str) -> subprocess.CompletedProcess[str]:
    argv = [*before, sys.executable, "-B", ONE_ORDER, str(place), kind]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def points(place: Path, kind: str, call: str) -> int:
    """Return how often the helper makes a call while it sets up and serves the order."""
    log = place.with_suffix(".strace")
    helper(place, kind, "strace", "-o", str(log), "-e", f"trace={call}")
    return sum(line.startswith(f"{call}(") for line in log.read_text().splitlines())


def prepared(place: Path) -> None:
    """Put policy and keyring there, so that the kills meet the helper's own work."""
    from tests.redteam.house import House

    place.mkdir()
    House(place)


@pytest.mark.lab
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("kind", ["order", "standing", "trigger"])
@pytest.mark.parametrize("call", CALLS.split(","))
def test_a_script_starts_at_most_once_wherever_the_helper_is_killed(
    tmp_path: Path, call: str, kind: str
) -> None:
    prepared(tmp_path / "count")
    total = points(tmp_path / "count", kind, call)
    for number in range(1, total + 1):
        place = tmp_path / f"{call}-{number}"
        prepared(place)
        inject = f"inject={call}:signal=SIGKILL:when={number}"
        helper(place, kind, "strace", "-o", "/dev/null", "-e", inject)
        second = helper(place, kind)
        third = helper(place, kind)
        marker = place / "marker"
        runs = len(marker.read_text().splitlines()) if marker.exists() else 0
        assert runs <= 1, f"killed at {call} {number}"
        assert second.stdout == third.stdout, f"killed at {call} {number}: {second.stderr}"
        assert second.stdout.strip() in ("done", "unknown"), second.stderr
        if second.stdout.strip() == "done":
            assert runs == 1
