"""Recorded answers of package managers, replayed.  They are no part of this repository.

Put them into ``../shared/data`` beside it, or name the folder in FOREWARN_DATA.
"""

import os
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from forewarn_checks._process import Done
from forewarn_checks.base import CannotRead
from forewarn_checks.package_managers import dnf, pacman, zypper
from forewarn_checks.package_managers.apt import parse_simulation
from forewarn_checks.package_managers.shape import Host

REPOSITORY = Path(__file__).parents[3]
DATA = Path(os.environ.get("FOREWARN_DATA", REPOSITORY.parent / "shared" / "data")) / "patches"
SIMULATIONS = sorted(DATA.glob("apt-sim-*.out"))

pytestmark = pytest.mark.skipif(
    not SIMULATIONS, reason=f"no recordings of package managers in {DATA}; set FOREWARN_DATA"
)


def recording(path: Path) -> tuple[str, Done]:
    """Return the command of a recording, and how it ended; 124 is what timeout(1) says."""
    meta = dict(
        line.split(": ", 1) for line in path.with_suffix(".meta").read_text().splitlines() if line
    )
    status = None if meta["rc"] == "124" else int(meta["rc"])
    errors = path.with_suffix(".err").read_text("utf-8", "replace")
    return meta["cmd"], Done(path.read_text("utf-8", "replace"), status, errors)


def recordings(pattern: str, command: str = "") -> Iterator[Path]:
    """Yield those whose command fits `command`."""
    for path in sorted(DATA.glob(f"{pattern}.out")):
        if path.with_suffix(".meta").exists() and re.search(command, recording(path)[0]):
            yield path


def ids(path: Path) -> str:
    return path.stem


def host(done: Done) -> Host:
    return Host(run=lambda argv, seconds: done, now=datetime(2026, 11, 22, tzinfo=UTC))


@pytest.mark.parametrize("path", SIMULATIONS, ids=ids)
def test_updates_equal_those_of_a_second_parser(path: Path) -> None:
    output = path.read_text("utf-8", "replace")
    lines = [line.split() for line in output.splitlines() if line.startswith("Inst ")]
    upgrades = [words for words in lines if words[2].startswith("[")]
    simulation = parse_simulation(output)
    assert [(one.name, one.installed, one.offered) for one in simulation.updates] == [
        (words[1], words[2].strip("[]"), words[3].lstrip("(")) for words in upgrades
    ]
    assert sum(one.security for one in simulation.updates) == sum(
        any("Debian-Security:" in word for word in words) for words in upgrades
    )


def test_an_ordinary_user_and_root_read_the_same() -> None:
    """Both captured on one host within a minute."""
    found = {path.stem: parse_simulation(path.read_text("utf-8")) for path in SIMULATIONS}
    assert (
        found["apt-sim-upgrade-nobody"].updates
        == found["apt-sim-upgrade-nobody-locking"].updates
        == found["apt-sim-distupgrade-nobody"].updates
    )


DNF_TROUBLE = {
    "dnf4-fail-C-nocache": "no cache for 'fw'",
    "dnf4-fail-repo-missing-noskip": "Failed to download metadata|Errors during downloading",
    "dnf4-fail-repo-missing-skip": "Failed to download metadata|Ignoring repositories|Errors",
    "dnf4-locked-exit": "metadata already locked by 4006",
    "dnf4-locked-C": "did not end",
    "dnf4-locked-wait": "did not end",
    "dnf4-nonroot": "Permission denied",
    "dnf4-nonroot-C": "Permission denied",
    "dnf4-nonroot-needsrestarting": "Permission denied",
}


@pytest.mark.parametrize("path", list(recordings("dnf4-*", " dnf ")), ids=ids)
def test_trouble_of_dnf_is_never_taken_for_an_answer(path: Path) -> None:
    """Some of it came with status 0.  `dnf4-fail-repo-missing` is silent: -q, never used here."""
    _, done = recording(path)
    good = (0, dnf.UPDATES) if "check-update" in path.stem else (0,)
    if path.stem in DNF_TROUBLE:
        with pytest.raises(CannotRead, match=DNF_TROUBLE[path.stem]):
            dnf.ask(host(done), ["dnf"], good=(0, dnf.UPDATES))
    elif path.stem != "dnf4-needs-restarting-r":
        assert dnf.ask(host(done), ["dnf"], good=(*good, dnf.UPDATES)) is done


@pytest.mark.parametrize("path", list(recordings("dnf4-repoquery-*")), ids=ids)
def test_rows_of_dnf_equal_those_of_a_second_parser(path: Path) -> None:
    """These rows have name, epoch, version, release, architecture and repository."""
    _, done = recording(path)
    rows = [line.split("\t") for line in done.output.splitlines() if line]
    four = "\n".join("\t".join((r[0], f"{r[2]}-{r[3]}", r[4], "")) for r in rows)
    assert [one.key for one in dnf.parse_packages(four)] == [(r[0], r[4]) for r in rows]
    assert len(rows) == (2 if "security" in path.stem else 4)


@pytest.mark.parametrize("path", list(recordings("dnf4-check-update*", "check-update")), ids=ids)
def test_check_update_of_dnf_agrees_with_its_status(path: Path) -> None:
    _, done = recording(path)
    names = dnf.parse_check_update(done.output)
    assert bool(names) == (done.status == dnf.UPDATES)
    assert names <= {(name, "noarch") for name in ("fw-bash", "fw-curl", "fw-openssl", "kernel")}


def test_advisories_of_dnf_are_graded_and_dated() -> None:
    listed = recording(DATA / "dnf4-updateinfo-list.out")[1].output
    rows = dnf.parse_advisories("\n".join(f"  {line}" for line in listed.splitlines()))
    assert [(one.id, one.package[0], one.severity) for one in rows if one.security] == [
        ("FWSA-2026:0001", "fw-openssl", "important"),
        ("FWSA-2026:0002", "kernel", "critical"),
    ]
    assert len(rows) == 3
    dates = dnf.parse_dates(recording(DATA / "dnf4-updateinfo-info.out")[1].output)
    assert {id_: when.day for id_, when in dates.items()} == {
        "FWSA-2026:0001": 1,
        "FWSA-2026:0002": 5,
    }


def test_repositories_of_dnf_are_dated() -> None:
    (source,) = dnf.parse_repositories(recording(DATA / "dnf4-repoinfo.out")[1].output)
    assert source.name == "fw"
    assert source.checked is not None
    assert source.checked.isoformat() == "2026-11-21T22:18:41+00:00"


def test_a_corrupt_rpm_database_is_a_failure() -> None:
    """dnf ended with status 0 there."""
    errors = (DATA / "dnf4-corrupt-rpmdb.out").read_text()
    with pytest.raises(CannotRead, match="file is not a database"):
        dnf.ask(host(Done("", 0, errors)), ["dnf"])


@pytest.mark.parametrize("path", list(recordings("zypper-*", "--xmlout")), ids=ids)
def test_every_answer_of_zypper_equals_a_plain_reading_of_its_xml(path: Path) -> None:
    _, done = recording(path)
    trouble: list[str] = []
    answer = zypper.ask(host(done), ["zypper", "list"], trouble)
    rows = [one.attrib for one in ElementTree.fromstring(done.output).iter("update")]
    assert [(one.name, one.installed, one.offered) for one in zypper.parse_updates(answer)] == [
        (row["name"], row["edition-old"], row["edition"])
        for row in rows
        if row["kind"] == "package"
    ]
    patches = zypper.parse_patches(answer)
    assert [one.name for one in patches if one.security] == [
        row["name"] for row in rows if row["kind"] == "patch" and row["category"] == "security"
    ]
    assert all(one.issued is not None for one in patches)
    assert bool(trouble) == (path.stem == "zypper-fail-nocache")


def test_a_locked_zypper_is_a_failure() -> None:
    said, _, status = (DATA / "zypper-locked.out").read_text().rpartition("rc=")
    with pytest.raises(CannotRead, match="locked by the application with pid 4424"):
        zypper.ask(host(Done(said, int(status))), ["zypper"], [])


@pytest.mark.parametrize("path", list(recordings("pacman-*", "-Qu$")), ids=ids)
def test_updates_of_pacman_agree_with_its_status(path: Path) -> None:
    _, done = recording(path)
    updates = pacman.parse_updates(done)
    assert bool(updates) == (done.status == 0)
    assert [f"{one.name} {one.installed} -> {one.offered}" for one in updates] == [
        line for line in done.output.splitlines() if line
    ]


@pytest.mark.parametrize("path", list(recordings("pacman-*", "-Syy?$")), ids=ids)
def test_an_error_of_pacman_is_a_failure(path: Path) -> None:
    """None of these commands is ever run; their errors are pacman's way to fail."""
    _, done = recording(path)
    if done.status == 0:
        return
    with pytest.raises(CannotRead, match="error: "):
        pacman.parse_updates(done)


def test_every_recording_names_a_command_that_can_be_read() -> None:
    assert all(shlex.split(recording(path)[0]) for path in recordings("*"))
