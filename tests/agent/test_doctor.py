"""The agent's doctor names the cause and the mend."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
from nacl.signing import SigningKey

from forewarn_agent import identity, status
from forewarn_agent.doctor import Finding, Mark, Outside, examine
from forewarn_agent.identity import Enrolment
from forewarn_agent.status import CheckStatus, Status

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
AT = "2026-11-21T07:59:00.000Z"
WELL = Status(
    version="0.1.0",
    pid=4242,
    started_at=AT,
    written_at=AT,
    host_id="01234567-89ab-7def-8123-456789abcdef",
    collector="http://127.0.0.1:8440",
    config_file="",
    config_problem="",
    tried_at=AT,
    received_at=AT,
    send_problem="",
    waiting={"live": 1},
    dropped={"live": 0},
    checks={"disk": CheckStatus(at=AT, outcome="ok", error="", duration_seconds=0.1)},
)
Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The folder of an enrolled agent that runs well."""
    made = tmp_path / "agent"
    made.mkdir(0o700)
    who = Enrolment(
        host_id=WELL.host_id,
        collector_id="c",
        client="acme",
        site="hq",
        url="http://127.0.0.1:8440",
        ca_pem="",
    )
    identity.save(made, who, SigningKey.generate())
    status.write(made, WELL)
    return made


def answering(request: httpx.Request) -> httpx.Response:
    """A collector whose clock agrees."""
    return httpx.Response(200, headers={"date": format_datetime(NOW, usegmt=True)})


def silent(request: httpx.Request) -> httpx.Response:
    """Nobody is there."""
    raise httpx.ConnectError("connection refused")


def look(
    directory: Path,
    *,
    answer: Answer = answering,
    now: datetime = NOW,
    runs: bool = True,
    free: int = 2**34,
) -> dict[str, Finding]:
    """Return what the doctor finds, by subject."""
    outside = Outside(
        now=lambda: now,
        client=lambda _: httpx.Client(transport=httpx.MockTransport(answer)),
        is_running=lambda _: runs,
        free_bytes=lambda _: free,
        program=directory,
    )
    return {found.subject: found for found in examine(directory, outside)}


def test_a_healthy_agent_is_well_in_everything(directory: Path) -> None:
    """Not one warning."""
    found = look(directory)
    assert {f.mark for f in found.values()} == {Mark.WELL}, found
    assert {"rights", "program", "settings", "disk", "identity", "collector"} <= set(found)


def test_no_identity_ends_the_look_with_what_to_do(tmp_path: Path) -> None:
    """Everything after it needs one."""
    tmp_path.chmod(0o700)
    found = look(tmp_path)
    assert found["identity"].mark is Mark.TROUBLE
    assert "enrol" in found["identity"].text
    assert "collector" not in found


@pytest.mark.parametrize(
    ("subject", "words", "change"),
    [
        ("collector", "firewall", {"answer": silent}),
        ("clock", "NTP", {"now": NOW + timedelta(hours=1)}),
        ("agent", "systemctl start", {"runs": False}),
        ("disk", "make room", {"free": 1000}),
        ("sending", "restart", {"now": NOW + timedelta(hours=1)}),
    ],
)
def test_a_cause_is_named_with_its_mend(
    directory: Path, subject: str, words: str, change: dict[str, object]
) -> None:
    """One cause at a time."""
    found = look(directory, **change)  # type: ignore[arg-type]
    assert found[subject].mark is not Mark.WELL
    assert words in found[subject].text


def test_files_open_to_others_are_trouble(directory: Path) -> None:
    """The key is among them."""
    (directory / "identity.json").chmod(0o644)
    assert "chmod" in look(directory)["rights"].text


def test_a_program_that_others_may_change_is_trouble(directory: Path) -> None:
    """Whoever may change it is the agent."""
    directory.chmod(0o777)
    assert look(directory)["program"].mark is Mark.TROUBLE


def test_a_check_that_cannot_read_and_dropped_runs_are_warnings(directory: Path) -> None:
    """The agent works; something it watches does not."""
    failed = CheckStatus(at=AT, outcome="failed", error="no right", duration_seconds=0.1)
    told = asdict(replace(WELL, dropped={"live": 3}, checks={"smart": failed}))
    (directory / status.NAME).write_text(json.dumps(told))
    found = look(directory)
    assert (found["check smart"].mark, found["spool"].mark) == (Mark.WARNING, Mark.WARNING)
