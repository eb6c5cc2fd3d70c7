"""A real collector in a process of its own, on loopback: started, asked, killed, started again."""

import base64
import json
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from nacl.signing import SigningKey

from forewarn_checks.base import signing
from forewarn_collector import control
from forewarn_collector.enrolment import proof_text
from forewarn_collector.samples.duck import DuckSampleStore

COMMAND = Path(sys.executable).parent / "forewarn-collector"
SPOOL = "0123456789abcdef"


def command(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a subcommand to its end."""
    return subprocess.run(
        [COMMAND, *words, "--dir", directory],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@dataclass
class Served:
    """An instance, and the process that serves it."""

    directory: Path
    process: subprocess.Popen[str] | None = None
    agents: str = ""
    operators: str = ""

    def start(self) -> None:
        """Start to serve, and return once it is ready."""
        with (self.directory.parent / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [COMMAND, "serve", "--dir", self.directory],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        ready = re.fullmatch(r"ready: agents (\S+), operators (\S+)\n", line)
        assert ready is not None, (line, self.log())
        self.agents, self.operators = ready[1], ready[2]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the process and return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(15)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code

    def log(self) -> str:
        """Return what it logged."""
        return (self.directory.parent / "serve.log").read_text()

    def client(self, url: str) -> httpx.Client:
        """Return a client that trusts this collector's authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.directory / "ca.pem")
        return httpx.Client(base_url=url, verify=context, trust_env=False, timeout=15)


@dataclass
class Agent:
    """A host that enrolled."""

    host: str
    collector: str
    key: SigningKey
    seq: int = field(default=0)

    def post(self, client: httpx.Client, *sequences: int) -> httpx.Response:
        """Send a batch of runs."""
        self.seq += 1
        runs = [
            {
                "sequence": sequence,
                "check": "memory",
                "started_at": "2026-11-21T07:59:59.000Z",
                "boot": "b",
                "boottime_seconds": 900.0 + sequence,
                "duration_seconds": 0.01,
                "outcome": "ok",
                "samples": [{"metric": "memory_used_ratio", "value": 0.5, "labels": {}}],
            }
            for sequence in sequences
        ]
        batch = {
            "schema": 1,
            "host": self.host,
            "spool": SPOOL,
            "lane": "live",
            "runs": runs,
            "sent_at": "2026-11-21T08:00:00.000Z",
            "sent_boot": "b",
            "sent_boottime_seconds": 1000.0,
        }
        body = json.dumps(batch).encode()
        headers = signing.sign(
            method="POST",
            path="/v1/batches",
            query="",
            body=body,
            content_encoding="identity",
            collector=self.collector,
            stream="batches",
            seq=self.seq,
            key_id=self.host,
            created=1_795_000_000,
            key=lambda message: self.key.sign(message).signature,
        )
        return client.post("/v1/batches", content=body, headers=headers)


def enrol(served: Served, client: httpx.Client) -> Agent:
    """Make a token, and a host with it."""
    made = command(
        served.directory, "token", "create", "--client", "acme", "--site", "hq", "--json"
    )
    string = json.loads(made.stdout)["enrolment"]
    token = re.search(r"fwe_[\w-]+", string)
    assert token is not None
    key = SigningKey.generate()
    public = base64.b64encode(bytes(key.verify_key)).decode()
    answer = client.post(
        "/v1/enrol",
        json={
            "token": token[0],
            "public_key": public,
            "proof": base64.b64encode(key.sign(proof_text(token[0], public)).signature).decode(),
            "hostname": "web-1",
            "system": "linux",
            "agent_version": "0.1.0",
        },
    )
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return Agent(told["host_id"], told["collector_id"], key)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    # A long folder: the address of a socket has 108 bytes, the folder need not care.
    directory = tmp_path_factory.mktemp("x" * 120) / "collector"
    made = command(
        directory,
        "init",
        *("--agents", "127.0.0.1:0", "--operators", "127.0.0.1:0"),
        *("--url", "https://collector.example:8440"),
    )
    assert made.returncode == 0, made.stderr
    served = Served(directory)
    served.start()
    yield served
    if served.process is not None:
        assert served.stop() == 0
    assert "Traceback" not in served.log()


def test_both_listeners_answer_under_the_authority_of_the_instance(served: Served) -> None:
    """Agents are served on one, people on the other, and neither on the other's."""
    with served.client(served.agents) as agents, served.client(served.operators) as operators:
        assert agents.get("/v1/ca.pem").text == (served.directory / "ca.pem").read_text()
        assert operators.get("/healthz").status_code == 200
        assert operators.get("/readyz").json()["ready"]
        assert agents.get("/healthz").status_code == 404
        assert operators.post("/v1/batches").status_code in (401, 404)
        for answer in (agents.get("/"), operators.get("/healthz")):
            assert "server" not in answer.headers


def test_a_host_that_another_process_revokes_is_refused(served: Served) -> None:
    """Asked over the control socket, it takes effect at once."""
    with served.client(served.agents) as client:
        agent = enrol(served, client)
        assert agent.post(client, 1).status_code == 200
        assert control.ask(served.directory, "revoke", host=agent.host) == {"revoked": True}
        assert agent.post(client, 2).status_code == 403


def test_the_control_socket_is_for_the_owner_and_answers_in_words(served: Served) -> None:
    """Whatever is asked."""
    assert (served.directory / control.SOCKET).stat().st_mode & 0o777 == 0o600
    assert control.ask(served.directory, "status")["hosts"] >= 0  # type: ignore[operator]
    with pytest.raises(control.ControlError, match=r"there are reload, revoke, s.* spread"):
        control.ask(served.directory, "explode")
    with pytest.raises(control.ControlError, match="no host"):
        control.ask(served.directory, "revoke", host="x")


def test_a_second_collector_on_the_same_folder_does_not_start(served: Served) -> None:
    """Two would judge and tell everything twice."""
    second = command(served.directory, "serve")
    assert second.returncode == 3
    assert "already running" in second.stderr


def test_wrong_settings_are_refused_whole_and_the_last_good_stay(served: Served) -> None:
    """The text names line and key; the collector goes on."""
    path = served.directory / "collector.toml"
    good = path.read_text()
    path.write_text(good + "\nsurprise = 1\n")
    with pytest.raises(control.ControlError, match="surprise"):
        control.ask(served.directory, "reload")
    assert command(served.directory, "rules", "check").returncode == 2
    path.write_text(good)
    assert control.ask(served.directory, "reload") == {"reloaded": True}


@pytest.mark.parametrize("how", ["SIGHUP", "a changed file"])
def test_new_settings_are_taken_over_without_a_restart(served: Served, how: str) -> None:
    """By signal at once, and by itself when a file changes."""
    name = how.partition(" ")[0].lower()
    path = served.directory / "collector.toml"
    (served.directory / "desk.secret").write_text("whsec_" + "QUFB" * 8)
    (served.directory / "desk.secret").chmod(0o600)
    path.write_text(
        path.read_text() + f'[[destinations]]\nname = "{name}"\nkind = "webhook"\n'
        'url = "https://desk.example/hook"\nsecret_file = "desk.secret"\n'
    )
    assert served.process is not None
    if how == "SIGHUP":
        served.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + 15
    while time.monotonic() < until:
        if name in str(control.ask(served.directory, "status")["destinations"]):
            return
        time.sleep(0.05)
    pytest.fail(f"still told: {control.ask(served.directory, 'status')}")


def test_what_was_acknowledged_outlives_a_kill_and_is_held_once(served: Served) -> None:
    """kill -9 in the middle, and the agent sends again what it is not sure of."""
    with served.client(served.agents) as client:
        agent = enrol(served, client)
        for first in range(1, 40, 2):
            assert agent.post(client, first, first + 1).json()["through"]["live"] == first + 1
    served.stop(signal.SIGKILL)
    served.start()
    with served.client(served.agents) as client:
        answer = agent.post(client, *range(1, 46))
        assert answer.json()["through"] == {"live": 45}
    assert served.stop() == 0
    store = DuckSampleStore(served.directory / "samples")
    held = [sequence for host in (1, 2, 3) for _, _, sequence in store.sequences(host)][-45:]
    store.close()
    assert held == list(range(1, 46))
    served.start()


def test_rules_are_tried_on_what_a_running_collector_holds(served: Served) -> None:
    """Hot and sealed, beside the process that owns the file; nothing of the replay is left."""
    with served.client(served.agents) as client:
        agent = enrol(served, client)
        assert agent.post(client, *range(1, 31)).status_code == 200
    for options in ((), ("--as-received",), ("--compare", "current")):
        tried = command(served.directory, "rules", "backtest", "--from", "1h", "--json", *options)
        assert tried.returncode == 0, tried.stderr
        told = json.loads(tried.stdout)
        assert told["summary"]["points"] >= 30
        assert told["rules"]["DiskWillFill"] == {"kind": "forecast", "episodes": []}
        assert "maintenance" in told["summary"]["not_simulated"]
    assert not any((served.directory / "replay").iterdir())
    assert control.ask(served.directory, "status")


def test_plain_http_never_leaves_the_machine(tmp_path: Path) -> None:
    """A proxy on this machine may speak it to us, and nobody else."""
    made = tmp_path / "collector"
    command(made, "init", "--agents", "0.0.0.0:0", "--operators", "127.0.0.1:0")
    with (made / "collector.toml").open("a") as settings:
        settings.write('[proxy]\naddresses = ["127.0.0.1"]\nplain_http = true\n')
    refused = command(made, "serve")
    assert refused.returncode == 1
    assert "would leave this machine" in refused.stderr


def test_stopping_is_quick_and_clean_with_connections_open(served: Served) -> None:
    """An agent that is asleep between two batches does not hold us up."""
    with served.client(served.agents) as client:
        client.get("/v1/ca.pem")
        assert served.stop(signal.SIGTERM) == 0
    assert not (served.directory / control.SOCKET).exists()
    with pytest.raises(control.NotRunning):
        control.ask(served.directory, "status")
    served.start()
    assert served.stop(signal.SIGINT) == 0
    served.start()


def test_secrets_and_tokens_are_in_no_log(served: Served) -> None:
    """Nor anything else that opens a door."""
    with served.client(served.agents) as client:
        enrol(served, client)
    log = served.log()
    assert "host enrolled" in log
    assert "fwe_" not in log
    for line in log.splitlines():
        json.loads(line)


def test_doctor_finds_a_running_collector_well(served: Served) -> None:
    """No trouble; the only warnings are that nobody is told, and perhaps an old SQLite."""
    found = command(served.directory, "doctor", "--json")
    assert found.returncode == 0, found.stdout
    marks = {one["subject"]: one["mark"] for one in json.loads(found.stdout)["findings"]}
    assert marks["serve"] == marks["state"] == marks["certificate"] == "ok"
