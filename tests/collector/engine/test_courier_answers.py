"""What people do in other systems comes back into the ticket, and is not told to them again."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from tests.collector.destinations.desk import Desk
from tests.collector.destinations.desks.rt import SPEC as RT
from tests.collector.engine.line import Line

from forewarn_collector.attending import attend_all
from forewarn_collector.config import DestinationEntry
from forewarn_collector.destinations import all_destinations
from forewarn_collector.destinations.webhook import Config
from forewarn_collector.outbox import Courier, Delivering
from forewarn_collector.state import people, work
from forewarn_collector.state.history import is_person, is_reserved
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tickets import Ticket, TicketState

SECRET = "whsec_bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4="
THERE = "destination:rt"


class House:
    """A collector that tells a Request Tracker in memory and a webhook."""

    def __init__(self, line: Line) -> None:
        self.line, self.desk = line, Desk(RT)
        self.heard: list[tuple[str, dict[str, Any]]] = []
        line.telling = Telling(("rt", "hook"), "https://monitor/tickets/")
        line.restart()
        rt = all_destinations()["rt"].config.model_validate(
            {"url": "https://rt.example.com", **RT.config}
        )
        hook = Config(url=SecretStr("https://hook.example.com/x"), secret=SecretStr(SECRET))
        self.courier = Courier(
            line.database,
            [
                DestinationEntry(name="rt", kind="rt", config=rt),
                DestinationEntry(name="hook", kind="webhook", config=hook),
            ],
            client=lambda entry: httpx.Client(
                transport=httpx.MockTransport(self.desk if entry.name == "rt" else self._hear)
            ),
            dice=lambda: 0.0,
            telling=line.telling,
        )

    def _hear(self, request: httpx.Request) -> httpx.Response:
        told = json.loads(request.content)
        self.heard.append((told["type"], told["data"]["ticket"]))
        return httpx.Response(200)

    def settle(self) -> None:
        """Deliver until nothing is left to do."""
        quiet = 0
        while quiet < 2:  # an answer that was taken over is told by the next call
            done = self.courier.deliver_due(self.line.at)
            quiet = quiet + 1 if done == Delivering() else 0

    def ask(self) -> None:
        """Let a quarter of an hour go by, and everything be told and asked."""
        self.line.wait(minutes=15, seconds=1)
        self.settle()

    def attend(self) -> None:
        attend_all(self.line.database, self.line.at, self.line.telling)

    @property
    def row(self) -> dict[str, Any]:
        (row,) = self.desk.rows.values()
        return row

    @property
    def ticket(self) -> Ticket:
        (ticket,) = self.line.tickets()
        return ticket

    def state(self) -> str:
        return str(self.ticket.state)

    def events(self) -> list[tuple[str, str]]:
        return [(one.kind, one.actor) for one in self.ticket.events]


@pytest.fixture
def house(line: Line) -> Iterator[House]:
    made = House(line)
    line.sample("self_test_passed", 0.0, mountpoint="/srv")
    line.pass_()
    made.settle()
    yield made
    made.courier.close()


def test_who_takes_it_there_has_taken_it_here(house: House) -> None:
    house.row.update(Status="open", Owner="alice")
    house.ask()
    ticket = house.ticket
    assert (ticket.state, ticket.assignee) == (TicketState.IN_PROGRESS, "alice")
    assert house.events()[-2:] == [("assigned", THERE), ("acknowledged", THERE)]
    assert ticket.first_response_at == house.line.at
    assert house.heard[-1][0] == "ticket.updated"
    assert house.heard[-1][1]["assignee"] == "alice"


def test_what_came_from_there_is_not_told_back(house: House) -> None:
    writes = house.desk.written
    house.row.update(Status="open", Owner="alice")
    house.ask()
    house.ask()
    assert house.desk.written == writes
    house.row["Status"] = "resolved"
    house.ask()
    house.line.sample("self_test_passed", 1.0, mountpoint="/srv")
    house.line.pass_()
    house.settle()
    assert house.state() == TicketState.CLOSED
    assert house.desk.written == writes


def test_the_same_answer_again_is_no_news(house: House) -> None:
    house.row.update(Status="open", Owner="alice")
    house.ask()
    events = house.events()
    for _ in range(3):
        house.ask()
    assert house.events() == events


def test_a_ticket_is_asked_about_once_in_a_quarter_of_an_hour(house: House) -> None:
    before = len(house.desk.seen)
    for _ in range(45):
        house.line.wait(seconds=20)
        house.settle()
    assert len(house.desk.seen) - before == 1
    for _ in range(45):
        house.line.wait(seconds=20)
        house.settle()
    assert len(house.desk.seen) - before == 2


def test_resolved_there_while_it_fires_is_verified_and_opened_again_in_both(house: House) -> None:
    house.row.update(Status="resolved")
    house.ask()
    assert house.state() == TicketState.RESOLVED
    assert house.events()[-1] == ("resolved", THERE)
    house.line.wait(minutes=29)
    house.attend()
    house.settle()
    assert (house.ticket.state, house.row["Status"]) == (TicketState.RESOLVED, "resolved")
    house.line.wait(minutes=2)
    house.attend()
    house.settle()
    assert (house.ticket.state, house.row["Status"]) == (TicketState.NEW, "open")
    assert house.events()[-1] == ("reopened", "forewarn")
    # That it is open there again was our doing: nobody has answered.
    house.ask()
    assert house.state() == TicketState.NEW
    house.row["Status"] = "resolved"
    house.ask()
    assert house.state() == TicketState.RESOLVED


def test_resolved_there_when_nothing_fires_any_more_is_closed(house: House) -> None:
    house.row.update(Status="open", Owner="alice")
    house.ask()
    house.line.sample("self_test_passed", 1.0, mountpoint="/srv")
    house.line.pass_()
    house.settle()
    assert house.state() == TicketState.IN_PROGRESS
    house.row["Status"] = "resolved"
    house.ask()
    assert house.state() == TicketState.CLOSED
    assert house.heard[-1][0] == "ticket.closed"


def test_our_own_close_and_reopening_are_no_answers(house: House) -> None:
    house.line.wait(minutes=5)
    house.line.sample("self_test_passed", 1.0, mountpoint="/srv")
    house.line.pass_()
    house.settle()
    assert house.row["Status"] == "resolved"
    house.line.wait(minutes=5)
    house.line.sample("self_test_passed", 0.0, mountpoint="/srv")
    house.line.pass_()
    # It is open here, not yet there: what is there now says nothing.
    house.line.wait(minutes=16)
    house.desk.trouble = lambda r: httpx.Response(503) if r.method != "GET" else None
    house.settle()
    assert house.state() == TicketState.NEW
    house.desk.trouble = lambda _: None
    house.ask()
    house.ask()
    assert house.row["Status"] == "open"
    assert house.state() == TicketState.NEW
    assert {actor for _, actor in house.events()} == {"forewarn"}


def test_a_person_here_and_one_there_do_not_undo_each_other(house: House) -> None:
    with house.line.database.write() as connection:
        work.assign(
            connection,
            house.ticket.number,
            assignee="bob",
            actor="bob",
            now=house.line.at,
            clients=None,
            telling=house.line.telling,
        )
    house.settle()
    house.row.update(Owner="alice")
    house.ask()
    assert house.ticket.assignee == "alice"
    with house.line.database.write() as connection:
        work.assign(
            connection,
            house.ticket.number,
            assignee="bob",
            actor="bob",
            now=house.line.at,
            clients=None,
            telling=house.line.telling,
        )
    house.ask()
    house.ask()
    assert house.ticket.assignee == "bob"


def test_nothing_is_asked_behind_an_open_breaker_or_after_a_refusal(house: House) -> None:
    house.desk.trouble = lambda _: httpx.Response(403)
    house.ask()
    before = len(house.desk.seen)
    for _ in range(14):
        house.line.wait(seconds=20)
        house.settle()
    assert len(house.desk.seen) == before
    house.desk.trouble = lambda _: None
    house.row.update(Status="open", Owner="alice")
    house.line.wait(minutes=1)
    house.settle()
    assert house.ticket.assignee == "alice"


def test_a_clock_set_back_does_not_silence_asking(house: House) -> None:
    house.line.wait(days=30)
    house.settle()
    house.line.wait(days=-29)
    house.row.update(Status="open", Owner="alice")
    house.ask()
    assert house.ticket.assignee in (None, "alice")
    house.line.wait(days=29)
    house.ask()
    assert house.ticket.assignee == "alice"


@pytest.mark.parametrize(
    "name", ["forewarn", "Forewarn ", "inbound:x", "destination:rt", "DESTINATION:rt"]
)
def test_no_person_may_have_a_name_the_collector_signs_with(line: Line, name: str) -> None:
    assert is_reserved(name)
    with pytest.raises(people.NameTaken, match="choose another name"), line.database.write() as c:
        people.create_user(c, name, "long enough a password", "viewer", None, line.at)


def test_people_elsewhere_are_people_and_tools_are_not() -> None:
    assert is_person("destination:rt")
    assert not is_person("inbound:x")
    assert not is_reserved("forewarned")


def test_thousands_of_tickets_are_spread_over_the_quarter(house: House) -> None:
    line = house.line
    for number in range(299):
        line.sample("self_test_passed", 0.0, mountpoint=f"/{number}")
    line.pass_()
    while len(house.desk.rows) < 300:
        house.settle()
        line.wait(seconds=1)
    line.wait(minutes=15)
    bursts, tickets = [], []
    for _ in range(90):
        before = len(house.desk.seen)
        house.courier.deliver_due(line.at)
        new = house.desk.seen[before:]
        bursts.append(len(new))
        tickets.append(sum(str(request.url.params).count("id%3D") for request in new))
        line.wait(seconds=20)
    assert max(bursts) <= 2
    assert max(tickets) <= 20
    assert sum(tickets[:45]) == 300
    assert 300 <= sum(tickets[45:]) <= 320
