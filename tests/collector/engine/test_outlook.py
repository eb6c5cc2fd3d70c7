"""From filling filesystems to a ticket with a date, and to how well dates came true."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy import func, insert, select
from tests.collector.engine.line import Line, microseconds, new_line

from forewarn_checks.base import Forecast as DeclaredForecast
from forewarn_checks.base import Severity
from forewarn_collector.judgement import Made
from forewarn_collector.outlook import Outlook
from forewarn_collector.replay import Replay
from forewarn_collector.rules.ahead import judge
from forewarn_collector.rules.book import RuleBook, declared
from forewarn_collector.rules.change import LevelChange, RuleChange
from forewarn_collector.rules.forecast import (
    DAY,
    HOUR,
    Date,
    Error,
    Forecast,
    Insufficient,
    Never,
    Tier,
    forecast,
)
from forewarn_collector.rules.kind import OK, Due, Observation
from forewarn_collector.samples import Points, Shape, Span
from forewarn_collector.samples.memory import Memory, thinned
from forewarn_collector.state import forecasts
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.tables import alerts
from forewarn_collector.state.tables import forecasts as table
from forewarn_collector.state.tickets import TicketState
from forewarn_collector.track_record import Coverage, Ledger

LABELS = {"mountpoint": "/srv", "device": "/dev/sdb1", "fstype": "ext4"}
LABEL_ROW = tuple(sorted(LABELS.items()))
ALONE = RuleBook(tuple(one for one in declared() if one.booked.name == "DiskWillFill"))


@dataclass
class Filesystem:
    """A filesystem of web1 that is read every five minutes."""

    line: Line
    used: float = 0.5
    size: float = 1e12

    def past(self, days: int) -> None:
        """Make history that the engine has judged already: a restart follows."""
        begin = self.line.at - timedelta(days=days)
        moments = [begin + timedelta(minutes=5 * turn) for turn in range(days * 288)]
        for moment in moments:
            self._read(microseconds(moment))
        self.line.pass_()
        self.line.restart()

    def grow(self, a_day: float, hours: float) -> None:
        """Let it grow, judged at every reading."""
        for _ in range(round(hours * 12)):
            self.line.wait(minutes=5)
            self.used = min(self.used + a_day / 288, 1.0)
            self._read(microseconds(self.line.at))
            self.line.pass_()

    def _read(self, at: int) -> None:
        store = self.line.store
        used, size = store.shape("disk_used_ratio", LABELS), store.shape("disk_size_bytes", LABELS)
        store.commits.append([(1, used, at, self.used, at), (1, size, at, self.size, at)])
        store.heard[1] = at


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Filesystem]:
    with new_line(tmp_path) as line:
        line.book = ALONE
        line.restart()
        yield Filesystem(line)


def test_a_fill_is_told_with_a_date_and_its_interval(disk: Filesystem) -> None:
    disk.past(15)
    disk.grow(1.0, 6)
    (ticket,) = disk.line.tickets()
    assert ticket.title.startswith("/srv on web1 will be full about Mon 2026-03-02 ")
    evidence = ticket.episodes[0].evidence
    assert evidence["forecast"]["earliest"] <= evidence["forecast"]["due"]
    assert "between Mon 2026-03-02" in evidence["advice"] or "between Sun" in evidence["advice"]


def test_the_severity_rises_as_time_runs_out(disk: Filesystem) -> None:
    disk.past(15)
    severities = set()
    for _ in range(10):
        disk.grow(0.5, 1)
        severities |= {ticket.severity for ticket in disk.line.tickets()}
    assert severities == {"high"}
    disk.grow(0.5, 5)
    assert [ticket.severity for ticket in disk.line.tickets()] == ["critical"]


def test_growth_that_stops_clears_after_six_hours(disk: Filesystem) -> None:
    disk.past(15)
    disk.grow(1.0, 6)
    disk.grow(0.0, 5)
    assert disk.line.tickets()[0].state is TicketState.NEW
    disk.grow(0.0, 6)
    assert disk.line.tickets()[0].state is TicketState.CLOSED
    with disk.line.database.read() as connection:
        found = forecasts.coverage(connection, clients=None)
    assert (found.inside, found.waiting) == (0, 0)
    assert found.ended > 0


def test_a_larger_size_begins_anew_and_clears(disk: Filesystem) -> None:
    disk.past(15)
    disk.grow(1.0, 6)
    disk.size, disk.used = 2e12, disk.used / 2
    disk.grow(0.1, 9)
    assert disk.line.tickets()[0].state is TicketState.CLOSED


def test_dates_are_held_against_what_came(disk: Filesystem) -> None:
    disk.past(15)
    disk.grow(1.0, 13)
    with disk.line.database.read() as connection:
        found = forecasts.coverage(connection, clients=None, rule="DiskWillFill")
        elsewhere = forecasts.coverage(connection, clients=["somebody else"])
    assert found.tested >= 5
    assert found.waiting == 0
    assert found.share is not None
    assert found.share >= 0.8
    assert elsewhere == Coverage()


def test_the_next_ticket_tells_how_past_dates_came_true(disk: Filesystem) -> None:
    """Nothing is said while fewer than ten were put to the test; after that, the truth."""
    disk.past(15)
    disk.grow(1.0, 13)
    (ticket,) = disk.line.tickets()
    first = ticket.episodes[0].evidence
    assert "track_record" not in first["forecast"]
    assert "past forecasts" not in first["advice"]
    with disk.line.database.write() as connection:
        found = forecasts.record(connection, clients=None, rule="DiskWillFill")
        assert found.tested >= 5
        assert forecasts.record(connection, clients=["another"], rule="DiskWillFill").tested == 0
        told = {"forecast": {"due": "soon"}, "advice": "Look."}
        client = ticket.client_id
        with_record = forecasts.with_record(connection, client, "DiskWillFill", told)
        assert (with_record == told) == (found.tested < 10)
        row = connection.execute(select(table)).mappings().first()
        assert row is not None
        more = [dict(row) | {"id": f"x{n}", "outcome": "inside"} for n in range(10)]
        connection.execute(insert(table), more)
        with_record = forecasts.with_record(connection, client, "DiskWillFill", told)
        tested, inside = found.tested + 10, found.inside + 10
        assert with_record["forecast"]["track_record"]["tested"] == tested
        assert f"So far {inside} of {tested} past forecasts came true" in with_record["advice"]
        plain = {"advice": "Look."}
        assert forecasts.with_record(connection, client, "DiskWillFill", plain) is plain


def test_dates_that_stand_are_listed_until_they_are_over(disk: Filesystem) -> None:
    disk.past(15)
    disk.grow(1.0, 6)
    with disk.line.database.read() as connection:
        host = disk.line.tickets()[0].host_id or ""
        (date,) = forecasts.standing(connection, host, disk.line.at)
        assert (date.rule, date.component) == ("DiskWillFill", "filesystem:/srv")
        assert date.earliest <= date.due_at <= date.latest
        assert not forecasts.standing(connection, host, disk.line.at + timedelta(hours=4))


made = st.lists(
    st.tuples(
        st.integers(0, 200),  # hours until due, 0 for no date
        st.integers(0, 30),  # half of the interval
        st.booleans(),  # the level is reached
        st.booleans(),  # nothing is forecast any more
    ),
    max_size=30,
)


@settings(max_examples=30, deadline=None)
@given(made)
def test_the_ledger_in_memory_and_the_database_keep_the_same_score(
    steps: list[tuple[int, int, bool, bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder, new_line(Path(folder)) as line:
        host = line.hosts.by_number(1)
        assert host is not None
        ledger = Ledger()
        start = microseconds(line.at)
        hour = 3_600_000_000
        with line.database.write() as connection:
            for turn, (ahead, half, is_reached, over) in enumerate(steps):
                at = start + turn * 7 * hour
                due = Due(
                    at + ahead * hour,
                    at + (ahead - half) * hour,
                    at + (ahead + half) * hour,
                    "slow",
                )
                one = Made(
                    host=host,
                    component="filesystem:/srv",
                    rule="DiskWillFill",
                    at=at,
                    value=0.5,
                    due=due if ahead else None,
                    reached=at - hour if is_reached else None,
                    over=over and not ahead,
                )
                forecasts.keep(connection, [one], line.at)
                ledger.take([one])
            assert forecasts.coverage(connection, clients=None) == ledger.coverage()


def test_what_stays_the_same_is_never_looked_at(disk: Filesystem) -> None:
    disk.past(15)
    disk.grow(0.0, 3)
    with disk.line.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(alerts)).scalar() == 0


def test_a_restart_every_hour_changes_no_episode(disk: Filesystem) -> None:
    disk.past(15)
    for _ in range(8):
        disk.grow(1.0, 1)
        disk.line.restart()
    (ticket,) = disk.line.tickets()
    assert [event.kind for event in ticket.events].count("opened") == 1


def test_the_rule_looks_no_further_than_a_week_can_carry() -> None:
    with pytest.raises(Exception, match="7d ahead at most"):
        RuleBook(declared(), {"DiskWillFill": RuleChange.model_validate({"within": "8d"})})
    with pytest.raises(Exception, match="takes only within"):
        levels = {Severity.HIGH: LevelChange(above=0.9)}
        RuleBook(declared(), {"DiskWillFill": RuleChange(levels=levels)})


# -- the gate passes whatever gets a date ----------------------------------------------------------

walks = st.lists(
    st.tuples(
        st.sampled_from([0.25, 2, 6, 24, 72, 200]),  # hours
        st.floats(-0.2, 1.2),  # growth a day
        st.floats(0, 0.1),  # height of a daily sawtooth
    ),
    min_size=1,
    max_size=6,
)


def walk(legs: list[tuple[float, float, float]], start: float) -> NDArray[np.float64]:
    """Return used shares every five minutes."""
    used, parts = start, []
    for hours, growth, _ in legs:
        leg = used + growth / 288 * np.arange(1, round(hours * 12) + 1)
        parts.append(np.clip(leg, 0, 1))
        used = float(parts[-1][-1])
    value = np.concatenate(parts)
    saw = np.concatenate([np.full(round(hours * 12), height) for hours, _, height in legs])
    return np.clip(value + saw * (np.arange(len(value)) % 288) / 288, 0, 1)


@settings(max_examples=20, deadline=None)
@given(walks, st.floats(0, 0.9), st.integers(0, 23))
def test_a_series_that_would_get_a_date_is_always_looked_at(
    legs: list[tuple[float, float, float]], start: float, hour: int
) -> None:
    value = walk(legs, start)
    at = (np.arange(len(value)) * 300 + 20_000 * 86400 + hour * 3600) * 1_000_000
    memory = Memory()
    (rule,) = (one.booked for one in declared() if one.booked.name == "DiskWillFill")
    outlook = Outlook((rule,), memory)
    shapes = [Shape("disk_used_ratio", tuple(sorted(LABELS.items())))]
    for end in range(0, len(value), 12):
        rows = slice(end, min(end + 12, len(value)))
        count = len(value[rows])
        ones = np.ones(count, np.int64)
        points = Points(ones, ones * 0, at[rows], value[rows], at[rows], 0)
        memory.take(points.host, points.shape, points.at, points.value)
        looks = outlook.look(points, shapes, ())
        outlook.settle()
        now = float(at[rows][0]) / 1e6
        known = slice(0, end + 1)
        found = forecast(at[known] / 1e6, value[known], 1.0, now)
        if isinstance(found, Date) and not looks:
            # Looked at once an hour, perhaps some readings later.
            upto = slice(0, rows.stop)
            now = float(at[upto][-1]) / 1e6
            last = forecast(at[upto] / 1e6, value[upto], 1.0, now)
            assert not isinstance(last, Date), (end, found)


@settings(max_examples=40, deadline=None)
@given(walks, st.floats(0, 0.9))
def test_hours_and_five_minutes_carry_the_same_forecast_as_every_reading(
    legs: list[tuple[float, float, float]], start: float
) -> None:
    value = walk(legs, start)
    at = np.arange(len(value)) * 300_000_000 + 17
    until = int(at[-1])
    hour = round(HOUR * 1e6)
    span = Span(back=15 * 24 * hour, coarse=hour, fine_for=12 * hour, fine=300_000_000)
    since = np.searchsorted(at, until - span.back, "right")
    first, _, _, high = thinned(at[since:], value[since:], until, span)
    whole = forecast(at / 1e6, value, 1.0, until / 1e6)
    thin = forecast(first / 1e6, high, 1.0, until / 1e6)
    assert type(whole) is type(thin)
    if isinstance(whole, Date) and isinstance(thin, Date):
        assert thin.seconds == pytest.approx(whole.seconds, rel=0.02, abs=DAY / 24)


@settings(max_examples=4, deadline=None)
@given(walks, st.floats(0, 0.9), st.randoms(use_true_random=False))
@example([(200, 0.0, 0.0), (14, 1.0, 0.0)], 0.5, Random(7))
def test_batches_and_the_order_inside_them_change_no_forecast(
    legs: list[tuple[float, float, float]], start: float, random: Random
) -> None:
    """Every reading by itself, some at a time, shuffled: the same episodes, the same score."""
    value = walk(legs, start)[-8 * 288 :]
    at = (np.arange(len(value)) * 300 + 20_000 * 86400) * 1_000_000
    shapes = [Shape("disk_used_ratio", tuple(sorted(LABELS.items())))]
    host = KnownHost(number=1, id="h", client_id="c", site_id="s", name="web1", public_key=b"")
    told = []
    for most in (1, 3):  # more would be late
        replay = Replay(ALONE, {1: host}, shapes)
        begin = 0
        while begin < len(value):
            end = min(begin + random.randint(1, most), len(value))
            order = list(range(begin, end))
            random.shuffle(order)
            rows = np.array(order)
            received = np.full(len(rows), at[end - 1])
            ones = np.ones(len(rows), np.int64)
            points = Points(ones, ones * 0, at[rows], value[rows], received, 0)
            replay.receive(points, int(received[0]))
            begin = end
        told.append((replay.episodes, replay.ledger.coverage()))
    assert told[0] == told[1]


@settings(max_examples=30, deadline=None)
@given(st.floats(0.3, 0.9), st.floats(-0.1, 0.3), st.floats(1, 14), st.floats(0.2, 5))
def test_what_was_before_a_resize_changes_no_forecast(
    level: float, a_day: float, days: float, factor: float
) -> None:
    """The same as of a filesystem that was made at that moment, whatever was before."""
    at = np.arange(15 * 96) * 900.0
    now, resized = float(at[-1]), float(at[-1]) - days * DAY
    after = at > resized
    used = np.clip(level + (at - now) / DAY * a_day, 0, 1)
    memory = Memory()
    ones = np.ones(len(at), np.int64)
    moments = (at * 1e6).astype(np.int64) + 20_000 * 86_400_000_000
    memory.take(ones, ones * 0, moments, np.where(after, used, used * factor))
    memory.take(ones, ones, moments, np.where(after, 1e12, 2e12))
    shapes = [Shape(name, LABEL_ROW) for name in ("disk_used_ratio", "disk_size_bytes")]
    (rule,) = (one.booked for one in declared() if one.booked.name == "DiskWillFill")
    last = Points(ones[-1:], ones[-1:] * 0, moments[-1:], used[-1:], moments[-1:], 0)
    live = [(1, "filesystem:/srv")]
    (look,) = Outlook((rule,), memory).look(last, shapes, live)
    alone = Memory()
    young = np.flatnonzero(after)[4:]  # within the hour of the change both sizes are seen
    alone.take(ones[young], ones[young] * 0, moments[young], used[young])
    if len(young) < 12:
        return
    (fresh,) = Outlook((rule,), alone).look(last, shapes[:1], live)
    assert type(look.observation.ahead) is type(fresh.observation.ahead)
    assert look.observation.restarted > 0


@given(
    st.one_of(
        st.builds(Never),
        st.builds(Insufficient, st.text()),
        st.builds(Error, st.text()),
        st.none(),
        st.builds(
            Date, st.just(Tier.FAST), st.floats(0, 2e6), st.floats(0, 2e6), st.floats(0, 2e6)
        ),
    ),
    st.floats(0, 1),
)
def test_only_a_date_within_the_time_of_the_rule_raises(
    ahead: Forecast | None, used: float
) -> None:
    (rule,) = (one.booked.rule for one in declared() if one.booked.name == "DiskWillFill")
    assert isinstance(rule, DeclaredForecast)
    verdict = judge(rule, Observation(at=0, value=used, ahead=ahead), OK)
    near = isinstance(ahead, Date) and ahead.seconds <= rule.within.total_seconds()
    assert (verdict.holds is True) == near
    assert (verdict.due is not None) == near


def test_what_is_nearly_full_is_looked_at_before_a_large_fleet_is_learnt() -> None:
    """After a start hundreds of thousands of histories are read over an hour, some at a time."""
    memory, count = Memory(), 450
    moments = (np.arange(15 * 24) * 3600 + 20_000 * 86400) * 1_000_000
    fine = moments[-1] + np.arange(1, 73) * 300_000_000
    at = np.concatenate([moments, fine])
    for host in range(1, count + 1):
        filling = 0.5 + 0.4 * np.clip((at - moments[-1]) / (fine[-1] - moments[-1]), 0, 1)
        used = filling if host == count else np.full(len(at), 0.5)
        ones = np.ones(len(at), np.int64)
        memory.take(ones * host, ones * 0, at, used)
    hosts = np.arange(1, count + 1)
    value = np.where(hosts == count, 0.9, 0.5)
    now = np.full(count, fine[-1])
    (rule,) = (one.booked for one in declared() if one.booked.name == "DiskWillFill")
    outlook = Outlook((rule,), memory)
    (look,) = outlook.look(
        Points(hosts, hosts * 0, now, value, now, 0), [Shape("disk_used_ratio", LABEL_ROW)], ()
    )
    assert look.host == count
    assert isinstance(look.observation.ahead, Date)
