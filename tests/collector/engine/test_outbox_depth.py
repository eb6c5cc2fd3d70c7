"""Long absences, systems that forget, and destinations that are taken away."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
import standardwebhooks.webhooks
from pydantic import SecretStr
from sqlalchemy import select
from tests.collector.destinations.desk import Desk
from tests.collector.destinations.desks.alertmanager import SPEC as ALERTMANAGER
from tests.collector.engine.line import Line

from forewarn_collector.config import DestinationEntry
from forewarn_collector.destinations import all_destinations
from forewarn_collector.destinations.webhook import Config
from forewarn_collector.outbox import Courier, Delivering
from forewarn_collector.state import outbox as rows
from forewarn_collector.state import retelling
from forewarn_collector.state.tables import outbox

SECRET = "whsec_bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4="


def webhook(name: str = "receiver") -> DestinationEntry:
    url = SecretStr(f"https://{name}.example.com/x")
    return DestinationEntry(
        name=name, kind="webhook", config=Config(url=url, secret=SecretStr(SECRET))
    )


@contextmanager
def courier_of(line: Line, other: Any, *entries: DestinationEntry) -> Iterator[Courier]:
    made = Courier(
        line.database,
        entries,
        client=lambda _: httpx.Client(transport=httpx.MockTransport(other)),
        dice=lambda: 0.5,
    )
    made.start()
    try:
        yield made
    finally:
        made.close()


def drain(courier: Courier, line: Line) -> int:
    """Deliver until a call does nothing; return how many were delivered."""
    total = 0
    while (done := courier.deliver_due(line.at)) != Delivering():
        total += done.delivered
    return total


def states(line: Line) -> set[str]:
    with line.database.read() as connection:
        return set(connection.execute(select(outbox.c.state)).scalars())


def test_a_receiver_that_was_down_three_days_gets_everything_in_order(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once, every signature verified by another implementation at the moment it came."""
    down = True
    got: list[tuple[str, str]] = []
    ids: list[str] = []

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return line.at.astimezone(tz)

    monkeypatch.setattr(standardwebhooks.webhooks, "datetime", Clock)

    def receiver(request: httpx.Request) -> httpx.Response:
        if down:
            raise httpx.ConnectError("down")
        headers = dict(request.headers)
        told = standardwebhooks.Webhook(SECRET).verify(request.content, headers)
        got.append((told["data"]["ticket"]["key"], told["type"]))
        ids.append(headers["webhook-id"])
        return httpx.Response(200)

    with courier_of(line, receiver, webhook()) as courier:
        back = line.at + timedelta(days=3)
        hour = 0
        while line.at < back:
            hour += 1
            mountpoint = f"/{hour % 40}"
            line.sample("self_test_passed", float(hour % 80 >= 40), mountpoint=mountpoint)
            line.pass_()
            for _ in range(6):
                courier.deliver_due(line.at)
                line.wait(minutes=10)
        down = False
        due, waited = len(line.kinds()), line.at
        while len(got) < due and line.at < waited + timedelta(hours=1):
            courier.deliver_due(line.at)
            line.wait(minutes=1)
    assert states(line) == {"delivered"}
    assert len(got) == len(set(ids)) == due >= 60
    expected: dict[str, list[str]] = defaultdict(list)
    for kind, ticket in line.told():
        expected[ticket["key"]].append(kind)
    arrived: dict[str, list[str]] = defaultdict(list)
    for key, kind in got:
        arrived[key].append(kind)
    assert arrived == expected


class TestForgetful:
    """Alertmanager keeps nothing: what fires is told again, and what ended for a while."""

    @pytest.fixture
    def desk(self) -> Desk:
        return Desk(ALERTMANAGER)

    @pytest.fixture
    def courier(self, line: Line, desk: Desk) -> Iterator[Courier]:
        table = {"url": "https://alerts.example.com", **ALERTMANAGER.config}
        config = all_destinations()["alertmanager"].config.model_validate(table)
        entry = DestinationEntry(name="receiver", kind="alertmanager", config=config)
        with courier_of(line, desk, entry) as made:
            yield made

    def test_what_fires_is_told_again_every_five_minutes(
        self, line: Line, desk: Desk, courier: Courier
    ) -> None:
        line.hold(0.93, 20)
        drain(courier, line)
        ends = []
        for _ in range(4):
            desk.rows.clear()  # it was restarted
            line.wait(minutes=5)
            courier.deliver_due(line.at)
            ((_, alert),) = desk.rows.items()
            ends.append(alert["endsAt"])
        assert ends == sorted(set(ends))
        before = len(desk.seen)
        line.wait(minutes=4)
        courier.deliver_due(line.at)
        assert len(desk.seen) == before

    def test_a_close_is_told_again_for_a_quarter_of_an_hour(
        self, line: Line, desk: Desk, courier: Courier
    ) -> None:
        line.hold(0.93, 20)
        line.hold(0.50, 20)
        drain(courier, line)
        posts = []
        for _ in range(5):
            before = len(desk.seen)
            line.wait(minutes=6)
            courier.deliver_due(line.at)
            posts.append(sum(r.method == "POST" for r in desk.seen[before:]))
        assert posts == [1, 1, 0, 0, 0]

    def test_telling_again_never_hides_a_newer_message(self, line: Line) -> None:
        line.hold(0.93, 20)
        with line.database.write() as connection:
            (due,) = rows.lease(
                connection, "receiver", now=line.at, until=line.at + timedelta(minutes=9), limit=9
            )
            rows.settle(connection, due, state="delivered", answer="", now=line.at)
        line.hold(0.99, 5)
        with line.database.read() as connection:
            assert line.kinds() == ["ticket.opened", "ticket.updated"]
            assert retelling.standing(connection, "receiver", line.at) == []


def test_what_waits_for_a_removed_destination_is_set_aside_shown_and_droppable(
    line: Line,
) -> None:
    line.telling = type(line.telling)(("receiver", "gone"), "")
    line.restart()
    line.hold(0.93, 20)
    taken: list[str] = []

    def receiver(request: httpx.Request) -> httpx.Response:
        taken.append(request.url.host)
        return httpx.Response(200)

    with courier_of(line, receiver, webhook(), webhook("gone")) as courier:
        courier.use([webhook()])
        assert drain(courier, line) == 1
        with line.database.write() as connection:
            (left,) = rows.find(connection, destination="gone")
            assert (left.state, left.last_answer) == ("dead", retelling.REMOVED)
            assert retelling.ids_of(connection, "gone") == [left.id]
        courier.use([webhook(), webhook("gone")])
        assert drain(courier, line) == 1
        assert taken == ["receiver.example.com", "gone.example.com"]
        courier.use([webhook()])
        line.hold(0.50, 20)
        courier.deliver_due(line.at)
        courier.deliver_due(line.at)
        with line.database.write() as connection:
            found = retelling.ids_of(connection, "gone")
            assert rows.drop(connection, found, line.at) == len(found) == 1
    assert states(line) == {"delivered", "dropped"}
