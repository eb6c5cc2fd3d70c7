"""What holds of the real rounds, whatever comes and however it is cut: all default rules, no clock.

`FOREWARN_EXAMPLES` says how many examples each is tried with; a long run takes 10,000.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forewarn_checks.base import Batch, Lane, Outcome, Run, Threshold
from forewarn_collector.dating import date_runs, microseconds
from forewarn_collector.judgement import Judgement
from forewarn_collector.replay import Replay, Replayed
from forewarn_collector.rules.book import Declared, RuleBook, declared
from forewarn_collector.rules.kind import Alert, AlertState
from forewarn_collector.rules.step import LATE
from forewarn_collector.samples import Points, Shape
from forewarn_collector.state.hosts import KnownHost

EXAMPLES = int(os.environ.get("FOREWARN_EXAMPLES", "60"))
often = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
START = microseconds(BEGIN)
SECOND = 1_000_000
MINUTE = 60 * SECOND
EVERY = 5 * MINUTE
# DiskWillFill looks an hour apart at days of history: another test's matter.
BOOK = RuleBook([one for one in declared() if one.booked.name != "DiskWillFill"])
HOSTS = {
    number: KnownHost(
        number=number,
        id=f"00000000-0000-7000-8000-{number:012d}",
        client_id="acme",
        site_id="hq",
        name=f"web{number}",
        public_key=b"",
        system="linux",
    )
    for number in (1, 2)
}
MOUNT = (("device", "/dev/sda1"), ("fstype", "ext4"), ("mountpoint", "/"))
DRIVE = (("drive", "S1"), ("model", "M"), ("type", "sat"))
SHAPES = (
    Shape("disk_used_ratio", MOUNT),
    Shape("disk_free_bytes", MOUNT),
    Shape("disk_read_only", MOUNT),
    Shape("check_failed", (("check", "disk"),)),
    Shape("smart_pending_sectors", DRIVE),
    Shape("smart_passed", DRIVE),
    Shape("check_failed", (("check", "smart"),)),
)
Row = tuple[int, int, int, float]
"""Host, shape, event time, value."""

turns = st.lists(
    st.tuples(
        st.sampled_from([1, 2]),
        st.sampled_from([0.5, 0.86, 0.91, 0.91, 0.96, 0.99]),
        st.sampled_from([0, 0, 0, 0, 1]),
        st.sampled_from([0, 0, 0, 3, 40]),
        st.sampled_from([0, 0, 0, 1]),
        st.sampled_from([1, 1, 1, 1, 1, 2, 9]),  # intervals since the turn before
    ),
    min_size=4,
    max_size=40,
)
Turns = list[tuple[int, float, int, int, int, int]]


def runs_of(drawn: Turns) -> list[list[Row]]:
    """Return the readings of each run, in order of time."""
    made: list[list[Row]] = []
    at, sectors = START, {1: 0, 2: 0}
    for host, used, read_only, grown, failed, gap in drawn:
        at += gap * EVERY
        sectors[host] += grown
        if failed:
            made.append([(host, 3, at, 1.0)])
        else:
            made.append(
                [
                    (host, 0, at, used),
                    (host, 1, at, 1e9),
                    (host, 2, at, read_only),
                    (host, 3, at, 0.0),
                ]
            )
        made.append([(host, 4, at, sectors[host]), (host, 5, at, 1.0), (host, 6, at, 0.0)])
    return made


def points(rows: Iterable[Row], received: int) -> Points:
    columns = list(zip(*rows, strict=True))
    return Points(
        host=np.array(columns[0], np.int64),
        shape=np.array(columns[1], np.int64),
        at=np.array(columns[2], np.int64),
        value=np.array(columns[3], np.float64),
        received=np.full(len(columns[0]), received, np.int64),
        through=0,
    )


def fresh() -> Replay:
    return Replay(BOOK, HOSTS, SHAPES)


def state(replay: Replay) -> dict[tuple[int, str, str], Alert]:
    """Return every alert that is not ok."""
    return {
        key: row.alert for key, row in replay._held.items() if row.alert.state is not AlertState.OK
    }


def told(episodes: Sequence[Replayed], *, but: str = "") -> list[tuple[object, ...]]:
    return sorted(
        (one.host.number, one.component, one.rule, one.opened_at, one.closed_at or 0, one.severity)
        for one in episodes
        if one.rule != but
    )


def arrive(replay: Replay, runs: Sequence[list[Row]], cuts: Sequence[bool], now: int) -> None:
    """Let runs arrive, all at `now`; after those that are cut the collector judges."""
    waiting: list[Row] = []
    for run, cut in zip(runs, cuts, strict=True):
        waiting += run
        if cut:
            replay.receive(points(waiting, now), now)
            waiting = []
    if waiting:
        replay.receive(points(waiting, now), now)
    replay.listen(now)


@often
@given(turns, st.data())
def test_any_split_into_batches_gives_the_same_state(drawn: Turns, data: st.DataObject) -> None:
    """A whole backlog at once, run by run, or cut anywhere: state and episodes are the same."""
    runs = runs_of(drawn)
    now = runs[-1][0][2] + SECOND
    cuts = data.draw(st.lists(st.booleans(), min_size=len(runs), max_size=len(runs)))
    whole, each, cut = fresh(), fresh(), fresh()
    arrive(whole, runs, [False] * len(runs), now)
    arrive(each, runs, [True] * len(runs), now)
    arrive(cut, runs, cuts, now)
    assert state(whole) == state(each) == state(cut)
    assert told(whole.episodes) == told(each.episodes) == told(cut.episodes)


@often
@given(turns, st.data())
def test_restarts_and_rounds_that_fail_lose_and_double_nothing(
    drawn: Turns, data: st.DataObject
) -> None:
    """After any run: go on, begin again with what was kept, or judge in vain and judge again."""
    runs = runs_of(drawn)
    marred, plain = fresh(), fresh()
    for run in runs:
        now = run[0][2] + SECOND
        batch = points(run, now)
        trouble = data.draw(st.sampled_from(["", "", "restart", "fail", "fail and restart"]))
        if "fail" in trouble:
            keep(marred, batch, now)
        if "restart" in trouble:
            marred.restart()
        for replay in (marred, plain):
            replay.receive(batch, now)
            replay.listen(now)
    assert state(marred) == state(plain)
    assert told(marred.episodes) == told(plain.episodes)


def keep(replay: Replay, batch: Points, now: int) -> None:
    """Judge as the engine does when its transaction fails: all is found, nothing is kept."""
    judgement = Judgement(dict(replay._held), now)
    replay._rounds.judge(judgement, batch, SHAPES)
    replay._rounds._seen = None
    replay._rounds._counted = None


@often
@given(turns)
def test_open_and_close_alternate(drawn: Turns) -> None:
    replay = fresh()
    for run in runs_of(drawn):
        now = run[0][2] + SECOND
        replay.receive(points(run, now), now)
        replay.listen(now)
    by_alert: dict[tuple[int, str, str], list[Replayed]] = {}
    for one in replay.episodes:
        by_alert.setdefault((one.host.number, one.component, one.rule), []).append(one)
    for episodes in by_alert.values():
        for before, after in pairwise(episodes):
            assert before.closed_at is not None
            assert before.closed_at <= after.opened_at
        assert all(one.closed_at is None or one.opened_at <= one.closed_at for one in episodes)


@often
@given(turns, st.integers(min_value=LATE + 1, max_value=30 * 24 * 60 * MINUTE))
def test_late_data_alone_opens_nothing(drawn: Turns, late: int) -> None:
    replay = fresh()
    for run in runs_of(drawn):
        now = run[0][2] + late
        replay.receive(points(run, now), now)
    assert replay.episodes == []


@often
@given(turns, st.integers(min_value=-(20 * 365 * 86400), max_value=20 * 365 * 86400), st.data())
def test_a_clock_that_is_wrong_changes_nothing(
    drawn: Turns, offset: int, data: st.DataObject
) -> None:
    """Batches of a host whose clock is off by as much as 20 years, of this boot and of others."""
    runs = runs_of(drawn)
    boots = data.draw(st.lists(st.booleans(), min_size=len(runs), max_size=len(runs)))
    replays = []
    for wrong in (0, offset):
        replay = fresh()
        for run, reboot in zip(runs, boots, strict=True):
            now = run[0][2] + 2 * SECOND
            batch = sent(run[0][2], now, wrong, reboot=reboot)
            (at,) = date_runs(batch, now)
            rows = [(host, shape, at, value) for host, shape, _, value in run]
            replay.receive(points(rows, now), now)
            replay.listen(now)
        replays.append(replay)
    right, wrong_ = replays
    assert state(right) == state(wrong_)
    assert told(right.episodes) == told(wrong_.episodes)


def sent(at: int, now: int, offset: int, *, reboot: bool) -> Batch:
    """Return a batch with one run, by a clock that is `offset` seconds ahead."""
    wall = [
        (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment, seconds=offset))
        for moment in (at, now)
    ]
    started, left = (moment.isoformat().replace("+00:00", "Z") for moment in wall)
    up = (at - START) / SECOND + 1000.0
    run = Run(
        sequence=1,
        check="disk",
        started_at=started,
        boot="b0" if reboot else "b1",
        boottime_seconds=up,
        duration_seconds=0.1,
        outcome=Outcome.OK,
        error="",
        samples=(),
        facts={},
    )
    return Batch(
        schema=1,
        host="h",
        spool="s",
        lane=Lane.LIVE,
        runs=(run,),
        sent_at=left,
        sent_boot="b1",
        sent_boottime_seconds=up + (now - at) / SECOND,
        dropped=0,
        agent_version="1",
    )


MARKS = st.sampled_from([0.92, 0.95, 0.97])


@often
@given(turns, MARKS)
def test_raising_a_mark_never_adds_alerts_nor_time_on_a_ticket(drawn: Turns, above: float) -> None:
    """Of DiskAlmostFull without levels: what fires at the higher mark fires at the lower, too."""
    fired = []
    for mark in (0.90, above):
        book = RuleBook([marked(mark)])
        replay = Replay(book, HOSTS, SHAPES)
        seen: list[frozenset[tuple[int, str, str]]] = []
        for run in runs_of(drawn):
            now = run[0][2] + SECOND
            replay.receive(points(run, now), now)
            replay.listen(now)
            seen.append(frozenset(key for key, one in state(replay).items() if one.told))
        fired.append((seen, sum(1 + one.flaps for one in replay.episodes)))
    (low, low_count), (high, high_count) = fired
    assert all(more <= less for more, less in zip(high, low, strict=True))
    assert high_count <= low_count


def marked(mark: float) -> Declared:
    """Return DiskAlmostFull with one mark."""
    (one,) = (one for one in declared() if one.booked.name == "DiskAlmostFull")
    assert isinstance(one.booked.rule, Threshold)
    rule = replace(one.booked.rule, above=mark, clear_at=0.85, and_=None, levels={})
    return replace(one, booked=replace(one.booked, rule=rule))
