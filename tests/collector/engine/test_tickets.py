"""What people do with tickets: each act is one line of history and one message."""

from typing import Any

import pytest
from tests.collector.engine.line import Line

from forewarn_collector.state import tickets, work
from forewarn_collector.state.tickets import Conflict, NotFound, TicketState


def act(line: Line, name: str, **fields: Any) -> None:
    """Let somebody do something to a ticket."""
    with line.database.write() as connection:
        getattr(work, name)(
            connection,
            1,
            **{"actor": "mia", "now": line.at, "clients": None, "telling": line.telling, **fields},
        )


@pytest.fixture
def firing(line: Line) -> Line:
    """One ticket that is new."""
    line.hold(0.93, 20)
    return line


def test_who_acknowledges_owns_it(firing: Line) -> None:
    act(firing, "acknowledge")
    (ticket,) = firing.tickets()
    assert (ticket.state, ticket.assignee) == (TicketState.IN_PROGRESS, "mia")
    assert ticket.first_response_at == firing.at
    assert [(event.actor, event.kind) for event in ticket.events] == [
        ("forewarn", "opened"),
        ("mia", "acknowledged"),
    ]
    assert firing.kinds() == ["ticket.opened", "ticket.updated"]


def test_the_first_response_is_the_first(firing: Line) -> None:
    act(firing, "note", text="looking")
    first = firing.at
    firing.wait(minutes=5)
    act(firing, "assign", assignee="ola")
    (ticket,) = firing.tickets()
    assert (ticket.first_response_at, ticket.state) == (first, TicketState.ASSIGNED)
    assert ticket.events[-1].data == {"from": None, "to": "ola"}


def test_resolved_while_it_still_fires_waits_for_the_condition(firing: Line) -> None:
    act(firing, "resolve", text="moved the logs away")
    assert firing.tickets()[0].state is TicketState.RESOLVED
    with pytest.raises(Conflict, match="resolved"):
        act(firing, "resolve", text="again")
    resolved_at = firing.at
    firing.hold(0.5, 20)
    (ticket,) = firing.tickets()
    assert (ticket.state, ticket.resolved_at) == (TicketState.CLOSED, resolved_at)


def test_another_rule_that_fires_takes_a_resolved_ticket_up_again(firing: Line) -> None:
    act(firing, "assign", assignee="mia")
    act(firing, "resolve", text="done")
    firing.sample("self_test_passed", 0.0, mountpoint="/srv")
    firing.pass_()
    (ticket,) = firing.tickets()
    assert (ticket.state, ticket.resolved_at) == (TicketState.ASSIGNED, None)


def test_a_closed_ticket_takes_notes_and_nothing_else(firing: Line) -> None:
    firing.hold(0.5, 20)
    act(firing, "note", text="it was the backup")
    for name, fields in (("acknowledge", {}), ("assign", {"assignee": "x"})):
        with pytest.raises(Conflict, match="closed"):
            act(firing, name, **fields)
    assert firing.tickets()[0].events[-1].data == {"text": "it was the backup"}


def test_a_ticket_of_another_client_is_not_there(firing: Line) -> None:
    (mine,) = firing.tickets()
    for name, fields in (
        ("acknowledge", {}),
        ("assign", {"assignee": "x"}),
        ("note", {"text": "x"}),
        ("resolve", {"text": "x"}),
    ):
        with pytest.raises(NotFound):
            act(firing, name, clients=frozenset({"another"}), **fields)
    with firing.database.read() as connection:
        with pytest.raises(NotFound):
            tickets.get(connection, 1, clients=frozenset())
        assert tickets.find(connection, clients=frozenset({"another"})) == []
        assert len(tickets.find(connection, clients=frozenset({mine.client_id}))) == 1
    assert [event.kind for event in firing.tickets()[0].events] == ["opened"]


def test_tickets_are_found_by_state_host_and_page(line: Line) -> None:
    for number in range(5):
        line.sample("self_test_passed", 0.0, mountpoint=f"/{number}", host=1 + number % 2)
    line.pass_()
    line.sample("self_test_passed", 1.0, mountpoint="/0")
    line.wait(minutes=1)
    line.sample("self_test_passed", 1.0, mountpoint="/0")
    line.pass_()
    web2 = line.hosts.by_number(2)
    assert web2 is not None
    with line.database.read() as connection:
        everything = tickets.find(connection, clients=None)
        page = tickets.find(connection, clients=None, before=everything[1].number, limit=2)
        closed = tickets.find(connection, clients=None, states=[TicketState.CLOSED])
        of_web2 = tickets.find(connection, clients=None, host_id=web2.id)
    numbers = [ticket.number for ticket in everything]
    assert numbers == [5, 4, 3, 2, 1]
    assert [ticket.number for ticket in page] == [3, 2]
    assert [ticket.component for ticket in closed] == ["room:/0"]
    assert {ticket.host for ticket in of_web2} == {"web2"}


def test_what_was_resolved_and_gets_worse_is_opened_again_everywhere(line: Line) -> None:
    """Resolved in another system, it would stay closed there after a mere comment."""
    line.sample("self_test_passed", 0.0, mountpoint="/srv")
    line.pass_()
    act(line, "resolve", text="replaced it")
    line.hold(0.95, 15)
    [ticket] = line.tickets()
    assert ticket.state == "new"
    assert [one.kind for one in ticket.events][-1] == "reopened"
    assert line.kinds()[-1] == "ticket.opened"
