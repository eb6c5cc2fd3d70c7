"""Drives of four kinds in a virtual machine, read for real, failed and pulled while it runs.

Building the machine takes a minute, each start half of one.  FOREWARN_DRIVES_LAB names a folder
where it was built before.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).parents[2]
LAB = Path(__file__).parent / "drives_vm.sh"


class Machine:
    """The running machine: its guest at one socket, its hardware at another."""

    def __init__(self, folder: Path) -> None:
        self._guest = _connected(folder / "guest.sock")
        self._hardware = _connected(folder / "qmp.sock")
        self.answers = self._guest.makefile("rwb")
        self._monitor = self._hardware.makefile("rwb")
        assert b"QMP" in self._monitor.readline()
        self.hardware("qmp_capabilities")
        while b"ready" not in self.answers.readline():
            pass  # what is sent before the guest listens is lost

    def close(self) -> None:
        self.hardware("quit")
        self._guest.close()
        self._hardware.close()

    def hardware(self, execute: str, **arguments: object) -> Any:
        """Have QEMU do something to the machine."""
        self._monitor.write(json.dumps({"execute": execute, "arguments": arguments}).encode())
        self._monitor.flush()
        while True:
            answer = json.loads(self._monitor.readline())
            if "event" not in answer:
                assert "return" in answer, answer
                return answer["return"]

    def ask(self, **question: str) -> Any:
        """Return the guest's answer; see drives_guest.py."""
        self.answers.write(json.dumps(question).encode() + b"\n")
        self.answers.flush()
        return json.loads(self.answers.readline())

    def shell(self, script: str) -> str:
        answer = self.ask(shell=script)
        assert answer["status"] == 0, answer["said"]
        return str(answer["said"])

    def once(self, check: str, user: str = "root") -> Any:
        return self.ask(check=check, user=user)


def _connected(path: Path) -> socket.socket:
    """Connect once QEMU listens, which is within a few seconds."""
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(240)
    for _ in range(100):
        try:
            line.connect(str(path))
            return line
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"QEMU does not listen on {path}; see run.log beside it")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    given = os.environ.get("FOREWARN_DRIVES_LAB")
    folder = Path(given) if given else tmp_path_factory.mktemp("drives")
    if not (folder / "root.img").exists():
        argv = [str(LAB), "build", str(folder), str(REPOSITORY)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=900)
        if done.returncode:
            pytest.skip(f"the machine cannot be built here: {done.stderr[-500:]}")
        shutil.rmtree(folder / "root")
    with (folder / "run.log").open("wb") as log:
        argv = [str(LAB), "run", str(folder), str(REPOSITORY)]
        process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            made = Machine(folder)
            yield made
            made.close()
            process.wait(30)
        finally:
            process.kill()
            process.wait()


def values(run: Mapping[str, Any], metric: str, label: str = "drive") -> dict[str, float]:
    return {one["labels"][label]: one["value"] for one in run["samples"] if one["metric"] == metric}


def test_every_kind_of_drive_is_read_or_named(machine: Machine) -> None:
    """NVMe and SATA tell their health; the SCSI disk and the stick have none to tell."""
    run = machine.once("smart")
    assert run["outcome"] == "ok", run["error"]
    assert values(run, "smart_passed") == {"LABSATA1": 1, "LABNVME1": 1, "LABNVME2": 0}
    assert values(run, "smart_critical_warning") == {"LABNVME1": 0, "LABNVME2": 8}
    assert values(run, "smart_temperature_celsius")["LABSATA1"] == 31
    assert set(values(run, "smart_blind").values()) == {0}
    states = {row["device"]: row["state"] for row in run["facts"]["drives"]}
    assert sorted(states.values()) == ["ok", "ok", "ok", "unsupported"] or (
        sorted(states.values()) == ["ok", "ok", "ok", "unsupported", "unsupported"]
    )


def test_without_rights_the_drive_that_might_tell_is_blind_under_its_own_serial(
    machine: Machine,
) -> None:
    """QEMU's own disks are known for volumes, the one that calls itself LAB is not."""
    run = machine.once("smart", "nobody")
    assert run["outcome"] == "failed"
    assert "run the agent as root" in run["error"]
    assert values(run, "smart_blind") == {"LABSCSI1": 1}


def test_a_drive_that_fails_while_running_says_so_at_the_next_reading(machine: Machine) -> None:
    path = "/machine/peripheral/nvme0"
    assert values(machine.once("smart"), "smart_passed")["LABNVME1"] == 1
    machine.hardware("qom-set", path=path, property="smart_critical_warning", value=4)
    run = machine.once("smart")
    machine.hardware("qom-set", path=path, property="smart_critical_warning", value=0)
    assert values(run, "smart_passed")["LABNVME1"] == 0
    assert values(run, "smart_critical_warning")["LABNVME1"] == 4


def test_a_drive_too_slow_for_what_is_asked_of_it_shows_in_its_wait(machine: Machine) -> None:
    """Ten requests a second, and thirty-two waiting at a time."""
    limit = {"bps": 0, "bps_rd": 0, "bps_wr": 0, "iops": 10, "iops_rd": 0, "iops_wr": 0}
    machine.hardware("block_set_io_throttle", id="scsi0", **limit)
    machine.shell(
        "disk=$(readlink -f /dev/disk/by-id/*LABSCSI1); i=0; while [ $i -lt 32 ]; do"
        " (timeout 60 dd if=$disk of=/dev/null bs=4k count=9 skip=$((i * 64)) iflag=direct) "
        ">/dev/null 2>&1 & i=$((i + 1)); done; sleep 3"
    )
    run = machine.once("disk_io", "nobody")
    machine.hardware("block_set_io_throttle", id="scsi0", **limit | {"iops": 0})
    assert run["outcome"] == "ok"
    assert values(run, "disk_io_wait_seconds")["LABSCSI1"] > 0.5
    assert values(run, "disk_io_queue")["LABSCSI1"] > 1
    assert values(run, "disk_io_busy_ratio")["LABSCSI1"] > 0.9
    assert values(run, "disk_io_busy_ratio")["LABSATA1"] < 0.1


def test_a_thin_pool_tells_root_how_full_it_is_and_others_what_to_grant(machine: Machine) -> None:
    machine.shell(
        "disk=$(readlink -f /dev/disk/by-id/*LABSATA1); vgcreate -q lab $disk &&"
        " lvcreate -q -T -L 32M lab/pool && lvcreate -q -V 100M -T lab/pool -n volume &&"
        " dd if=/dev/zero of=/dev/lab/volume bs=1M count=28 oflag=direct"
    )
    run = machine.once("thin")
    assert run["outcome"] == "ok", run["error"]
    assert values(run, "thin_data_used_ratio", "pool") == {"lab/pool": 0.875}
    assert 0 < values(run, "thin_metadata_used_ratio", "pool")["lab/pool"] < 0.5
    assert values(run, "thin_stopped", "pool") == {"lab/pool": 0}
    denied = machine.once("thin", "nobody")
    assert denied["outcome"] == "failed"
    assert "lab/pool: how full it is the kernel tells root alone" in denied["error"]


def test_a_thin_pool_that_is_full_has_stopped(machine: Machine) -> None:
    machine.shell("(dd if=/dev/zero of=/dev/lab/volume bs=1M oflag=direct & sleep 4) 2>&1")
    run = machine.once("thin")
    assert values(run, "thin_data_used_ratio", "pool") == {"lab/pool": 1}
    assert values(run, "thin_stopped", "pool") == {"lab/pool": 1}


def test_a_stick_pulled_out_while_mounted_hangs_nothing(machine: Machine) -> None:
    machine.shell(
        "disk=$(readlink -f /dev/disk/by-id/*LABUSB1*); mkfs.ext4 -q -F $disk; mkdir -p /stick;"
        " mount $disk /stick; touch /stick/file"
    )
    mounted = machine.once("disk")
    assert "/stick" in values(mounted, "disk_used_ratio", "mountpoint")
    machine.hardware("device_del", id="stick")
    machine.shell(
        "for i in 1 2 3 4 5 6 7 8 9; do ls /dev/disk/by-id/*LABUSB1* || exit 0; sleep 1; done"
    )
    for check in ("disk", "disk_io", "smart"):
        run = machine.once(check)
        assert run["outcome"] in ("ok", "failed"), run
        assert run["duration_seconds"] < 15
        if check != "disk":
            assert "LABUSB1" not in json.dumps(run["samples"])
