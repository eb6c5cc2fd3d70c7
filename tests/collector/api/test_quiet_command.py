"""`forewarn maintenance` and `forewarn silence`, over real TLS."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update
from tests.collector.api.test_command import Shell, shell

from forewarn_collector.state.tables import users

__all__ = ["shell"]


@pytest.fixture
def ready(world: Any, shell: Shell) -> Shell:
    """Somebody of acorp who may plan."""
    with world.database.write() as connection:
        connection.execute(update(users).where(users.c.name == "ann").values(role="operator"))
    assert shell.login("--ca", str(shell.ca)).exit_code == 0
    return shell


def test_a_window_is_made_listed_ended_and_shown(world: Any, ready: Shell) -> None:
    words = ("maintenance", "add", "host:web1", "--for", "2h", "--reason", "new memory")
    window = ready.json(*words)["window"]
    assert (window["state"], window["select"]) == ("running", "host:web1")
    assert "new memory" in ready.run("maintenance", "list").stdout
    world.wait(minutes=5)
    assert "settling" in ready.run("maintenance", "end", window["id"]).stdout
    assert ready.run("maintenance", "end", window["id"]).exit_code == 5
    assert "ended by ann" in ready.run("maintenance", "show", window["id"]).stdout


def test_a_repeating_window_is_taken_back(ready: Shell) -> None:
    window = ready.json(
        *("maintenance", "add", "--all", "--repeat", "monthly 2nd tue+4", "--at", "02:00"),
        *("--for", "3h", "--zone", "Europe/Berlin", "--reason", "patch night"),
    )["window"]
    assert window["starts"] == "2026-12-12T01:00:00Z"
    assert ready.run("maintenance", "delete", window["id"]).exit_code == 0
    assert "deleted" in ready.run("maintenance", "list").stdout


def test_a_moment_without_an_offset_is_of_the_zone_that_is_named(ready: Shell) -> None:
    words = ("--from", "2026-12-05 22:00", "--to", "2026-12-06 02:00", "--zone", "America/New_York")
    made = ready.json("maintenance", "add", "host:web1", *words, "--reason", "x")["window"]
    assert (made["starts"], made["ends"]) == ("2026-12-06T03:00:00Z", "2026-12-06T07:00:00Z")


def test_a_silence_is_made_listed_and_ended(ready: Shell) -> None:
    words = ("--rule", "DiskAlmostFull", "--component", "filesystem:/srv", "--for", "7d")
    made = ready.json("silence", "add", "host:web1", *words, "--reason", "archive")
    assert "DiskAlmostFull" in ready.run("silence", "list").stdout
    assert ready.run("silence", "end", made["id"]).exit_code == 0
    assert ready.run("silence", "end", made["id"]).exit_code == 5


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("maintenance", "add", "--for", "2h", "--reason", "x"), "say which hosts"),
        (("maintenance", "add", "host:a", "--all", "--for", "2h", "--reason", "x"), "not both"),
        (("maintenance", "add", "--all", "--reason", "x"), "either `ends` or `lasts`"),
        (("maintenance", "add", "--all", "--from", "soon", "--reason", "x"), "--from"),
        (
            (
                "maintenance",
                "add",
                "--all",
                "--from",
                "2026-12-05",
                "--zone",
                "No/Where",
                "--reason",
                "x",
            ),
            "--from",
        ),
        (("silence", "add", "--all", "--reason", "x"), "either `expires` or `lasts`"),
        (("silence", "add", "--all", "--for", "1y", "--reason", "x"), "is no duration"),
        (("silence", "add", "colour:red", "--for", "1d", "--reason", "x"), "the keys are"),
    ],
)
def test_wrong_use_is_exit_code_2_with_what_would_do(
    ready: Shell, words: tuple[str, ...], told: str
) -> None:
    ended = ready.run(*words)
    assert ended.exit_code == 2
    assert told in ended.stderr
