"""Whatever fails, clears, dies and is done: each firing is on one open ticket, told in order."""

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select
from tests.collector.engine.crowd import check_whole, crowd, fail
from tests.collector.engine.line import Line

from forewarn_collector.state import work
from forewarn_collector.state.tables import alerts, episodes, tickets

HOSTS = range(101, 109)
ACTS = st.one_of(
    st.tuples(st.just("fail"), st.sets(st.sampled_from(list(HOSTS)), min_size=1)),
    st.tuples(st.just("pass"), st.sets(st.sampled_from(list(HOSTS)), min_size=1)),
    st.tuples(st.just("wait"), st.sampled_from([5, 50, 600, 4000, 90_000])),  # seconds
    st.tuples(st.just("acknowledge"), st.integers(0, 4)),
    st.tuples(st.just("resolve"), st.integers(0, 4)),
    st.tuples(st.just("restart"), st.none()),
)


def do(line: Line, act: str, what: Any) -> None:
    """Let one thing happen, and judge."""
    match act:
        case "fail" | "pass":
            line.wait(seconds=1)
            fail(line, *sorted(what), value=0.0 if act == "fail" else 1.0)
        case "wait":
            line.wait(seconds=what)
        case "restart":
            line.restart()
        case _:
            _work(line, act, what)
    line.pass_()


def _work(line: Line, act: str, turn: int) -> None:
    """Let somebody do something to one of the open tickets, if there is any."""
    with line.database.write() as connection:
        undone = tickets.c.state.in_(("new", "assigned", "in_progress"))
        numbers = connection.execute(select(tickets.c.number).where(undone)).scalars().all()
        if not numbers:
            return
        said: dict[str, Any] = {"text": "swapped the cable"} if act == "resolve" else {}
        getattr(work, act)(
            connection,
            numbers[turn % len(numbers)],
            actor="mia",
            now=line.at,
            clients=None,
            telling=line.telling,
            **said,
        )


def check_alerts(line: Line) -> None:
    """Every alert that was told has one lasting episode, and no other has any."""
    with line.database.read() as connection:
        rows = connection.execute(select(alerts.c.key, alerts.c.memory)).all()
        told = {row.key for row in rows if row.memory["told"] is not None}
        query = select(episodes.c.alert_key).where(episodes.c.closed_at.is_(None))
        lasting = connection.execute(query).scalars().all()
    assert sorted(lasting) == sorted(told)


def check_told(line: Line) -> None:
    """What a destination hears of one ticket opens, goes on and closes, again and again."""
    heard: dict[str, list[str]] = defaultdict(list)
    for kind, ticket in line.told():
        heard[ticket["key"]].append(kind)
    for kinds in heard.values():
        turns = [kind for kind in kinds if kind != "ticket.updated"]
        assert kinds[0] == "ticket.opened"
        closed = [kind == "ticket.closed" for kind in turns]
        assert not any(one and other for one, other in pairwise(closed))


@settings(max_examples=15, deadline=None)
@given(
    st.lists(ACTS, min_size=3, max_size=14),
    st.sampled_from([None, 1, 3]),
    st.sampled_from([1, 2]),
)
def test_no_episode_without_a_ticket_and_none_with_two(
    acts: list[tuple[str, Any]], per_hour: int | None, sites: int
) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        crowd(Path(folder), len(HOSTS), sites=sites, per_hour=per_hour) as line,
    ):
        for act, what in acts:
            do(line, act, what)
            check_whole(line)
            check_alerts(line)
        # A day without trouble, and nothing is left that nobody touched.
        for seconds in (60, 90_000):
            do(line, "wait", seconds)
            do(line, "pass", set(HOSTS))
        check_whole(line)
        check_alerts(line)
        check_told(line)
        with line.database.read() as connection:
            left = select(tickets.c.number).where(
                tickets.c.state.not_in(("closed", "cancelled")),
                tickets.c.first_response_at.is_(None),
                tickets.c.kind.is_distinct_from("root_cause"),
            )
            assert connection.execute(left).all() == []


# -- a death between any two writes ----------------------------------------------------------------

STORY: Sequence[tuple[str, Any]] = (
    ("fail", {101}),
    ("fail", {102, 103}),
    ("fail", {104, 105, 106}),  # the site's ticket takes over the three
    ("fail", {107, 108}),
    ("pass", {101, 102, 103, 104, 105, 106, 107}),
    ("pass", {108}),
)


class Death(BaseException):
    """The collector is gone."""


def live(line: Line, dies_at: int) -> int:
    """Live through the story, dying at one write and beginning again; return the writes there
    were.
    """
    writes = count(1)

    def perhaps_die(*_: Any) -> None:
        if next(writes) == dies_at:
            raise Death

    def before(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.split(None, 1)[0].upper() in ("INSERT", "UPDATE", "DELETE"):
            perhaps_die()

    event.listen(line.database.engine, "before_cursor_execute", before)
    event.listen(line.database.engine, "commit", perhaps_die)
    for act, what in STORY:
        try:
            do(line, act, what)
        except Death:
            line.restart()
            line.pass_()
    event.remove(line.database.engine, "before_cursor_execute", before)
    event.remove(line.database.engine, "commit", perhaps_die)
    return next(writes) - 1


def left(line: Line) -> Any:
    """Return what became of it all, without ids and numbers of rows."""
    with line.database.read() as connection:
        columns = (tickets.c.number, tickets.c.kind, tickets.c.title, tickets.c.state)
        carried = (
            select(episodes.c.host_id, tickets.c.number, episodes.c.closed_at.is_(None))
            .join(tickets, tickets.c.id == episodes.c.ticket_id)
            .order_by(episodes.c.host_id, episodes.c.opened_at)
        )
        rows = connection.execute(select(*columns).order_by(tickets.c.number)).all()
        told = sorted((ticket["number"], kind) for kind, ticket in line.told())
        return list(map(tuple, rows)), list(map(tuple, connection.execute(carried))), told


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.lab), 9])
def test_a_death_between_any_two_writes_loses_and_doubles_nothing(every: int) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        crowd(Path(folder), len(HOSTS), per_hour=3) as line,
    ):
        writes = live(line, 0)
        wanted = left(line)
        assert [kind for _, kind, _, _ in wanted[0]].count("site") == 1
    assert writes > 60
    for dies_at in range(1, writes + 1, every):
        with (
            tempfile.TemporaryDirectory() as folder,
            crowd(Path(folder), len(HOSTS), per_hour=3) as line,
        ):
            live(line, dies_at)
            check_whole(line)
            assert left(line) == wanted, dies_at
