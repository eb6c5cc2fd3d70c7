"""What the disk check says of a filesystem, and of one that does not answer."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from forewarn_checks._asking import Asking, NoAnswer
from forewarn_checks.base import CannotRead, Fact, NothingToRead, Reading, Sample
from forewarn_checks.disk import CHECK, printable, readings, samples
from forewarn_checks.linux.mounts import Filesystem
from forewarn_checks.linux.view import Space, space_of

SRV = Filesystem("/srv", "/dev/sdb1", "ext4", "8:17", read_only=False)
HOME = Filesystem("/home", "/dev/sdc1", "ext4", "8:33")
HALF = Space(size_bytes=1000, used_bytes=475, free_bytes=475, inodes=100, inodes_free=40)


def values(found: Iterable[Sample]) -> dict[str, float]:
    return {sample.metric: sample.value for sample in found}


def gather(found: Iterable[Reading]) -> tuple[list[Reading], Exception | None]:
    """Return what was yielded and what was raised after it, as the runner keeps both."""
    kept: list[Reading] = []
    try:
        for reading in found:
            kept.append(reading)
    except (CannotRead, NothingToRead) as error:
        return kept, error
    return kept, None


def mountpoints(found: Iterable[Reading]) -> set[str]:
    return {reading.labels["mountpoint"] for reading in found if isinstance(reading, Sample)}


def test_used_is_a_share_of_what_a_user_may_use() -> None:
    """As df counts: the five per cent kept for root are neither used nor usable."""
    assert values(samples(SRV, HALF)) == {
        "disk_size_bytes": 1000,
        "disk_used_bytes": 475,
        "disk_free_bytes": 475,
        "disk_used_ratio": 0.5,
        "disk_inodes_free_ratio": 0.4,
        "disk_read_only": 0,
    }


def test_a_filesystem_without_inode_counts_has_no_inode_sample() -> None:
    """btrfs and vfat make them as needed and report 0 of 0."""
    assert "disk_inodes_free_ratio" not in values(samples(SRV, Space(1000, 475, 475)))


def test_an_image_has_no_ratio_that_could_raise_an_alarm() -> None:
    """It is full by nature; nobody can free space on it."""
    image = Filesystem("/", "composefs", "overlay", "0:30", False, never_written=True)
    assert set(values(samples(image, Space(1000, 1000, 0)))) == {
        "disk_size_bytes",
        "disk_used_bytes",
        "disk_free_bytes",
        "disk_read_only",
    }


def test_windows_does_not_tell_what_turned_read_only() -> None:
    """There is no list of what should be writable, so there is no sample, not a 0."""
    volume = Filesystem("C:\\", "C:\\", "NTFS", "C:\\")
    assert "disk_read_only" not in values(samples(volume, HALF))


def test_a_filesystem_of_no_size_has_no_samples() -> None:
    """A pseudo filesystem says 0 of everything."""
    assert values(samples(SRV, Space(0, 0, 0))) == {}


def test_more_free_than_there_is_counts_as_empty() -> None:
    """FUSE filesystems may report nonsense; a ratio stays between 0 and 1."""
    space = space_of(fragment=10, blocks=5, free=9, available=7, inodes=3, inodes_free=8)
    assert space == Space(50, 0, 50, 3, 3)


def test_one_that_vanished_is_left_out_and_the_run_is_fine() -> None:
    """Ejected between reading the mounts and asking for its space."""

    def look_at(filesystem: Filesystem) -> Space:
        if filesystem is HOME:
            raise FileNotFoundError("/home")
        return HALF

    found, error = gather(readings([HOME, SRV], look_at, {}))
    assert (mountpoints(found), error) == ({"/srv"}, None)


def test_one_out_of_reach_fails_the_run_after_the_others_were_read() -> None:
    """The text names it and says what to do."""
    found, error = gather(readings([HOME, SRV], {SRV: HALF}.get, {}))
    assert mountpoints(found) == {"/srv"}
    assert isinstance(error, CannotRead)
    assert "/home is hidden from the agent" in str(error)
    assert "exclude = ['/that/mountpoint']" in str(error)


def test_one_that_never_answers_does_not_keep_the_others_waiting() -> None:
    """It costs one stuck thread in all: it is not asked again while that thread waits."""
    asked: list[str] = []
    release = threading.Event()

    def look_at(filesystem: Filesystem) -> Space:
        asked.append(filesystem.mountpoint)
        if filesystem is HOME:
            release.wait(30)
        return HALF

    asking = Asking()
    ticks = iter(range(0, 10_000, 20))  # the time for waiting is used up at once
    clock: Callable[[], float] = lambda: next(ticks)  # noqa: E731
    try:
        for _ in range(2):
            found, error = gather(readings([HOME, SRV], look_at, {}, asking, clock))
            assert mountpoints(found) == {"/srv"}
            assert "/home on /dev/sdc1 does not answer" in str(error)
        assert asked == ["/home", "/srv", "/srv"]
    finally:
        release.set()


def test_a_disk_that_answers_again_is_asked_again() -> None:
    """The stuck thread has ended, so the key is free."""
    asking, release = Asking(), threading.Event()
    with pytest.raises(NoAnswer):
        asking.ask("8:1", lambda: release.wait(30), 0.01)
    with pytest.raises(NoAnswer):
        asking.ask("8:1", lambda: True, 5)
    release.set()
    for thread in threading.enumerate():
        if thread.name == "asking 8:1":
            thread.join(30)
    assert asking.ask("8:1", lambda: "back", 5) == "back"


def test_what_a_question_raises_is_raised_where_it_was_asked() -> None:
    """Also an error that is no OSError: it is not lost in its thread."""

    def fail() -> None:
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        Asking().ask("8:1", fail, 5)


@pytest.mark.parametrize("pattern", ["/home", "/h*", "/hom?"])
def test_excluded_mountpoints_are_never_asked(pattern: str) -> None:
    """Patterns are the shell's."""
    found, error = gather(readings([HOME, SRV], {SRV: HALF}.get, {"exclude": (pattern,)}))
    assert (mountpoints(found), error) == ({"/srv"}, None)


def test_nothing_left_is_an_outcome_not_a_failure() -> None:
    """Everything excluded, or a host without a local filesystem."""
    assert isinstance(gather(readings([], {SRV: HALF}.get, {}))[1], NothingToRead)


def test_more_filesystems_than_a_collector_takes_are_bounded_and_said() -> None:
    """A container host with thousands of volumes must not lose its whole batch."""
    many = [Filesystem(f"/v/{n}", f"/dev/v{n}", "ext4", f"9:{n}") for n in range(151)]
    found, error = gather(readings(many, lambda _: HALF, {}))
    assert len(mountpoints(found)) == 150
    assert "only 150 of 151 filesystems were read" in str(error)


def test_labels_carry_any_mountpoint() -> None:
    """No lone surrogate, no control character, no label longer than the wire takes."""
    assert printable("/mnt/caf\udce9 ü\n") == r"/mnt/caf\xe9 ü\n"
    assert printable("/" + "x" * 500) == "…" + "x" * 199


def test_this_host_has_a_root_filesystem() -> None:
    """The reader itself, on whatever the tests run on."""
    if not Path("/proc/self/mountinfo").exists():
        pytest.skip("Linux only")
    assert CHECK.read_linux is not None
    found, _ = gather(CHECK.read_linux({}))
    assert "/" in mountpoints(found)
    assert {each.name for each in found if isinstance(each, Fact)} >= {"disks", "filesystems"}
