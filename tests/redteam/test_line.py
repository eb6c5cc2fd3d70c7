"""An order on its whole way: signed, proposed, fetched, judged, run, answered, verified."""

from __future__ import annotations

import json
import threading

import httpx
import pytest
from nacl.signing import SigningKey
from sqlalchemy import update
from tests.redteam.house import ANN, BEN, COLLECTOR, EVE, HOST, NOW, named, public
from tests.redteam.way import AT, HOST_ID, Way, Who

from forewarn_agent.orders import Orders
from forewarn_checks.base import Lane
from forewarn_collector.state import orders as state
from forewarn_collector.state import tables
from forewarn_collector.state.keyrings import publish
from forewarn_collector.state.offering import Progress
from forewarn_collector.state.order_results import record_result
from forewarn_collector.state.orders import Pace, Refused
from forewarn_scripts.envelope import Envelope
from forewarn_scripts.keys import key_id
from forewarn_scripts.order import Ended, Order, Result, parse
from forewarn_scripts.signing_desk import NotTrue, checked_order, checked_result


def test_an_order_goes_all_the_way_and_its_result_is_verified(way: Way) -> None:
    envelope = way.house.order()
    way.propose(envelope)
    assert way.agent.fetch(0) == 1
    assert way.ship()  # the board still knows of the order; the result has just arrived
    (told,) = way.results()
    order = parse(Order, envelope.payload)
    result = checked_result(told.decode(), order, {key_id(public(HOST)): public(HOST)})
    assert (result.ended, result.output) == (Ended.DONE, "ran once\n")
    assert way.house.runs() == 1
    assert way.agent.fetch(0) == 0
    with way.database.read() as connection:
        (target,) = state.targets_of(connection, order.id)
    assert (target.ended, target.well) == ("done", True)


def test_a_lost_result_is_asked_for_again_and_nothing_runs_twice(way: Way) -> None:
    """The agent dies between the script's end and the spool."""
    way.propose(way.house.order())
    way.agent.fetch(0)
    way.answers.clear()
    again = Orders(way.client, Who(seq=500), way.agent._ask, way.answers.append, lambda: AT)
    assert again.fetch(0) == 1
    assert len(way.answers) == 1
    assert way.house.runs() == 1


def test_without_a_helper_the_host_says_so(way: Way) -> None:
    way.helper_is_there = False
    envelope = way.house.order()
    way.propose(envelope)
    way.agent.fetch(0)
    way.ship()
    order = parse(Order, envelope.payload)
    result = checked_result(way.results()[0].decode(), order, {key_id(public(HOST)): public(HOST)})
    assert (result.ended, result.reason[:9]) == (Ended.REFUSED, "no-helper")
    assert way.house.runs() == 0


def test_an_order_waits_for_the_signatures_it_needs(way: Way) -> None:
    envelope = way.house.order(ANN)
    order_id = way.propose(envelope, Pace(needs=2))
    assert way.agent.fetch(0) == 0
    with way.database.write() as connection:
        state.approve(connection, order_id, envelope.signed_by(EVE).to_bytes(), "eve", NOW)
    assert way.agent.fetch(0) == 1


def test_a_long_poll_is_answered_when_an_order_comes(way: Way) -> None:
    found: list[int] = []
    polling = threading.Thread(target=lambda: found.append(way.agent.fetch(20)))
    polling.start()
    way.propose(way.house.order())
    polling.join(10)
    assert found == [1]
    assert way.house.runs() == 1


def test_a_database_written_by_the_attacker_runs_nothing(way: Way) -> None:
    """Everything the collector keeps is changed at will; the host refuses, and says so."""
    envelope = way.house.order()
    order_id = way.propose(envelope)
    evil = json.loads(envelope.payload) | {"argv": ["evil"]}
    payload = json.dumps(evil, separators=(",", ":")).encode()
    with way.database.write() as connection:
        connection.execute(update(tables.orders).values(payload=payload))
    way.agent.fetch(0)
    way.ship()
    assert way.house.runs() == 0
    assert way.house.refusals() == ["not-signed"]
    with way.database.read() as reading:
        shown = state.envelope_of(reading, order_id)
    assert shown is not None
    with pytest.raises(NotTrue, match="another document"):
        checked_order(shown.to_bytes().decode(), "another", way.house.script)
    with pytest.raises(NotTrue, match="the script"):
        checked_order(shown.to_bytes().decode(), order_id, b"echo evil")


def test_a_script_swapped_in_the_database_is_not_run(way: Way) -> None:
    way.propose(way.house.order())
    with way.database.write() as connection:
        connection.execute(update(tables.scripts).values(body=b"echo evil"))
    way.agent.fetch(0)
    assert way.house.refusals() == ["wrong-script"]


def test_a_result_the_collector_made_up_is_not_believed(way: Way) -> None:
    envelope = way.house.order()
    order = parse(Order, envelope.payload)
    forged = Result(order=order.id, host=key_id(public(HOST)), ended=Ended.DONE, ended_at=_at())
    by_eve = Envelope(Result.KIND, forged.to_bytes()).signed_by(EVE).to_bytes().decode()
    for keys in (
        {key_id(public(HOST)): public(EVE)},  # Eve's key under the host's name
        {key_id(public(HOST)): public(HOST)},
        {key_id(public(EVE)): public(EVE)},
    ):
        with pytest.raises(NotTrue):
            checked_result(by_eve, order, keys)


def test_a_host_cannot_answer_for_another(way: Way) -> None:
    envelope = way.house.order()
    way.propose(envelope)
    forged = Result(
        order=parse(Order, envelope.payload).id,
        host=key_id(public(HOST)),
        ended=Ended.DONE,
        ended_at=_at(),
    )
    data = Envelope(Result.KIND, forged.to_bytes()).signed_by(EVE).to_bytes()
    other = next(host for host in way.hosts.all() if host.id != HOST_ID)
    with way.database.write() as connection, pytest.raises(Refused):
        record_result(connection, other, data, NOW)


def test_rubbish_in_the_results_lane_does_not_stop_the_lane(way: Way) -> None:
    from forewarn_agent.orders import run_of

    way.spool.append(run_of("{rubbish", AT, AT), Lane.RESULTS)
    way.ship()
    assert way.spool.waiting(Lane.RESULTS) == 0
    assert way.results() == []


def test_only_the_signed_may_ask(way: Way) -> None:
    assert way.client.get("http://testserver/v1/orders").status_code == 401
    stranger = Orders(
        way.client, Who(key=SigningKey(bytes([9]) * 32)), way.agent._ask, lambda _run: None
    )
    with pytest.raises(httpx.HTTPStatusError):
        stranger.fetch(0)


def test_a_cancelled_order_is_handed_to_nobody(way: Way) -> None:
    order_id = way.propose(way.house.order())
    with way.database.write() as connection:
        state.cancel(connection, order_id, NOW)
    assert way.agent.fetch(0) == 0


def test_a_revocation_reaches_a_host_before_the_order(way: Way) -> None:
    envelope = way.house.order()
    order_id = way.propose(envelope)
    with way.database.write() as connection:
        stop = way.house.revocation(orders=(order_id,)).to_bytes()
        state.propose(connection, stop, Pace(), way.hosts.all(), "ann", NOW)
    way.agent.fetch(0)
    assert way.house.runs() == 0
    assert way.house.refusals() == ["revoked"]


@pytest.mark.parametrize(
    ("why", "progress", "pace", "begins"),
    [
        ("nothing holds it", Progress(10, 5, 5, 0), Pace(), True),
        ("canaries are out", Progress(2, 2, 0, 0), Pace(canary=2), False),
        ("canaries are well", Progress(2, 0, 2, 0), Pace(canary=2), True),
        ("a canary failed", Progress(2, 0, 1, 1), Pace(canary=2), False),
        ("canaries to come", Progress(1, 1, 0, 0), Pace(canary=2), True),
        ("enough at once", Progress(5, 3, 2, 0), Pace(at_once=3), False),
        ("halted", Progress(5, 0, 3, 2), Pace(halt_after=2), False),
        ("not yet halted", Progress(5, 0, 4, 1), Pace(halt_after=2), True),
    ],
)
def test_an_order_spreads_as_it_was_paced(
    why: str, progress: Progress, pace: Pace, begins: bool
) -> None:
    assert progress.lets_begin(pace) is begins, why


def _at() -> str:
    return "2026-11-21T08:00:00Z"


def test_a_published_keyring_reaches_hosts_with_their_next_order(way: Way) -> None:
    """Ann left; Ben's first order brings the keyring that says so."""
    second = way.house.keyring(by=(ANN, BEN), version=2, keys=(named(BEN, "ben"),)).to_bytes()
    with way.database.write() as connection:
        for data in (way.house.keyring().to_bytes(), second):
            publish(connection, data, COLLECTOR, "ann", NOW)
    way.propose(way.house.order(BEN, keyring_version=2))
    assert way.agent.fetch(0) == 1
    assert way.house.runs() == 1
    assert way.house.begin().status().keyring_version == 2
    way.propose(way.house.order(ANN, keyring_version=2))
    way.agent.fetch(0)
    assert way.house.refusals() == ["not-signed"]
