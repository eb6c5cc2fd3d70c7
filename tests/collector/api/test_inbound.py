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
