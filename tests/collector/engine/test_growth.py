"""Drives whose counters grow, from readings to tickets."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.collector.engine.line import Line, microseconds, new_line

from forewarn_checks import smart
from forewarn_checks.base import Growth
from forewarn_collector.rules.book import BadRule, RuleBook, declared
from forewarn_collector.rules.change import RuleChange
from forewarn_collector.state.tables import alerts, counters, episodes

RULES = [one for one in declared() if isinstance(one.booked.rule, Growth)]
REALLOCATED, PENDING = smart.REALLOCATED.name, smart.PENDING.name
QUIET = {REALLOCATED: 8.0, PENDING: 0.0}


@contextmanager
def drives(directory: Path, changes: Mapping[str, RuleChange] | None = None) -> Iterator[Line]:
    """Make a collector that judges nothing but the growth of drives."""
    with new_line(directory) as line:
        line.book = RuleBook(RULES, changes)
        line.restart()
        yield line


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with drives(tmp_path) as made:
        yield made


def read(
    line: Line, values: Mapping[str, float], *, kind: str = "hdd", ago_hours: float = 0
) -> None:
    """Take in one run of the drives of web1."""
    at = microseconds(line.at) - round(ago_hours * 3_600_000_000)
    received = microseconds(line.at)
    labels = {"drive": "Z305", "model": "ST4000DM000-1F2168", "type": kind}
    line.store.commits.append(
        [(1, line.store.shape(name, labels), at, value, received) for name, value in values.items()]
    )
    line.store.heard[1] = received


def live(line: Line, values: Mapping[str, float], hours: int = 1, **options: Any) -> None:
    """Let hours go by and read and judge after each."""
    for _ in range(hours):
        line.wait(hours=1)
        read(line, values, **options)
        line.pass_()


def rules_firing(line: Line) -> set[str]:
    with line.database.read() as connection:
        query = select(episodes.c.rule).where(episodes.c.closed_at.is_(None))
        return set(connection.execute(query).scalars())


def test_damage_at_first_sight_is_no_ticket(line: Line) -> None:
    live(line, {REALLOCATED: 4000.0, PENDING: 900.0}, hours=30)
    assert line.tickets() == []


def test_growth_opens_one_ticket_of_the_drive_and_raises_it(line: Line) -> None:
    live(line, QUIET)
    live(line, {**QUIET, PENDING: 1.0})
    assert rules_firing(line) == {"DriveSectorsGrowing"}
    live(line, {REALLOCATED: 310.0, PENDING: 24.0})
    assert rules_firing(line) == {
        "DriveSectorsGrowing",
        "DriveFailureLikely",
        "DriveFailureImminent",
    }
    (ticket,) = line.tickets()
    assert ticket.severity == "critical"
    kind, told = line.told()[-1]
    assert kind == "ticket.updated"
    assert told["title"] == (
        "ST4000DM000-1F2168 (Z305) on web1 is failing: 302 more reallocated sectors (now 310), "
        "24 more pending sectors (now 24)"
    )


def test_the_evidence_says_what_grew_and_since_when(line: Line) -> None:
    live(line, QUIET)
    live(line, {**QUIET, PENDING: 3.0})
    with line.database.read() as connection:
        query = select(episodes.c.evidence).where(episodes.c.rule == "DriveFailureLikely")
        told = connection.execute(query).scalar_one()
    assert told["grown"] == [
        {"metric": PENDING, "by": 3.0, "value": 3.0, "since": "2026-03-01T14:00:00.000Z"}
    ]
    assert "3 more pending sectors" in told["advice"]
    assert "62 were recorded as failed" in told["advice"]
    assert "readings" not in told


def test_it_closes_when_nothing_has_grown_for_the_window(line: Line) -> None:
    live(line, QUIET)
    live(line, {**QUIET, PENDING: 1.0})
    for _ in range(29):
        line.wait(days=1)
        read(line, {**QUIET, PENDING: 1.0})
        line.pass_()
    assert rules_firing(line) == {"DriveSectorsGrowing"}
    line.wait(days=1)
    read(line, {**QUIET, PENDING: 1.0})
    line.pass_()
    assert rules_firing(line) == set()
    with line.database.read() as connection:
        told = connection.execute(select(episodes.c.evidence)).scalar_one()
    assert (told["value"], told["shown"]) == (1.0, "1 more pending sectors (now 1)")
    assert told["cleared"] == {"value": 0.0, "shown": "0"}


def test_one_reading_of_many_does_not_wait_for_the_others(line: Line) -> None:
    """A rule over several counters is judged when any of them arrives."""
    live(line, QUIET)
    live(line, {PENDING: 1.0})
    assert rules_firing(line) == {"DriveSectorsGrowing"}


def test_rules_of_hard_disks_leave_solid_state_drives_alone(line: Line) -> None:
    live(line, {REALLOCATED: 0.0, smart.REPORTED.name: 0.0}, kind="ssd")
    live(line, {REALLOCATED: 600.0, smart.REPORTED.name: 0.0}, kind="ssd")
    assert rules_firing(line) == set()
    live(line, {REALLOCATED: 600.0, smart.REPORTED.name: 1.0}, kind="ssd")
    assert rules_firing(line) == {"SsdErrorsGrowing"}


def test_transfer_errors_blame_the_link(line: Line) -> None:
    live(line, {smart.CRC.name: 5.0})
    live(line, {smart.CRC.name: 15.0})
    assert rules_firing(line) == {"DriveLinkErrors"}
    (ticket,) = line.tickets()
    assert ticket.title.startswith("The link to ")
    assert ticket.severity == "warning"


def test_late_growth_opens_nothing_until_a_timely_reading(line: Line) -> None:
    live(line, QUIET)
    line.wait(days=2)
    read(line, {**QUIET, PENDING: 9.0}, ago_hours=24)
    line.pass_()
    assert line.tickets() == []
    read(line, {**QUIET, PENDING: 9.0})
    line.pass_()
    assert "DriveFailureLikely" in rules_firing(line)


def test_what_comes_late_after_newer_readings_is_not_counted_again(line: Line) -> None:
    live(line, {**QUIET, PENDING: 4.0}, hours=3)
    read(line, {**QUIET, PENDING: 0.0}, ago_hours=1.5)
    line.pass_()
    line.restart()
    read(line, {**QUIET, PENDING: 0.0}, ago_hours=2.5)
    line.pass_()
    live(line, {**QUIET, PENDING: 4.0})
    assert line.tickets() == []


def test_a_restart_forgets_no_baseline(line: Line) -> None:
    live(line, QUIET)
    line.restart()
    live(line, {**QUIET, PENDING: 2.0})
    assert "DriveFailureLikely" in rules_firing(line)


def test_a_failed_pass_counts_nothing_twice(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    live(line, QUIET)
    line.wait(hours=1)
    read(line, {**QUIET, PENDING: 1.0})
    with monkeypatch.context() as patch:
        patch.setattr(line.database, "write", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            line.pass_()
    line.pass_()
    assert rules_firing(line) == {"DriveSectorsGrowing"}, "twice would be likely to fail"


def test_a_scope_may_ask_for_less_or_more(tmp_path: Path) -> None:
    change = RuleChange.model_validate(
        {
            "window": "7d",
            "any_of": [{"metric": PENDING, "by": 3, "and": {"metric": REALLOCATED, "by": 1}}],
            "scopes": [{"select": "host:web1", "any_of": [{"metric": PENDING, "by": 5}]}],
        }
    )
    with drives(tmp_path, {"DriveSectorsGrowing": change}) as line:
        live(line, QUIET)
        live(line, {REALLOCATED: 9.0, PENDING: 4.0})
        assert "DriveSectorsGrowing" not in rules_firing(line)
        live(line, {REALLOCATED: 9.0, PENDING: 5.0})
        assert "DriveSectorsGrowing" in rules_firing(line)


@pytest.mark.parametrize(
    ("change", "path", "text"),
    [
        (
            {"any_of": [{"metric": "smart_pending_sector", "by": 1}]},
            ("any_of", 0, "metric"),
            "did you mean smart_pending_sectors",
        ),
        ({"any_of": [{"metric": PENDING, "by": 0}]}, ("any_of", 0, "by"), "above 0"),
        ({"window": "1m"}, ("window",), "1h to 90d"),
        ({"above": 3.0}, ("above",), "is a growth rule and has no such field"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(
    change: dict[str, Any], path: tuple[str | int, ...], text: str
) -> None:
    with pytest.raises(BadRule, match=text) as refused:
        RuleBook(RULES, {"DriveSectorsGrowing": RuleChange.model_validate(change)})
    assert refused.value.path == ("rules", "DriveSectorsGrowing", *path)


DAYS = st.lists(
    st.tuples(
        st.sampled_from([6, 24, 24, 240]),  # hours since the reading before
        st.sampled_from([0, 0, 1, 12, 150, 600]),  # how much reallocated sectors rise
        st.sampled_from([0, 0, 1, 2, 40, -50]),  # and pending ones, which may be mended
        st.booleans(),  # judge after this one
        st.booleans(),  # restart after this one
    ),
    min_size=3,
    max_size=14,
)


def play(days: Sequence[tuple[int, int, int, bool, bool]], **how: bool) -> tuple[list[Any], ...]:
    """Read as drawn; judge after each or, `batched`, as drawn; return what is left on disk."""
    with tempfile.TemporaryDirectory() as directory, drives(Path(directory)) as line:
        values = dict(QUIET)
        for hours, reallocated, pending, judge, restart in days:
            line.wait(hours=hours)
            values[REALLOCATED] += reallocated
            values[PENDING] = max(values[PENDING] + pending, 0)
            # Received at the end of it all: how late it is must not depend on when it is judged.
            read(line, values)
            if judge or not how.get("batched"):
                line.pass_()
            if restart and how.get("restarting"):
                line.restart()
        line.pass_()
        return left(line)


def left(line: Line) -> tuple[list[Any], ...]:
    with line.database.read() as connection:
        made_up = ("key", "client_id", "episode_id", "changed_at")
        columns = [column for column in alerts.c if column.name not in made_up]
        rows = connection.execute(select(*columns).order_by(alerts.c.rule)).all()
        query = select(episodes.c.rule, episodes.c.opened_at, episodes.c.closed_at)
        carried = connection.execute(query.order_by(episodes.c.rule, episodes.c.opened_at)).all()
        named = (counters.c.metric, counters.c.value, counters.c.rises)
        held = connection.execute(select(*named).order_by(counters.c.metric)).all()
        return (
            [dict(row._mapping) for row in rows],
            list(map(tuple, carried)),
            list(map(tuple, held)),
        )


@settings(max_examples=10, deadline=None)
@given(DAYS)
def test_restarts_change_nothing(days: list[tuple[int, int, int, bool, bool]]) -> None:
    assert play(days, restarting=True) == play(days)


@settings(max_examples=10, deadline=None)
@given(DAYS)
def test_counters_are_the_same_however_readings_are_batched(
    days: list[tuple[int, int, int, bool, bool]],
) -> None:
    """What is judged hours late opens no episode of its own, but is counted all the same."""
    apart, together = play(days), play(days, batched=True)
    assert together[2] == apart[2]
    firing = [
        {row["rule"] for row in played[0] if row["state"] == "firing"}
        for played in (apart, together)
    ]
    assert firing[0] == firing[1]
