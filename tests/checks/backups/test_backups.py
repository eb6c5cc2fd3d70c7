"""Backups, as files and folders that lie there."""

import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from forewarn_checks._at_once import AtOnce
from forewarn_checks._newest import Budget, Copies, TooMany, matching
from forewarn_checks._newest import look as look_at
from forewarn_checks.backups import Backup, look, parse_backup, readings
from forewarn_checks.base import CannotRead, Fact, NothingToRead, Options

HOUR = 3600.0
NOW = 1_000_000.0


def put(path: Path, size: int, age: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (NOW - age, NOW - age))


def read(
    options: Options, at_once: AtOnce[Backup, Copies | str] | None = None
) -> tuple[dict[str, float], str]:
    found: dict[str, float] = {}
    try:
        for each in readings(options, at_once or AtOnce(look), NOW):
            if not isinstance(each, Fact):
                found[f"{each.metric} {each.labels['backup']}"] = each.value
    except CannotRead as error:
        return found, str(error)
    return found, ""


def test_the_newest_of_a_pattern_is_told(tmp_path: Path) -> None:
    """Its age against what it may be, its size against those before it."""
    for day, size in enumerate((100, 400, 400, 300, 500)):
        put(tmp_path / f"db-{day}.dump", size, 2 * HOUR + day * 24 * HOUR)
    put(tmp_path / "other.txt", 1, 0)
    found, said = read({"paths": (f"db = {tmp_path}/db-*.dump",)})
    assert found == {
        "backup_found db": 1,
        "backup_copies db": 5,
        "backup_age_seconds db": pytest.approx(2 * HOUR),
        "backup_overdue_seconds db": pytest.approx(-24 * HOUR),
        "backup_size_bytes db": 100,
        "backup_size_ratio db": pytest.approx(0.25),
    }
    assert not said


def test_one_file_and_its_own_rhythm(tmp_path: Path) -> None:
    """With nothing before it there is nothing to compare its size with."""
    put(tmp_path / "image", 10, 9 * 24 * HOUR)
    found, _ = read({"paths": (f"{tmp_path}/image every 8d",)})
    name = f"{tmp_path}/image"
    assert found[f"backup_overdue_seconds {name}"] == pytest.approx(24 * HOUR)
    assert f"backup_size_ratio {name}" not in found


def test_a_folder_is_as_new_as_the_newest_in_it(tmp_path: Path) -> None:
    """And as large as all of it; what a link leads to is not its own."""
    put(tmp_path / "repo" / "data" / "0" / "a", 30, 5 * HOUR)
    put(tmp_path / "repo" / "index", 12, 1 * HOUR)
    put(tmp_path / "large", 5000, 0)
    (tmp_path / "repo" / "link").symlink_to(tmp_path / "large")
    os.utime(tmp_path / "repo" / "link", (NOW - 9 * HOUR,) * 2, follow_symlinks=False)
    found, _ = read({"paths": (f"repo = {tmp_path}/repo",)})
    assert found["backup_age_seconds repo"] == pytest.approx(HOUR)
    assert 42 <= found["backup_size_bytes repo"] < 1000


def test_patterns_reach_through_folders(tmp_path: Path) -> None:
    """A folder a day, as rsnapshot and others make."""
    put(tmp_path / "mon" / "db" / "x.dump", 1, 30)
    put(tmp_path / "tue" / "db" / "x.dump", 2, 10)
    put(tmp_path / "wed", 9, 0)
    found = look_at(f"{tmp_path}/*/db/*.dump")
    assert found is not None
    assert (found.newest.size_bytes, found.count) == (2, 2)


def test_none_is_missing_and_not_old(tmp_path: Path) -> None:
    """Also where the folder is not there: its disk may not be mounted."""
    options = {"paths": (f"a = {tmp_path}/no*", f"b = {tmp_path}/none/at/all")}
    assert read(options) == ({"backup_found a": 0, "backup_found b": 0}, "")


class OneDead(AtOnce[Backup, Copies | str]):
    """Gives no answer for one path, as if its mount were dead."""

    def __call__(
        self, things: Sequence[Backup], seconds: float
    ) -> Iterator[tuple[Backup, Copies | str | None]]:
        for thing, answer in super().__call__(things, seconds):
            yield thing, None if thing.pattern == "/dead" else answer


def test_what_cannot_be_looked_at_is_neither_there_nor_missing(tmp_path: Path) -> None:
    """The run fails with the reason, and the others are told."""

    def ask(backup: Backup) -> Copies | str:
        return "/shut: may not" if backup.pattern == "/shut" else look(backup)

    put(tmp_path / "fine", 1, 1)
    paths = ("dead = /dead", "shut = /shut", f"fine = {tmp_path}/fine")
    found, said = read({"paths": paths}, OneDead(ask))
    assert found["backup_found fine"] == 1
    assert not [name for name in found if not name.endswith("fine")]
    assert said == "dead: no answer; is it on a mount that is dead?; shut: /shut: may not"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_folder_that_is_shut_is_told(tmp_path: Path) -> None:
    """With whom to let in."""
    (tmp_path / "shut").mkdir(mode=0)
    assert "grant it read access" in str(look(Backup(f"{tmp_path}/shut/*")))


def test_what_is_looked_at_has_a_bound(tmp_path: Path) -> None:
    """A pattern that leads to a million files is refused, not followed."""
    for number in range(10):
        put(tmp_path / f"f{number}", 0, 0)
    with pytest.raises(TooMany, match="narrower"):
        list(matching(f"{tmp_path}/*", Budget(9)))


def test_entries_are_read() -> None:
    """A path with spaces, too."""
    assert parse_backup("/b/a b*.img every 36h") == Backup("/b/a b*.img", timedelta(hours=36))
    assert parse_backup("/b").every == timedelta(hours=26)
    for text in ("", "b", "/b every soon"):
        with pytest.raises(ValueError, match=r"\w"):
            parse_backup(text)
    with pytest.raises(NothingToRead, match="paths"):
        read({})
