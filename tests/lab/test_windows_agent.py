"""The agent's own tests on Windows' Python under Wine, and what only Windows has.

What is left out below is left out for its reason alone; all else must pass there as it does here.
"""

import re
import subprocess
from collections.abc import Iterator

import pytest
from tests.lab.windows import REPOSITORY, Windows, add_agent, add_random, add_tests, new_windows

pytestmark = pytest.mark.lab

LEFT_OUT = {
    "the bits of a file say nothing on Windows; test_service_access.py holds its lists": (
        "test_doctor.py::test_a_healthy_agent_is_well_in_everything",
        "test_doctor.py::test_files_open_to_others_are_trouble",
        "test_doctor.py::test_a_program_that_others_may_change_is_trouble",
        "test_enrol.py::test_an_identity_is_loaded_as_it_was_saved_and_readable_by_its_owner_alone",
        "test_status.py::test_it_is_read_as_it_was_written",
    ),
    "it names the command of systemd": ("test_doctor.py::test_a_cause_is_named_with_its_mend",),
    "it takes a file away that is open, which Windows refuses": (
        "test_spool.py::test_sequences_go_on_after_everything_was_received_and_forgotten",
        "test_spool.py::test_a_segment_that_vanished_is_counted",
    ),
    "it mounts a file system": (
        "test_spool_kills.py::test_a_disk_that_is_really_full_keeps_the_newest_runs",
    ),
    "it stops the agent by a signal; a service is told otherwise": (
        "test_main.py::test_readings_arrive_signed_and_a_stopped_agent_ends_well",
    ),
    "a second is too little for two Pythons under Wine; see below": (
        "test_child.py::test_a_child_that_hangs_is_killed_with_all_it_started",
    ),
    "Windows counts no processor time of children that ended": (
        "test_cli.py::test_once_tells_what_each_check_costs_when_asked",
    ),
}
KILL = """
import psutil, sys
from forewarn_agent import paths
starts = "import subprocess, sys, time; sleep = 'import time; time.sleep(60)'; "
starts += "made = subprocess.Popen([sys.executable, '-c', sleep]); "
starts += "print(made.pid, flush=True); time.sleep(60)"
child = paths.start_group([sys.executable, "-c", starts])
grandchild = int(child.stdout.readline())
assert psutil.pid_exists(grandchild)
paths.end_group(child)
child.wait(10)
gone, alive = psutil.wait_procs([psutil.Process(p) for p in psutil.pids() if p == grandchild], 5)
print("ANSWER", "alive" if alive else "gone")
"""
LISTS = r"""
import os, pathlib
from forewarn_agent import service_access as access
folder = pathlib.Path(r"C:\lists")
folder.mkdir()
(folder / "secret").write_text("x")
before = access.open_to(folder)
access.protect(folder, access.state_list("forewarn"))
print("ANSWER", before, access.open_to(folder), access.open_to(folder / "secret"))
"""


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    """A Windows with the agent and its tests."""
    roots = tuple(REPOSITORY / name for name in ("agent", "checks", "scripts", "."))
    made = new_windows(tmp_path_factory.mktemp("windows"), roots)
    add_random(made)
    add_agent(made)
    add_tests(made)
    yield made
    made.end()


def answer(windows: Windows, code: str) -> str:
    output = windows.run("-c", code)
    lines = [line for line in output.splitlines() if line.startswith("ANSWER ")]
    assert lines, output[-2000:]
    return lines[0].removeprefix("ANSWER ")


def test_the_agents_tests_pass_there(windows: Windows) -> None:
    """Spool, segments, marks, locks, identity, enrolment, schedule, clocks, children, sending."""
    tests = "Z:" + str(REPOSITORY / "tests/agent").replace("/", "\\")
    argv = ["wine", str(windows.python / "python.exe"), "-m", "pytest", "-q", tests]
    argv += ["-p", "no:cacheprovider", "--ignore", rf"{tests}\helper", "--tb=short"]
    argv += ["-W", "ignore::ResourceWarning"]
    for names in LEFT_OUT.values():
        argv += [word for name in names for word in ("--deselect", f"tests/agent/{name}")]
    done = subprocess.run(
        argv, env=windows.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=900, cwd=REPOSITORY,
    )  # fmt: skip
    last = done.stdout.strip().splitlines()[-1]
    print(f"\n{last}")
    passed = re.search(r"(\d+) passed", last)
    assert passed, done.stdout[-4000:]
    assert int(passed[1]) > 300
    assert done.returncode == 0, done.stdout[-4000:]


def test_a_child_is_ended_with_all_it_started(windows: Windows) -> None:
    """By its job: the grandchild's parent may be gone already."""
    assert answer(windows, KILL) == "gone"


def test_a_folder_is_closed_to_others_with_what_is_in_it(windows: Windows) -> None:
    """As Windows' own calls say; Wine keeps it as the bits of its files."""
    before, folder, inside = answer(windows, LISTS).replace("('WD',)", "everybody").split(" ")
    assert (before, folder, inside) == ("everybody", "()", "()")
