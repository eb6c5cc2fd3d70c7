"""agent.toml: defaults, what may be set, and errors that name file, key and mend."""

import tomllib
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from forewarn_agent.config import ConfigError, find, load, read, sample_config
from forewarn_checks.base.catalog import all_checks


def test_without_a_file_every_check_runs_as_it_declares() -> None:
    config = load(None)
    assert config.enabled() == {
        name: check.every for name, check in all_checks().items() if check.has_work({})
    }
    assert config.sending.settle == timedelta(seconds=2)


def test_a_check_without_anything_to_look_at_is_not_scheduled() -> None:
    """It is once an option names something."""
    named = '[checks.tcp.options]\ntargets = ["mail.acme.example:25"]'
    assert "tcp" not in read("", "f").enabled()
    assert "tcp" in read(named, "f").enabled()


def test_the_sample_file_states_exactly_the_defaults() -> None:
    assert read(sample_config(), "sample") == load(None)


def test_the_sample_file_describes_every_key() -> None:
    lines = sample_config().splitlines()
    own = lines[: next(n for n, line in enumerate(lines) if line.startswith("[checks."))]
    for before, line in pairwise(own):
        if " = " in line and not line.startswith("#"):
            assert before.startswith("# "), f"{line} has no description"
    assert set(tomllib.loads(sample_config())["checks"]) == set(all_checks())


def test_a_check_may_run_every_two_seconds() -> None:
    assert read('[checks.disk]\nevery = "2s"', "f").checks["disk"].every == timedelta(seconds=2)


def test_a_check_turned_off_is_not_scheduled() -> None:
    assert "disk" not in read("[checks.disk]\nenabled = false", "f").enabled()


def test_options_of_a_check_are_typed_by_its_declaration() -> None:
    text = '[checks.disk.options]\nexclude = ["/mnt/scratch"]'
    assert read(text, "f").checks["disk"].options["exclude"] == ("/mnt/scratch",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[checks.dsk]", "a.toml: checks.dsk is not known; did you mean disk?"),
        ("chekcs = 1", "a.toml: chekcs is not known; did you mean checks?"),
        ("zzz = 1", "zzz is not known; remove it, or use one of sending, spool, log, checks"),
        ("[checks.disk]\nevry = 1", "checks.disk.evry is not known; did you mean every?"),
        ('[checks.disk]\nevery = "soon"', "checks.disk.every is 'soon'; 'soon' is no duration"),
        ("[checks.disk]\nevery = 5", "checks.disk.every is 5; write a duration in quotes"),
        ('[checks.disk]\nevery = "0.5s"', "checks.disk.every is '0.5s'; the least is 1s"),
        ('[checks.disk]\nevery = "8d"', "checks.disk.every is more than 7d"),
        ("[checks.disk]\nenabled = 1", "checks.disk.enabled is 1; write true or false"),
        ("[checks]\ndisk = 1", "checks.disk must be a table, [checks.disk]"),
        ("[checks.disk.options]\nexclude = '/mnt'", "checks.disk.options.exclude is '/mnt'; write"),
        ("[checks.disk.options]\nno = 1", "checks.disk.options.no is not known"),
        ("[spool]\nmegabytes = 1", "spool.megabytes is 1; the least is 4"),
        ("[spool]\nmegabytes = true", "spool.megabytes is True; write a whole number"),
        ('[log]\nlevel = "loud"', "log.level is 'loud'; use one of debug, info, warning, error"),
        ("[checks", "a.toml: this is no TOML: "),
    ],
)
def test_a_mistake_is_named_with_file_key_and_mend(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text, "a.toml")
    assert complaint in str(caught.value)
    assert str(caught.value).startswith("a.toml: ")


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        read('[checks.dsk]\n[log]\nlevel = "x"\n[spool]\nmegabytes = 0', "a.toml")
    assert len(caught.value.problems) == 3


def test_the_file_in_the_agents_folder_counts_first(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text("")
    assert find(tmp_path) == tmp_path / "agent.toml"
