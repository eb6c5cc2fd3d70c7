"""What is deleted, and what is not; /tmp and caches of a copy of the body are the test's own."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from tests.scripts.library.stage import Stage

from forewarn_scripts import library

DAY = 86_400


def old(path: Path, days: float = 20, size: int = 8192) -> Path:
    """Make a file that was last used so long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - days * DAY,) * 2)
    return path


def clean(stage: Stage, *argv: str) -> tuple[int, str]:
    """Run the body with its folders moved; a file's own change time cannot be set back."""
    body = library.find("clean-temporary-files").body("linux").script.decode()
    for folder in ("/tmp", "/var/tmp", "/var/cache"):
        body = body.replace(f" {folder}", f" {stage.folder}{folder}")
    body = body.replace('-ctime "+$days" ', "")
    path = stage.folder / "moved.sh"
    path.write_text(body)
    done = subprocess.run(
        ["/bin/sh", path, *argv],
        env={"PATH": f"{stage.bin}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def house(stage: Stage) -> Stage:
    """Old and young files, links, and caches."""
    (stage.folder / "var/tmp").mkdir(parents=True)
    stage.play("apt-get", f"rm -f {stage.folder}/var/cache/apt/archives/*.deb")
    old(stage.folder / "var/cache/apt/archives/one.deb", 1, 2**20)
    return stage


def test_without_yes_nothing_is_touched(house: Stage) -> None:
    keep = old(house.folder / "tmp/a/old")
    code, said = clean(house, "--older-than-days=10")
    assert (code, keep.exists(), house.calls("apt-get")) == (0, True, [])
    assert "older than 10 days: 0 MiB in 1 files" in said
    assert "downloaded packages: 1 MiB in 1 files" in said
    assert "Nothing was changed" in said


def test_with_yes_old_plain_files_go_and_all_else_stays(house: Stage) -> None:
    tmp = house.folder / "tmp"
    gone = [old(tmp / "old"), old(tmp / "a b/$(x)/\nold"), old(house.folder / "var/tmp/old")]
    outside = old(house.folder / "precious/file")
    keep = [
        old(tmp / "young", 1),
        old(tmp / "systemd-private-1/tmp/old"),
        old(tmp / "snap.thing/old"),
        outside,
    ]
    (tmp / "link").symlink_to(outside)
    (tmp / "folder").symlink_to(outside.parent)
    read_lately = old(tmp / "read")
    os.utime(read_lately, (time.time(), time.time() - 20 * DAY))
    code, said = clean(house, "--older-than-days=10", "--yes")
    assert code == 0, said
    assert [path for path in gone if path.exists()] == []
    assert [path for path in [*keep, read_lately, tmp / "link"] if not path.exists()] == []
    assert not list((house.folder / "var/cache/apt/archives").iterdir())
    assert clean(house, "--older-than-days=10", "--yes")[0] == 0


def test_a_folder_that_is_a_link_is_left_alone(house: Stage) -> None:
    """Somebody moved /var/tmp elsewhere: what lies there is not ours to judge."""
    precious = old(house.folder / "precious/file")
    (house.folder / "var/tmp").rmdir()
    (house.folder / "var/tmp").symlink_to(precious.parent)
    assert clean(house, "--older-than-days=10", "--yes")[0] == 0
    assert precious.exists()


def test_a_find_that_could_be_led_astray_looks_at_the_top_only(house: Stage) -> None:
    """busybox's goes by names, which others can change under its feet."""
    house.play(
        "find",
        'for word in "$@"; do [ "$word" != --version ] || exit 1; done; exec /usr/bin/find "$@"',
    )
    top, below = old(house.folder / "tmp/old"), old(house.folder / "tmp/a/old")
    assert clean(house, "--older-than-days=10", "--yes")[0] == 0
    assert (top.exists(), below.exists()) == (False, True)


def test_a_cache_that_cannot_be_emptied_is_a_failure(house: Stage) -> None:
    house.play("apt-get", "exit 100")
    code, said = clean(house, "--older-than-days=10", "--yes")
    assert (code, "failed: apt-get clean" in said) == (1, True)
