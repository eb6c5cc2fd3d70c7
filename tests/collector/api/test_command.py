"""The operator's command against a real listener with the collector's own certificate."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from typer.testing import CliRunner, Result

from forewarn_collector import certificates, clock
from forewarn_collector.api.principal import Role
from forewarn_scripts.cli import app
from forewarn_scripts.client import fingerprint

PASSWORD = "correct horse battery staple"


class Shell:
    """Runs `forewarn` as one person, with a file of its own for the key."""

    def __init__(self, url: str, ca: Path, path: Path) -> None:
        self.url, self.ca, self.path = url, ca, path

    def run(self, *words: str, input: str | None = None) -> Result:  # noqa: A002
        environment = {"FOREWARN_CREDENTIALS": str(self.path), "TERM": "dumb"}
        return CliRunner().invoke(app, list(words), input=input, env=environment)

    def json(self, *words: str) -> Any:
        result = self.run(*words, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def login(self, *words: str, typed: str = f"{PASSWORD}\n") -> Result:
        given = ("--name", "ann", "--password-stdin", *words)
        return self.run("login", self.url, *given, input=typed)


@pytest.fixture
def shell(world: Any, tmp_path: Path) -> Iterator[Shell]:
    files = certificates.Files(tmp_path)
    certificates.make_authority(files, "forewarn.test", clock.now())
    certificates.make_leaf(files, ("127.0.0.1", "localhost"), clock.now())
    world.at = clock.now()  # the command compares with the real clock
    config = uvicorn.Config(
        world.app,
        port=0,
        lifespan="off",
        log_config=None,
        ssl_certfile=str(files.leaf),
        ssl_keyfile=str(files.leaf_key),
    )
    config.load()
    server = uvicorn.Server(config)
    listening = config.bind_socket()
    port = listening.getsockname()[1]
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    world.person("ann", Role.TECHNICIAN, "acorp")
    yield Shell(f"https://127.0.0.1:{port}", files.ca, tmp_path / "credentials.json")
    server.should_exit = True
    thread.join(10)
    listening.close()


def test_a_person_logs_in_looks_and_works(world: Any, shell: Shell) -> None:
    assert shell.login("--ca", str(shell.ca)).exit_code == 0
    assert "fwk_" in shell.path.read_text()

    listed = shell.run("hosts", "client:acorp", "health:firing")
    assert "web1" in listed.stdout
    assert "web2" not in listed.stdout
    assert [host["name"] for host in shell.json("hosts")["hosts"]] == ["web1"]
    assert shell.json("host", "show", "web1")["id"] == world.host_ids["acorp"]
    assert "DiskAlmostFull" in shell.run("host", "show", world.host_ids["acorp"]).stdout

    assert "/srv of acorp" in shell.run("tickets").stdout
    assert shell.json("ticket", "ack", "1")["assignee"] == "ann"
    assert shell.json("ticket", "assign", "1", "zoe")["assignee"] == "zoe"
    noted = shell.run("ticket", "note", "1", "-", input="two\nlines\n")
    assert "two" in noted.stdout
    assert shell.json("ticket", "resolve", "1", "made room")["state"] == "resolved"
    assert shell.run("ticket", "resolve", "1", "again").exit_code == 5


def test_exit_codes_say_what_kind_of_trouble_it_is(world: Any, shell: Shell) -> None:
    assert shell.run("hosts").exit_code == 4
    assert shell.login("--ca", str(shell.ca), typed="guess\n").exit_code == 4
    shell.login("--ca", str(shell.ca))
    assert shell.run("ticket", "show", "2").exit_code == 3
    assert shell.run("host", "show", "web2").exit_code == 3
    assert shell.run("host", "set", "web1", "--tag", "db").exit_code == 4
    bad = shell.run("hosts", "colour:red")
    assert bad.exit_code == 2
    assert "the keys are client, site" in bad.stderr
    assert shell.run("login", "http://c.test").exit_code == 2
    assert shell.run("ticket", "show", "x").exit_code == 2


def test_an_unknown_authority_is_shown_and_taken_only_when_a_person_agrees(shell: Shell) -> None:
    shown = fingerprint(shell.ca.read_text())
    refused = shell.login(typed="n\n")
    assert refused.exit_code == 4
    assert shown in refused.stderr
    assert not shell.path.exists()
    assert shell.login(typed=f"y\n{PASSWORD}\n").exit_code == 0
    assert shell.run("hosts").exit_code == 0


def test_a_fingerprint_got_another_way_must_be_that_of_the_authority(shell: Shell) -> None:
    wrong = shell.login("--fingerprint", "00" * 32)
    assert wrong.exit_code == 4
    assert "not the one given" in wrong.stderr
    right = fingerprint(shell.ca.read_text())
    assert shell.login("--fingerprint", right.upper()).exit_code == 0


def test_only_the_authority_of_the_login_is_believed_later(shell: Shell, tmp_path: Path) -> None:
    shell.login("--ca", str(shell.ca))
    kept = json.loads(shell.path.read_text())
    (tmp_path / "other").mkdir()
    other = certificates.Files(tmp_path / "other")
    certificates.make_authority(other, "other.test", clock.now())
    kept["ca"] = other.ca.read_text()
    shell.path.write_text(json.dumps(kept))
    result = shell.run("hosts")
    assert result.exit_code == 1
    assert "does not vouch for" in result.stderr


def test_assets_are_set_one_by_one_and_from_a_table(
    world: Any, shell: Shell, tmp_path: Path
) -> None:
    world.person("olga", Role.OPERATOR)
    shell.login("--ca", str(shell.ca), "--name", "olga")
    asset = shell.json("host", "set", "web1", "owner=zoe", "cost=99 EUR")["asset"]
    assert asset == {"owner": "zoe", "cost": "99.00 EUR"}
    assert shell.run("host", "set", "web1", "owner").exit_code == 2
    assert "is no field" in shell.run("host", "set", "web1", "colour=red").stderr
    table = tmp_path / "hosts.csv"
    table.write_text("host,warranty until,owner\nweb1,2029-11-20,\nweb9,2029-11-20,\nweb2,soon,\n")
    tried = shell.run("host", "import", str(table), "--dry-run")
    assert tried.exit_code == 6
    assert "line 3: there is no host 'web9'" in tried.stderr
    assert "line 4: warranty_until: 'soon' is no day" in tried.stderr
    assert "warranty_until" not in shell.json("host", "show", "web1")["asset"]
    assert "Change 1 fields of 1 hosts?" in shell.run("host", "import", str(table)).stderr
    shell.run("host", "import", str(table), "--yes")
    assert shell.json("host", "show", "web1")["asset"]["warranty_until"] == "2029-11-20"
    history = shell.run("host", "show", "web1", "--history").stdout
    assert "warranty_until" in history
    assert "olga" in history


def test_what_was_done_is_told_as_text_for_programs_and_as_files(
    shell: Shell, tmp_path: Path
) -> None:
    shell.login("--ca", str(shell.ca))
    assert "days bought" in shell.run("report", "--client", "acorp").stdout
    assert shell.json("report", "--client", "acorp")["hosts"] == 1
    page = tmp_path / "report.html"
    assert shell.run("report", "--html", str(page)).exit_code == 0
    assert "<style>" in page.read_text()
    assert shell.run("report", "--client", "globex").exit_code == 3
    assert shell.run("report", "--from", "yesterday").exit_code == 2
    shell.run("ticket", "labour", "1", "30", "on site")
    shell.run("ticket", "part", "1", "Fan", "--cost", "9.90 EUR", "--quantity", "2")
    shell.run("ticket", "cause", "1", "dust")
    shell.run("ticket", "cancel", "1", "a test")
    says = json.loads(shell.run("ticket", "report", "1").stdout)
    assert (says["labour_minutes"], says["parts_cost"]) == (30, ["19.80 EUR"])
    assert says["root_cause"] == "dust"
    assert shell.run("ticket", "report", "1", "--version", "9").exit_code == 3
