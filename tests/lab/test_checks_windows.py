"""Every check on Windows' own Python under Wine, with a drive D: that is nearly full.

Wine is no Windows: it counts no requests of drives and has no SMART.  What it does not know must
be told as that, and nothing may break on it.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.lab.windows import REPOSITORY, new_windows

pytestmark = pytest.mark.lab

SIZE = 64 * 2**20
READ = """
import json
from forewarn_agent import child, clock, runner
from forewarn_checks.base.catalog import all_checks
runs = {}
for check in all_checks().values():
    run = runner.perform(check, check.read_windows, {}, clock.now())
    runs[check.name] = {
        "outcome": run.outcome.value,
        "error": run.error,
        "seconds": run.duration_seconds,
        "samples": [[one.metric, one.labels, one.value] for one in run.samples],
        "facts": run.facts,
    }
print("ANSWER" + json.dumps(runs))
"""
ON_WINDOWS = {"cpu", "disk", "memory", "uptime"}


@pytest.fixture(scope="module")
def full_drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 64 MiB, 60 of them taken."""
    place = tmp_path_factory.mktemp("drive")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}; run as root")
    (place / "ballast").write_bytes(bytes(60 * 2**20))
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="module")
def runs(full_drive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Any]]:
    """What every check reads, by its name."""
    roots = tuple(REPOSITORY / name for name in ("agent", "checks", "scripts"))
    windows = new_windows(tmp_path_factory.mktemp("windows"), roots)
    (windows.prefix / "dosdevices" / "d:").symlink_to(full_drive)
    try:
        output = windows.run("-c", READ)
    finally:
        windows.end()
    lines = [line for line in output.splitlines() if line.startswith("ANSWER")]
    assert lines, output[-2000:]
    found: dict[str, Any] = json.loads(lines[0].removeprefix("ANSWER"))
    yield found


def values(run: Mapping[str, Any], metric: str) -> list[tuple[dict[str, str], float]]:
    return [(labels, value) for name, labels, value in run["samples"] if name == metric]


def test_what_windows_always_has_is_read(runs: Mapping[str, Any]) -> None:
    for name in ON_WINDOWS:
        assert runs[name]["outcome"] == "ok", (name, runs[name]["error"])
        assert runs[name]["samples"]


def test_no_check_breaks_or_hangs(runs: Mapping[str, Any]) -> None:
    """What is missing is said in words that name what to do, never by a traceback."""
    for name, run in runs.items():
        assert run["outcome"] in ("ok", "nothing", "unsupported", "failed"), (name, run)
        assert run["seconds"] < 30
        # of Wine's Windows Update: it has no such thing as a search, and no Windows is like that
        if run["outcome"] == "failed" and name != "patches":
            assert "Error:" not in run["error"], (name, run["error"])


def test_a_nearly_full_drive_is_read_for_what_it_is(runs: Mapping[str, Any]) -> None:
    ((labels, used),) = [
        one for one in values(runs["disk"], "disk_used_ratio") if one[0]["mountpoint"] == "D:\\"
    ]
    assert used == pytest.approx(60 / 64, abs=0.001)
    ((_, size),) = [
        one for one in values(runs["disk"], "disk_size_bytes") if one[0]["mountpoint"] == "D:\\"
    ]
    assert size == SIZE
    assert labels["device"] == "D:\\"


def test_drives_are_facts(runs: Mapping[str, Any]) -> None:
    """Wine shows one for each of its letters; a real Windows says much more of them."""
    drives = runs["disk"]["facts"]["disks"]
    assert isinstance(drives, list)
    for drive in drives:
        assert drive["name"].startswith("PhysicalDrive")
        assert set(drive) == {"name", "model", "serial", "size_bytes", "rotational"}


def test_what_is_not_there_is_nothing(runs: Mapping[str, Any]) -> None:
    """No smartctl in a fresh Windows: the text says what to install."""
    assert runs["smart"]["outcome"] == "nothing"
    assert "install smartmontools" in runs["smart"]["error"]
    assert runs["raid"]["outcome"] == "unsupported"
