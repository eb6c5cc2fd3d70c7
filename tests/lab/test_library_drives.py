"""`run-smart-self-test` on the drives of a virtual machine, asked by a real smartctl.

The machine is that of `test_drives.py`; FOREWARN_DRIVES_LAB names a folder where it was built.
"""

import re
from pathlib import Path

import pytest
from tests.lab.test_drives import Machine
from tests.lab.test_drives import machine as machine

from forewarn_scripts import library

pytestmark = pytest.mark.lab

BODY = Path(library.__file__).parent / "run-smart-self-test/linux.sh"


def run(machine: Machine, words: str) -> tuple[int, str]:
    answer = machine.ask(shell=f"sh {BODY} {words} 2>&1")
    print(f"\n{answer['said']}code {answer['status']}")
    return int(answer["status"]), str(answer["said"])


def test_the_drive_that_can_tests_itself_and_the_others_say_why_not(machine: Machine) -> None:
    """The imitated SATA disk does; SCSI and NVMe of QEMU do not, and the stick is not seen."""
    code, said = run(machine, "--drive=all --test=short")
    assert code == 0
    (drive,) = re.findall(r"^(\S+): short test begun", said, re.M)
    refused = re.findall(r"^(\S+): no test begun: (.+)", said, re.M)
    assert sorted(name for name, _ in refused)[:2] == ["/dev/nvme0", "/dev/nvme1"]
    code, said = run(machine, f"--drive={drive} --test=short --wait")
    assert (code, "Completed without error" in said) == (0, True)
    log = machine.shell(f"smartctl -l selftest {drive}")
    assert len(re.findall(r"^# *[0-9]+ +Short", log, re.M)) == 2


def test_a_drive_that_is_not_there_is_told_of(machine: Machine) -> None:
    assert run(machine, "--drive=/dev/sdz --test=short")[0] == 66
