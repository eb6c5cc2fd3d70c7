"""Other tools open tickets by signed calls; nobody else does, and nobody twice."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook

from forewarn_collector.ticket_config import InboundTable

OLD = "whsec_bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4="
NEW = "whsec_bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW0="
PHONE = {"client": "acorp", "urgency": 1, "secret": SecretStr(f"{NEW}\n{OLD}\n")}


@pytest.fixture
def caller(world: Any) -> Any:
    world.inbound = {"phone": InboundTable.model_validate(PHONE)}
    return world


def call(
    world: Any,
    said: object,
    *,
    secret: str = NEW,
    name: str = "phone",
    message_id: str = "msg_1",
    late: timedelta = timedelta(0),
    change: Mapping[str, str] | None = None,
) -> Any:
    body = json.dumps(said)
    at = world.at - late
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, at, body),
        "content-type": "application/json",
        **(change or {}),
    }
    return world.browser().request("POST", f"/api/v1/inbound/{name}", content=body, headers=headers)


def number_of_tickets(world: Any) -> int:
    from sqlalchemy import func, select

    from forewarn_collector.state.tables import tickets

    with world.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(tickets)).scalar_one())


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_a_signed_call_opens_a_ticket_and_a_repeated_one_finds_it(caller: Any, secret: str) -> None:
    """Either of two secrets will do while one replaces the other."""
    before = number_of_tickets(caller)
    first = call(caller, {"title": "The printer is out"}, secret=secret)
    assert first.status_code == 200, first.text
    again = call(caller, {"title": "The printer is out"}, secret=secret)
    assert again.json() == first.json()
    other = call(caller, {"title": "The printer is out"}, secret=secret, message_id="msg_2")
    assert other.json() != first.json()
    assert number_of_tickets(caller) == before + 2


def test_what_the_settings_say_holds_unless_the_call_says_else(caller: Any) -> None:
    from forewarn_collector.state.tickets import get

    plain = call(caller, {"title": "a"}).json()["number"]
    grave = call(caller, {"title": "b", "impact": 1, "text": "x"}, message_id="2").json()["number"]
    with caller.database.read() as connection:
        first, second = (get(connection, one, clients=None) for one in (plain, grave))
    assert (first.priority, second.priority) == ("P2", "P1")
    assert (first.client, second.description) == ("acorp", "x")
    assert first.events[0].actor == "inbound:phone"
    assert first.first_response_at is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "whsec_" + "eHh4" * 8},
        {"name": "nobody"},
        {"late": timedelta(minutes=6)},
        {"late": -timedelta(minutes=6)},
        {"change": {"webhook-id": "msg_2"}},
        {"change": {"webhook-timestamp": "now"}},
        {"change": {"webhook-signature": ""}},
        {"change": {"webhook-signature": "v1,x v2,y"}},
    ],
)
def test_what_is_not_signed_right_is_refused_in_the_same_words(
    caller: Any, wrong: dict[str, Any]
) -> None:
    before = number_of_tickets(caller)
    answer = call(caller, {"title": "x"}, **wrong)
    assert answer.status_code == 401
    assert answer.json()["error"].startswith("not taken: the name, the time or the signature")
    assert number_of_tickets(caller) == before


@pytest.mark.parametrize("said", [{}, {"title": ""}, {"title": "x", "who": "y"}, [], "x"])
def test_a_signed_call_that_makes_no_sense_is_told_so(caller: Any, said: object) -> None:
    assert call(caller, said).status_code == 422


def test_a_client_that_is_gone_is_told_as_such(caller: Any) -> None:
    caller.inbound = {"phone": InboundTable.model_validate({**PHONE, "client": "gone"})}
    answer = call(caller, {"title": "x"})
    assert (answer.status_code, "client 'gone'" in answer.json()["error"]) == (409, True)


class TestAnswers:
    """What another system says of a ticket it was told of."""

    @pytest.fixture
    def world(self, world: Any) -> Any:
        table = {**PHONE, "destination": "desk"}
        world.inbound = {"phone": InboundTable.model_validate(table)}
        return world

    def opened(self, world: Any) -> Any:
        number = call(world, {"title": "The printer is out"}, message_id="open").json()["number"]
        return self.ticket(world, number)

    def ticket(self, world: Any, number: int) -> Any:
        from forewarn_collector.state.tickets import get

        with world.database.read() as connection:
            return get(connection, number, clients=None)

    def test_it_is_acknowledged_noted_and_resolved_once_each(self, world: Any) -> None:
        ticket = self.opened(world)
        said = {"progress": "acknowledged", "assignee": "alice", "text": "On my way."}
        for _ in range(2):
            answer = call(world, {"answer": {"key": ticket.key, **said}}, message_id="2")
            assert (answer.status_code, answer.json()) == (200, {"number": ticket.number})
        done = {"answer": {"key": ticket.key, "progress": "resolved"}}
        assert call(world, done, message_id="3").status_code == 200
        after = self.ticket(world, ticket.number)
        kinds = [one.kind for one in after.events if one.actor == "destination:desk"]
        assert kinds == ["note", "assigned", "acknowledged", "resolved", "closed"]
        assert (after.state, after.assignee) == ("closed", "alice")

    def test_a_ticket_of_another_client_is_not_found(self, world: Any) -> None:
        ticket = self.opened(world)
        world.inbound = {
            "phone": InboundTable.model_validate(
                {**PHONE, "destination": "desk", "client": "globex"}
            )
        }
        answer = call(world, {"answer": {"key": ticket.key, "progress": "resolved"}})
        assert answer.status_code == 409
        assert self.ticket(world, ticket.number).state == "new"

    def test_who_names_no_destination_only_opens(self, world: Any) -> None:
        ticket = self.opened(world)
        world.inbound = {"phone": InboundTable.model_validate(PHONE)}
        answer = call(world, {"answer": {"key": ticket.key, "progress": "resolved"}})
        assert (answer.status_code, "names no destination" in answer.text) == (409, True)

    @pytest.mark.parametrize(
        "said",
        [
            None,
            {},
            {"key": "k", "reference": "1"},
            {"key": "k", "progress": "done"},
            {"key": "k", "who": "x"},
            {"key": "k", "assignee": "a\u0000"},
        ],
    )
    def test_an_answer_that_makes_no_sense_is_told_so(self, world: Any, said: object) -> None:
        assert call(world, {"answer": said}).status_code == 422
