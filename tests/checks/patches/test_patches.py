"""From apt's answer to samples; nothing unknown may read as "all patched"."""

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from forewarn_checks import patches
from forewarn_checks._patches_apt import (
    PackageList,
    held,
    is_security,
    last_refresh,
    parse_release,
    parse_simulation,
    read_lists,
)
from forewarn_checks._process import Done
from forewarn_checks.base import CannotRead, NothingToRead, Reading, Sample

CASES = Path(__file__).parent / "cases"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MAIN = PackageList("Debian:12.15/oldstable", made=NOW - 100 * DAY, checked=NOW - DAY)
SECURITY = PackageList(
    "Debian-Security:12/oldstable-security",
    made=NOW - 2 * DAY,
    valid_until=NOW + 5 * DAY,
    checked=NOW - timedelta(hours=5),
)
NOTHING_MISSING = (CASES / "empty_lists" / "out").read_text()
ONE_FIX = """\
1 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.
Inst zip [3.0-13] (3.0-13+deb12u1 Debian-Security:12/oldstable-security [amd64])
Conf zip (3.0-13+deb12u1 Debian-Security:12/oldstable-security [amd64])
"""


def read(
    output: Done | str,
    *,
    lists: Sequence[PackageList] = (MAIN, SECURITY),
    now: datetime = NOW,
    memory: Path | None = None,
    on_hold: str = "",
) -> tuple[dict[str, float], str]:
    """Return the samples by name and kind, and the text the check ended with."""
    answer = output if isinstance(output, Done) else Done(output, 0)

    def run(argv: Sequence[str], timeout_seconds: float) -> Done:
        return Done(on_hold, 0) if argv[0] == "dpkg-query" else answer

    got: list[Reading] = []
    end = ""
    try:
        for reading in patches.read_apt(
            "apt-get", {}, run, now=now, lists=lists, stamp=None, memory=memory
        ):
            got.append(reading)
    except (CannotRead, NothingToRead) as trouble:
        end = f"{type(trouble).__name__}: {trouble}"
    samples = [reading for reading in got if isinstance(reading, Sample)]
    return {" ".join((one.metric, *one.labels.values())): one.value for one in samples}, end


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
    values, end = read(NOTHING_MISSING)
    assert end == ""
    assert values["patches_missing security"] == 0
    assert values["patches_missing other"] == 0
    assert values["patches_oldest_age_seconds"] == 0
    assert values["patches_status_known"] == 1


def test_empty_lists_are_unknown_never_all_patched() -> None:
    values, end = read(NOTHING_MISSING, lists=())
    assert values == {"patches_status_known": 0}
    assert "apt-get update" in end


def test_old_lists_cannot_show_that_nothing_is_missing() -> None:
    old = PackageList(MAIN.origin, made=MAIN.made, checked=NOW - 8 * DAY)
    values, end = read(NOTHING_MISSING, lists=(old, SECURITY))
    assert end == ""
    assert values["patches_status_known"] == 0
    assert values["patches_refresh_age_seconds"] == 8 * 86400
    assert not [name for name in values if name.startswith("patches_missing")]
    assert "patches_oldest_security_age_seconds" not in values


def test_old_lists_still_show_what_is_missing() -> None:
    old = PackageList(SECURITY.origin, made=NOW - 9 * DAY, checked=NOW - 8 * DAY)
    values, _ = read(ONE_FIX, lists=(MAIN, old))
    assert values["patches_missing security"] == 1
    assert "patches_missing other" not in values


def test_a_list_past_its_own_date_is_not_current_however_fresh() -> None:
    """A mirror that is served but no longer updated."""
    expired = PackageList(SECURITY.origin, valid_until=NOW - DAY, checked=NOW)
    values, _ = read(NOTHING_MISSING, lists=(MAIN, expired))
    assert values["patches_status_known"] == 0


def test_an_error_of_apt_is_told_in_its_own_words() -> None:
    failed = Done("", 100, "E: Type 'x' is not known on line 1 in source list /etc/apt/a.list\n")
    values, end = read(failed)
    assert values["patches_status_known"] == 0
    assert end.startswith("CannotRead")
    assert "line 1 in source list /etc/apt/a.list" in end


def test_an_apt_that_hangs_is_a_failure() -> None:
    values, end = read(Done("", None))
    assert values["patches_status_known"] == 0
    assert "did not end" in end


def test_an_update_is_at_least_as_old_as_the_list_that_offers_it() -> None:
    values, _ = read(ONE_FIX)
    assert values["patches_oldest_security_age_seconds"] == 2 * 86400


def test_an_update_ages_although_its_list_is_made_anew(tmp_path: Path) -> None:
    """A security archive is dated anew every few hours; what was seen before counts."""
    memory = tmp_path / "seen.json"
    read(ONE_FIX, memory=memory)
    later = NOW + 10 * DAY
    fresh = PackageList(SECURITY.origin, made=later, valid_until=later + DAY, checked=later)
    values, _ = read(ONE_FIX, lists=(fresh,), now=later, memory=memory)
    assert values["patches_oldest_security_age_seconds"] == 12 * 86400


def test_an_installed_update_is_forgotten_and_a_newer_one_starts_anew(tmp_path: Path) -> None:
    memory = tmp_path / "seen.json"
    read(ONE_FIX, memory=memory)
    values, _ = read(NOTHING_MISSING, memory=memory)
    assert values["patches_oldest_age_seconds"] == 0
    assert json.loads(memory.read_text()) == {}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"a": "b"}', '{"a": 1e300}', "\x00"])
def test_a_damaged_memory_is_started_anew(tmp_path: Path, damage: str) -> None:
    memory = tmp_path / "seen.json"
    memory.write_text(damage)
    values, end = read(ONE_FIX, memory=memory)
    assert end == ""
    assert values["patches_missing security"] == 1
    assert json.loads(memory.read_text())


def test_a_memory_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    values, end = read(ONE_FIX, memory=tmp_path / "missing" / "seen.json")
    assert end == ""
    assert values["patches_missing security"] == 1


def test_a_clock_set_back_gives_no_negative_age() -> None:
    values, _ = read(ONE_FIX, now=NOW - 300 * DAY)
    assert all(value >= 0 for value in values.values())


def test_a_held_package_is_missing_its_update_all_the_same() -> None:
    values, _ = read(ONE_FIX, on_hold="hi \tzip\nii \tbash\n")
    assert values["patches_missing security"] == 1
    assert values["patches_held"] == 1


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
    assert parse_release(text) == PackageList(
        "Debian-Security:12/oldstable-security",
        made=datetime(2026, 11, 20, 0, 12, 41, tzinfo=UTC),
        valid_until=datetime(2026, 11, 27, 0, 12, 41, tzinfo=UTC),
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
    assert found.origin == "L:1/x"
    assert found.checked is not None
    assert read_lists(tmp_path / "gone") == ()


def test_the_repository_checked_longest_ago_dates_the_refresh() -> None:
    """One dead mirror among live ones leaves its packages unknown."""
    assert last_refresh([MAIN, SECURITY], None) == MAIN.checked
    assert last_refresh([MAIN], NOW) == NOW
    assert last_refresh([PackageList("x")], None) is None


def test_no_apt_is_nothing_and_names_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/dnf" if name == "dnf" else None)
    with pytest.raises(NothingToRead, match="apt-get not found; dnf is here"):
        list(patches.read_linux({}))
