"""Whatever is read, whatever holds, and whenever the collector restarts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select
from tests.collector.engine.line import Line, new_line
from tests.collector.engine.test_suppression import maintain, silence

from forewarn_collector.state.tables import alerts, episodes, held_alerts, ticket_events

# What is read, whether a hold begins with it, and how long that lasts (0: it is ended by hand).
READINGS = st.lists(
    st.tuples(
        st.sampled_from([0.5, 0.5, 0.86, 0.93, 0.93, 0.93, 0.99]),
        st.sampled_from(["", "", "", "window", "silence"]),
        st.sampled_from([5, 15, 40]),
        st.booleans(),  # restart after this one
    ),
    min_size=6,
    max_size=26,
)


@contextmanager
def played(readings: list[Any], *, holding: bool, restarting: bool = False) -> Iterator[Line]:
    """Read every five minutes, then well for half a day, so that everything is over at the end."""
    with tempfile.TemporaryDirectory() as directory, new_line(Path(directory)) as line:
        for used, hold, minutes, restart in readings:
            if holding and hold == "window":
                maintain(line, minutes=minutes, select="host:web1")
            if holding and hold == "silence":
                silence(line, minutes=minutes)
            line.wait(minutes=5)
            line.read(used)
            line.pass_()
            if restart and restarting:
                line.restart()
        yield line


def states(line: Line) -> list[Any]:
    """Return where alerts stand, without which episode tells of them."""
    wanted = (alerts.c.rule, alerts.c.state, alerts.c.severity, alerts.c.since, alerts.c.memory)
    with line.database.read() as connection:
        return [tuple(row) for row in connection.execute(select(*wanted)) if row.state != "ok"]


def standing(line: Line) -> list[Any]:
    """Return where alerts stand, without how often they came and went: of that only told ones."""
    return [
        (*row[:-1], {name: value for name, value in row[-1].items() if name != "cycles"})
        for row in states(line)
    ]


def flapped(line: Line) -> bool:
    """Say whether any alert was told so often that its end was put off."""
    with line.database.read() as connection:
        return any(memory["flaps"] for (memory,) in connection.execute(select(alerts.c.memory)))


def told(line: Line) -> tuple[list[Any], ...]:
    """Return everything that is kept of episodes, history and what was held, without ids."""
    with line.database.read() as connection:
        carried = connection.execute(
            select(
                episodes.c.rule, episodes.c.severity, episodes.c.opened_at, episodes.c.closed_at
            ).order_by(episodes.c.opened_at)
        ).all()
        history = connection.execute(
            select(ticket_events.c.kind, ticket_events.c.at).order_by(ticket_events.c.id)
        ).all()
        columns = held_alerts.c
        held = connection.execute(
            select(
                columns.rule, columns.cause, columns.since, columns.ended_at, columns.outcome
            ).order_by(columns.since, columns.ended_at)
        ).all()
    return [tuple(r) for r in carried], [tuple(r) for r in history], [tuple(r) for r in held]


@settings(max_examples=6, deadline=None)
@given(READINGS)
def test_holds_never_change_where_an_alert_stands(readings: list[Any]) -> None:
    """Apart from damping: only an alert that was told about again and again ends later."""
    with played(readings, holding=False) as free, played(readings, holding=True) as held:
        assume(not flapped(free))
        assert standing(held) == standing(free)


@settings(max_examples=6, deadline=None)
@given(READINGS)
def test_restarting_whenever_changes_nothing_of_what_is_told_or_held(readings: list[Any]) -> None:
    with (
        played(readings, holding=True) as plain,
        played(readings, holding=True, restarting=True) as restarted,
    ):
        assert told(restarted) == told(plain)
        assert states(restarted) == states(plain)


@settings(max_examples=6, deadline=None)
@given(READINGS)
def test_openings_and_closes_alternate_and_no_close_is_swallowed(readings: list[Any]) -> None:
    with played(readings, holding=True) as line:
        # A window over all of the end: nothing may open any more, all must close.
        maintain(line, minutes=60 * 24 * 20)
        opened = [kind for kind in line.kinds() if kind == "ticket.opened"]
        for _ in range(30):
            line.wait(minutes=60)
            line.hold(0.5, 10)
        kinds = [kind for kind in line.kinds() if kind != "ticket.updated"]
        assert kinds == ["ticket.opened", "ticket.closed"] * len(opened)
        with line.database.read() as connection:
            lasting = select(episodes.c.id).where(episodes.c.closed_at.is_(None))
            assert connection.execute(lasting).all() == []
            held = select(held_alerts.c.id).where(held_alerts.c.ended_at.is_(None))
            assert connection.execute(held).all() == []


@settings(max_examples=6, deadline=None)
@given(READINGS)
def test_what_fires_is_either_told_or_held(readings: list[Any]) -> None:
    with played(readings, holding=True) as line:
        line.pass_()
        with line.database.read() as connection:
            firing = {
                (row.key, row.severity)
                for row in connection.execute(select(alerts))
                if row.state in ("firing", "clearing")
            }
            open_ = connection.execute(
                select(episodes.c.alert_key).where(episodes.c.closed_at.is_(None))
            ).scalars()
            held = connection.execute(
                select(held_alerts.c.alert_key).where(
                    held_alerts.c.ended_at.is_(None), held_alerts.c.told.is_(None)
                )
            ).scalars()
            open_keys, held_keys = list(open_), list(held)
        assert sorted(open_keys + held_keys) == sorted(key for key, _ in firing)


def test_a_failing_transaction_leaves_nothing_of_a_hold_behind(tmp_path: Path) -> None:
    """The next pass judges the same points again, and holds the same."""
    with new_line(tmp_path) as line:
        maintain(line, minutes=600)
        line.hold(0.93, 10)
        line.wait(minutes=5)
        line.read(0.93)
        writing = line.database.write

        @contextmanager
        def broken() -> Iterator[Any]:
            with writing() as connection:
                yield connection
                raise OSError("disk full")

        line.database.write = broken  # type: ignore[method-assign]
        with suppress(OSError):
            line.pass_()
        line.database.write = writing  # type: ignore[method-assign]
        with line.database.read() as connection:
            assert connection.execute(select(held_alerts)).all() == []
        line.pass_()
        with line.database.read() as connection:
            assert len(connection.execute(select(held_alerts)).all()) == 1


class Died(Exception):
    """The collector is gone in the middle of a transaction."""


def lived(dies_at: int) -> tuple[Any, ...]:
    """Hold, rise, settle, tell and close; die at one write, begin again, and return what is left.

    The last of what is returned is how many writes there were.
    """
    with tempfile.TemporaryDirectory() as directory, new_line(Path(directory)) as line:
        maintain(line, minutes=30, select="host:web1")
        writes = 0

        def perhaps_die(_: Any, __: Any, statement: str, *___: Any) -> None:
            nonlocal writes
            if statement.split(None, 1)[0].upper() in ("INSERT", "UPDATE", "DELETE"):
                writes += 1
                if writes == dies_at:
                    raise Died

        event.listen(line.database.engine, "before_cursor_execute", perhaps_die)
        for used in [0.93] * 5 + [0.99] * 3 + [0.93] * 3 + [0.5] * 6:
            line.wait(minutes=5)
            line.read(used)
            try:
                line.pass_()
            except Died:
                line.restart()
                line.pass_()
        return *told(line), line.kinds(), writes


def test_dying_at_any_write_neither_loses_nor_doubles_what_is_held_or_told() -> None:
    *plain, writes = lived(0)
    assert plain[3] == ["ticket.opened", "ticket.updated", "ticket.closed"]
    for dies_at in range(1, writes, max(writes // 12, 1)):
        *left, _ = lived(dies_at)
        assert left == plain, f"died at write {dies_at} of {writes}"
