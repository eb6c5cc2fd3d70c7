"""Drives that wear out, from whole percents to a ticket with a date, and how the date came true."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.collector.engine.line import Line, microseconds, new_line

from forewarn_checks import _smart_metrics as smart
from forewarn_checks.base import Wear
from forewarn_collector.rules.book import RuleBook, declared
from forewarn_collector.state import forecasts

LABELS = {"drive": "S4EV", "model": "Samsung SSD 970", "type": "nvme"}


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with new_line(tmp_path) as made:
        rules = tuple(one for one in declared() if isinstance(one.booked.rule, Wear))
        made.book = RuleBook(rules)
        made.restart()
        yield made


def wear(line: Line, metric: str, percents: list[int], hours: int) -> None:
    """Let a drive tell each percentage for so many hours, read every six."""
    for percent in percents:
        for _ in range(hours // 6):
            line.wait(hours=6)
            at = microseconds(line.at)
            shape = line.store.shape(metric, LABELS)
            line.store.commits.append([(1, shape, at, percent / 100, at)])
            line.store.heard[1] = at
            line.pass_()


def test_a_drive_that_wears_a_percent_in_two_days_is_told_of_with_a_date(line: Line) -> None:
    wear(line, smart.LIFE_USED.name, list(range(80, 84)), 48)
    assert line.tickets() == [], "three steps carry no date"
    line.restart()
    wear(line, smart.LIFE_USED.name, list(range(84, 90)), 48)
    (ticket,) = line.tickets()
    assert "will have used up its rated life about" in ticket.title
    evidence = ticket.episodes[0].evidence
    assert evidence["forecast"]["earliest"] < evidence["forecast"]["latest"]
    assert evidence["forecast"]["tier"] == "steps"
    assert "no date of failure" in evidence["advice"]
    wear(line, smart.LIFE_USED.name, list(range(90, 102)), 48)
    with line.database.read() as connection:
        found = forecasts.coverage(connection, clients=None, rule="SsdWillWearOut")
    assert found.tested >= 10
    assert found.inside == found.tested
    assert len(line.tickets()) == 1


def test_spare_is_told_of_before_its_threshold_and_a_restart_doubles_nothing(line: Line) -> None:
    for percent in range(30, 60):
        wear(line, smart.SPARE_USED.name, [percent], 24)
        line.restart()
    (ticket,) = line.tickets()
    assert "too few spare blocks" in ticket.title
    assert [event.kind for event in ticket.events].count("opened") == 1


def test_wear_that_stops_ends_the_alert(line: Line) -> None:
    wear(line, smart.LIFE_USED.name, list(range(80, 90)), 24)
    wear(line, smart.LIFE_USED.name, [89], 24 * 10)
    (ticket,) = line.tickets()
    assert ticket.episodes[0].closed_at is not None
