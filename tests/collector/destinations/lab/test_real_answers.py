"""What people do in the real Request Tracker and Redmine comes back into our tickets."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.collector.destinations.lab.house import House
from tests.collector.destinations.lab.mischief import mischief
from tests.collector.destinations.lab.test_real_systems import Told
from tests.collector.engine.crowd import crowd, fail
from tests.collector.engine.line import Line, new_line

from forewarn_collector import clock
from forewarn_collector.attending import attend_all
from forewarn_collector.destinations._words import tag_of
from forewarn_collector.outbox import Delivering
from forewarn_collector.state import outbox as rows
from forewarn_collector.state.tickets import Ticket

pytestmark = pytest.mark.lab
ASSIGNEES = {"rt": "root", "redmine": "Redmine Admin"}
SEVERAL = 40


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with new_line(tmp_path) as made:
        made.at = clock.now()
        yield made


def ask(told: Told) -> None:
    """Let a quarter of an hour go by, then everything be asked and told."""
    told.line.wait(minutes=16)
    quiet = 0
    while quiet < 3:
        done = told.courier.deliver_due(told.line.at)
        told.line.wait(seconds=21)
        quiet = quiet + 1 if done == Delivering() else 0


def tell_within_the_minute(told: Told) -> None:
    """Deliver what waits while our clock stands still."""
    for _ in range(100):
        told.courier.deliver_due(told.line.at)
        with told.line.database.read() as connection:
            if not rows.waiting(connection, told.kind):
                return
    raise AssertionError("it does not take what it is told")


def ticket(told: Told) -> Ticket:
    return told.line.tickets()[-1]


@pytest.mark.parametrize("kind", ["rt", "redmine"])
def test_taken_and_resolved_there_is_taken_and_resolved_here_and_verified(
    line: Line, systems: House, kind: str
) -> None:
    with mischief(systems.address(kind)) as way, Told(line, systems, kind, way) as told:
        told.break_("/srv")
        told.deliver()
        (key,) = told.keys()
        (there,) = systems.seen(kind, tag_of(key), key)
        ask(told)
        assert (ticket(told).state, ticket(told).assignee) == ("new", None)

        systems.take(kind, there.id)
        ask(told)
        assert (ticket(told).state, ticket(told).assignee) == ("in_progress", ASSIGNEES[kind])
        assert ticket(told).events[-1].actor == f"destination:{kind}"
        assert ticket(told).first_response_at is not None

        systems.resolve(kind, there.id)
        ask(told)
        assert ticket(told).state == "resolved"
        (there,) = systems.seen(kind, tag_of(key), key)
        assert (there.open, there.comments) == (False, 0), "nothing was told back"

        line.wait(minutes=31)
        attend_all(line.database, line.at, line.telling)
        told.deliver()
        (there,) = systems.seen(kind, tag_of(key), key)
        assert there.open, "it still fires, so it is opened again there, too"
        ask(told)
        assert ticket(told).state == "assigned"

        told.mend("/srv")
        told.deliver()
        systems.resolve(kind, there.id)
        ask(told)
        assert ticket(told).state == "closed"


@pytest.mark.parametrize("kind", ["rt", "redmine"])
def test_many_tickets_are_asked_about_in_few_requests(
    line: Line, systems: House, kind: str
) -> None:
    with mischief(systems.address(kind)) as way, Told(line, systems, kind, way) as told:
        told.break_(*(f"/{number}" for number in range(SEVERAL)))
        told.deliver()
        for key in told.keys()[::4]:
            (there,) = systems.seen(kind, tag_of(key), key)
            systems.take(kind, there.id)
        way.counted.clear()
        ask(told)
        asked = way.counted.total()
        states = [str(one.state) for one in line.tickets()]
    assert states.count("in_progress") == SEVERAL // 4
    assert states.count("new") == SEVERAL - SEVERAL // 4
    assert asked <= 4


@pytest.mark.parametrize("kind", ["rt", "redmine"])
def test_resolved_there_and_broken_otherwise_here_is_opened_again_there_at_once(
    line: Line, systems: House, kind: str
) -> None:
    """Another rule raises on the same thing before half an hour is over."""
    with mischief(systems.address(kind)) as way, Told(line, systems, kind, way) as told:
        told.break_("/srv")
        told.deliver()
        (key,) = told.keys()
        (there,) = systems.seen(kind, tag_of(key), key)
        systems.resolve(kind, there.id)
        ask(told)
        assert ticket(told).state == "resolved"
        line.hold(0.95, 15)
        told.deliver()
        assert ticket(told).state in ("new", "assigned")
        (there,) = systems.seen(kind, tag_of(key), key)
        assert there.open


@pytest.mark.parametrize("kind", ["rt", "redmine"])
def test_a_ticket_that_a_site_took_over_is_closed_there_and_the_sites_is_open(
    tmp_path: Path, systems: House, kind: str
) -> None:
    """And when all is mended nothing is open there any more."""
    with (
        mischief(systems.address(kind)) as way,
        crowd(tmp_path, 6) as line,
    ):
        line.at = clock.now()
        with Told(line, systems, kind, way) as told:
            fail(line, 101, 102)
            line.pass_()
            tell_within_the_minute(told)
            line.wait(seconds=20)
            fail(line, *range(103, 107))
            line.pass_()
            told.deliver()
            *singles, together = (one.key for one in line.tickets())
            assert len(singles) == 2
            for key in singles:
                assert [one.open for one in systems.seen(kind, tag_of(key), key)] == [False]
            assert [one.open for one in systems.seen(kind, tag_of(together), together)] == [True]
            line.wait(minutes=5)
            fail(line, *range(101, 107), value=1.0)
            line.pass_()
            told.deliver()
            assert [one.open for one in systems.seen(kind, tag_of(together), together)] == [False]
