"""How each package manager is picked and what its words mean, beyond the recorded scenes."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from forewarn_checks._process import Done, within
from forewarn_checks.base import CannotRead
from forewarn_checks.linux.os_release import Distribution, parse_os_release
from forewarn_checks.linux.release_support import support_end
from forewarn_checks.package_managers import apk, dnf, dnf5, zypper
from forewarn_checks.package_managers.shape import Host, all_managers, native_first

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def host(root: Path, output: str = "", errors: str = "", status: int = 0) -> Host:
    return Host(run=lambda argv, seconds: Done(output, status, errors), now=NOW, root=root)


def test_every_manager_is_found_by_its_file() -> None:
    assert [one.name for one in all_managers()] == ["apk", "apt", "dnf", "dnf5", "pacman", "zypper"]


@pytest.mark.parametrize(
    ("id_", "like", "expected"),
    [
        ("debian", (), "apt"),
        ("linuxmint", ("ubuntu", "debian"), "apt"),
        ("rocky", ("rhel", "centos", "fedora"), "dnf"),
        ("opensuse-leap", ("suse", "opensuse"), "zypper"),
        ("endeavouros", ("arch",), "pacman"),
        ("alpine", (), "apk"),
    ],
)
def test_the_systems_own_manager_comes_first(
    id_: str, like: tuple[str, ...], expected: str
) -> None:
    assert native_first(all_managers(), id_, like)[0].name == expected


def test_what_is_near_counts_more_than_what_is_far() -> None:
    """A derivative of Ubuntu names Debian too, as one further away."""
    order = [one.name for one in native_first(all_managers(), "x", ("arch", "debian"))]
    assert order[:2] == ["pacman", "apt"]


# dnf


def test_a_long_name_pushes_its_row_to_the_next_line() -> None:
    output = (
        "Last metadata expiration check: 0:00:07 ago on Sun Nov 22 00:59:36 2026.\n\n"
        "python3-a-very-long-name-indeed-that-does-not-fit.noarch\n"
        "                        1:2.0-1.el9            baseos\n"
        "zip.x86_64              3.0-35.el9             baseos\n"
        "Obsoleting Packages\nnew.x86_64  1-1  x\n    old.x86_64  1-1  @x\n"
    )
    assert dnf.parse_check_update(output) == {
        ("python3-a-very-long-name-indeed-that-does-not-fit", "noarch"),
        ("zip", "x86_64"),
    }


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        ("kernel-5.14.0-2.el9.noarch", ("kernel", "noarch")),
        ("grub2-tools-1:2.06-70.el9.x86_64", ("grub2-tools", "x86_64")),
        ("java-17-openjdk-1:17.0.9-1.x86_64", ("java-17-openjdk", "x86_64")),
    ],
)
def test_a_package_is_known_by_name_and_architecture(
    package: str, expected: tuple[str, str]
) -> None:
    assert dnf.key_of(package) == expected


def test_an_update_carries_its_worst_grade_and_its_oldest_date() -> None:
    """A fix that was never installed is still missing when a newer one came."""
    rows = [
        dnf.Advisory("A", ("tls", "x86_64"), True, "moderate", installed=False),
        dnf.Advisory("B", ("tls", "x86_64"), True, "critical", installed=False),
    ]
    dates = {"A": NOW - timedelta(days=30), "B": NOW - timedelta(days=2)}
    offered = [dnf.Package("tls", "3.0.9-1", "x86_64"), dnf.Package("tls", "3.0.9-1", "i686")]
    one, other = dnf.join(offered, (), frozenset(), rows, dates, tells_security=True)
    assert (one.severity, one.advisory, one.since) == ("critical", "B", dates["A"])
    assert other.security is False


def test_a_restart_is_due_for_what_was_updated_since_the_start() -> None:
    packages = [
        dnf.Package("glibc", "2", "x86_64", NOW),
        dnf.Package("systemd", "2", "x86_64", NOW - timedelta(days=9)),
        dnf.Package("zip", "2", "x86_64", NOW),
    ]
    assert dnf.restart_for(packages, NOW - timedelta(days=1)) == ("glibc",)
    assert dnf.restart_for(packages, None) == ()


def test_a_repository_left_out_is_a_failure_although_the_status_is_good(tmp_path: Path) -> None:
    quiet = host(tmp_path, errors="Ignoring repositories: lab\n")
    with pytest.raises(CannotRead, match="Ignoring repositories: lab; run `dnf makecache`"):
        dnf.survey("dnf", quiet)


# dnf 5 of Fedora: its own names and advisories, which the lab's made-up repository has not


DNF5_ADVISORIES = """\
Name                   Type        Severity                   Package              Issued
FEDORA-2026-aaaaaaaaaa security    Important  openssl-1:3.2.2-5.fc41.x86_64 2026-11-01 10:00:00
FEDORA-2026-bbbbbbbbbb bugfix      None             zip-3.0-42.fc41.x86_64 2026-11-06 10:00:00
FEDORA-2026-cccccccccc enhancement                  vim-2:9.1-1.fc41.x86_64 2026-11-06 10:00:00
"""
DNF5_REPOSITORIES = """\
Repo ID              : fedora
Name                 : Fedora 41 - x86_64
Status               : enabled
Metadata expire      : 604800 seconds (last: 2026-11-22 08:00:00)
Repodata info        :
  Available packages : 76624
  Updated            : 2026-10-24 13:54:35
"""


def test_dnf5_tables_as_documented() -> None:
    rows, dates = dnf5.parse_advisories(DNF5_ADVISORIES)
    assert [(one.id[-1], one.package[0], one.security, one.severity) for one in rows] == [
        ("a", "openssl", True, "important"),
        ("b", "zip", False, ""),
        ("c", "vim", False, ""),
    ]
    assert dates["FEDORA-2026-aaaaaaaaaa"] == datetime(2026, 11, 1, 10, tzinfo=UTC)
    (source,) = dnf.parse_repositories(DNF5_REPOSITORIES)
    assert source.name == "fedora"
    assert source.checked == datetime(2026, 11, 22, 8, tzinfo=UTC)
    assert source.made == datetime(2026, 10, 24, 13, 54, 35, tzinfo=UTC)


def test_dnf5_is_asked_end_to_end_as_documented(tmp_path: Path) -> None:
    def run(argv: Sequence[str], seconds: float) -> Done:
        words = set(argv)
        if "info" in words:
            return Done(DNF5_REPOSITORIES, 0)
        if "--installed" in words:
            return Done("openssl\t1:3.2.2-1.fc41\tx86_64\t1763000000\n", 0)
        if "--upgrades" in words:
            return Done("openssl\t1:3.2.2-5.fc41\tx86_64\t\n", 0)
        if "check-upgrade" in words:
            free = "Upgrades\nopenssl.x86_64 1:3.2.2-5.fc41 updates\n"
            return Done(f"{free}Obsoletes\nzip.x86_64 4 updates\n", 100)
        return Done(DNF5_ADVISORIES, 0)

    survey = dnf5.survey("dnf5", Host(run=run, now=NOW, root=tmp_path))
    (update,) = survey.updates
    assert (update.security, update.severity, update.held) == (True, "important", False)
    assert update.installed == "1:3.2.2-1.fc41"
    assert survey.last_install == datetime.fromtimestamp(1763000000, UTC)


# zypper


def test_a_patch_of_several_packages_touches_them_all() -> None:
    answer = zypper.parse(
        Done(
            "<stream><message type='info'>Name        : SUSE-1\nConflicts   : [3]\n"
            "    libopenssl3.x86_64 &lt; 3.0.8-1\n    srcpackage:openssl &lt; 3.0.8-1\n"
            "    openssl-3.noarch &lt; 3.0.8-1\n</message></stream>",
            0,
        )
    )
    assert zypper.parse_touched(answer)["SUSE-1"] >= {"libopenssl3", "openssl-3"}


def test_a_patch_without_a_package_on_offer_still_counts() -> None:
    patch = zypper.Patch("SUSE-1", True, "critical", NOW)
    (update,) = zypper.join((), [patch], {}, (), tells_security=True)
    assert (update.name, update.security, update.severity) == ("SUSE-1", True, "critical")


@pytest.mark.parametrize("output", ["", "<stream>", "not XML", "\x00"])
def test_rubbish_of_zypper_is_a_failure(output: str) -> None:
    with pytest.raises(CannotRead, match="did not write XML"):
        zypper.parse(Done(output, 0))


# apk, as documented: it has not been seen on a real host


def alpine(root: Path) -> Path:
    for name in ("var/cache/apk/APKINDEX.01234567.tar.gz", "lib/apk/db/installed"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    (root / "etc/apk").mkdir(parents=True)
    (root / "etc/apk/world").write_text("alpine-base\nbusybox=1.36.1-r2\nvim@edge\n")
    return root


def test_apk_rows_as_documented(tmp_path: Path) -> None:
    output = (
        "busybox-1.36.1-r5 x86_64 {busybox} (GPL-2.0-only) [upgradable from: busybox-1.36.1-r2]\n"
        "libcrypto3-3.1.4-r1 x86_64 {openssl} (Apache-2.0) [upgradable from: libcrypto3-3.1.3-r0]\n"
    )
    survey = apk.survey("apk", host(alpine(tmp_path), output))
    assert [(one.name, one.installed, one.offered, one.held) for one in survey.updates] == [
        ("busybox", "1.36.1-r2", "1.36.1-r5", True),
        ("libcrypto3", "3.1.3-r0", "3.1.4-r1", False),
    ]
    assert not survey.tells_security
    assert survey.last_install is not None


def test_a_list_that_apk_could_not_open_is_trouble(tmp_path: Path) -> None:
    warning = "WARNING: opening from cache https://x/APKINDEX.tar.gz: No such file or directory\n"
    survey = apk.survey("apk", host(alpine(tmp_path), errors=warning))
    assert "run `apk update`" in survey.trouble[0]


def test_no_list_of_apk_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match="apk update"):
        apk.survey("apk", host(tmp_path))


# shared


def test_programs_share_one_bound() -> None:
    """The fourth of them may not start when three have used the time up."""
    clock = [0.0]
    given: list[float] = []

    def run(argv: Sequence[str], seconds: float) -> Done:
        given.append(seconds)
        clock[0] += 40
        return Done("", 0)

    bounded = within(run, 100, lambda: clock[0])
    ended = [bounded(["x"], 60).status for _ in range(4)]
    assert given == [60, 60, 20]
    assert ended == [0, 0, 0, None]


def test_a_program_that_is_not_there_is_a_failure_with_its_name(tmp_path: Path) -> None:
    def run(argv: Sequence[str], seconds: float) -> Done:
        raise FileNotFoundError(2, "No such file or directory")

    with pytest.raises(CannotRead, match="zypper repos could not be started"):
        Host(run=run, now=NOW).answer(["env", "A=1", "zypper", "repos"])


def test_the_end_of_support_is_read_from_os_release() -> None:
    fedora = parse_os_release("ID=fedora\nSUPPORT_END=2027-05-31\n")
    assert support_end(fedora) == datetime(2027, 6, 1, tzinfo=UTC)


def test_the_end_of_support_is_read_from_debians_table(tmp_path: Path) -> None:
    table = tmp_path / "usr/share/distro-info/debian.csv"
    table.parent.mkdir(parents=True)
    table.write_text(
        "version,codename,series,created,release,eol,eol-lts,eol-elts\n"
        "12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-06-10,2028-06-30,2033-06-30\n"
        "14,Forky,forky,2025-08-09\n"
    )
    bookworm = Distribution(id="debian", codename="bookworm")
    assert support_end(bookworm, tmp_path) == datetime(2028, 7, 1, tzinfo=UTC)
    assert support_end(Distribution(id="debian", codename="forky"), tmp_path) is None
    assert support_end(Distribution(id="arch"), tmp_path) is None


def test_dnf_that_is_dnf5_is_not_asked_as_dnf4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dnf5", "dnf-3"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    os.symlink("dnf5", tmp_path / "dnf")
    (tmp_path / "dnf-3").unlink()
    assert dnf.find() is None
    assert dnf5.find() == str(tmp_path / "dnf")
