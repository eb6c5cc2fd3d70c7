"""What the agent says of itself, and what is made of it."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from forewarn_agent import status
from forewarn_agent.status import CheckStatus, Status

AT = "2026-11-21T08:00:00.000Z"
WELL = Status(
    version="0.1.0",
    pid=4242,
    started_at=AT,
    written_at=AT,
    host_id="host",
    collector="https://collector:8440",
    config_file="",
    config_problem="",
    tried_at=AT,
    received_at=AT,
    send_problem="",
    waiting={"live": 3},
    checks={"disk": CheckStatus(at=AT, outcome="ok", error="", duration_seconds=0.1)},
)
FAILED = CheckStatus(at=AT, outcome="failed", error="no right", duration_seconds=0.1)


def no_space(*_: object, **__: object) -> None:
    """Stand for any writing on a full disk."""
    raise OSError(errno.ENOSPC, "No space left on device")


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    status.write(tmp_path, WELL)
    assert status.read(tmp_path) == WELL
    assert (tmp_path / status.NAME).stat().st_mode & 0o777 == 0o600


def test_a_full_disk_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other file can be made, so the news goes over the old file, longer or shorter."""
    status.write(tmp_path, WELL)
    monkeypatch.setattr(status, "write_private", no_space)
    for told in (replace(WELL, pid=4711, spool_problem="No space left on device"), WELL):
        status.write(tmp_path, told)
        assert status.read(tmp_path) == told
    assert [path.name for path in tmp_path.iterdir()] == [status.NAME]


def test_where_nothing_can_be_written_the_older_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that outgrew its blocks would be cut, so it is not written at all."""
    status.write(tmp_path, WELL)
    monkeypatch.setattr(status, "write_private", no_space)
    status.write(tmp_path, replace(WELL, send_problem="x" * 5000))
    assert status.read(tmp_path) == WELL


def test_an_agent_that_never_ran_said_nothing(tmp_path: Path) -> None:
    assert status.read(tmp_path) is None


def test_a_file_of_another_version_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / status.NAME).write_text('{"checks": {}}')
    with pytest.raises(ValueError, match="another version"):
        status.read(tmp_path)


@pytest.mark.parametrize(
    ("told", "runs", "health"),
    [
        (WELL, True, "ok"),
        (None, True, "has not run yet"),
        (WELL, False, "is not running"),
        (replace(WELL, send_problem="refused"), True, "does not reach the collector"),
        (replace(WELL, checks={"smart": FAILED}), True, "cannot read smart"),
        (replace(WELL, spool_problem="disk full"), True, "keeps runs in memory only"),
        (replace(WELL, config_problem="a.toml: x"), True, "the newest settings cannot be used"),
    ],
)
def test_the_first_thing_that_is_not_well_is_named(
    told: Status | None, runs: bool, health: str
) -> None:
    assert status.judge(told, lambda pid: runs).startswith(health)
