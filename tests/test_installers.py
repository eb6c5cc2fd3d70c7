"""What installs forewarn: shell that any POSIX shell runs, and units that are locked up well."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
INSTALLERS = ROOT / "collector/forewarn_collector/installer"
SCRIPTS = [ROOT / "install.sh", *sorted(INSTALLERS.glob("*.sh"))]
SHELL = shutil.which("sh") or "/bin/sh"
# What `systemd-analyze security` may give at most, in tenths: 0 is a jail, 96 a plain root service.
UNITS = {
    "agent/forewarn_agent/units/forewarn-agent.service": 15,
    "collector/forewarn_collector/units/forewarn-collector.service": 15,
}

needs_shellcheck = pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck")
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd")


@needs_shellcheck
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_has_nothing_to_say(script: Path) -> None:
    """At its strictest."""
    done = subprocess.run(
        ["shellcheck", "-x", "-S", "style", str(script)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_sh_can_read_it(script: Path) -> None:
    """The `sh` of this system, which on Debian is no bash."""
    assert subprocess.run(["sh", "-n", str(script)]).returncode == 0


def test_a_script_cut_off_on_its_way_does_nothing(tmp_path: Path) -> None:
    """It comes through a pipe: whatever its length, nothing runs before its last line is there."""
    whole = (INSTALLERS / "agent.sh").read_text()
    assert whole.rstrip().endswith('\nmain "$@"')
    for share in (0.3, 0.6, 0.9):
        cut = "exec 2>/dev/null\n" + whole[: int(len(whole) * share)]
        done = subprocess.run(
            [SHELL, "-s", "--", "--uninstall"],
            input=cut,
            text=True,
            capture_output=True,
            env={"PATH": str(tmp_path)},
        )
        assert done.stdout == ""


def test_what_a_word_means_is_asked_before_anything_is_done(tmp_path: Path) -> None:
    """A string that is none, or an unknown word, ends it at once."""
    for word in ("fw2.x", "--unistall"):
        done = subprocess.run(
            ["sh", str(INSTALLERS / "agent.sh"), word], capture_output=True, text=True
        )
        assert done.returncode == 2
        assert "--uninstall" in done.stderr


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_locked_up(unit: str) -> None:
    """By systemd's own measure."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager",
         f"--threshold={UNITS[unit]}", str(ROOT / unit)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_tells_the_watchdog_and_is_always_restarted(unit: str) -> None:
    """And keeps what it writes to itself."""
    lines = (ROOT / unit).read_text().splitlines()
    for wanted in ("Type=notify", "WatchdogSec=120", "Restart=always", "UMask=0077"):
        assert wanted in lines
    assert "StateDirectoryMode=0700" in lines


def test_the_agents_unit_does_not_hide_what_is_measured() -> None:
    """A hidden /home is a filesystem that fills unseen; /lib/modules shows a newer kernel."""
    lines = (ROOT / "agent/forewarn_agent/units/forewarn-agent.service").read_text().splitlines()
    assert "ProtectHome=read-only" in lines
    assert not any(line.startswith("ProtectKernelModules=") for line in lines)
