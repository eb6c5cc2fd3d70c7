"""Updates by apt, with an apt-get and a dpkg of the test's own; real managers are in the lab."""

import re
import subprocess
from pathlib import Path

import pytest
from tests.scripts.library.stage import Stage

from forewarn_scripts import library

pytestmark = pytest.mark.skipif(
    not re.search(r"^ID(_LIKE)?=.*(debian|ubuntu)", Path("/etc/os-release").read_text(), re.M),
    reason="the body asks /etc/os-release, and this system is not of Debian's family",
)

SIMULATION = """\
Reading package lists...
Inst openssl [3.0.1] (3.0.7 Debian-Security:12/stable-security [amd64])
Inst not-security [1.0] (1.1 Debian:12.9/stable [amd64])
Inst libx:i386 [1:2-3] (1:2-4 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security [i386])
Inst linux-image-6.1.0-28-amd64 (6.1.119-1 Debian-Security:12/stable-security [amd64])
Conf openssl (3.0.7 Debian-Security:12/stable-security [amd64])
"""


def apt(stage: Stage, **answers: str) -> None:
    """Play an apt-get that has two updates of security and one other until it installs."""
    cases = {"update": "exit 0", "install": "touch installed; exit 0"} | answers
    stage.play(
        "apt-get",
        f"""
        case " $* " in
            *' -s '*) [ -e installed ] || cat <<'.'\n{SIMULATION}.\n exit 0 ;;
            *' update '*) {cases["update"]} ;;
            *' --download-only '*) exit 0 ;;
            *) {cases["install"]} ;;
        esac""",
    )
    stage.play("dpkg", "cat half 2>/dev/null; exit 0")
    stage.play("apt-cache", "echo ' release v=12,o=Debian,a=stable-security,l=Debian-Security'")


def changing(stage: Stage) -> list[str]:
    """Return the calls of apt-get that touch packages."""
    quiet = (" -s ", " update", " --download-only ")
    return [one for one in stage.calls("apt-get") if not any(word in one for word in quiet)]


def test_without_yes_it_is_only_told_what_would_be_done(stage: Stage) -> None:
    apt(stage)
    ran = stage.order("apply-updates")
    assert ran.code == 0
    assert ran.output.splitlines() == [
        "updates (security): 2",
        "  openssl 3.0.1 -> 3.0.7",
        "  libx:i386 1:2-3 -> 1:2-4",
        "simulated only; with --yes they are installed.  Nothing was changed",
    ]
    assert changing(stage) == []


def test_updates_of_security_are_installed_by_name_and_version_and_nothing_else(
    stage: Stage,
) -> None:
    """Never asks, keeps changed files, waits for locks so long and no longer, removes nothing."""
    apt(stage)
    ran = stage.order("apply-updates", "--yes")
    assert ran.code == 0, ran.output
    assert "installed: 2" in ran.output
    (call,) = changing(stage)
    assert call.endswith("--only-upgrade --no-remove install openssl=3.0.7 libx:i386=1:2-4")
    for option in ("-y", "DPkg::Lock::Timeout=300", "--force-confdef", "--force-confold"):
        assert option in call


def test_all_updates_are_left_to_an_upgrade_that_removes_nothing(stage: Stage) -> None:
    apt(stage)
    ran = stage.order("apply-updates", "--which=all", "--yes")
    assert (ran.code, "installed: 3" in ran.output) == (0, True), ran.output
    (call,) = changing(stage)
    assert call.endswith("--with-new-pkgs upgrade")


def test_a_second_time_there_is_nothing_to_do(stage: Stage) -> None:
    apt(stage)
    stage.order("apply-updates", "--yes")
    ran = stage.order("apply-updates", "--yes")
    assert (ran.code, "no updates (security) to install" in ran.output) == (0, True)
    assert len(changing(stage)) == 1


def test_no_news_of_security_where_no_archive_of_it_is_asked_is_no_good_news(stage: Stage) -> None:
    apt(stage)
    stage.play("apt-cache", "echo ' release v=12,o=Debian,a=stable,n=bookworm,l=Debian'")
    (stage.folder / "installed").touch()
    ran = stage.order("apply-updates", "--yes")
    assert (ran.code, "--which=all" in ran.output) == (69, True)
    assert stage.order("apply-updates", "--which=all", "--yes").code == 0


def test_half_installed_packages_are_a_persons_to_mend(stage: Stage) -> None:
    """Nothing is begun, and it is said what to run."""
    apt(stage)
    (stage.folder / "half").write_text("openssl is half configured\n")
    ran = stage.order("apply-updates", "--yes")
    assert (ran.code, "dpkg --configure -a" in ran.output) == (70, True)
    assert stage.calls("apt-get") == []


def test_an_installation_that_leaves_a_package_half_done_says_so(stage: Stage) -> None:
    apt(stage, install="echo 'E: Sub-process returned 1'; echo openssl > half; exit 100")
    ran = stage.order("apply-updates", "--yes")
    assert (ran.code, "dpkg --configure -a" in ran.output) == (70, True)
    assert "E: Sub-process returned 1" in ran.output


def test_an_installation_that_fails_shows_its_last_words(stage: Stage) -> None:
    apt(stage, install="seq 100; echo 'E: no space left'; exit 100")
    ran = stage.order("apply-updates", "--yes")
    assert ran.code == 1
    assert "E: no space left" in ran.output
    assert len(ran.output.splitlines()) < 35


def test_a_lock_that_is_held_for_good_ends_in_try_again(stage: Stage) -> None:
    apt(stage, update="echo 'E: Could not get lock /var/lib/apt/lists/lock'; exit 100")
    ran = stage.order("apply-updates", "--yes")
    assert (ran.code, changing(stage)) == (75, [])
    assert 50 < len(stage.calls("apt-get")) < 70


def test_nothing_to_do_by_lists_that_could_not_be_fetched_is_no_good_news(stage: Stage) -> None:
    apt(stage, update="echo 'E: Failed to fetch http://gone.invalid'; exit 100")
    (stage.folder / "installed").touch()
    ran = stage.order("apply-updates", "--yes")
    assert (ran.code, "nobody can say" in ran.output) == (1, True)
    assert "gone.invalid" in ran.output


def test_one_dead_source_does_not_hold_back_the_others(stage: Stage) -> None:
    """Old apt exits 0 and only warns."""
    apt(stage, update="echo 'W: Failed to fetch http://gone.invalid'; exit 0")
    ran = stage.order("apply-updates", "--yes")
    assert (ran.code, "installed: 2" in ran.output) == (0, True)
    assert "there may be more updates" in ran.output


@pytest.mark.parametrize(
    ("now", "window", "minutes"),
    [
        ("2330", "2200-0500", 2),
        ("0459", "2200-0500", 2),
        ("0500", "2200-0500", 1020),
        ("2159", "2200-0500", 2),
        ("2100", "2200-0500", 60),
        ("0809", "0900-1000", 51),
        ("0930", "0900-1000", 2),
        ("1000", "0900-1000", 1380),
        ("1200", "1200-1200", 2),
    ],
)
def test_a_restart_waits_for_its_window(stage: Stage, now: str, window: str, minutes: int) -> None:
    """Two minutes at least, for the answer to leave."""
    text = library.find("apply-updates").body("linux").script.decode()
    begin, end = text.index("minutes_of()"), text.index("after_updates() {")
    script = f"window={window}\n{text[begin:end]}\nminutes_to_window\n"
    stage.play("date", f"echo {now}")
    stage.play("try-it", script)
    done = subprocess.run(
        ["/bin/sh", "-eu", stage.bin / "try-it"],
        env={"PATH": f"{stage.bin}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == minutes
