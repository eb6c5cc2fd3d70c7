"""The helper as its own process behind its socket: who may ask, what is answered, when it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from nacl.signing import SigningKey
from tests.redteam.house import COLLECTOR, HOST, House
from typer.testing import CliRunner

from forewarn_agent import identity, lockdown
from forewarn_agent.cli import app
from forewarn_agent.helper.frames import RunRequest
from forewarn_agent.helper.framing import Json
from forewarn_agent.identity import Enrolment
from forewarn_agent.orders import NoHelper, helper_at
from forewarn_scripts.decide import Asked
from forewarn_scripts.envelope import Envelope, parse
from forewarn_scripts.order import Ended, Result, script_hash, write_moment
from forewarn_scripts.order import parse as read_document


@dataclass
class Helper:
    """A running helper and how to ask it."""

    house: House
    socket: Path
    process: subprocess.Popen[bytes]

    def ask(self, told: Json) -> Json:
        return helper_at(self.socket)(told, 30.0)

    def run(self, envelope: Envelope, script: bytes) -> Result:
        answer = self.ask(RunRequest(Asked(envelope.to_bytes(), script)).to_json())
        return read_document(Result, parse(str(answer["result"]).encode()).payload)


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[Helper]:
    house = House(tmp_path)
    # The process reads the real clock, whatever year it shows.
    house.keyring_file.write_bytes(house.keyring(expires="2099-01-01T00:00:00Z").to_bytes())
    enrolment = Enrolment("0193bbbb-0000-7000-8000-000000000001", COLLECTOR, "acme", "hq", "x", "x")
    (tmp_path / "agent").mkdir()
    identity.save(tmp_path / "agent", enrolment, SigningKey(bytes(HOST)))
    yield started(house)


def started(house: House) -> Helper:
    place = house.place
    path = place / "h.sock"
    argv = [
        *(sys.executable, "-m", "forewarn_agent.helper", "--listen", str(path), "--idle", "1"),
        *("--dir", str(place / "helper"), "--agent-dir", str(place / "agent")),
        *("--policy", str(house.policy_file)),
    ]
    process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    for _ in range(500):
        if path.exists():
            break
        time.sleep(0.02)
    return Helper(house, path, process)


def today(house: House, script: bytes, **changes: object) -> Envelope:
    """Return an order that is valid by the real clock, which the process reads."""
    now = datetime.now(UTC)
    return house.order(
        script_sha256=script_hash(script),
        not_before=write_moment(now - timedelta(minutes=1)),
        not_after=write_moment(now + timedelta(hours=1)),
        **changes,
    )


@pytest.fixture(autouse=True)
def _ended(helper: Helper) -> Iterator[None]:
    yield
    helper.process.terminate()
    helper.process.wait(10)


def test_it_tells_its_policy_runs_an_order_and_ends_when_idle(helper: Helper) -> None:
    assert helper.ask({"do": "policy-status"})["mode"] == "signed"
    script = b"echo hello; exit 3"
    result = helper.run(today(helper.house, script), script)
    assert (result.ended, result.exit_code, result.output) == (Ended.DONE, 3, "hello\n")
    assert helper.process.wait(10) == 0


@pytest.mark.parametrize(
    "told",
    [
        {"do": "shell", "command": "id"},
        {"do": "smart", "options": {"devices": ["/etc/shadow"]}},
        {"do": "run"},
        {"do": "run", "order": "!", "script": "", "occurrence": "", "keyrings": []},
        {},
    ],
)
def test_it_knows_three_things_and_nothing_else(helper: Helper, told: Json) -> None:
    assert set(helper.ask(told)) == {"error"}
    assert helper.ask({"do": "policy-status"})["mode"] == "signed"


def test_a_frame_that_is_too_long_is_not_read(helper: Helper) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(helper.socket))
        connection.sendall(struct.pack("!I", 2**32 - 1))
        assert b"bytes are announced" in connection.recv(1000)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_account_is_hung_up_on(helper: Helper) -> None:
    helper.socket.chmod(0o666)
    for folder in (helper.house.place, *list(helper.house.place.parents)[:-2]):
        folder.chmod(0o755)
    code = (
        f"import socket; c = socket.socket(socket.AF_UNIX); c.connect({str(helper.socket)!r});"
        "print(len(c.recv(10)))"
    )
    told = subprocess.run(
        ["/usr/bin/python3", "-c", code], user=65534, group=65534, capture_output=True, text=True
    )
    assert told.stdout == "0\n", told.stderr


def test_a_lockdown_ends_what_runs_and_refuses_what_comes(helper: Helper) -> None:
    script = b"echo began; sleep 60"
    found: list[Result] = []
    running = threading.Thread(
        target=lambda: found.append(helper.run(today(helper.house, script), script))
    )
    running.start()
    journal = helper.house.place / "helper" / "journal"
    while b'"started"' not in (journal.read_bytes() if journal.exists() else b""):
        time.sleep(0.02)
    folder = str(helper.house.place / "helper")
    done = CliRunner().invoke(app, ["lockdown", "--helper-dir", folder, "--reason", "drill"])
    assert done.exit_code == 0, done.output
    running.join(10)
    assert found[0].ended is Ended.TIMED_OUT
    refused = helper.run(today(helper.house, script), script)
    assert refused.reason == "locked-down: drill"
    assert CliRunner().invoke(app, ["lockdown", "--helper-dir", folder, "--lift"]).exit_code == 0
    assert not (helper.house.place / "helper" / lockdown.NAME).exists()


def test_one_that_was_killed_in_the_middle_tells_unknown_and_starts_nothing_again(
    helper: Helper,
) -> None:
    script = f"echo x >> {helper.house.marker}; sleep 5".encode()
    order = today(helper.house, script)

    def ask() -> None:
        with pytest.raises(NoHelper):
            helper.run(order, script)

    asking = threading.Thread(target=ask)
    asking.start()
    while helper.house.runs() == 0:
        time.sleep(0.02)
    helper.process.send_signal(signal.SIGKILL)
    helper.process.wait(10)
    asking.join(10)
    helper.socket.unlink()
    again = started(helper.house)
    try:
        assert again.run(order, script).ended is Ended.UNKNOWN
        assert helper.house.runs() == 1
    finally:
        again.process.terminate()
        again.process.wait(10)


def test_the_journal_tells_all_of_it(helper: Helper) -> None:
    script = b"true"
    helper.run(today(helper.house, script), script)
    helper.run(today(helper.house, script), b"false")
    lines = (helper.house.place / "helper" / "journal").read_text().splitlines()
    events = [json.loads(line.partition(" ")[2])["event"] for line in lines]
    assert events == ["started", "ended", "refused"]
