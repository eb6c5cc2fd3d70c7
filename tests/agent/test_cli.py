"""What `forewarn-agent` prints and with which code it ends."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from forewarn_agent.cli import app
from forewarn_agent.exits import NOT_ENROLLED, REFUSED, WRONG_USE
from forewarn_agent.shown import amount
from forewarn_checks.base import Unit
from forewarn_checks.base.catalog import all_checks

run = CliRunner().invoke


def test_once_json_is_the_public_document(tmp_path: Path) -> None:
    said = run(app, ["once", "--check", "memory", "--json", "--dir", str(tmp_path)])
    assert said.exit_code == 0
    document = json.loads(said.stdout)
    assert set(document) == {"host", "runs"}
    reading = document["runs"][0]
    assert list(reading) == ["check", "outcome", "error", "duration_seconds", "samples", "facts"]
    assert (reading["check"], reading["outcome"]) == ("memory", "ok")
    assert set(reading["samples"][0]) == {"metric", "labels", "value"}
    assert reading["facts"]["memory_bytes"] > 0


def test_once_tells_what_each_check_costs_when_asked(tmp_path: Path) -> None:
    """With the programs and children it started: reading patches is a process of its own."""
    asked = ["once", "--cost", "--check", "memory", "--check", "patches", "--dir", str(tmp_path)]
    said = run(app, [*asked, "--json"])
    costs = {one["check"]: one["cpu_seconds"] for one in json.loads(said.stdout)["runs"]}
    assert 0 <= costs["memory"] < costs["patches"] < 60
    assert "s of processor" in run(app, asked[:4] + asked[-2:]).stdout


def test_once_is_readable_without_colours(tmp_path: Path) -> None:
    said = run(app, ["once", "--check", "memory", "--dir", str(tmp_path)])
    assert said.exit_code == 0
    assert "memory  ok" in said.stdout
    assert "memory_available_bytes" in said.stdout
    assert "\x1b" not in said.stdout


def test_once_needs_no_right_to_look_into_the_agents_folder(tmp_path: Path) -> None:
    said = run(app, ["once", "--check", "memory", "--json", "--dir", str(tmp_path / "not there")])
    assert said.exit_code == 0


def test_an_unknown_check_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    said = run(app, ["once", "--check", "dsk", "--dir", str(tmp_path)])
    assert said.exit_code == WRONG_USE
    assert ", ".join(all_checks()) in said.stderr.replace("\n", " ")


def test_config_check_names_every_mistake_and_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text("[checks.dsk]\n[sendin]\n")
    said = run(app, ["config", "check", "--dir", str(tmp_path)])
    assert said.exit_code == WRONG_USE
    assert "did you mean disk?" in said.stderr
    assert "did you mean sending?" in said.stderr


def test_the_sample_passes_the_check(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(run(app, ["config", "sample"]).stdout)
    assert run(app, ["config", "check", "--dir", str(tmp_path)]).exit_code == 0


def test_status_of_a_host_that_is_not_enrolled(tmp_path: Path) -> None:
    said = run(app, ["status", "--json", "--dir", str(tmp_path)])
    assert said.exit_code == NOT_ENROLLED
    assert json.loads(said.stdout) == {
        "enrolled": False,
        "health": "has not run yet",
        "agent": None,
    }


@pytest.mark.parametrize("given", [["enrol", "nonsense"], ["enrol", "-"]])
def test_a_string_that_is_none_ends_with_2(tmp_path: Path, given: list[str]) -> None:
    said = run(app, [*given, "--dir", str(tmp_path)], input="nonsense\n")
    assert said.exit_code == WRONG_USE
    assert "must begin with fw1." in said.stderr


def test_a_collector_nobody_can_reach_ends_with_4_and_the_token_is_not_told(tmp_path: Path) -> None:
    token = "fwe_" + "secret" * 5
    string = f"fw1.https://127.0.0.1:9.{token}.{'0' * 64}"
    said = run(app, ["enrol", "-", "--dir", str(tmp_path)], input=string + "\n")
    assert said.exit_code == REFUSED
    assert "cannot be reached" in said.stderr
    assert token not in said.output
    assert token not in (tmp_path / "enrolling.json").read_text()


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0, Unit.BYTES, "0 B"),
        (270553174016, Unit.BYTES, "252.0 GiB"),
        (0.9312, Unit.RATIO, "93.1 %"),
        (86400 * 3.25, Unit.SECONDS, "3.2 d"),
        (0.25, Unit.SECONDS, "0.25 s"),
        (38, Unit.CELSIUS, "38 °C"),
        (1, Unit.COUNT, "1"),
        (12345678, None, "12345678"),
    ],
)
def test_values_are_written_as_people_read_them(
    value: float, unit: Unit | None, shown: str
) -> None:
    assert amount(value, unit) == shown
