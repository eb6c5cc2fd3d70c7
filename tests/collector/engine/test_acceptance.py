"""Damage that was there, and damage somebody took for what it is: told only when it grows."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.collector.engine.line import Line, new_line
from tests.collector.engine.test_growth import PENDING, QUIET, REALLOCATED, drives, live, read

from forewarn_collector.state import acceptance
from forewarn_collector.state.acceptance import Baselines
from forewarn_collector.state.audit import broken_at
from forewarn_collector.state.tables import audit
from forewarn_collector.state.tickets import Conflict, NotFound, TicketState

WORN = {REALLOCATED: 4000.0, PENDING: 900.0}


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with drives(tmp_path) as made:
        yield made


def accept(
    line: Line, number: int = 1, text: str = "it is a scratch disk", **other: object
) -> None:
    """Let mia accept what a ticket is about."""
    options = {"actor": "mia", "now": line.at, "clients": None, "telling": line.telling, **other}
    with line.database.write() as connection:
        acceptance.accept(connection, number, text=text, **options)  # type: ignore[arg-type]


def baselines(line: Line, number: int = 1) -> Baselines:
    host = line.hosts.by_number(number)
    assert host is not None
    with line.database.read() as connection:
        return acceptance.of_host(connection, host.id)


@pytest.fixture
def growing(line: Line) -> Line:
    """A drive with a ticket, because its sectors grew."""
    live(line, QUIET)
    live(line, {REALLOCATED: 60.0, PENDING: 20.0})
    assert [ticket.state for ticket in line.tickets()] == ["new"]
    return line


def test_what_was_there_at_first_sight_is_one_information_and_no_ticket(line: Line) -> None:
    live(line, WORN, hours=5)
    line.restart()
    live(line, WORN, hours=5)
    assert line.tickets() == []
    assert line.told() == []
    found = {(one.metric, one.value) for one in baselines(line).inherited}
    assert found == set(WORN.items())
    assert {one.component for one in baselines(line).inherited} == {"drive:Z305"}


def test_what_was_0_at_first_sight_is_no_information(line: Line) -> None:
    live(line, {PENDING: 0.0}, hours=2)
    live(line, {PENDING: 900.0})
    assert baselines(line).inherited == ()


def test_accepted_it_closes_with_the_next_pass_without_waiting_for_a_reading(
    growing: Line,
) -> None:
    accept(growing)
    assert growing.tickets()[0].state is TicketState.RESOLVED
    growing.wait(seconds=5)
    growing.pass_()
    (ticket,) = growing.tickets()
    assert (ticket.state, ticket.condition) == (TicketState.CLOSED, "cleared")
    kinds = [event.kind for event in ticket.events if event.actor == "mia"]
    assert kinds == ["accepted"]
    assert growing.kinds()[-1] == "ticket.closed"


def test_accepted_it_stays_quiet_until_it_grows(growing: Line) -> None:
    accept(growing)
    live(growing, {REALLOCATED: 60.0, PENDING: 20.0}, hours=48)
    assert [ticket.state for ticket in growing.tickets()] == ["closed"]
    live(growing, {REALLOCATED: 130.0, PENDING: 60.0})
    assert [ticket.state for ticket in growing.tickets()].count(TicketState.NEW) == 1
    grown = growing.tickets()[-1].episodes[-1].evidence["grown"]
    assert {one["metric"]: one["by"] for one in grown} == {REALLOCATED: 70.0, PENDING: 40.0}


def test_what_grew_before_the_next_pass_knew_is_not_accepted(growing: Line) -> None:
    """The value that was on the page is accepted, not one nobody has seen."""
    accept(growing)
    growing.wait(hours=1)
    read(growing, {REALLOCATED: 400.0, PENDING: 220.0})
    growing.pass_()
    live(growing, {REALLOCATED: 400.0, PENDING: 220.0})
    (ticket,) = growing.tickets()
    assert ticket.state is not TicketState.CLOSED


@pytest.mark.parametrize("restart", ["before the pass", "after the pass"])
def test_it_survives_a_restart(growing: Line, restart: str) -> None:
    accept(growing)
    if restart == "before the pass":
        growing.restart()
    growing.wait(seconds=5)
    growing.pass_()
    growing.restart()
    live(growing, {REALLOCATED: 60.0, PENDING: 20.0}, hours=30)
    assert [ticket.state for ticket in growing.tickets()] == ["closed"]
    growing.change({})
    live(growing, {REALLOCATED: 60.0, PENDING: 20.0}, hours=30)
    assert [ticket.state for ticket in growing.tickets()] == ["closed"]


def test_a_drop_is_a_new_baseline(growing: Line) -> None:
    accept(growing)
    live(growing, {REALLOCATED: 0.0, PENDING: 0.0})
    live(growing, {REALLOCATED: 60.0, PENDING: 20.0})
    assert growing.tickets()[0].state is not TicketState.CLOSED


def test_author_reason_and_values_are_kept_and_audited(growing: Line) -> None:
    accept(growing, text="it is a scratch disk")
    (taken,) = baselines(growing).accepted
    assert (taken.author, taken.reason) == ("mia", "it is a scratch disk")
    assert taken.counters == {REALLOCATED: 60.0, PENDING: 20.0}
    with growing.database.read() as connection:
        (row,) = connection.execute(select(audit)).mappings().all()
        assert broken_at(connection) is None
    assert (row["actor"], row["action"]) == ("mia", "counters.accepted")
    assert row["data"]["reason"] == "it is a scratch disk"


def test_only_what_counts_can_be_accepted(tmp_path: Path) -> None:
    with new_line(tmp_path) as line:
        line.hold(0.93, 20)
        with pytest.raises(Conflict, match="counts up"):
            accept(line)


def test_a_closed_ticket_and_anothers_cannot_be_accepted(growing: Line) -> None:
    with pytest.raises(NotFound):
        accept(growing, clients=frozenset({"another"}))
    accept(growing)
    growing.wait(seconds=5)
    growing.pass_()
    with pytest.raises(Conflict, match="closed"):
        accept(growing)
