"""Which filesystems of a host are measured, on mounts captured from real kernels."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forewarn_checks.linux.mounts import (
    Filesystem,
    Mount,
    choose,
    parse_fstab,
    parse_mountinfo,
    reachable,
)
from forewarn_checks.linux.view import View, see

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/case.toml"))


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def view_of(case: Path, own_root: str) -> View:
    return see(text(case / "first"), text(case / "own"), own_root)


def row(filesystem: Filesystem) -> str:
    words = [filesystem.mountpoint, filesystem.device, filesystem.fstype]
    words += ["read-only"] * bool(filesystem.read_only) + ["image"] * filesystem.never_written
    return " ".join(words)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_filesystems_of_a_captured_host(case: Path) -> None:
    """Each local writable filesystem is found once, under the expected mountpoint."""
    expected = tomllib.loads((case / "case.toml").read_text())
    view = view_of(case, expected.get("own_root", ""))
    found = choose(
        view.mounts,
        is_directory=lambda mountpoint, _: mountpoint not in expected.get("files", []),
        meant_writable=parse_fstab(text(case / "fstab")),
    )
    assert view.told == expected["told"]
    assert [row(filesystem) for filesystem in found] == expected["filesystems"], expected["fact"]
    at_hand = {mount.device_number for mount in view.own}
    out_of_reach = [each.mountpoint for each in found if each.device_number not in at_hand]
    assert out_of_reach == expected.get("hidden", [])


def test_no_mountpoint_of_a_network_filesystem_is_ever_asked() -> None:
    """Only a part of a local filesystem is, and never through a network mount."""
    asked: list[str] = []
    mounts = parse_mountinfo(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 0:40 /export/a /mnt/dead rw - nfs4 filer:/export/a rw\n"
        "3 2 8:1 /part /mnt/dead/part rw - ext4 /dev/sda1 rw\n"
        "4 2 8:2 /part /mnt/dead/other rw - ext4 /dev/sda2 rw\n"
        "5 1 8:3 /part /srv/part rw - ext4 /dev/sda3 rw\n"
    )

    def is_directory(mountpoint: str, device_number: str) -> bool:
        asked.append(f"{mountpoint} {device_number}")
        return True

    chosen = choose(mounts, is_directory=is_directory)
    assert [each.mountpoint for each in chosen] == ["/", "/srv/part"]
    assert asked == ["/srv/part 8:3"]


def test_whole_filesystem_names_it_rather_than_a_shorter_bind_mount() -> None:
    """A bind mount that comes and goes does not change which component a ticket is about."""
    mounts = parse_mountinfo(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 8:2 / /var/lib/data rw - ext4 /dev/sda2 rw\n"
        "3 1 8:2 /x /x rw - ext4 /dev/sda2 rw\n"
    )
    chosen = choose(mounts, is_directory=lambda *_: True)
    assert [each.mountpoint for each in chosen] == ["/", "/var/lib/data"]


def test_filesystem_mounted_for_this_process_alone_counts() -> None:
    """PID 1 does not see it; it is local and writable all the same."""
    first = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
    own = (
        "11 10 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "12 11 7:0 / /srv rw - ext4 /dev/loop0 rw\n"
        "13 11 0:50 / /tmp rw - tmpfs tmpfs rw\n"
    )
    view = see(first, own, "8:1")
    chosen = choose(view.mounts, is_directory=lambda *_: True)
    assert [each.mountpoint for each in chosen] == ["/", "/srv"]


def test_chroot_on_an_unknown_device_still_has_a_root() -> None:
    """As btrfs shows it: the number of a subvolume is in no mountinfo."""
    view = see("1 0 0:30 / / rw - btrfs /dev/sda1 rw\n", "", "0:31")
    (root,) = choose(view.mounts, is_directory=lambda *_: True)
    assert (root.mountpoint, root.fstype) == ("/", "unknown")


def test_octal_escapes_are_undone() -> None:
    r"""The kernel writes space, tab, newline and backslash as ``\040 \011 \012 \134``."""
    (mount,) = parse_mountinfo(r"1 0 8:1 / /a\040b\011c\012d\134e rw - ext4 /dev/my\040disk rw")
    assert (mount.mountpoint, mount.source) == ("/a b\tc\nd\\e", "/dev/my disk")


def test_any_number_of_optional_fields_is_skipped() -> None:
    """mountinfo has none to many of them before the dash."""
    (mount,) = parse_mountinfo(
        "1 0 8:1 / /a rw shared:1 master:2 propagate_from:3 - ext4 x rw,nojournal"
    )
    assert (mount.fstype, mount.super_options) == ("ext4", ("rw", "nojournal"))


def test_mounts_in_a_loop_are_unreachable_not_endless() -> None:
    """No kernel writes one; a reader must come back all the same."""
    assert (
        reachable(parse_mountinfo("1 2 8:1 / /a rw - ext4 x rw\n2 1 8:2 / /b rw - ext4 y rw")) == []
    )


def test_fstab_names_what_is_mounted_at_boot_and_writable() -> None:
    """Swap, comments, noauto and ro entries are no promise to be writable."""
    fstab = (
        "# / is not this\n"
        "UUID=1 /data\\040two ext4 defaults 0 2\n"
        "UUID=2 none swap sw 0 0\n"
        "UUID=3 /ro ext4 ro 0 2\n"
        "UUID=4 /later ext4 noauto 0 2\n"
        "broken\n"
        "UUID=5 /bare ext4\n"
    )
    assert parse_fstab(fstab) == {"/data two", "/bare"}


_WORD = st.text(st.sampled_from("01:/ab-\\\n 7é\udcff"), max_size=8)
_LINE = st.lists(_WORD, max_size=14).map(" ".join)
_NUMBER = st.integers(0, 4).map(str)
_MOUNT = st.builds(
    "{} {} 8:{} {} {} rw - {} dev {}".format,
    _NUMBER,
    _NUMBER,
    _NUMBER,
    st.sampled_from(["/", "/x"]),
    st.sampled_from(["/", "/a", "/a/b", "/a/b/c", ""]),
    st.sampled_from(["ext4", "nfs", "overlay", "btrfs"]),
    st.sampled_from(["rw", "ro"]),
)


@given(st.lists(_LINE | _MOUNT, max_size=12).map("\n".join))
@example("1 1 8:1 / / rw - ext4 d rw")
@example("9" * 5000 + " 1 8:1 / / rw - ext4 d rw")
def test_no_text_makes_it_raise_and_no_filesystem_counts_twice(text: str) -> None:
    """Whatever the text, parsing and choosing come back, each device at most once."""
    mounts: tuple[Mount, ...] = parse_mountinfo(text)
    chosen = choose(mounts, is_directory=lambda *_: True, meant_writable=["/a"])
    numbers = [each.device_number for each in chosen]
    assert len(numbers) == len(set(numbers))
    see(text, text, "8:1")
    parse_fstab(text)
