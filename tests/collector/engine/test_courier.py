"""Messages leave in order, at least once, and a broken destination is left in peace."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select, update
from tests.collector.engine.line import START, Line

from forewarn_collector.config import DestinationEntry
from forewarn_collector.destinations.webhook import Config
from forewarn_collector.outbox import SCHEDULE, Courier, Delivering, delay, failed
from forewarn_collector.state import outbox as rows
from forewarn_collector.state.outbox import Health
from forewarn_collector.state.tables import outbox
from forewarn_collector.tickets import Delivered

SECRET = "whsec_bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4="


def entry(name: str) -> DestinationEntry:
    return DestinationEntry(
        name=name,
        kind="webhook",
        config=Config(url=SecretStr(f"https://{name}.example.com/t0ken"), secret=SecretStr(SECRET)),
    )


class Desk:
    """Another system whose answer the test sets; keeps id and body of every post."""

    def __init__(self) -> None:
        self.answer: Callable[[httpx.Request], httpx.Response] = lambda _: httpx.Response(200)
        self.posts: list[tuple[str, str, dict[str, Any]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        told = json.loads(request.content)
        self.posts.append((request.headers["webhook-id"], told["type"], told["data"]["ticket"]))
        return self.answer(request)

    @property
    def kinds(self) -> list[str]:
        return [kind for _, kind, _ in self.posts]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def courier(line: Line, desk: Desk) -> Iterator[Courier]:
    made = Courier(
        line.database,
        [entry("receiver")],
        client=lambda _: httpx.Client(transport=httpx.MockTransport(desk)),
        dice=lambda: 0.0,
    )
    yield made
    made.close()


def answering(status: int, **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, headers=headers)


def deliver(courier: Courier, now: datetime) -> Delivering:
    """Call until a call has nothing more to do."""
    total = Delivering()
    for _ in range(10):
        done = courier.deliver_due(now)
        if done == Delivering():
            return total
        total = Delivering(
            total.delivered + done.delivered,
            total.postponed + done.postponed,
            total.refused + done.refused,
        )
    return total


def states(line: Line) -> list[tuple[str, int]]:
    with line.database.read() as connection:
        query = select(outbox.c.state, outbox.c.attempts).order_by(outbox.c.id)
        return [(row.state, row.attempts) for row in connection.execute(query)]


def test_what_opens_and_closes_arrives_once_each_in_order(
    line: Line, courier: Courier, desk: Desk
) -> None:
    line.hold(0.93, 20)
    line.hold(0.50, 20)
    assert deliver(courier, line.at) == Delivering(delivered=2)
    assert deliver(courier, line.at) == Delivering()
    assert desk.kinds == ["ticket.opened", "ticket.closed"]
    assert desk.posts[0][2]["key"] == desk.posts[1][2]["key"]
    assert states(line) == [("delivered", 1)] * 2


def test_a_close_never_overtakes_its_open(line: Line, courier: Courier, desk: Desk) -> None:
    line.hold(0.93, 20)
    desk.answer = answering(503)
    deliver(courier, line.at)
    line.hold(0.50, 20)
    desk.answer = answering(200)
    deliver(courier, line.at)
    assert desk.kinds == ["ticket.opened", "ticket.opened", "ticket.closed"]


def test_open_and_close_of_one_moment_keep_their_order(line: Line) -> None:
    """Ids of one millisecond are random below it; the order must not be."""
    for turn in range(20):
        line.sample("self_test_passed", 0.0, mountpoint=f"/{turn}")
        line.wait(microseconds=1)
        line.sample("self_test_passed", 1.0, mountpoint=f"/{turn}")
        line.pass_()
    by_key: dict[str, list[str]] = {}
    for kind, ticket in line.told():
        by_key.setdefault(ticket["key"], []).append(kind)
    assert list(by_key.values()) == [["ticket.opened", "ticket.closed"]] * 20


def test_a_repeat_carries_the_same_id(line: Line, courier: Courier, desk: Desk) -> None:
    line.hold(0.93, 20)
    desk.answer = answering(500)
    deliver(courier, line.at)
    line.wait(seconds=6)
    desk.answer = answering(200)
    deliver(courier, line.at)
    (first, _, _), (second, _, _) = desk.posts
    assert first == second


def test_a_crash_after_sending_sends_again_with_the_same_id(
    line: Line, courier: Courier, desk: Desk
) -> None:
    line.hold(0.93, 20)
    with line.database.write() as connection:
        until = line.at + timedelta(minutes=10)
        (leased,) = rows.lease(connection, "receiver", now=line.at, until=until, limit=9)
    assert deliver(courier, line.at) == Delivering()
    courier.start()
    assert deliver(courier, line.at) == Delivering(delivered=1)
    assert desk.posts[0][0] == leased.id


def test_updates_nobody_tried_to_send_collapse_into_the_last(
    line: Line, courier: Courier, desk: Desk
) -> None:
    line.hold(0.93, 20)
    deliver(courier, line.at)
    for used in (0.99, 0.90, 0.99):
        line.hold(used, 5)
    assert line.kinds() == ["ticket.opened", "ticket.updated"]
    deliver(courier, line.at)
    assert desk.posts[-1][2]["severity"] == "critical"


def test_an_update_that_was_tried_keeps_its_text(line: Line, courier: Courier, desk: Desk) -> None:
    """Its id may have been taken already: another text under it would be lost."""
    line.hold(0.93, 20)
    deliver(courier, line.at)
    line.hold(0.99, 5)
    desk.answer = answering(500)
    deliver(courier, line.at)
    line.hold(0.90, 5)
    assert line.kinds() == ["ticket.opened", "ticket.updated", "ticket.updated"]


def test_a_refusal_is_a_dead_letter_until_somebody_replays_it(
    line: Line, courier: Courier, desk: Desk
) -> None:
    line.hold(0.93, 20)
    desk.answer = answering(403)
    assert deliver(courier, line.at) == Delivering(refused=1)
    with line.database.write() as connection:
        (dead,) = rows.find(connection)
        assert (dead.state, dead.last_answer) == ("dead", "status 403")
        assert rows.replay(connection, [dead.id], line.at) == 1
    desk.answer = answering(200)
    assert deliver(courier, line.at) == Delivering(delivered=1)


def test_an_opening_replayed_after_its_close_is_closed_once_more(
    line: Line, courier: Courier, desk: Desk
) -> None:
    """Else it would stand in the other system for ever: nothing comes after it any more."""
    line.hold(0.95, 15)
    desk.answer = answering(422)
    deliver(courier, line.at)
    desk.answer = answering(200)
    line.hold(0.5, 15)
    deliver(courier, line.at)
    assert states(line)[0] == ("dead", 1)
    assert desk.kinds[-1] == "ticket.closed"
    with line.database.write() as connection:
        [dead] = rows.find(connection, states=["dead"])
        assert rows.replay(connection, [dead.id], line.at) == 1
    before = len(desk.posts)
    deliver(courier, line.at)
    assert desk.kinds[before:] == ["ticket.opened", "ticket.closed"]
    ids = [message_id for message_id, _, _ in desk.posts]
    assert ids[-1] not in ids[:-1], "who keeps ids would take it for a repeat"


def test_a_dropped_message_is_never_sent(line: Line, courier: Courier) -> None:
    line.hold(0.93, 20)
    with line.database.write() as connection:
        (queued,) = rows.find(connection, destination="receiver")
        assert rows.drop(connection, [queued.id], line.at) == 1
        assert rows.drop(connection, [queued.id], line.at) == 0
    assert deliver(courier, line.at) == Delivering()


def test_gone_disables_the_destination_and_keeps_what_follows(
    line: Line, courier: Courier, desk: Desk
) -> None:
    line.hold(0.93, 20)
    desk.answer = answering(410)
    deliver(courier, line.at)
    line.hold(0.50, 20)
    desk.answer = answering(200)
    assert deliver(courier, line.at) == Delivering()
    assert states(line) == [("dead", 1), ("queued", 0)]
    with line.database.write() as connection:
        rows.replay(connection, [rows.find(connection)[0].id], line.at)
    assert deliver(courier, line.at) == Delivering(delivered=2)


def test_five_failures_in_a_row_leave_the_destination_in_peace(
    line: Line, courier: Courier, desk: Desk
) -> None:
    for number in range(8):
        line.sample("self_test_passed", 0.0, mountpoint=f"/{number}")
    line.pass_()
    desk.answer = answering(500)
    for _ in range(5):
        courier.deliver_due(line.at)
    assert len(desk.posts) == 5
    assert deliver(courier, line.at) == Delivering()
    line.wait(seconds=31)
    assert deliver(courier, line.at) == Delivering(postponed=1)
    line.wait(seconds=31)
    assert deliver(courier, line.at) == Delivering()
    line.wait(seconds=30)
    desk.answer = answering(200)
    assert deliver(courier, line.at) == Delivering(delivered=8)


def test_a_wish_to_wait_holds_the_whole_destination(
    line: Line, courier: Courier, desk: Desk
) -> None:
    for number in range(3):
        line.sample("self_test_passed", 0.0, mountpoint=f"/{number}")
    line.pass_()
    desk.answer = answering(429, **{"retry-after": "600"})
    deliver(courier, line.at)
    line.wait(seconds=599)
    assert deliver(courier, line.at) == Delivering()
    line.wait(seconds=1)
    desk.answer = answering(200)
    assert deliver(courier, line.at) == Delivering(delivered=3)


def test_after_three_days_of_trying_a_message_is_dead(
    line: Line, courier: Courier, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    line.hold(0.93, 20)
    desk.answer = answering(500)
    for wait in (*SCHEDULE, timedelta(0)):
        courier.deliver_due(line.at)
        line.at += wait + timedelta(hours=1)
    assert states(line) == [("dead", 10)]
    assert "forewarn-collector outbox replay" in caplog.text
    assert "t0ken" not in caplog.text


def test_a_slow_destination_keeps_nobody_waiting(line: Line) -> None:
    line.telling = type(line.telling)(("quick", "slow"), "")
    line.restart()
    line.hold(0.93, 20)
    released, posted = threading.Event(), []

    def slowly(request: httpx.Request) -> httpx.Response:
        if request.url.host == "slow.example.com":
            released.wait(10)
        posted.append(request.url.host)
        return httpx.Response(200)

    courier = Courier(
        line.database,
        [entry("slow"), entry("quick")],
        client=lambda _: httpx.Client(transport=httpx.MockTransport(slowly)),
    )
    assert courier.deliver_due(line.at) == Delivering(delivered=1)
    assert posted == ["quick.example.com"]
    released.set()
    assert courier.deliver_due(line.at) == Delivering(delivered=1)
    courier.close()


def test_a_destination_that_breaks_is_a_failure_not_a_crash(
    line: Line, courier: Courier, desk: Desk
) -> None:
    line.hold(0.93, 20)

    def broken(_: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError("https://receiver.example.com/t0ken")

    desk.answer = broken
    assert deliver(courier, line.at) == Delivering(postponed=1)
    with line.database.read() as connection:
        assert rows.find(connection)[0].last_answer == "ZeroDivisionError"


def test_what_was_never_tried_is_due_though_the_clock_was_set_back(
    line: Line, courier: Courier
) -> None:
    line.hold(0.93, 20)
    assert deliver(courier, line.at - timedelta(hours=2)) == Delivering(delivered=1)


def test_a_trial_message_goes_past_the_outbox(courier: Courier, desk: Desk) -> None:
    assert courier.try_out("receiver", START) == Delivered()
    assert desk.posts[0][2]["title"] == "A test of forewarn: nothing is wrong"


def test_the_schedule_is_that_of_the_specification() -> None:
    waits = [delay(attempts, None, 0.0) for attempts in range(9)]
    assert waits == list(SCHEDULE)
    assert delay(9, None, 0.0) is None
    assert delay(0, 90.0, 0.0) == timedelta(seconds=90)
    assert timedelta(seconds=5) < (delay(0, None, 0.999) or timedelta(0)) < timedelta(seconds=6)


def test_the_pause_doubles_from_half_a_minute_to_a_quarter_of_an_hour() -> None:
    health, pauses = Health(), []
    for _ in range(12):
        health = failed(health, None, START)
        pauses.append(None if health.open_until is None else health.open_until - START)
    half = timedelta(seconds=30)
    assert pauses[:4] == [None] * 4
    assert pauses[4:7] == [half, 2 * half, 4 * half]
    assert pauses[-1] == timedelta(minutes=15)


def test_a_lease_that_ran_out_is_anybodys(line: Line, courier: Courier) -> None:
    line.hold(0.93, 20)
    with line.database.write() as connection:
        connection.execute(update(outbox).values(lease_until=line.at))
    assert deliver(courier, line.at) == Delivering(delivered=1)
