"""Whatever the readings, how they are batched and when the collector restarts."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.collector.engine.line import GIB, Line, new_line

from forewarn_collector.state.tables import alerts, episodes, ticket_events

READINGS = st.lists(
    st.tuples(
        st.sampled_from([0.5, 0.86, 0.93, 0.93, 0.93, 0.99]),
        st.booleans(),  # judge after this one
        st.booleans(),  # restart after this one
    ),
    min_size=5,
    max_size=24,
)


def left(line: Line) -> tuple[list[Any], ...]:
    """Return what the database holds of it all, without ids and moments of judging."""
    with line.database.read() as connection:
        made_up = ("key", "client_id", "episode_id", "changed_at")
        columns = [column for column in alerts.c if column.name not in made_up]
        rows = connection.execute(select(*columns)).all()
        found = (episodes.c.rule, episodes.c.severity, episodes.c.opened_at, episodes.c.closed_at)
        carried = connection.execute(select(*found).order_by(episodes.c.opened_at)).all()
        history = connection.execute(
            select(ticket_events.c.kind, ticket_events.c.data).order_by(ticket_events.c.id)
        ).all()
    return (
        [tuple(row) for row in rows],
        [tuple(row) for row in carried],
        list(map(tuple, history)),
    )


def play(readings: Sequence[tuple[float, bool, bool]], **how: bool) -> tuple[list[Any], ...]:
    """Read every five minutes; judge after each or, `batched`, as drawn, two at most at once."""
    with tempfile.TemporaryDirectory() as directory, new_line(Path(directory)) as line:
        waiting = 0
        for used, judge, restart in readings:
            line.wait(minutes=5)
            line.read(used, free=1 * GIB)
            waiting += 1
            if judge or waiting == 2 or not how.get("batched"):
                line.pass_()
                waiting = 0
            if restart and how.get("restarting"):
                line.restart()
        line.pass_()
        return left(line)


@settings(max_examples=10, deadline=None)
@given(READINGS)
def test_how_readings_are_batched_and_when_it_restarts_changes_nothing(
    readings: list[tuple[float, bool, bool]],
) -> None:
    plain = play(readings)
    assert play(readings, batched=True) == plain
    assert play(readings, restarting=True) == plain
