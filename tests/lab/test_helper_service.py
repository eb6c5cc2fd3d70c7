"""The helper as it is installed: started by its socket, without a network, and what it runs.

Needs root, systemd-nspawn and debootstrap; one machine lives through the whole file, in order.
"""

import json
import os
import shutil
from collections.abc import Iterator

import pytest
from tests.lab.machine import bare_tree
from tests.lab.signing_site import install, prepared
from tests.lab.signing_site import order as ordered
from tests.lab.site import Site

POLICY = """mode = "signed"
[[class]]
name = "housekeeping"
threshold = 1
run_as = ["root", "nobody"]
keys = ["{key}"]
"""

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="a container needs root"),
    pytest.mark.skipif(
        not (shutil.which("systemd-nspawn") and shutil.which("debootstrap")),
        reason="apt-get install systemd-container debootstrap",
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A machine with both installed, and Ann's key in the keyring and the policy."""
    made = prepared(bare_tree(tmp_path_factory.mktemp("helper")))
    made.machine.boot()
    try:
        install(made, POLICY)
        yield made
    finally:
        made.machine.power_off()


def order(site: Site, script: str, *options: str) -> dict[str, object]:
    """Have Ann sign and send a script for every host of acme; return the one host's result."""
    site.machine.run("cat > /root/script.sh", given=script)
    return ordered(site, "/root/script.sh", *options)


def test_the_socket_waits_and_only_the_agent_may_use_it(site: Site) -> None:
    """Its owner is the agent's account, nobody else may connect."""
    assert site.machine.run("systemctl is-active forewarn-helper.socket").strip() == "active"
    shown = site.machine.run("stat -c '%U %a' /run/forewarn/helper.sock").strip()
    assert shown == "forewarn 600"


def test_the_units_are_as_tight_as_they_were_made(site: Site) -> None:
    """Exposure by systemd's own count: 2.6 at most for the helper, 2.0 for the agent."""
    for unit, most in (("forewarn-helper", 26), ("forewarn-agent", 20), ("forewarn-collector", 15)):
        told = site.machine.run(
            f"systemd-analyze security --no-pager --threshold={most} {unit} | tail -1"
        )
        print(f"\n{unit}: {told.strip()}")
    verified = site.machine.told(
        "systemd-analyze verify /etc/systemd/system/forewarn-*.service"
        " /etc/systemd/system/forewarn-*.socket"
    )
    assert verified == (0, "")


def test_a_signed_script_runs_in_a_unit_of_its_own(site: Site) -> None:
    """With the network and the folders that the helper itself must do without."""
    result = order(
        site,
        "cat /proc/self/cgroup; pwd; id -un; test -w /etc && echo may-write; ls /proc/self/fd\n"
        'echo "arguments: $*"\n',
        "-- one '$HOME' 'two words'",
    )
    print(json.dumps(result, indent=1))
    shown = json.dumps(result)
    assert result["ended"] == "done", shown
    assert "/system.slice/forewarn-order-" in shown
    assert "/run/forewarn-order-" in shown
    assert "may-write" in shown
    assert "arguments: one $HOME two words" in shown
    assert site.machine.run("ls /run | grep forewarn-order || true") == ""


def test_a_script_runs_as_another_account(site: Site) -> None:
    """In a folder that is its own."""
    result = order(site, "id -un; touch here && ls -l here\n", "--as nobody")
    assert result["ended"] == "done", result
    assert "nobody" in json.dumps(result)


def test_a_script_that_goes_on_is_ended_with_all_it_started(site: Site) -> None:
    """The clock ends the whole unit, also what left the session."""
    result = order(site, "setsid sleep 4321 & sleep 4321\n", "--timeout 3s")
    assert result["ended"] == "timed_out", result
    assert not site.machine.try_run("pgrep -f 'sleep 432[1]'")


def test_the_helper_ends_when_nobody_asks(site: Site) -> None:
    """It leaves no process, and its socket waits for the next."""
    site.wait("! systemctl is-active forewarn-helper.service", 60)
    assert site.machine.run("systemctl is-active forewarn-helper.socket").strip() == "active"


def test_lockdown_ends_it(site: Site) -> None:
    """From then on everything is refused, and the refusal says so."""
    site.machine.run("forewarn-agent lockdown")
    result = order(site, "touch /root/ran\n")
    assert result["ended"] == "refused", result
    assert not site.machine.try_run("test -e /root/ran")
