"""The resident process: what it holds, how it starts, ships and stops.  Real, on loopback."""

import gzip
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any, ClassVar

import pytest
from nacl.signing import SigningKey, VerifyKey

from forewarn_agent import identity
from forewarn_agent.exits import NOT_ENROLLED, NOT_WELL, WRONG_USE
from forewarn_checks.base import signing
from forewarn_checks.base.catalog import all_checks

HOST = "0192f0c4-7a3e-7c11-8a6b-000000000000"  # one whose first run comes at once
NOT_RESIDENT = (
    "pydantic",
    "pydantic_core",
    "typer",
    "click",
    "rich",
    "pygments",
    "cryptography",
    "asyncio",
)
ONLY_DISK = """
[sending]
settle = "0s"
every = "0s"
""" + "\n".join(f"[checks.{name}]\nenabled = false" for name in all_checks() if name != "disk")


def test_what_is_only_for_people_and_commands_is_never_loaded() -> None:
    """Every megabyte of the resident process is multiplied by the fleet."""
    script = """
import sys
import forewarn_agent.main
from forewarn_checks.base.catalog import all_checks
all_checks()
print(*{name.partition(".")[0] for name, module in sys.modules.items() if module is not None})
"""
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert not set(said.stdout.split()) & set(NOT_RESIDENT)


class Collector:
    """Verifies and takes every batch, and hands each to the test."""

    def __init__(self, key: VerifyKey) -> None:
        batches: Queue[dict[str, Any]] = Queue()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            taken: ClassVar = batches

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                signed = signing.parse("POST", self.path, "", headers)
                key.verify(signed.base, signed.signature)
                assert signed.digest == signing.content_digest(body)
                batch = json.loads(gzip.decompress(body))
                self.taken.put(batch)
                through = {batch["lane"]: batch["runs"][-1]["sequence"]}
                answer = json.dumps({"through": through}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self.batches = batches
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


KEY = SigningKey(b"k" * 32)


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector(KEY.verify_key)
    yield collector
    collector.close()


def enrolled(directory: Path, url: str) -> None:
    """Make `directory` that of an enrolled host; over http its CA is never looked at."""
    told = identity.Enrolment(HOST, "collector", "acme", "hq", url, "")
    identity.save(directory, told, KEY)


def start(directory: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "forewarn_agent.main", str(directory)],
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(agent: "subprocess.Popen[str]", within: float = 15) -> tuple[int, str]:
    _, said = agent.communicate(timeout=within)
    return agent.returncode, said


def test_readings_arrive_signed_and_a_stopped_agent_ends_well(
    tmp_path: Path, collector: Collector
) -> None:
    enrolled(tmp_path, collector.url)
    (tmp_path / "agent.toml").write_text(ONLY_DISK)
    agent = start(tmp_path)
    try:
        batch = collector.batches.get(timeout=15)
    finally:
        agent.send_signal(signal.SIGTERM)
        code, said = ended(agent, within=6)
    assert (batch["host"], batch["lane"]) == (HOST, "live")
    run = batch["runs"][0]
    assert (run["sequence"], run["check"], run["outcome"]) == (1, "disk", "ok")
    assert run["facts"]
    assert code == 0, said
    kept = json.loads((tmp_path / "status.json").read_text())
    assert (kept["waiting"]["live"], kept["send_problem"]) == (0, "")
    assert kept["checks"]["disk"]["outcome"] == "ok"


def test_what_a_killed_agent_left_in_its_spool_arrives_after_its_next_start(
    tmp_path: Path, collector: Collector
) -> None:
    enrolled(tmp_path, "http://127.0.0.1:9")  # nobody listens there
    (tmp_path / "agent.toml").write_text(ONLY_DISK)
    agent = start(tmp_path)
    assert agent.stderr is not None
    for line in agent.stderr:
        if "batch not taken" in line:
            break
    agent.kill()
    ended(agent)
    enrolled(tmp_path, collector.url)
    agent = start(tmp_path)
    try:
        batch = collector.batches.get(timeout=15)
    finally:
        agent.kill()
        ended(agent)
    assert batch["runs"][0]["sequence"] == 1


def test_without_an_identity_it_says_how_to_get_one(tmp_path: Path) -> None:
    code, said = ended(start(tmp_path))
    assert code == NOT_ENROLLED
    assert "forewarn-agent enrol STRING" in said


def test_a_wrong_agent_toml_stops_it_before_it_starts(tmp_path: Path) -> None:
    enrolled(tmp_path, "http://127.0.0.1:9")
    (tmp_path / "agent.toml").write_text("[chekcs]")
    code, said = ended(start(tmp_path))
    assert code == WRONG_USE
    assert "chekcs is not known; did you mean checks?" in said


def test_a_second_agent_on_the_same_folder_is_refused(tmp_path: Path, collector: Collector) -> None:
    enrolled(tmp_path, collector.url)
    (tmp_path / "agent.toml").write_text(ONLY_DISK)
    first = start(tmp_path)
    try:
        collector.batches.get(timeout=15)
        code, said = ended(start(tmp_path))
    finally:
        first.kill()
        ended(first)
    assert code == NOT_WELL
    assert "already running" in said


def test_run_becomes_the_resident_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "forewarn_agent.cli", "run", "--dir", str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert said.returncode == NOT_ENROLLED
    assert "forewarn-agent enrol STRING" in said.stderr
