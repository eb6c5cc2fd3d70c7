"""From a manager's answer to samples; nothing unknown may read as "all patched"."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from forewarn_checks import patches
from forewarn_checks._process import Done
from forewarn_checks.base import CannotRead, NothingToRead, Reading, Sample
from forewarn_checks.linux.reboot import Reboot
from forewarn_checks.package_managers import apt
from forewarn_checks.package_managers.apt import (
    held,
    is_security,
    last_install,
    last_refresh,
    parse_release,
    parse_simulation,
    read_lists,
)
from forewarn_checks.package_managers.shape import Host, Source, Survey, Update

CASES = Path(__file__).parent / "apt"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MAIN = Source("Debian:12.15/oldstable", made=NOW - 100 * DAY, checked=NOW - DAY)
SECURITY = Source(
    "Debian-Security:12/oldstable-security",
    made=NOW - 2 * DAY,
    valid_until=NOW + 5 * DAY,
    checked=NOW - timedelta(hours=5),
    security=True,
)
FIX = Update(name="zip", installed="3.0-13", offered="3.0-14", security=True, since=NOW - 2 * DAY)
NO_RESTART = Reboot(False, "nothing asks for it")
NOTHING_MISSING = Survey(updates=(), sources=(MAIN, SECURITY))
ONE_FIX = Survey(updates=(FIX,), sources=(MAIN, SECURITY))


def read(
    answer: Survey | Exception,
    *,
    now: datetime = NOW,
    memory: Path | None = None,
    reboot: Reboot = NO_RESTART,
) -> tuple[dict[str, float], dict[str, object], str]:
    """Return the samples by name and labels, the facts, and the text the check ended with."""

    def ask() -> Survey:
        if isinstance(answer, Exception):
            raise answer
        return answer

    got: list[Reading] = []
    end = ""
    try:
        for reading in patches.read_updates(
            ask, now=now, reboot=reboot, max_age=7 * DAY, refresh="refresh it", memory=memory
        ):
            got.append(reading)
    except (CannotRead, NothingToRead) as trouble:
        end = f"{type(trouble).__name__}: {trouble}"
    values = {
        " ".join((one.metric, *one.labels.values())): one.value
        for one in got
        if isinstance(one, Sample)
    }
    return values, {one.name: one.value for one in got if not isinstance(one, Sample)}, end


@pytest.mark.parametrize("folder", sorted(CASES.iterdir()), ids=lambda folder: folder.name)
def test_a_capture_of_apt_gives_the_expected_updates(folder: Path) -> None:
    output = (folder / "out").read_text()
    expected = json.loads((folder / "expected.json").read_text())
    if "fails" in expected:
        with pytest.raises(CannotRead, match=expected["fails"]):
            parse_simulation(output)
        return
    simulation = parse_simulation(output)
    assert len(simulation.updates) == expected["updates"]
    assert sum(update.security for update in simulation.updates) == expected["security"]
    assert list(simulation.half_configured) == expected["half_configured"]


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("Debian-Security:12/oldstable-security", True),
        ("Ubuntu:22.04/jammy-security", True),
        ("UbuntuESMApps:22.04/jammy-apps-security", True),
        ("Debian:12.15/oldstable", False),
        ("Debian:12-updates/oldstable-updates", False),
        ("security-tools:1/stable", False),
    ],
)
def test_an_archive_of_security_updates_is_told_by_label_or_suite(
    origin: str, expected: bool
) -> None:
    assert is_security(origin) is expected


def test_current_lists_and_no_update_mean_all_patched() -> None:
    values, facts, end = read(NOTHING_MISSING)
    assert end == ""
    assert facts["patches_status"] == "known"
    assert values["patches_missing security"] == 0
    assert values["patches_missing other"] == 0
    assert values["patches_oldest_age_seconds"] == 0
    assert values["patches_status_known"] == 1


def test_no_lists_are_unknown_never_all_patched() -> None:
    values, _, end = read(NothingToRead("run `apt-get update`"))
    assert values == {"patches_status_known": 0, "reboot_required": 0}
    assert "apt-get update" in end


def test_old_lists_cannot_show_that_nothing_is_missing() -> None:
    old = replace(MAIN, checked=NOW - 8 * DAY)
    values, facts, end = read(replace(NOTHING_MISSING, sources=(old, SECURITY)))
    assert end == ""
    assert values["patches_status_known"] == 0
    assert "compared 8 days ago; run `refresh it`" in str(facts["patches_status"])
    assert values["patches_refresh_age_seconds"] == 8 * 86400
    assert not [name for name in values if name.startswith("patches_missing")]
    assert "patches_oldest_security_age_seconds" not in values


def test_old_lists_still_show_what_is_missing() -> None:
    old = replace(SECURITY, checked=NOW - 8 * DAY)
    values, _, _ = read(replace(ONE_FIX, sources=(MAIN, old)))
    assert values["patches_missing security"] == 1
    assert "patches_missing other" not in values


def test_a_list_past_its_own_date_is_not_current_however_fresh() -> None:
    """A mirror that is served but no longer updated."""
    expired = Source("x", valid_until=NOW - DAY, checked=NOW)
    values, facts, _ = read(replace(ONE_FIX, sources=(MAIN, expired)))
    assert values["patches_status_known"] == 0
    assert "past its own date" in str(facts["patches_status"])


@pytest.mark.parametrize("sources", [(), (Source("x"),), (MAIN, Source("x"))])
def test_lists_of_unknown_age_vouch_for_nothing(sources: tuple[Source, ...]) -> None:
    values, facts, _ = read(Survey(updates=(), sources=sources))
    assert values["patches_status_known"] == 0
    assert "nothing tells when" in str(facts["patches_status"])
    assert "patches_refresh_age_seconds" not in values


def test_an_answer_with_a_gap_shows_what_it_has_and_fails() -> None:
    values, _, end = read(replace(ONE_FIX, trouble=("lab was left out; mend it",)))
    assert values["patches_status_known"] == 0
    assert values["patches_missing security"] == 1
    assert "patches_missing other" not in values
    assert end == "CannotRead: lab was left out; mend it"


def test_a_manager_that_cannot_tell_security_apart_gives_no_zero_of_it() -> None:
    """Arch and Alpine: "0 security updates" would be a lie there."""
    update = replace(FIX, security=None)
    values, facts, _ = read(replace(ONE_FIX, updates=(update,), tells_security=False))
    assert values["patches_missing unsorted"] == 1
    assert "patches_missing security" not in values
    assert "patches_oldest_security_age_seconds" not in values
    assert values["patches_oldest_age_seconds"] == 2 * 86400
    assert facts["patches_security_told"] is False


def test_grades_are_counted_where_the_vendor_gives_them() -> None:
    updates = (replace(FIX, severity="critical"), replace(FIX, name="b"))
    values, _, _ = read(replace(ONE_FIX, updates=updates, tells_severity=True))
    assert values["patches_security_missing critical"] == 1
    assert values["patches_security_missing unrated"] == 1
    assert values["patches_security_missing low"] == 0
    assert not [name for name in read(ONE_FIX)[0] if "security_missing" in name]


def test_an_error_of_the_manager_is_told_in_its_own_words() -> None:
    values, _, end = read(CannotRead("it broke"))
    assert values["patches_status_known"] == 0
    assert end == "CannotRead: it broke"


def test_an_update_is_at_least_as_old_as_the_list_that_offers_it() -> None:
    values, _, _ = read(ONE_FIX)
    assert values["patches_oldest_security_age_seconds"] == 2 * 86400


def test_an_update_ages_although_its_list_is_made_anew(tmp_path: Path) -> None:
    """A security archive is dated anew every few hours; what was seen before counts."""
    memory = tmp_path / "seen.json"
    read(ONE_FIX, memory=memory)
    later = NOW + 10 * DAY
    newer = replace(ONE_FIX, updates=(replace(FIX, since=later),))
    values, _, _ = read(newer, now=later, memory=memory)
    assert values["patches_oldest_security_age_seconds"] == 12 * 86400


def test_an_installed_update_is_forgotten_and_a_newer_one_starts_anew(tmp_path: Path) -> None:
    memory = tmp_path / "seen.json"
    read(ONE_FIX, memory=memory)
    values, _, _ = read(NOTHING_MISSING, memory=memory)
    assert values["patches_oldest_age_seconds"] == 0
    assert json.loads(memory.read_text()) == {}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"a": "b"}', '{"a": 1e300}', "\x00"])
def test_a_damaged_memory_is_started_anew(tmp_path: Path, damage: str) -> None:
    memory = tmp_path / "seen.json"
    memory.write_text(damage)
    values, _, end = read(ONE_FIX, memory=memory)
    assert end == ""
    assert values["patches_missing security"] == 1
    assert json.loads(memory.read_text())


def test_a_memory_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    values, _, end = read(ONE_FIX, memory=tmp_path / "missing" / "seen.json")
    assert end == ""
    assert values["patches_missing security"] == 1


def test_a_clock_set_back_gives_no_negative_age() -> None:
    survey = replace(ONE_FIX, last_install=NOW)
    values, _, _ = read(survey, now=NOW - 300 * DAY)
    assert all(value >= 0 for value in values.values())


def test_the_last_install_is_told_where_it_is_known() -> None:
    values, _, _ = read(replace(ONE_FIX, last_install=NOW - 3 * DAY))
    assert values["patches_last_install_age_seconds"] == 3 * 86400
    assert "patches_last_install_age_seconds" not in read(ONE_FIX)[0]


def test_a_restart_is_told_with_every_reason() -> None:
    survey = replace(ONE_FIX, restart_for=("glibc", "systemd"))
    values, facts, _ = read(survey, reboot=Reboot(True, "kernel 2 is installed, 1 is running"))
    assert values["reboot_required"] == 1
    assert facts["reboot_reason"] == (
        "kernel 2 is installed, 1 is running; updated since the start: glibc, systemd"
    )
    assert "reboot_required" not in read(ONE_FIX, reboot=Reboot(None, "unknown"))[0]


def test_the_list_of_what_waits_begins_with_the_worst() -> None:
    updates = (
        replace(FIX, name="c", security=False),
        replace(FIX, name="b", severity="low"),
        replace(FIX, name="a", severity="critical"),
        replace(FIX, name="d", severity="unrated"),
    )
    _, facts, _ = read(replace(ONE_FIX, updates=updates))
    rows = facts["packages_waiting"]
    assert isinstance(rows, list)
    assert [row["name"] for row in rows if isinstance(row, dict)] == ["a", "b", "d", "c"]


# apt


def ask_apt(
    root: Path, simulation: Done, *, on_hold: str = "", uris: str = "", system: str = "debian"
) -> Survey:
    """Survey apt in a tree with the lists of a main and a security archive."""

    def run(argv: Sequence[str], seconds: float) -> Done:
        if argv[0] == "dpkg-query":
            return Done(on_hold, 0)
        return Done(uris, 0) if "--print-uris" in argv else simulation

    lists = root / "var/lib/apt/lists"
    lists.mkdir(parents=True, exist_ok=True)
    (lists / "m_dists_12_InRelease").write_text("Label: Debian\nSuite: oldstable\nVersion: 12\n")
    (lists / "m_dists_12_main_Packages").write_text("Package: a\n")
    return apt.survey("apt-get", Host(run=run, now=NOW, root=root, system=system))


def with_security(root: Path) -> Path:
    lists = root / "var/lib/apt/lists"
    lists.mkdir(parents=True, exist_ok=True)
    (lists / "s_dists_12-security_InRelease").write_text(
        "Label: Debian-Security\nSuite: oldstable-security\nVersion: 12\n"
        "Date: Fri, 20 Nov 2026 00:12:41 UTC\n"
    )
    return root


ZIP = """\
1 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.
Inst zip [3.0-13] (3.0-13+deb12u1 Debian-Security:12/oldstable-security [amd64])
Conf zip (3.0-13+deb12u1 Debian-Security:12/oldstable-security [amd64])
"""


def test_apt_gives_what_its_lists_and_its_simulation_say(tmp_path: Path) -> None:
    survey = ask_apt(with_security(tmp_path), Done(ZIP, 0))
    (update,) = survey.updates
    assert (update.security, update.held) == (True, False)
    assert update.since == datetime(2026, 11, 20, 0, 12, 41, tzinfo=UTC)
    assert survey.trouble == ()
    assert survey.half_configured == ()


def test_an_error_of_apt_names_the_file_to_mend(tmp_path: Path) -> None:
    failed = Done("", 100, "E: Type 'x' is not known on line 1 in source list /etc/apt/a.list\n")
    with pytest.raises(CannotRead, match="line 1 in source list /etc/apt/a"):
        ask_apt(with_security(tmp_path), failed)


def test_an_apt_that_hangs_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match="did not end"):
        ask_apt(with_security(tmp_path), Done("", None))


def test_apt_without_lists_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(NothingToRead, match="apt-get update"):
        apt.survey("apt-get", Host(run=lambda argv, seconds: Done("", 0), now=NOW, root=tmp_path))


@pytest.mark.parametrize(("system", "expected"), [("debian", 1), ("ubuntu", 1), ("raspbian", 0)])
def test_a_host_without_its_makers_security_archive_is_not_called_patched(
    tmp_path: Path, system: str, expected: int
) -> None:
    """A derivative may have none; then its updates stay unsorted."""
    survey = ask_apt(tmp_path, Done(ZIP, 0), system=system)
    assert len(survey.trouble) == expected
    assert not survey.tells_security
    assert survey.updates[0].security is None


def test_a_source_that_was_never_fetched_is_trouble(tmp_path: Path) -> None:
    """apt knows nothing of what it offers, and says so with not a word."""
    uris = (
        "'http://m/dists/12/InRelease' m_dists_12_InRelease 0 \n"
        "'http://dead/dists/12/InRelease' dead_dists_12_InRelease 0 \n"
        "'http://m/dists/12/main/Packages.xz' m_dists_12_main_Packages 0 \n"
        "'cdrom:[Debian]/dists/12/InRelease' Debian_dists_12_InRelease 0 \n"
    )
    (told,) = ask_apt(with_security(tmp_path), Done(ZIP, 0), uris=uris).trouble
    assert told.startswith("nothing was ever fetched from http://dead/dists/12/; run")


def test_a_held_package_is_missing_its_update_all_the_same(tmp_path: Path) -> None:
    survey = ask_apt(with_security(tmp_path), Done(ZIP, 0), on_hold="hi \tzip\nii \tbash\n")
    assert survey.updates[0].held


def test_the_last_install_is_the_newest_list_of_files(tmp_path: Path) -> None:
    assert last_install(tmp_path) is None
    (tmp_path / "zip.list").write_text("/.\n")
    assert last_install(tmp_path) is not None


def test_no_dpkg_query_means_no_holds_known() -> None:
    def absent(argv: Sequence[str], timeout_seconds: float) -> Done:
        raise FileNotFoundError

    assert held(absent) == frozenset()


def test_a_release_file_gives_origin_and_dates() -> None:
    text = (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
        "Origin: Debian\nLabel: Debian-Security\nSuite: oldstable-security\nVersion: 12\n"
        "Codename: bookworm-security\nDate: Fri, 20 Nov 2026 00:12:41 UTC\n"
        "Valid-Until: Fri, 27 Nov 2026 00:12:41 UTC\n"
    )
    assert parse_release(text) == Source(
        "Debian-Security:12/oldstable-security",
        made=datetime(2026, 11, 20, 0, 12, 41, tzinfo=UTC),
        valid_until=datetime(2026, 11, 27, 0, 12, 41, tzinfo=UTC),
        security=True,
    )
    assert parse_release("Date: yesterday\n").made is None


def test_lists_count_only_when_they_name_packages(tmp_path: Path) -> None:
    """A release file alone, or an empty list, is what a failed first refresh leaves."""
    (tmp_path / "mirror_dists_x_InRelease").write_text("Label: L\nSuite: x\nVersion: 1\n")
    assert read_lists(tmp_path) == ()
    (tmp_path / "mirror_dists_x_main_binary-amd64_Packages").write_text("")
    assert read_lists(tmp_path) == ()
    (tmp_path / "mirror_dists_x_main_binary-amd64_Packages.lz4").write_text("Package: a\n")
    (found,) = read_lists(tmp_path)
    assert found.name == "L:1/x"
    assert found.checked is not None
    assert read_lists(tmp_path / "gone") == ()


def test_the_repository_checked_longest_ago_dates_the_refresh() -> None:
    """One dead mirror among live ones leaves its packages unknown."""
    assert last_refresh([MAIN, SECURITY], None) == MAIN.checked
    assert last_refresh([MAIN], NOW) == NOW
    assert last_refresh([Source("x")], None) is None


def test_no_manager_is_nothing_and_names_those_that_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/tdnf" if name == "tdnf" else None)
    with pytest.raises(NothingToRead, match=r"apk, apt, dnf, .*; this host has tdnf"):
        list(patches.read_linux({}))
