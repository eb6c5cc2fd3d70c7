"""The agent as a service of Windows, packed, on Windows' own Python under Wine, line and all.

One prefix lives through the whole file, in order: what install.ps1 does step by step, an outage of
a real collector, an upgrade, the end.  Wine keeps no account apart from another, restarts no
service that was killed and knows no delayed start; those are for a real Windows to show.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
from tests.lab.windows import REPOSITORY, Windows, add_agent, add_random, new_windows

from forewarn_collector.trial import Trial

pytestmark = pytest.mark.lab


def _line() -> ModuleType:
    path = Path(__file__).with_name("line.py")
    spec = importlib.util.spec_from_file_location("lab_line_of_windows", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


line = _line()
FAST = """
[checks.disk]
every = "2s"
[checks.memory]
every = "2s"
"""
SLEEP = "import time; print('up', flush=True); time.sleep(3600)"
# Of Wine's own lacks: no time service, no event log, no update agent.
WINE_LACKS = {"clock", "events", "patches"}


@dataclass
class Host:
    """A Windows host, and the line it is on."""

    windows: Windows
    trial: Trial
    archive: Path
    release: str = ""
    took: dict[str, float] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.windows.prefix / "drive_c/ProgramData/forewarn"

    @property
    def agent(self) -> Path:
        return self.state / "agent"

    @property
    def program(self) -> Path:
        return self.windows.prefix / "drive_c/Program Files/forewarn"

    def unpack(self, name: str) -> str:
        """Unpack the build as a release of its own; return its program as Windows names it."""
        with zipfile.ZipFile(self.archive) as packed:
            packed.extractall(self.program / name)
        return rf"C:\Program Files\forewarn\{name}\forewarn-agent.exe"

    def do(self, *words: str, release: str = "", given: str = "") -> str:
        """Run the command of a release; return all it said."""
        done = subprocess.run(
            ["wine", release or self.release, *words],
            env=self.windows.environment() | {"PYTHONPATH": ""},
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            cwd=self.windows.prefix / "drive_c",
        )
        return done.stdout

    def timed(self, what: str, *words: str) -> str:
        began = time.monotonic()
        said = self.do(*words)
        self.took[what] = time.monotonic() - began
        return said

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.agent / "status.json").read_text("utf-8"))
        return told

    def until(self, what: str, seconds: float, met: Any) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if (self.agent / "status.json").exists() and met(self.status()):
                return
            time.sleep(0.5)
        log = (self.agent / "log/agent.log").read_text("utf-8")
        pytest.fail(f"{what}: not within {seconds} s; {self.status()}\n{log[-2000:]}")


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    """A Windows with the agent's Python; a program sleeps in it so that its services live on."""
    made = new_windows(tmp_path_factory.mktemp("windows"), ())
    add_random(made)
    add_agent(made)
    argv = ["wine", str(made.python / "python.exe"), "-c", SLEEP]
    sleeper = subprocess.Popen(
        argv, env=made.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    # Only now: what Wine starts behind the first program keeps that one's pipes for good.
    assert sleeper.stdout is not None
    assert sleeper.stdout.readline().strip() == b"up"
    yield made
    made.end()
    sleeper.wait(30)
    sleeper.stdout.close()


@pytest.fixture(scope="module")
def host(windows: Windows, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The packed agent and a collector of its own.

    FOREWARN_WINDOWS_BUILD names a build of this very checkout, else one is made.
    """
    began = time.monotonic()
    given = os.environ.get("FOREWARN_WINDOWS_BUILD")
    archive = Path(given) if given else packed(windows, tmp_path_factory.mktemp("out"))
    with line.running() as trial:
        made = Host(windows, trial, archive)
        made.took["packing and collector"] = time.monotonic() - began
        yield made
    print("\n" + json.dumps({what: round(took, 1) for what, took in made.took.items()}))


def packed(windows: Windows, out: Path) -> Path:
    """Return a build of the agent, as a release makes it."""
    packer = windows_path(REPOSITORY / "lock/standalone.py")
    said = subprocess.run(
        ["wine", str(windows.python / "python.exe"), packer, "--out", windows_path(out)],
        env=windows.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=900,
    )  # fmt: skip
    archives = list(out.glob("forewarn-agent-*-windows-x86_64.zip"))
    assert archives, said.stdout + said.stderr
    return archives[0]


def windows_path(path: Path) -> str:
    return "Z:" + str(path).replace("/", "\\")


def test_the_build_is_what_a_collector_offers(host: Host, tmp_path: Path) -> None:
    """By its name, with its hash and size."""
    folder = tmp_path / "packages"
    host.trial.call(
        "forewarn-collector", "packages", "add", str(host.archive), "--folder", str(folder)
    )
    digest = hashlib.sha256(host.archive.read_bytes()).hexdigest()
    listed = (folder / "windows-x86_64.txt").read_text("ascii")
    assert listed == f"{digest} {host.archive.stat().st_size} {host.archive.name}\n"
    print(f"\n{host.archive.name}: {host.archive.stat().st_size / 1e6:.1f} MB")


def settings(host: Host, service: str) -> list[object]:
    """Return how a service starts, what it runs and as whom."""
    ask = """
import json, sys, win32service as w
manager = w.OpenSCManager(None, None, w.SC_MANAGER_CONNECT)
found = w.QueryServiceConfig(w.OpenService(manager, sys.argv[1], w.SERVICE_QUERY_CONFIG))
print("ANSWER" + json.dumps([found[1], found[3], found[7]]))
"""
    output = host.windows.run("-c", ask, service)
    (told,) = [one for one in output.splitlines() if one.startswith("ANSWER")]
    found: list[object] = json.loads(told.removeprefix("ANSWER"))
    return found


def test_the_service_is_made_before_there_is_a_key(host: Host) -> None:
    """Under an account of its own, its path in quotes, its folder closed to others."""
    host.release = host.unpack("agent-one")
    said = host.timed("service install", "service", "install")
    assert r"service forewarn installed, as NT SERVICE\forewarn" in said
    agent, helper = settings(host, "forewarn"), settings(host, "forewarn-helper")
    ours = rf'"{host.release}" -I -X no_debug_ranges -m forewarn_agent.service_'
    assert agent == [2, rf"{ours}host C:\ProgramData\forewarn\agent", r"NT SERVICE\forewarn"]
    assert helper == [3, rf"{ours}helper C:\ProgramData\forewarn\helper", "LocalSystem"]
    for folder in (host.state, host.agent):
        assert folder.stat().st_mode & 0o007 == 0, folder
    assert host.do("service", "state").strip() == "stopped"


def test_without_an_identity_it_stops_and_says_why(host: Host) -> None:
    """And is not started again and again."""
    assert "is stopped, not running" in host.do("service", "start")
    assert "enrol this host first" in (host.agent / "log/agent.log").read_text("utf-8")


def test_it_is_enrolled_by_a_string_on_stdin(host: Host) -> None:
    """So that no list of processes shows it."""
    (host.agent / "agent.toml").write_text(FAST, "utf-8")
    made = host.trial.call(
        "forewarn-collector", "token", "create", "--client", "acme", "--site", "hq",
        "--dir", str(host.trial.instance),
    )  # fmt: skip
    assert "Enrolled" in host.do("enrol", "-", given=made.splitlines()[-1] + "\n")


def test_it_starts_samples_and_the_collector_holds_it(host: Host) -> None:
    """`start` comes back once it samples; every reader answers in the service's surroundings."""
    host.timed("service start", "service", "start")
    assert host.do("service", "state").strip() == "running"
    host.until("a receipt", 60, lambda told: told["received_at"])
    host.until("every check", 90, lambda told: len(told["checks"]) >= 12)
    for name, told in host.status()["checks"].items():
        if name in ("cpu", "disk", "memory", "uptime", "services", "posture"):
            assert told["outcome"] == "ok", (name, told)
        if name not in WINE_LACKS:
            assert told["outcome"] in ("ok", "nothing", "unsupported"), (name, told)
        # a child without a place for its last words would end without an answer
        assert "ended without an answer" not in told["error"], (name, told)


def test_its_command_tells_how_it_is(host: Host) -> None:
    """While it runs: the two read and write the same files."""
    told = json.loads(host.do("status", "--json"))
    assert told["enrolled"]
    assert told["agent"]["checks"]["disk"]["outcome"] == "ok"
    findings = json.loads(host.do("doctor", "--json"))["findings"]
    marks = {one["subject"]: one["mark"] for one in findings}
    for subject in ("rights", "settings", "disk", "identity", "collector", "clock", "agent"):
        assert marks[subject] == "ok", findings
    process = psutil.Process(_pid_of(host))
    print(f"\nresident {process.memory_info().rss / 1e6:.0f} MB under Wine, after start")


def _pid_of(host: Host) -> int:
    """Return the process of the service as Linux counts."""
    prefix = f"WINEPREFIX={host.windows.prefix}".encode()
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        except (psutil.Error, OSError):
            continue
        if "forewarn_agent.service_host" in words and prefix in environment:
            return process.pid
    pytest.fail("no process of the service")


def test_the_helper_is_started_when_it_is_asked(host: Host) -> None:
    """It knows three words, says what the policy is, and runs nothing."""
    ask = """
import json
from forewarn_agent import paths
from forewarn_agent.orders import helper_at
ask = helper_at(paths.helper_socket())
words = ({"do": "policy-status"}, {"do": "smart"}, {"do": "run", "order": "x" * 300_000}, {"do": 7})
print("ANSWER" + json.dumps([ask(word, 30) for word in words]))
"""
    output = host.windows.run("-c", ask)
    (told,) = [one for one in output.splitlines() if one.startswith("ANSWER")]
    policy, drives, run, unknown = json.loads(told.removeprefix("ANSWER"))
    assert policy["mode"] == "monitor-only"
    assert drives["end"] == "nothing"
    assert "install smartmontools" in drives["error"]
    assert "monitor-only" in run["error"]
    assert "ask for smart" in unknown["error"]


def test_an_outage_of_the_collector_loses_nothing(host: Host) -> None:
    """It spools while nobody answers, and all of it arrives, once."""
    line.end(host.trial, "forewarn-collector", by_force=True)
    host.until(
        "runs that wait",
        90,
        lambda told: told["send_problem"] and sum(told["waiting"].values()) > 20,
    )
    host.trial.start("forewarn-collector", "serve", "--dir", str(host.trial.instance))
    host.until("all to be sent", 120, lambda told: sum(told["waiting"].values()) < 5)
    assert sum(host.status()["dropped"].values()) == 0


def test_a_killed_service_goes_on_where_it_was(host: Host) -> None:
    """Killed at any moment: its next start, here by hand, takes over what was spooled."""
    process = psutil.Process(_pid_of(host))
    process.kill()
    process.wait(10)
    time.sleep(1)
    host.do("service", "stop")
    host.timed("start after a kill", "service", "start")
    host.until("a receipt", 60, lambda told: told["received_at"] and not told["send_problem"])


def test_another_release_takes_its_place(host: Host) -> None:
    """As install.ps1 upgrades: stop, change the service, start; then the older one goes."""
    newer = host.unpack("agent-two")
    host.do("service", "stop")
    assert "installed" in host.do("service", "install", release=newer)
    host.do("service", "start", release=newer)
    assert host.do("service", "state", release=newer).strip() == "running"
    assert str(settings(host, "forewarn")[1]).startswith(f'"{newer}" ')
    host.release = newer
    shutil.rmtree(host.program / "agent-one")
    host.until("a receipt of the newer", 60, lambda told: told["received_at"])


def test_it_stops_within_seconds(host: Host) -> None:
    """With its last words said, and an end in its log."""
    host.timed("service stop", "service", "stop")
    assert host.took["service stop"] < 15
    assert host.do("service", "state").strip() == "stopped"
    assert "told to stop" in (host.agent / "log/agent.log").read_text("utf-8").splitlines()[-1]


def test_nothing_was_lost_or_doubled(host: Host) -> None:
    """Over outage, kill and upgrade."""
    line.end(host.trial, "forewarn-collector", by_force=False)
    held = line.held(host.trial)
    assert len(held) > 40
    assert line.repeats(held) == []
    assert line.gaps(held) == []


def test_it_can_be_removed_and_leaves_nothing(host: Host) -> None:
    """The service by its command, the folders by whoever made them."""
    assert "service removed" in host.do("service", "uninstall")
    assert "nothing to do" in host.do("service", "uninstall")
    assert host.do("service", "state").strip() == "absent"
    assert "EMPTY" in host.windows.run(
        "-c",
        """
from forewarn_agent import service_control
print("EMPTY" if service_control.state("forewarn-helper") == "absent" else "LEFT")
""",
    )
    shutil.rmtree(host.state)
    shutil.rmtree(host.program)
    left = subprocess.run(
        ["grep", "-ril", "forewarn", str(host.windows.prefix / "drive_c/ProgramData")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert left.stdout == ""
