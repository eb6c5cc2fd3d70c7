"""A backup is a whole collector, whether the original ran or not, and comes back as one."""

import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from forewarn_checks.base import Lane, Outcome
from forewarn_collector import backup
from forewarn_collector.certificates import Files, fingerprint
from forewarn_collector.instance import (
    InstanceError,
    collector_id,
    create,
    find,
    only_one,
    opened_state,
    read_settings,
)
from forewarn_collector.samples import Arrival, ArrivedRun
from forewarn_collector.samples.duck import DuckSampleStore

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
NOON = 1_795_000_000_000_000


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    made = tmp_path / "collector"
    create(made, agents="127.0.0.1:0", operators="127.0.0.1:0", url="https://c.example", now=NOW)
    return made


def put(store: DuckSampleStore, sequence: int) -> None:
    """Append one run with one point."""
    at = NOON + sequence * 1_000_000
    store.append(
        [
            Arrival(
                host=1,
                spool="spool-a",
                lane=Lane.LIVE,
                through=sequence,
                received=at,
                runs=(ArrivedRun(sequence, "cpu", at, 0.1, Outcome.OK, ""),),
                shapes=[store.shape("cpu_used_ratio", {})],
                times=[at],
                values=[0.5],
            )
        ]
    )


def identity(directory: Path) -> tuple[str, str, str]:
    """Return what agents and hosts know a collector by."""
    with opened_state(find(directory)) as database:
        return (
            collector_id(database),
            fingerprint(Files(directory)),
            read_settings(directory).config.url,
        )


def test_a_stopped_collector_comes_back_as_itself(instance: Path, tmp_path: Path) -> None:
    """The drill: back up, lose everything, restore, and be the same collector to everybody."""
    store = DuckSampleStore(instance / "samples")
    for sequence in range(5):
        put(store, sequence)
    store.seal()
    put(store, 5)
    store.close()
    before = identity(instance)
    backup.back_up(instance, tmp_path / "copy", NOW)
    shutil.rmtree(instance)

    backup.restore(tmp_path / "copy", instance)

    assert identity(instance) == before
    store = DuckSampleStore(instance / "samples")
    try:
        assert store.findings == ()
        assert [sequence for _, _, sequence in store.sequences(1)] == [0, 1, 2, 3, 4, 5]
        assert store.mark(1, "spool-a", Lane.LIVE) == 5
        put(store, 6)
    finally:
        store.close()


def test_what_is_copied_while_readings_arrive_is_whole(instance: Path, tmp_path: Path) -> None:
    """Every sequence up to the copy's own mark is in it, once; the original goes on."""
    store = DuckSampleStore(instance / "samples")
    enough = threading.Event()

    def write() -> None:
        for sequence in range(150):
            put(store, sequence)
            if sequence == 50:
                store.seal()
                enough.set()

    writer = threading.Thread(target=write)
    writer.start()
    enough.wait(30)
    backup.snapshot_running(instance, store)
    writer.join()
    copied = DuckSampleStore(instance / backup.STAGING / "samples")
    try:
        mark = copied.mark(1, "spool-a", Lane.LIVE)
        assert mark >= 50
        assert [n for _, _, n in copied.sequences(1)] == list(range(mark + 1))
    finally:
        copied.close()
    assert [n for _, _, n in store.sequences(1)] == list(range(150))
    store.close()


def test_a_copy_leaves_no_staging_behind(instance: Path, tmp_path: Path) -> None:
    """Whether it worked or not."""
    backup.back_up(instance, tmp_path / "copy", NOW)
    with pytest.raises(backup.CannotCopy, match="exists"):
        backup.back_up(instance, tmp_path / "copy", NOW)
    assert not (instance / backup.STAGING).exists()


def test_a_copy_is_for_its_owner_only(instance: Path, tmp_path: Path) -> None:
    """It holds every secret."""
    backup.back_up(instance, tmp_path / "copy", NOW)
    for path in (tmp_path / "copy", *(tmp_path / "copy").rglob("*")):
        if path.name not in ("ca.pem", "leaf.pem"):
            assert path.stat().st_mode & 0o077 == 0, path


def test_a_changed_file_restores_nothing(instance: Path, tmp_path: Path) -> None:
    """Named, and before anything is written."""
    backup.back_up(instance, tmp_path / "copy", NOW)
    (tmp_path / "copy" / "ca.pem").write_text("another")
    with pytest.raises(backup.CannotCopy, match=r"ca\.pem"):
        backup.restore(tmp_path / "copy", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_instance_is_never_restored_over(instance: Path, tmp_path: Path) -> None:
    """Its hosts would be lost."""
    backup.back_up(instance, tmp_path / "copy", NOW)
    with pytest.raises(backup.CannotCopy, match="holds a collector"):
        backup.restore(tmp_path / "copy", instance)


def test_a_folder_that_is_no_backup_is_refused(tmp_path: Path) -> None:
    """By its lack of a list."""
    with pytest.raises(backup.CannotCopy, match="is no backup"):
        backup.restore(tmp_path, tmp_path / "new")


def test_a_manifest_cannot_name_a_file_outside(instance: Path, tmp_path: Path) -> None:
    """A backup may have been somewhere else in the meantime."""
    backup.back_up(instance, tmp_path / "copy", NOW)
    manifest = tmp_path / "copy" / backup.MANIFEST
    manifest.write_text(manifest.read_text().replace('"ca.pem"', '"../ca.pem"'))
    with pytest.raises(backup.CannotCopy):
        backup.restore(tmp_path / "copy", tmp_path / "new")


def test_a_running_collector_is_not_copied_behind_its_back(instance: Path) -> None:
    """Its hot file changes under the copy; it has to be asked."""
    with only_one(instance), pytest.raises(InstanceError, match="already running"):
        backup.snapshot_stopped(instance, instance / backup.STAGING)
