"""What every `SampleStore` must do, whatever it is made of.

A test class derives from `SampleStoreContract` and gives the fixture `store`.  Stores that seal
run every fact twice: on what just arrived and, through `settle`, on what was sealed.
"""

import numpy as np
import pytest

from forewarn_checks.base import Lane, Outcome
from forewarn_collector.samples import Arrival, ArrivedRun, SampleStore

SECOND = 1_000_000
T0 = 1_790_000_000 * SECOND  # some moment


def run(sequence: int, at: int, *, check: str = "disk", **changes: object) -> ArrivedRun:
    """Return a run that went well."""
    outcome = changes.get("outcome", Outcome.OK)
    assert isinstance(outcome, Outcome)
    return ArrivedRun(sequence, check, at, 0.25, outcome, str(changes.get("error", "")))


def arrival(
    store: SampleStore,
    *runs: ArrivedRun,
    host: int = 1,
    spool: str = "spool-a",
    lane: Lane = Lane.LIVE,
    value: float = 1.0,
    metric: str = "disk_free_bytes",
    mountpoint: str = "/",
) -> Arrival:
    """Return the arrival of runs with one sample each, received two seconds after the last."""
    shape = store.shape(metric, {"mountpoint": mountpoint})
    return Arrival(
        host=host,
        spool=spool,
        lane=lane,
        through=runs[-1].sequence,
        received=runs[-1].at + 2 * SECOND,
        runs=runs,
        shapes=[shape] * len(runs),
        times=[run.at for run in runs],
        values=[value] * len(runs),
    )


class SampleStoreContract:
    """The facts.  `settle` may move rows to where they rest; nothing that is told may change."""

    def settle(self, store: SampleStore) -> None:
        """Bring what was appended to rest."""

    def test_a_shape_keeps_its_number_whatever_the_order_of_its_labels(
        self, store: SampleStore
    ) -> None:
        one = store.shape("disk_free_bytes", {"mountpoint": "/", "device": "sda"})
        same = store.shape("disk_free_bytes", {"device": "sda", "mountpoint": "/"})
        other = store.shape("disk_used_bytes", {"device": "sda", "mountpoint": "/"})
        assert one == same != other
        assert store.shapes()[one].metric == "disk_free_bytes"
        assert store.shapes()[one].labels == (("device", "sda"), ("mountpoint", "/"))
        assert [shape.metric for shape in store.shapes()][other] == "disk_used_bytes"

    def test_an_append_moves_the_mark_of_its_lane_only(self, store: SampleStore) -> None:
        assert store.mark(1, "spool-a", Lane.LIVE) == -1
        store.append([arrival(store, run(3, T0), run(7, T0 + SECOND))])
        self.settle(store)
        assert store.mark(1, "spool-a", Lane.LIVE) == 7
        assert store.mark(1, "spool-a", Lane.BACKFILL) == -1
        assert store.mark(1, "spool-b", Lane.LIVE) == -1
        assert store.mark(2, "spool-a", Lane.LIVE) == -1

    def test_a_repeat_changes_nothing(self, store: SampleStore) -> None:
        first = arrival(store, run(0, T0))
        store.append([first])
        self.settle(store)
        store.append([first])
        store.append([first, first])
        assert store.sequences(1) == [("spool-a", Lane.LIVE, 0)]
        assert len(store.history(1, "disk_free_bytes", T0, T0 + SECOND)[0].at) == 1

    def test_the_same_spool_id_on_two_hosts_is_two_spools(self, store: SampleStore) -> None:
        store.append([arrival(store, run(0, T0), host=1), arrival(store, run(5, T0), host=2)])
        self.settle(store)
        assert store.mark(1, "spool-a", Lane.LIVE) == 0
        assert store.sequences(2) == [("spool-a", Lane.LIVE, 5)]

    def test_reaching_back_below_the_mark_is_refused_and_changes_nothing(
        self, store: SampleStore
    ) -> None:
        store.append([arrival(store, run(4, T0))])
        with pytest.raises(ValueError, match="reaches back"):
            store.append([arrival(store, run(4, T0), run(5, T0 + SECOND))])
        assert store.mark(1, "spool-a", Lane.LIVE) == 4

    def test_sequences_are_told_in_order_over_all_appends(self, store: SampleStore) -> None:
        for sequence in range(6):
            lane = Lane.BACKFILL if sequence % 2 else Lane.LIVE
            store.append([arrival(store, run(sequence, T0 + sequence * SECOND), lane=lane)])
            if sequence == 3:
                self.settle(store)
        assert store.sequences(1) == [
            *(("spool-a", Lane.LIVE, sequence) for sequence in (0, 2, 4)),
            *(("spool-a", Lane.BACKFILL, sequence) for sequence in (1, 3, 5)),
        ]

    def test_latest_is_the_newest_by_event_time(self, store: SampleStore) -> None:
        store.append([arrival(store, run(0, T0 + 60 * SECOND), value=2.0)])
        self.settle(store)
        late = arrival(store, run(0, T0), lane=Lane.BACKFILL, value=1.0)
        store.append(
            [late, arrival(store, run(1, T0 + SECOND, check="srv"), mountpoint="/srv", value=9.0)]
        )
        self.settle(store)
        readings = {r.labels["mountpoint"]: r for r in store.latest(1)}
        assert readings["/"].value == 2.0
        assert readings["/"].metric == "disk_free_bytes"
        assert readings["/"].at == T0 + 60 * SECOND
        assert readings["/"].received == T0 + 62 * SECOND
        assert readings["/srv"].value == 9.0
        assert store.latest(99) == []

    def test_latest_finds_a_slow_check_among_fast_ones(self, store: SampleStore) -> None:
        slow = run(0, T0, check="smart")
        store.append([arrival(store, slow, metric="smart_passed", value=1.0)])
        self.settle(store)
        for sequence in range(1, 5):
            fast = run(sequence, T0 + sequence * 600 * SECOND, check="cpu")
            store.append([arrival(store, fast, metric="cpu_used_ratio", value=0.5)])
            self.settle(store)
        assert {r.metric: r.value for r in store.latest(1)} == {
            "smart_passed": 1.0,
            "cpu_used_ratio": 0.5,
        }

    def test_latest_keeps_what_was_read_before_a_check_failed(self, store: SampleStore) -> None:
        store.append([arrival(store, run(0, T0), value=3.0)])
        self.settle(store)
        failed = ArrivedRun(1, "disk", T0 + SECOND, 0.1, Outcome.FAILED, "no right")
        silent = Arrival(
            host=1, spool="spool-a", lane=Lane.LIVE, through=1, received=T0, runs=(failed,)
        )
        store.append([silent])
        self.settle(store)
        assert [r.value for r in store.latest(1)] == [3.0]

    def test_the_latest_of_many_is_that_of_each(self, store: SampleStore) -> None:
        """Also where another host's older file still holds what one no longer has."""
        store.append(
            [
                arrival(store, run(0, T0), host=1, mountpoint="/old"),
                arrival(store, run(0, T0, check="smart"), host=2, metric="smart_passed"),
            ]
        )
        self.settle(store)
        for sequence in range(1, 4):
            at = T0 + sequence * 600 * SECOND
            store.append(
                [
                    arrival(store, run(sequence, at), host=host, value=host + sequence)
                    for host in (1, 2, 3)
                ]
            )
            self.settle(store)
        assert store.latest_of([1, 2, 3, 99]) == {
            host: store.latest(host) for host in (1, 2, 3, 99)
        }
        assert len(store.latest(2)) == 2
        assert store.latest_of([]) == {}

    def test_the_newest_runs_are_those_up_to_a_cursor(self, store: SampleStore) -> None:
        store.append([arrival(store, run(0, T0 + 60 * SECOND))])
        store.append([arrival(store, run(0, T0), lane=Lane.BACKFILL)])
        through = store.new_points(0).through
        store.append([arrival(store, run(1, T0 + 90 * SECOND))])

        def newest(cursor: int) -> list[tuple[int, str, int]]:
            found = store.newest(cursor)
            shapes = [store.shapes()[number] for number in found.shape.tolist()]
            assert {shape.metric for shape in shapes} == {"check_failed"}
            checks = [dict(shape.labels)["check"] for shape in shapes]
            return list(zip(found.host.tolist(), checks, found.at.tolist(), strict=True))

        assert newest(through) == [(1, "disk", T0 + 60 * SECOND)]
        assert newest(store.new_points(0).through) == [(1, "disk", T0 + 90 * SECOND)]

    def test_the_status_of_a_check_is_its_latest_run_with_the_error_in_full(
        self, store: SampleStore
    ) -> None:
        broken = run(0, T0, outcome=Outcome.FAILED, error="smartctl: no right; grant it")
        fine = run(1, T0 + SECOND, check="cpu")
        store.append([arrival(store, broken, fine)])
        self.settle(store)
        late = arrival(store, run(0, T0 - SECOND), lane=Lane.BACKFILL)
        store.append([late, arrival(store, run(0, T0), host=2)])
        self.settle(store)
        disk, cpu = sorted(store.statuses(1)[1], key=lambda status: -len(status.check))
        assert (disk.check, disk.outcome) == ("disk", Outcome.FAILED)
        assert disk.error == "smartctl: no right; grant it"
        assert disk.at == T0
        assert disk.duration_seconds == 0.25
        assert (cpu.outcome, cpu.error) == (Outcome.OK, "")
        assert set(store.statuses()) == {1, 2}

    def test_an_error_that_is_over_is_gone_from_the_status(self, store: SampleStore) -> None:
        store.append([arrival(store, run(0, T0, outcome=Outcome.FAILED, error="bad"))])
        self.settle(store)
        store.append([arrival(store, run(1, T0 + SECOND))])
        self.settle(store)
        assert [(s.outcome, s.error) for s in store.statuses(1)[1]] == [(Outcome.OK, "")]

    def test_history_holds_every_point_when_there_is_room(self, store: SampleStore) -> None:
        moments = [T0 + minute * 60 * SECOND for minute in range(10)]
        for sequence, moment in enumerate(moments):
            store.append([arrival(store, run(sequence, moment), value=float(sequence))])
            if sequence == 5:
                self.settle(store)
        (series,) = store.history(1, "disk_free_bytes", T0, T0 + 600 * SECOND, steps=600)
        assert series.labels == {"mountpoint": "/"}
        assert series.at.tolist() == moments
        assert series.value.tolist() == series.low.tolist() == [float(n) for n in range(10)]

    def test_history_is_thinned_to_mean_and_extremes(self, store: SampleStore) -> None:
        values = [0.0, 10.0, 20.0, 100.0, 50.0, 60.0]
        for sequence, value in enumerate(values):
            store.append([arrival(store, run(sequence, T0 + sequence * SECOND), value=value)])
        self.settle(store)
        (series,) = store.history(1, "disk_free_bytes", T0, T0 + 6 * SECOND, steps=2)
        assert series.value.tolist() == [10.0, 70.0]
        assert series.low.tolist() == [0.0, 50.0]
        assert series.high.tolist() == [20.0, 100.0]

    def test_history_is_half_open_and_of_one_host_and_metric(self, store: SampleStore) -> None:
        store.append([arrival(store, run(0, T0), run(1, T0 + SECOND), run(2, T0 + 2 * SECOND))])
        store.append([arrival(store, run(0, T0 + SECOND), host=2)])
        store.append([arrival(store, run(3, T0 + SECOND), metric="disk_used_bytes")])
        self.settle(store)
        (series,) = store.history(1, "disk_free_bytes", T0 + SECOND, T0 + 2 * SECOND)
        assert series.at.tolist() == [T0 + SECOND]
        assert store.history(1, "no_such_metric", T0, T0 + SECOND) == []

    def test_new_points_tell_each_point_once_and_how_runs_went(self, store: SampleStore) -> None:
        broken = run(0, T0, outcome=Outcome.TIMED_OUT, error="stuck")
        nothing = run(1, T0 + SECOND, check="smart", outcome=Outcome.NOTHING)
        store.append([arrival(store, broken, nothing, value=5.0)])
        points = store.new_points(0)
        told = {
            (store.shapes()[shape].metric, store.shapes()[shape].labels, value)
            for shape, value in zip(points.shape.tolist(), points.value.tolist(), strict=True)
        }
        assert told == {
            ("disk_free_bytes", (("mountpoint", "/"),), 5.0),
            ("check_failed", (("check", "disk"),), 1.0),
            ("check_failed", (("check", "smart"),), 0.0),
        }
        assert set(points.host.tolist()) == {1}
        assert set(points.received.tolist()) == {T0 + 3 * SECOND}
        assert points.at.dtype == points.received.dtype == np.int64
        again = store.new_points(points.through)
        assert len(again.at) == 0
        assert again.through == points.through

    def test_new_points_come_in_whole_commits_within_the_limit(self, store: SampleStore) -> None:
        for sequence in range(5):
            store.append([arrival(store, run(sequence, T0 + sequence * SECOND))])
        after, counts = 0, []
        while True:
            points = store.new_points(after, limit=5)  # each commit has two points
            if points.through == after:
                break
            counts.append(len(points.at))
            after = points.through
        assert counts == [4, 4, 2]
        assert len(store.new_points(0, limit=1).at) == 2, "one commit is always told"

    def test_last_received_is_the_newest_receive_time(self, store: SampleStore) -> None:
        store.append([arrival(store, run(0, T0)), arrival(store, run(0, T0), host=2)])
        self.settle(store)
        store.append([arrival(store, run(1, T0 + 9 * SECOND))])
        assert dict(store.last_received()) == {1: T0 + 11 * SECOND, 2: T0 + 2 * SECOND}
