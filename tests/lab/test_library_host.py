"""Scripts of the library on filesystems and clocks of their own, on this very kernel.

Needs root and loop devices.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from forewarn_scripts import library

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root"),
]

FOLDER = Path(library.__file__).parent
MEBIBYTE = 1024 * 1024


def in_own_mounts(script: str) -> str:
    """Run a shell script that may mount what it likes; return all it said."""
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    print(done.stdout + done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def image(folder: Path) -> Path:
    """Return an ext4 filesystem of 64 MiB in a file."""
    path = folder / "disk.img"
    with path.open("wb") as file:
        file.truncate(64 * MEBIBYTE)
    subprocess.run(["mkfs.ext4", "-q", "-F", path], check=True, capture_output=True)
    return path


def allocated(path: Path) -> int:
    """Return how many bytes of a file really lie on disk."""
    return path.stat().st_blocks * 512


def test_trim_gives_freed_blocks_back(tmp_path: Path) -> None:
    """The file behind a loop device shrinks by what was deleted in it, when told and not before."""
    disk, place = image(tmp_path), tmp_path / "mnt"
    place.mkdir()
    body = FOLDER / "trim-ssds/linux.sh"
    sizes = in_own_mounts(f"""
        mount -o loop {disk} {place}; head -c 40000000 /dev/urandom > {place}/big; sync
        rm {place}/big; sync; stat -c 'size %b' {disk}
        sh {body} --filesystem={place}; sync; stat -c 'size %b' {disk}
        sh {body} --filesystem={tmp_path} && exit 1 || echo "code $?"
        umount {place}""")
    before, after = (int(line.split()[1]) * 512 for line in sizes.splitlines() if "size" in line)
    assert before > 40_000_000
    assert after < before - 35_000_000
    assert "bytes) trimmed" in sizes
    assert "code 66" in sizes  # that is a folder, and nothing is mounted there


@pytest.mark.skipif(not shutil.which("debugfs"), reason="apt-get install e2fsprogs")
def test_only_what_was_not_touched_for_days_is_deleted(tmp_path: Path) -> None:
    """With every time of a file set back, that of its change too, as only debugfs can."""
    disk = image(tmp_path)
    body = FOLDER / "clean-temporary-files/linux.sh"
    back = "".join(
        f"debugfs -w -R 'set_inode_field /{name} {time} 20250101000000' {disk} 2>/dev/null\n"
        for name in ("a/old", "systemd-private-1/old", "touched")
        for time in ("atime", "mtime", "ctime")
        if (name, time) != ("touched", "ctime")
    )
    said = in_own_mounts(f"""
        mount -o loop {disk} /var/tmp; cd /var/tmp; mkdir a systemd-private-1
        head -c 5000000 /dev/urandom > a/old
        for one in a/young systemd-private-1/old touched; do echo x > $one; done
        cd /; umount /var/tmp
        {back}
        mount -o loop {disk} /var/tmp; mount -t tmpfs tmpfs /tmp
        mount -t tmpfs tmpfs /var/cache
        sh {body} --older-than-days=10; ls -R /var/tmp
        echo ---; sh {body} --older-than-days=10 --yes; cd /var/tmp; find . -type f | sort
        umount -l /var/tmp""")
    shown, _, done = said.partition("---")
    assert "/var/tmp, older than 10 days: 4 MiB in 1 files" in shown
    assert "old" in shown.split("a:")[1]
    assert done.splitlines()[-3:] == ["./a/young", "./systemd-private-1/old", "./touched"]


def test_alpine_gets_all_updates_by_its_own_manager(tmp_path: Path) -> None:
    """By an apk of the test's own: a real one is not to be had here."""
    apk = tmp_path / "bin/apk"
    apk.parent.mkdir()
    apk.write_text(
        f"""#!/bin/sh
        echo "$@" >> {tmp_path}/calls
        case " $* " in
            *' --simulate '*) [ -e {tmp_path}/done ] ||
                echo '(1/1) Upgrading busybox (1.36.1-r2 -> 1.36.1-r5)'; echo 'OK: 8 MiB' ;;
            *' upgrade '*) touch {tmp_path}/done ;;
        esac\n"""
    )
    apk.chmod(0o755)
    (tmp_path / "os-release").write_text("ID=alpine\nVERSION_ID=3.20\n")
    updates = FOLDER / "apply-updates/linux.sh"
    refresh = FOLDER / "refresh-package-metadata/linux.sh"
    said = in_own_mounts(f"""
        mount --bind {tmp_path}/os-release $(readlink -f /etc/os-release)
        PATH={tmp_path}/bin:$PATH
        sh {updates} --which=security --yes && exit 1 || echo "code $?"
        sh {updates} --which=all; sh {updates} --which=all --yes; sh {updates} --which=all --yes
        sh {refresh}""")
    assert "code 69" in said
    assert said.count("busybox 1.36.1-r2 -> 1.36.1-r5") == 2
    assert "Nothing was changed" in said
    assert "installed: 1" in said
    assert "no updates (all) to install" in said
    assert "the lists of packages were fetched" in said
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call for call in calls if call.endswith(" upgrade")] == ["--wait 300 upgrade"]
