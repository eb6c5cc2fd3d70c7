"""A changed agent.toml is taken up whole, or the last good one stays."""

from datetime import timedelta
from pathlib import Path

import pytest

from forewarn_agent.config import ConfigError
from forewarn_agent.reload import Settings


def settings(directory: Path) -> Settings:
    """Settings of that folder alone, whatever lies in /etc."""
    path = directory / "agent.toml"
    return Settings(directory, find=lambda _: path if path.exists() else None)


def put(directory: Path, text: str) -> None:
    """Write anew, so that size or inode differ however coarse the clock."""
    new = directory / "new.toml"
    new.write_text(text)
    new.replace(directory / "agent.toml")


def test_a_changed_file_is_taken_up(tmp_path: Path) -> None:
    put(tmp_path, "")
    held = settings(tmp_path)
    assert not held.look()
    put(tmp_path, '[checks.disk]\nevery = "2s"')
    assert held.look()
    assert held.current.checks["disk"].every == timedelta(seconds=2)
    assert not held.look()


def test_a_file_that_appears_and_goes_again_is_noticed(tmp_path: Path) -> None:
    held = settings(tmp_path)
    put(tmp_path, "[checks.disk]\nenabled = false")
    assert held.look()
    (tmp_path / "agent.toml").unlink()
    assert held.look()
    assert held.path is None
    assert "disk" in held.current.enabled()


def test_a_mistake_leaves_the_last_good_in_force_and_says_so(tmp_path: Path) -> None:
    put(tmp_path, '[checks.disk]\nevery = "2s"')
    held = settings(tmp_path)
    put(tmp_path, '[checks.disk]\nevery = "2s"\nevry = "3s"')
    assert not held.look()
    assert held.current.checks["disk"].every == timedelta(seconds=2)
    assert "checks.disk.evry is not known; did you mean every?" in held.problem
    put(tmp_path, "")
    assert held.look()
    assert held.problem == ""


def test_asked_to_it_reads_again_without_a_change(tmp_path: Path) -> None:
    put(tmp_path, "")
    held = settings(tmp_path)
    assert not held.look(asked=True)
    assert held.problem == ""


def test_the_first_reading_must_be_good(tmp_path: Path) -> None:
    put(tmp_path, "[nonsense]")
    with pytest.raises(ConfigError):
        settings(tmp_path)
