"""The embedded store: the contract on hot and on sealed rows, and what is its own."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest
from tests.collector.samples.contract import SECOND, T0, SampleStoreContract, arrival, run

from forewarn_checks.base import Lane, Outcome
from forewarn_collector.samples import SampleStore
from forewarn_collector.samples.duck import DuckSampleStore, StoreInUse, StoreUnusable

HOUR = 3600 * SECOND


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckSampleStore]:
    opened = DuckSampleStore(tmp_path / "samples")
    yield opened
    opened.close()
    # Whatever a test did: opening again finds nothing wrong.
    again = DuckSampleStore(tmp_path / "samples")
    assert again.findings == ()
    again.close()


class TestHot(SampleStoreContract):
    """Everything still in the hot tables."""


class TestSealed(SampleStoreContract):
    """Everything sealed as soon as it arrived."""

    def settle(self, store: SampleStore) -> None:
        assert isinstance(store, DuckSampleStore)
        store.seal()


class TestCompacted(SampleStoreContract):
    """Everything sealed and merged as soon as it arrived."""

    def settle(self, store: SampleStore) -> None:
        assert isinstance(store, DuckSampleStore)
        store.seal()
        store.compact()


def fill(store: DuckSampleStore, *, seals: int, every: int = 300 * SECOND, start: int = T0) -> None:
    """Append one run of two hosts and seal it, `seals` times."""
    first = store.mark(1, "spool-a", Lane.LIVE) + 1
    for number in range(seals):
        at = start + number * every
        store.append([arrival(store, run(first + number, at), host=host) for host in (1, 2)])
        store.seal()


def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    store = DuckSampleStore(tmp_path)
    fill(store, seals=2)
    store.append([arrival(store, run(2, T0 + HOUR), value=7.0, mountpoint="/new")])
    before = (store.latest(1), store.statuses(), store.sequences(1), store.last_received())
    through = store.new_points(0).through
    store.close()
    store = DuckSampleStore(tmp_path)
    assert (store.latest(1), store.statuses(), store.sequences(1), store.last_received()) == before
    assert store.mark(1, "spool-a", Lane.LIVE) == 2
    assert store.new_points(0).through == through
    store.append([arrival(store, run(3, T0 + HOUR))])
    assert store.new_points(through).through == through + 1
    store.close()


def test_what_the_engine_has_not_judged_stays_hot(tmp_path: Path) -> None:
    judged = 0
    store = DuckSampleStore(tmp_path, cursor=lambda: judged)
    store.append([arrival(store, run(0, T0))])
    assert store.seal() == []
    store.append([arrival(store, run(1, T0 + SECOND))])
    points = store.new_points(0)
    assert len(points.at) == 4
    judged = points.through - 1
    assert {file.kind for file in store.seal()} == {"samples", "runs"}
    assert len(store.new_points(0).at) == 2
    assert [sequence for _, _, sequence in store.sequences(1)] == [0, 1]
    store.close()


def test_the_cursor_never_goes_back_even_when_all_was_sealed_and_forgotten(tmp_path: Path) -> None:
    store = DuckSampleStore(tmp_path)
    fill(store, seals=3)
    through = store.new_points(2).through
    assert store.forget(T0 + 10 * HOUR) == 6
    store.close()
    store = DuckSampleStore(tmp_path)
    store.append([arrival(store, run(3, T0))])
    assert store.new_points(through).through > 3
    store.close()


def test_forgetting_deletes_whole_old_files_only(store: DuckSampleStore, tmp_path: Path) -> None:
    fill(store, seals=3, every=24 * HOUR)
    assert store.forget(T0 + 24 * HOUR) == 2
    store.seal()  # files go one round later: somebody may be reading them
    assert len(list((tmp_path / "samples" / "raw").rglob("*.parquet"))) == 2
    assert [sequence for _, _, sequence in store.sequences(1)] == [1, 2]
    assert store.mark(1, "spool-a", Lane.LIVE) == 2, "marks outlive what they were made from"


def test_hours_and_days_are_merged_when_they_are_over(store: DuckSampleStore) -> None:
    start = T0 // (24 * HOUR) * 24 * HOUR
    fill(store, seals=40, every=1200 * SECOND, start=start)  # 13 hours and a bit
    assert store.compact() == 2 * 39
    assert {file.level for file in store.files()} == {0, 1}
    fill(store, seals=1, start=start + 24 * HOUR)
    assert store.compact() > 0
    levels = sorted(file.level for file in store.files() if file.kind == "samples")
    assert levels == [0, 2], "a day and the running hour"
    assert store.compact() == 0
    assert len(store.sequences(2)) == 41
    (series,) = store.history(2, "disk_free_bytes", start, start + 25 * HOUR, steps=100_000)
    assert len(series.at) == 41


@pytest.mark.parametrize("crash_at", ["names", "samples", "runs", "manifest"])
def test_a_seal_cut_short_neither_loses_nor_doubles(
    tmp_path: Path, crash_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a cut-short seal left behind is swept away; the rows are still hot."""
    from forewarn_collector.samples import sealed

    class CutShort(Exception):
        pass

    write, names = sealed.write, sealed.keep_names

    def cut(*values: object) -> None:
        raise CutShort

    def cut_at(connection: object, directory: object, kind: str, *rest: object) -> object:
        if kind == crash_at:
            raise CutShort
        return write(connection, directory, kind, *rest)  # type: ignore[arg-type]

    store = DuckSampleStore(tmp_path)
    store.append([arrival(store, run(0, T0))])
    monkeypatch.setattr(sealed, "write", cut_at)
    monkeypatch.setattr(sealed, "keep_names", cut if crash_at == "names" else names)
    if crash_at == "manifest":
        monkeypatch.setattr(sealed, "record", cut)
    with pytest.raises(CutShort):
        store.seal()
    monkeypatch.undo()
    assert store.sequences(1) == [("spool-a", Lane.LIVE, 0)]
    store.close()
    store = DuckSampleStore(tmp_path)
    assert sealed.on_disk(tmp_path) == []
    assert store.sequences(1) == [("spool-a", Lane.LIVE, 0)]
    assert len(store.seal()) == 2
    assert store.sequences(1) == [("spool-a", Lane.LIVE, 0)]
    assert len(store.latest(1)) == 1
    store.close()


def test_a_second_process_is_told_that_the_store_is_in_use(tmp_path: Path) -> None:
    """DuckDB locks a file against other processes; one process may hold it twice."""
    import subprocess
    import sys

    store = DuckSampleStore(tmp_path)
    program = (
        "import sys; from pathlib import Path\n"
        "from forewarn_collector.samples.duck import DuckSampleStore, StoreInUse\n"
        "try: DuckSampleStore(Path(sys.argv[1]))\n"
        "except StoreInUse as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "in use by another process" in done.stdout
    assert StoreInUse.__doc__
    store.close()


def test_a_damaged_hot_file_is_moved_aside_and_sealed_rows_live_on(tmp_path: Path) -> None:
    store = DuckSampleStore(tmp_path)
    fill(store, seals=3)
    through = store.new_points(2).through
    store.append([arrival(store, run(3, T0 + HOUR))])
    latest = [(r.metric, r.value) for r in store.latest(1)]
    store.close()
    hot = tmp_path / "hot.duckdb"
    damaged = b"not at all a database" + hot.read_bytes()[21:]
    hot.write_bytes(damaged)

    store = DuckSampleStore(tmp_path, cursor=lambda: 4)
    (finding,) = store.findings
    assert "hot.duckdb.damaged-1" in finding
    assert (tmp_path / "hot.duckdb.damaged-1").read_bytes() == damaged
    assert store.sequences(1) == [("spool-a", Lane.LIVE, sequence) for sequence in range(3)]
    assert store.mark(1, "spool-a", Lane.LIVE) == 2, "what was sealed is not taken twice"
    assert [(r.metric, r.value) for r in store.latest(1)] == latest
    assert len(store.statuses()[1]) == 1
    store.append([arrival(store, run(3, T0 + HOUR))])
    assert store.new_points(4).through > max(4, through), "the engine has not passed it"
    store.close()


def test_a_damaged_hot_file_twice_keeps_both(tmp_path: Path) -> None:
    for _ in range(2):
        (tmp_path / "hot.duckdb").write_bytes(b"junk")
        DuckSampleStore(tmp_path).close()
    assert (tmp_path / "hot.duckdb.damaged-1").exists()
    assert (tmp_path / "hot.duckdb.damaged-2").exists()


@pytest.mark.parametrize("finished", [True, False])
def test_a_merge_cut_short_is_not_counted_twice_after_a_rebuild(
    tmp_path: Path, finished: bool
) -> None:
    """Merged files and what they were made of are both on disk when the hot file is lost."""
    store = DuckSampleStore(tmp_path)
    fill(store, seals=3)
    fill(store, seals=1, start=T0 + 2 * HOUR)
    made_of = {tmp_path / file.path: (tmp_path / file.path).read_bytes() for file in store.files()}
    assert store.compact() == 6
    store.close()
    for path, body in made_of.items():
        path.write_bytes(body)
    if not finished:
        for path in (tmp_path / "raw").rglob("*-1-0.parquet"):
            path.unlink()
    (tmp_path / "hot.duckdb").unlink()

    store = DuckSampleStore(tmp_path)
    assert len(store.sequences(1)) == 4
    (series,) = store.history(1, "disk_free_bytes", T0, T0 + 10 * HOUR, steps=100_000)
    assert len(series.at) == 4
    store.close()


def test_an_unreadable_sealed_file_is_kept_under_another_name(tmp_path: Path) -> None:
    store = DuckSampleStore(tmp_path)
    fill(store, seals=2)
    victim = tmp_path / store.files()[0].path
    store.close()
    victim.write_bytes(b"PAR1 cut")
    (tmp_path / "hot.duckdb").unlink()
    DuckSampleStore(tmp_path).close()
    assert victim.with_name(victim.name + ".damaged").read_bytes() == b"PAR1 cut"


def test_a_store_that_may_not_be_opened_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "hot.duckdb").mkdir()
    with pytest.raises(StoreUnusable, match="cannot open"):
        DuckSampleStore(tmp_path)
    assert (tmp_path / "hot.duckdb").is_dir()


def test_a_failed_append_leaves_everything_as_it_was(store: DuckSampleStore) -> None:
    no_text = run(0, T0, outcome=Outcome.FAILED, error="\ud800")
    with pytest.raises(UnicodeEncodeError):
        store.append([arrival(store, run(0, T0)), arrival(store, no_text, host=2)])
    assert store.mark(1, "spool-a", Lane.LIVE) == -1
    assert len(store.new_points(0).at) == 0
    store.append([arrival(store, run(0, T0))])
    assert len(store.new_points(0).at) == 2


def test_a_name_that_is_no_text_is_refused_before_it_can_poison_later_appends(
    store: DuckSampleStore,
) -> None:
    for metric, labels in (("\ud800", {}), ("m", {"\ud800": ""}), ("m", {"a": "\ud800"})):
        with pytest.raises(UnicodeEncodeError):
            store.shape(metric, labels)
    with pytest.raises(UnicodeEncodeError):
        store.append([arrival(store, run(0, T0), spool="\ud800")])
    store.append([arrival(store, run(0, T0))])
    assert len(store.latest(1)) == 1


def test_the_store_opens_itself_again_when_duckdb_gave_up(store: DuckSampleStore) -> None:
    """DuckDB refuses every statement after a fatal error, and a full disk may be one."""
    store.append([arrival(store, run(0, T0))])
    with pytest.raises(duckdb.InternalException):
        store._database.register("poison", {"text": np.array(["\ud800"], dtype=object)})
        store._database.execute("SELECT * FROM poison").fetchall()
    made_meanwhile = store.shape("cpu_used_ratio", {})
    with pytest.raises(duckdb.FatalException):
        store.append([arrival(store, run(1, T0 + SECOND))])
    store.append([arrival(store, run(1, T0 + SECOND), metric="cpu_used_ratio", value=0.5)])
    assert [sequence for _, _, sequence in store.sequences(1)] == [0, 1]
    assert store.shapes()[made_meanwhile].metric == "cpu_used_ratio"
    assert {reading.value for reading in store.latest(1)} == {0.5, 1.0}
