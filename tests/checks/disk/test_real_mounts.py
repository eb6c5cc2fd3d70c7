"""The disk reader on real mounts, in a mount namespace of its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

READ = """
import json, time
from forewarn_checks.base import CannotRead, Sample
from forewarn_checks.disk import CHECK

def read():
    samples, error, began = {}, "", time.monotonic()
    try:
        for each in CHECK.read_linux({}):
            if isinstance(each, Sample):
                samples.setdefault(each.labels["mountpoint"], {})[each.metric] = each.value
    except CannotRead as trouble:
        error = str(trouble)
    return {"samples": samples, "error": error, "seconds": time.monotonic() - began}
"""

# A FUSE filesystem whose daemon holds the device open and never answers.
DEAD = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
device = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={device},rootmode=40000,user_id=0,group_id=0" + sys.argv[3]
assert libc.mount(sys.argv[2].encode(), b"/mnt", sys.argv[1].encode(), 0, options.encode()) == 0
found = [read(), read()]
libc.umount2(b"/mnt", 2)
print(json.dumps(found))
"""

FULL = """
import os
found = [read()]
with open("/mnt/fill", "wb") as fill:
    try:
        while True:
            fill.write(bytes(1 << 16))
            fill.flush()
    except OSError:
        pass
found.append(read())
os.unlink("/mnt/fill")
found.append(read())
print(json.dumps(found))
"""


def in_own_namespace(prepare: str, script: str, *arguments: str) -> list[dict[str, object]]:
    """Return what `script` prints where only it sees what the shell lines `prepare` mounted."""
    if not Path("/dev/fuse").exists() or shutil.which("unshare") is None:
        pytest.skip("needs /dev/fuse and unshare")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-euc"]
    command += [f'{prepare}\nexec "$@"', "sh", sys.executable, "-c", READ + script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def test_a_dead_network_filesystem_is_never_asked() -> None:
    """Its type tells, so it costs no time at all."""
    for found in in_own_namespace("", DEAD, "fuse.sshfs", "ann@far:/", ""):
        assert (found["error"], "/mnt" in str(found["samples"])) == ("", False)
        assert float(str(found["seconds"])) < 2


def test_a_local_disk_that_does_not_answer_costs_one_wait(tmp_path: Path) -> None:
    """The others are read, the trouble is named, and the next run does not wait again."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    found = subprocess.run(
        ["losetup", "--find", "--show", str(disk)], capture_output=True, text=True, check=False
    )
    if found.returncode:
        pytest.skip("needs loop devices")
    device = found.stdout.strip()
    try:
        first, second = in_own_namespace("", DEAD, "fuseblk", device, ",blksize=512")
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    assert f"/mnt on {device} does not answer" in str(first["error"])
    assert "'/': {" in str(first["samples"])
    assert float(str(second["seconds"])) < 2


def test_a_filesystem_filled_to_the_brim_reads_full(tmp_path: Path) -> None:
    """And no longer once it is emptied."""
    disk = tmp_path / "disk"
    prepare = f"truncate -s 32M {disk}; mkfs.ext4 -q {disk}; mount -o loop {disk} /mnt"
    ratios = []
    for found in in_own_namespace(prepare, FULL):
        samples = found["samples"]
        assert isinstance(samples, dict)
        ratios.append(samples["/mnt"]["disk_used_ratio"])
    empty, full, emptied = ratios
    assert empty < 0.1
    assert full == 1.0
    assert emptied == pytest.approx(empty, abs=0.01)
