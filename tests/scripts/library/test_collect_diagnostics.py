"""A look at this very machine."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.scripts.library.stage import Stage

from forewarn_scripts import library


def test_it_tells_what_it_can_and_stays_short(stage: Stage) -> None:
    ran = stage.order("collect-diagnostics")
    assert ran.code == 0
    for title in ("system", "memory", "filesystems", "inodes", "processes by memory", "end"):
        assert f"== {title}" in ran.output
    assert len(ran.output) < 32_768


def test_what_a_process_was_called_with_is_not_told(stage: Stage) -> None:
    """Arguments hold passwords now and then."""
    secret = "password-of-nobody"
    with subprocess.Popen(["/bin/sleep", "60", "--", secret], stderr=subprocess.DEVNULL) as sleeper:
        ran = stage.order("collect-diagnostics")
        sleeper.kill()
    assert secret not in ran.output


def test_a_host_without_most_programs_is_told_of_all_the_same(stage: Stage) -> None:
    for name in ("lsblk", "ip", "ss", "ps"):
        stage.play(name, "exit 1")
    ran = stage.order("collect-diagnostics", "--lines=1")
    assert (ran.code, "== end" in ran.output) == (0, True)


@pytest.mark.skipif(not shutil.which("busybox"), reason="apt-get install busybox-static")
def test_busybox_is_enough(tmp_path: Path) -> None:
    """As on Alpine: neither shell nor programs are the usual ones."""
    busybox = str(shutil.which("busybox"))
    names = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    for name in names.stdout.split():
        (tmp_path / name).symlink_to(busybox)
    body = library.find("collect-diagnostics").body("linux").script
    done = subprocess.run(
        [tmp_path / "sh", "-s", "--", "--lines=5"],
        input=body,
        capture_output=True,
        env={"PATH": str(tmp_path)},
        check=False,
    )
    said = done.stdout.decode() + done.stderr.decode()
    assert (done.returncode, "== end" in said) == (0, True)
    assert not [word for word in ("Usage", "unrecognized", "not found") if word in said], said
