"""Standing orders on their whole way: due, handed over, run once an occurrence, measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, update
from tests.redteam.house import EVE, HOST, NOW, public
from tests.redteam.way import AT, HOST_ID, Way, Who

from forewarn_agent.orders import Orders
from forewarn_checks.base import Severity
from forewarn_collector.calling import Caller
from forewarn_collector.clock import uuid7
from forewarn_collector.sla.calendars import Calendar as Hours
from forewarn_collector.sla.calendars import Span
from forewarn_collector.sla.policy import Policies, Policy, Target
from forewarn_collector.state import offering, reports, standing, tables
from forewarn_collector.state.episodes import Opening
from forewarn_collector.state.orders import Pace
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.register import Register
from forewarn_collector.state.remedies import want
from forewarn_collector.state.standing import StandingRun
from forewarn_collector.state.suppression import NewWindow, add_window
from forewarn_scripts.keys import key_id
from forewarn_scripts.order import Calendar, Within, triggered, write_moment

NIGHTLY = Calendar(weekdays=(1, 2, 3, 4, 5, 6, 7), at="08:00", zone="UTC", window_minutes=60)
RULE = "DiskAlmostFull"
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def call(way: Way) -> None:
    Caller(way.database).turn(way.clock.now)


def fetch(way: Way) -> int:
    """Ask as an agent does that has forgotten what it asked a moment ago."""
    agent = Orders(way.client, Who(seq=next(_SEQ)), way.agent._ask, way.agent._keep, lambda: AT)
    found = agent.fetch(0)
    if found:
        way.ship()
    return found


_SEQ = iter(range(10**6, 10**7, 1000))


def runs(way: Way, order_id: str) -> Sequence[StandingRun]:
    with way.database.read() as connection:
        return standing.runs_of(connection, order_id, 100)


def open_episode(way: Way, rule: str = RULE, host: int = 0) -> tuple[str, str]:
    """Open an episode on a host as the engine does; return its id and its ticket's."""
    with way.database.write() as connection:
        register = Register(connection, way.clock.now, Telling())
        known = way.hosts.all()[host]
        evidence = {"title": "full", "value": 0.95, "shown": "95 %"}
        opening = Opening(
            alert_key=uuid7(way.clock.now),
            host=known,
            component="disk:/",
            rule=rule,
            severity=Severity.HIGH,
            title="full",
            evidence=evidence,
            at=way.clock.now,
        )
        episode = register.open(opening)
        register.finish()
        want(connection, register.opened, way.clock.now)
        ticket = select(tables.episodes.c.ticket_id).where(tables.episodes.c.id == episode)
        return episode, connection.execute(ticket).scalar_one()


def close_episode(way: Way, episode: str) -> None:
    with way.database.write() as connection:
        register = Register(connection, way.clock.now, Telling())
        evidence = {"value": 0.5, "shown": "50 %"}
        register.close(episode, way.hosts.all()[0], evidence, way.clock.now)
        register.finish()


# -- calendars -----------------------------------------------------------------------------------


def test_a_calendar_runs_once_a_day_and_its_results_are_kept_apart(way: Way) -> None:
    order_id = way.propose(way.house.standing())
    for day in range(3):
        way.turn(NOW + day * DAY + MINUTE)
        call(way)
        assert fetch(way) == 1
        assert fetch(way) == 0
    found = runs(way, order_id)
    assert [one.occurrence for one in found] == [f"2026-11-2{d}T08:00" for d in (3, 2, 1)]
    assert all(one.well and one.ended == "done" for one in found)
    assert way.house.runs() == 3
    assert len(way.results()) == 3


def test_nothing_is_handed_over_before_its_time(way: Way) -> None:
    way.propose(way.house.standing(calendar=NIGHTLY.model_copy(update={"at": "08:30"})))
    call(way)
    assert fetch(way) == 0
    way.turn(NOW + 31 * MINUTE)
    call(way)
    assert fetch(way) == 1


def test_what_was_missed_is_caught_up_within_the_window_and_skipped_after_it(way: Way) -> None:
    """The host was away; its order says how long after a run may still begin."""
    order_id = way.propose(way.house.standing())
    call(way)
    way.turn(NOW + 59 * MINUTE)
    assert fetch(way) == 1
    way.turn(NOW + DAY)
    call(way)
    way.turn(NOW + DAY + 61 * MINUTE)
    call(way)
    assert fetch(way) == 0
    assert [one.ended for one in runs(way, order_id)] == ["missed", "done"]
    assert way.house.runs() == 1


def test_a_collector_that_was_down_at_the_time_catches_up(way: Way) -> None:
    way.propose(way.house.standing())
    way.turn(NOW + 40 * MINUTE)
    call(way)
    assert fetch(way) == 1


def test_a_host_that_says_not_now_is_asked_again_in_the_window(way: Way) -> None:
    """Its own hours are the hard bound: they open at half past eight here."""
    text = way.house.policy_file.read_text()
    way.house.permit(text + 'hours = "08:30-09:00"\n')
    order_id = way.propose(way.house.standing())
    call(way)
    assert fetch(way) == 1
    (run,) = runs(way, order_id)
    assert (run.ended, run.held[:13]) == ("", "outside-hours")
    assert fetch(way) == 0
    way.turn(NOW + 31 * MINUTE)
    assert fetch(way) == 1
    (run,) = runs(way, order_id)
    assert (run.ended, run.well) == ("done", True)
    assert len(way.results()) == 1


def test_a_cancelled_standing_order_is_called_no_more(way: Way) -> None:
    order_id = way.propose(way.house.standing())
    with way.database.write() as connection:
        connection.execute(update(tables.orders).values(cancelled_at=NOW))
    call(way)
    assert fetch(way) == 0
    assert runs(way, order_id) == ()


def test_a_standing_order_waits_for_the_signatures_it_needs(way: Way) -> None:
    order_id = way.propose(way.house.standing(), Pace(needs=2))
    call(way)
    assert runs(way, order_id) == ()


# -- hours and windows ---------------------------------------------------------------------------


def window(way: Way, begins: datetime, ends: datetime) -> None:
    with way.database.write() as connection:
        new = NewWindow(
            clients=None,
            selector="",
            group="",
            reason="work",
            starts=begins,
            ends=ends,
            settle=10 * MINUTE,
        )
        add_window(connection, new, "ann", way.clock.now)


def test_in_maintenance_means_inside_a_window_and_not_while_it_settles(way: Way) -> None:
    order_id = way.propose(way.house.standing(within=Within.MAINTENANCE))
    call(way)
    assert fetch(way) == 0
    assert runs(way, order_id)[0].held == "no maintenance window is open"
    window(way, NOW + 5 * MINUTE, NOW + 10 * MINUTE)
    way.turn(NOW + 12 * MINUTE)
    assert fetch(way) == 0
    window(way, NOW + 20 * MINUTE, NOW + 30 * MINUTE)
    way.turn(NOW + 21 * MINUTE)
    assert fetch(way) == 1


def test_out_of_hours_waits_until_business_hours_are_over(way: Way) -> None:
    """Saturday, 08:00: this client works until 08:30 on every day."""
    hours = Hours("UTC", ((Span(7 * 60, 8 * 60 + 30),),) * 7)
    policy = Policy(name="gold", targets={"P3": Target(calendar=hours)})
    way.gate.policies = lambda: Policies({"acme": policy})
    order_id = way.propose(way.house.standing(within=Within.OUT_OF_HOURS))
    call(way)
    assert fetch(way) == 0
    assert runs(way, order_id)[0].held == "business hours"
    way.turn(NOW + 31 * MINUTE)
    assert fetch(way) == 1


def test_out_of_hours_needs_hours_to_be_out_of(way: Way) -> None:
    order_id = way.propose(way.house.standing(within=Within.OUT_OF_HOURS))
    call(way)
    assert fetch(way) == 0
    assert runs(way, order_id)[0].held == "no business hours are known of this client"


# -- how it spreads ------------------------------------------------------------------------------


def test_a_standing_order_never_runs_on_more_at_once_and_halts_after_failures(way: Way) -> None:
    targets = tuple(sorted(key_id(public(one)) for one in (HOST, EVE)))
    order = way.house.standing(targets=targets, max_hosts=2)
    order_id = way.propose(order, Pace(at_once=1, halt_after=1))
    call(way)
    first, second = way.hosts.all()
    with way.database.write() as connection:
        assert len(offering.offers(connection, second, NOW, way.gate)) == 1
    assert fetch(way) == 0
    assert "most at once" in next(one.held for one in runs(way, order_id) if one.held)
    run = standing.RunKey(order_id, second.id, "2026-11-21T08:00")
    with way.database.write() as connection:
        standing.end(connection, run, "done", NOW + MINUTE, well=False)
    way.turn(NOW + 2 * MINUTE)
    assert fetch(way) == 0
    assert next(one.held for one in runs(way, order_id) if one.held) == "halted after 1 failures"
    assert first.id == HOST_ID


def test_a_host_that_vanished_with_a_script_holds_the_others_up_no_longer_than_that(
    way: Way,
) -> None:
    targets = tuple(sorted(key_id(public(one)) for one in (HOST, EVE)))
    way.propose(way.house.standing(targets=targets, max_hosts=2), Pace(at_once=1))
    call(way)
    with way.database.write() as connection:
        assert len(offering.offers(connection, way.hosts.all()[1], NOW, way.gate)) == 1
    way.turn(NOW + 10 * MINUTE)
    assert fetch(way) == 1


# -- remedies ------------------------------------------------------------------------------------


def remedy(way: Way, **changes: object) -> str:
    return way.propose(way.house.standing(calendar=None, trigger=RULE, **changes), Pace(at_once=5))


def history(way: Way, ticket: str) -> list[tuple[str, dict[str, object]]]:
    events = tables.ticket_events
    query = select(events).where(events.c.ticket_id == ticket).order_by(events.c.id)
    with way.database.read() as connection:
        return [(row.kind, row.data) for row in connection.execute(query)]


def test_an_episode_brings_its_remedy_and_the_effect_is_on_the_ticket(way: Way) -> None:
    order_id = remedy(way)
    episode, ticket = open_episode(way)
    assert fetch(way) == 1
    assert way.house.runs() == 1
    (run,) = runs(way, order_id)
    assert (run.occurrence, run.well) == (triggered(RULE, episode), True)
    forecast_of(way, NOW + 12 * DAY)
    way.turn(NOW + 2 * DAY)
    close_episode(way, episode)
    told = dict(history(way, ticket))
    assert told["remedy_ran"]["exit_code"] == 0
    assert told["remedy_cleared"] == {
        "order": order_id,
        "after_seconds": 172_800,
        "days_bought": 10.0,
    }
    assert runs(way, order_id)[0].cleared_at == NOW + 2 * DAY
    (script,) = report(way, ticket)["scripts"]
    assert script["order"] == order_id
    assert script["effect"] == {"cleared": True, "after_seconds": 172_800}
    assert script["exit_code"] == 0


def report(way: Way, ticket: str) -> dict[str, list[dict[str, object]]]:
    with way.database.write() as connection:
        reports.write(connection, [ticket], way.clock.now)
        newest = reports.newest(connection, ticket)
    assert newest is not None
    told: dict[str, list[dict[str, object]]] = json.loads(newest.document)
    return told


def forecast_of(way: Way, due: datetime) -> None:
    row = {
        "id": uuid7(NOW),
        "client_id": way.hosts.all()[0].client_id,
        "host_id": HOST_ID,
        "component": "disk:/",
        "rule": "DiskWillFill",
        "made_at": NOW,
        "due_at": due,
        "earliest": due - DAY,
        "latest": due + DAY,
    }
    with way.database.write() as connection:
        known = {column.name for column in tables.forecasts.columns}
        assert set(row) <= known, known
        missing = {
            column.name: 0.0
            for column in tables.forecasts.columns
            if column.name not in row and not column.nullable and column.default is None
        }
        connection.execute(insert(tables.forecasts).values(row | missing))


def test_an_episode_of_another_rule_brings_nothing(way: Way) -> None:
    order_id = remedy(way)
    open_episode(way, "MemoryLow")
    assert fetch(way) == 0
    assert runs(way, order_id) == ()


def test_an_episode_on_a_host_that_is_no_target_brings_nothing(way: Way) -> None:
    order_id = remedy(way)
    open_episode(way, host=1)
    assert runs(way, order_id) == ()


def test_a_remedy_is_not_needed_once_the_episode_is_over(way: Way) -> None:
    order_id = remedy(way)
    episode, _ = open_episode(way)
    close_episode(way, episode)
    assert fetch(way) == 0
    assert runs(way, order_id)[0].ended == "not-needed"
    assert way.house.runs() == 0


def test_no_remedy_comes_where_people_are_at_work(way: Way) -> None:
    order_id = remedy(way)
    window(way, NOW + MINUTE, NOW + 30 * MINUTE)
    open_episode(way)
    way.turn(NOW + 2 * MINUTE)
    assert fetch(way) == 0
    assert runs(way, order_id)[0].held == "the host is in maintenance"
    way.turn(NOW + 45 * MINUTE)
    assert fetch(way) == 1


def test_an_expired_standing_order_stands_for_nothing(way: Way) -> None:
    order_id = remedy(way, not_after=write_moment(NOW + DAY))
    way.turn(NOW + DAY)
    open_episode(way)
    assert runs(way, order_id) == ()


@pytest.mark.parametrize(
    ("why", "zone", "at", "now", "due"),
    [
        ("clocks go forward over it", "Europe/Berlin", "02:30", (3, 29, 1, 30), "2026-03-29T02:30"),
        ("… and not before", "Europe/Berlin", "02:30", (3, 29, 1, 29), None),
        (
            "clocks go back: the first time",
            "Europe/Berlin",
            "02:30",
            (10, 25, 0, 30),
            "2026-10-25T02:30",
        ),
        ("… and not a second time", "Europe/Berlin", "02:30", (10, 25, 1, 30), None),
        (
            "a day of 25 hours has no gap",
            "Europe/Berlin",
            "01:00",
            (10, 24, 23, 30),
            "2026-10-25T01:00",
        ),
        (
            "beyond the date line",
            "Pacific/Kiritimati",
            "00:10",
            (11, 20, 10, 15),
            "2026-11-21T00:10",
        ),
    ],
)
def test_a_calendar_is_read_in_its_own_zone(
    why: str, zone: str, at: str, now: tuple[int, int, int, int], due: str | None
) -> None:
    every = Calendar(weekdays=(1, 2, 3, 4, 5, 6, 7), at=at, zone=zone, window_minutes=59)
    month, day, hour, minute = now
    moment = datetime(2026, month, day, hour, minute, tzinfo=UTC)
    assert every.occurrence(moment) == due, why


def test_no_day_of_a_decade_has_two_occurrences_or_none() -> None:
    """Hour by hour, over every change of clocks there is in Lord Howe, which moves by 30 min."""
    every = Calendar(
        weekdays=(1, 2, 3, 4, 5, 6, 7), at="02:15", zone="Australia/Lord_Howe", window_minutes=60
    )
    moment, found = datetime(2026, 1, 1, 16, 0, tzinfo=UTC), []
    for _ in range(3650):
        one = every.next(moment)
        found.append(one.name)
        assert every.occurrence(one.begins) == one.name
        moment = one.begins
    assert len(set(found)) == 3650
