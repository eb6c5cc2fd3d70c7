"""Request Tracker, Redmine and Alertmanager as Debian ships them: what we tell is seen in them."""

import time
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Self

import pytest
from sqlalchemy import select
from tests.collector.destinations.lab.house import House
from tests.collector.destinations.lab.mischief import (
    DOUBLED,
    LATE,
    LOST_ANSWER,
    LOST_REQUEST,
    SLOW,
    WELL,
    Mischief,
    mischief,
)
from tests.collector.engine.line import Line, new_line

from forewarn_collector import clock
from forewarn_collector.config import DestinationEntry
from forewarn_collector.destinations import all_destinations, all_profiles
from forewarn_collector.destinations._words import tag_of
from forewarn_collector.outbox import Courier, Delivering
from forewarn_collector.state import outbox as rows
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import tickets

pytestmark = pytest.mark.lab
KINDS = ("rt", "redmine", "alertmanager")
TICKETS = 200
ODDS = {LOST_ANSWER: 0.08, LOST_REQUEST: 0.04, DOUBLED: 0.08, LATE: 0.05, SLOW: 0.05}


class Told:
    """A collector that tells one real system, through a proxy of ours."""

    def __init__(self, line: Line, systems: House, kind: str, way: Mischief) -> None:
        self.line, self.systems, self.kind, self.way = line, systems, kind, way
        table = {"url": way.address, **systems.table(kind)}
        entry = DestinationEntry(
            name=kind,
            kind=kind,
            allow_networks=(ip_network("127.0.0.0/8"),),
            config=all_destinations()[kind].config.model_validate(table),
        )
        line.telling = Telling((kind,), "https://monitor.example.com/tickets/")
        line.restart()
        self.courier = Courier(line.database, [entry], dice=lambda: 0.0, telling=line.telling)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.courier.close()

    def deliver(self, rounds: int = 2000) -> Delivering:
        """Deliver until nothing waits, letting as much time go by as the outbox asks for."""
        total = Delivering()
        for _ in range(rounds):
            done = self.courier.deliver_due(self.line.at)
            total = Delivering(
                total.delivered + done.delivered,
                total.postponed + done.postponed,
                total.refused + done.refused,
            )
            with self.line.database.read() as connection:
                if not rows.waiting(connection, self.kind):
                    return total
            if done.delivered == 0:
                self._let_time_go_by()
        raise AssertionError(total)

    def _let_time_go_by(self) -> None:
        """Turn the clock to the next attempt; where the other has a clock, bring that nearer."""
        if self.kind == "alertmanager":
            time.sleep(0.2)
            self.line.at = max(self.line.at, clock.now())
            with self.line.database.write() as connection:
                rows.hasten(connection, self.kind, self.line.at)
        else:
            self.line.wait(minutes=16)

    def seen(self, key: str) -> list[tuple[bool, int]]:
        """Return open and number of comments of every ticket that carries a key."""
        found = self.systems.seen(self.kind, tag_of(key), key)
        return [(one.open, one.comments) for one in found]

    def keys(self) -> list[str]:
        with self.line.database.read() as connection:
            return list(connection.execute(select(tickets.c.key)).scalars())

    def break_(self, *mountpoints: str) -> None:
        self._sample(0.0, mountpoints)

    def mend(self, *mountpoints: str) -> None:
        self._sample(1.0, mountpoints)

    def _sample(self, value: float, mountpoints: tuple[str, ...]) -> None:
        self.line.at = max(self.line.at + timedelta(milliseconds=1), clock.now())
        for mountpoint in mountpoints:
            self.line.sample("self_test_passed", value, mountpoint=mountpoint)
        self.line.pass_()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with new_line(tmp_path) as made:
        made.at = clock.now()  # Alertmanager reads its own
        yield made


@pytest.mark.parametrize("kind", KINDS)
def test_open_find_after_a_lost_answer_comment_close_and_reopen_are_seen_there(
    line: Line, systems: House, kind: str
) -> None:
    with (
        mischief(systems.address(kind)) as way,
        Told(line, systems, kind, way) as told,
    ):
        remembers = not all_profiles()[kind].puts
        way.plan = [WELL, LOST_ANSWER] if remembers else [LOST_ANSWER]
        told.break_("/srv")
        assert told.deliver().postponed == 1, "the answer to the create was to be lost"
        (key,) = told.keys()
        assert told.seen(key) == [(True, 0)]
        if kind == "alertmanager":
            _alertmanager_closes_and_opens_again(told, key)
            return
        # The second rule on the same component makes its ticket worse.
        for _ in range(4):
            line.wait(minutes=5)
            line.read(0.99)
            line.pass_()
        told.deliver()
        told.mend("/srv")
        for _ in range(4):
            line.wait(minutes=5)
            line.read(0.5)
            line.pass_()
        told.deliver()
        ((is_open, comments),) = told.seen(key)
        assert not is_open
        assert comments >= 2
        told.break_("/srv")
        told.deliver()
        ((is_open, after),) = told.seen(key)
        assert is_open
        assert after == comments + 1


def _alertmanager_closes_and_opens_again(told: Told, key: str) -> None:
    for turn in (told.mend, told.break_, told.mend):
        turn("/srv")
        told.deliver()
        assert told.seen(key) == ([] if turn == told.mend else [(True, 0)])


@pytest.mark.parametrize("kind", KINDS)
def test_200_tickets_through_a_bad_network_are_200_tickets(
    line: Line, systems: House, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = systems.all_tickets(kind)
    began = time.monotonic()
    with (
        mischief(systems.address(kind), ODDS) as way,
        Told(line, systems, kind, way) as told,
    ):
        mountpoints = [f"/{number}" for number in range(TICKETS)]
        told.break_(*mountpoints)
        opened = told.deliver()
        way.wait_for_late_ones()
        assert len(set(told.keys())) == TICKETS
        told.mend(*mountpoints)
        closed = told.deliver()
        way.wait_for_late_ones()
    spent = time.monotonic() - began
    keys = told.keys()
    seen = [told.seen(key) for key in keys]
    twice = sum(len(one) > 1 for one in seen)
    open_ones = sum(is_open for one in seen for is_open, _ in one)
    with capsys.disabled():
        print(
            f"\n{kind}: {TICKETS} tickets in {spent:.0f} s, {dict(way.counted)}, "
            f"tried again {opened.postponed + closed.postponed}, refused "
            f"{opened.refused + closed.refused}, duplicates {twice}, still open {open_ones}"
        )
    expected = 0 if kind == "alertmanager" else 1  # it shows only what has not ended
    assert [len(one) for one in seen] == [expected] * TICKETS
    assert open_ones == 0
    assert systems.all_tickets(kind) == before + expected * TICKETS
