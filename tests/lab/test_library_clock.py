"""`time-resync` with a real chrony and a time server beside it, in a machine without a network.

chronyd runs with -x there, which leaves the clock alone: it is the host's, and a container may not
set it.  Needs root, systemd-nspawn and debootstrap.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from tests.lab.machine import Machine, bare_tree

from forewarn_scripts import library

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="a container needs root"),
    pytest.mark.skipif(
        not (shutil.which("systemd-nspawn") and shutil.which("debootstrap")),
        reason="apt-get install systemd-container debootstrap",
    ),
]

SERVER = (
    "systemd-run -q --unit=lab-time chronyd -x -d 'port 12399' 'local stratum 5' 'cmdport 0'"
    " 'allow 127.0.0.1' 'bindaddress 127.0.0.1' 'pidfile /run/lab-time.pid' 'bindcmdaddress /'"
)
CLIENT = "server 127.0.0.1 port 12399 iburst minpoll 2 maxpoll 3\nbindcmdaddress 127.0.0.1\n"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    tree = bare_tree(tmp_path_factory.mktemp("clock"))
    script = "apt-get -q update; apt-get -q -y --no-install-recommends install chrony"
    done = subprocess.run(
        ["systemd-nspawn", "-q", "-D", tree, "--register=no", "--keep-unit", "sh", "-ec", script],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"chrony cannot be had here: {done.stderr[-300:]}")
    (tree / "etc/systemd/system/chrony.service").write_text(
        "[Service]\nExecStart=/usr/sbin/chronyd -x -d\n"
    )
    (tree / "etc/chrony/chrony.conf").write_text(CLIENT)
    made = Machine(tree, network=False)
    made.boot()
    try:
        yield made
    finally:
        made.power_off()


def resync(machine: Machine) -> tuple[int, str]:
    machine.run(
        "cat > /root/body.sh", given=library.find("time-resync").body("linux").script.decode()
    )
    code, said = machine.told("sh /root/body.sh")
    print(f"\n{said}code {code}")
    return code, said


def test_a_server_that_does_not_answer_is_told_of(machine: Machine) -> None:
    machine.run("systemctl restart chrony")
    code, said = resync(machine)
    assert (code, "no time server answered" in said) == (1, True)
    assert "127.0.0.1" in said


def test_a_server_answers_but_the_clock_may_not_be_set(machine: Machine) -> None:
    """chronyd takes the server for its source; that it may not touch the clock is no success."""
    machine.run(SERVER)
    machine.run("systemctl restart chrony")
    code, said = resync(machine)
    assert (code, "chronyd did not set the clock" in said) == (1, True)
    assert "no time server answered" not in said
    assert "Reference ID    : 7F000001" in machine.run("chronyc -n tracking")


def test_without_a_time_service_nothing_is_done(machine: Machine) -> None:
    machine.run("systemctl stop chrony")
    code, said = resync(machine)
    assert (code, "nothing was done" in said) == (69, True)
