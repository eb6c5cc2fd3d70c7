"""What the operator's command makes of the library, without a collector."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from forewarn_scripts import library, shown, to_run
from forewarn_scripts.answers import Ticket
from forewarn_scripts.cli import app
from forewarn_scripts.library import LibraryScript, NoSuchScript
from forewarn_scripts.manifest import BadArgument
from forewarn_scripts.policy import parse as parse_policy
from forewarn_scripts.to_run import Wishes

PLAIN = Wishes(None, None, None, timedelta(hours=1), "a ticket", 1)
OPENED = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def told(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["scripts", *words])
    return done.exit_code, done.output


def test_a_name_of_the_library_means_the_library_whatever_lies_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file somebody put into the current folder is not signed in its place."""
    (tmp_path / "time-resync").write_text("echo evil")
    monkeypatch.chdir(tmp_path)
    assert isinstance(to_run.pick("time-resync"), LibraryScript)
    assert to_run.pick("./time-resync") == Path("time-resync")
    with pytest.raises(NoSuchScript, match="neither"):
        to_run.pick("no-such-thing")


def test_a_file_is_read_as_it_was_before_and_its_words_are_its_own(tmp_path: Path) -> None:
    file = tmp_path / "own.sh"
    file.write_text("echo hello")
    argv = to_run.arguments(file, ["-x", "$HOME"])
    wanted = to_run.wanted(file, argv, {"linux", "windows"}, PLAIN)
    assert (wanted.script, wanted.argv) == (b"echo hello", ("-x", "$HOME"))
    assert (wanted.interpreter, wanted.run_as) == ("/bin/sh", "root")
    assert wanted.timeout == timedelta(minutes=10)


def test_a_script_of_the_library_brings_body_time_and_account_along() -> None:
    picked = library.find("apply-updates")
    argv = to_run.arguments(picked, ["--yes"])
    wanted = to_run.wanted(picked, argv, ["linux", "linux"], PLAIN)
    assert wanted.script == picked.body("linux").script
    assert wanted.argv == ("--which=security", "--reboot=never", "--window=2200-0500", "--yes")
    assert wanted.timeout == timedelta(hours=1)
    shorter = Wishes(None, None, "9m", timedelta(hours=1), "a ticket", 1)
    assert to_run.wanted(picked, argv, ["linux"], shorter).timeout == timedelta(minutes=9)
    with pytest.raises(BadArgument):
        to_run.arguments(picked, ["--which=some"])


@pytest.mark.parametrize(
    ("systems", "interpreter", "said"),
    [
        (["linux", "windows"], None, "add os:linux or os:windows"),
        (["darwin"], None, "not for darwin"),
        (["windows"], None, "Windows hosts take none"),
        (["linux"], "/bin/bash", "leave --interpreter out"),
    ],
)
def test_what_cannot_be_met_is_told(systems: list[str], interpreter: str | None, said: str) -> None:
    """Two systems are two scripts, and an order has one."""
    wishes = Wishes(None, interpreter, None, timedelta(hours=1), "a ticket", 1)
    with pytest.raises(ValueError, match=said):
        to_run.wanted(library.find("time-resync"), (), systems, wishes)


def test_the_list_and_every_script_are_shown() -> None:
    code, said = told("library")
    assert code == 0
    whole = json.loads(told("library", "--json")[1])["scripts"]
    assert [one["name"] for one in whole] == list(library.all_scripts())
    for name in library.all_scripts():
        assert name in said
        assert told("library", name)[0] == 0
        assert json.loads(told("library", name, "--json")[1])["systems"]


def test_a_body_is_printed_as_it_would_be_signed() -> None:
    code, said = told("library", "restart-service", "--body", "linux")
    assert code == 0
    assert said.encode() == library.find("restart-service").body("linux").script
    assert told("library", "restart-service", "--body", "darwin")[0] == 3
    assert told("library", "no-such-thing")[0] == 3


def test_a_policy_entry_can_be_pasted() -> None:
    code, said = told("policy", "restart-service", "--", "--service=nginx")
    assert code == 0
    (entry,) = parse_policy('mode = "allowlist"\n' + said).allow
    assert entry.takes(("--service=nginx",))
    assert not entry.takes(("--service=sshd",))
    assert told("policy", "restart-service", "--", "--service=a b")[0] == 2
    assert told("policy", "no-such-thing")[0] == 3


def ticket(*rules: tuple[str, datetime | None]) -> str:
    """Return how a ticket of these rules, each with its end, is shown."""
    episodes: list[dict[str, object]] = [
        {
            "rule": rule,
            "component": "/",
            "severity": "high",
            "opened_at": OPENED,
            "closed_at": closed,
            "evidence": {},
        }
        for rule, closed in rules
    ]
    whole = Ticket.model_validate(
        {
            "number": 7,
            "title": "/ is almost full",
            "state": "new",
            "condition": "firing",
            "severity": "high",
            "priority": "P2",
            "assignee": None,
            "client": "acme",
            "site": "hq",
            "host": "web",
            "component": "/",
            "opened_at": OPENED,
            "resolved_at": None,
            "closed_at": None,
            "episodes": episodes,
        }
    )
    console = Console(width=200)
    with console.capture() as drawn:
        console.print(shown.ticket_whole(whole))
    return drawn.get()


def test_a_ticket_names_what_may_help_with_what_still_fires() -> None:
    said = ticket(("DiskAlmostFull", None), ("RebootPending", OPENED))
    assert "forewarn run clean-temporary-files" in said
    assert "reboot-with-warning" not in said
    assert "may help" not in ticket(("CertificateExpiring", None))
