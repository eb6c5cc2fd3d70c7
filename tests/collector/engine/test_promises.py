"""Tickets under a promise: what is told on the way, whose they become, when they end."""

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from tests.collector.engine.line import Line, new_line

from forewarn_collector.attending import attend_all
from forewarn_collector.routing import Route, Routing, Strategy, Team
from forewarn_collector.sla.clocks import Pace
from forewarn_collector.sla.policy import ClockName, Policies, Policy, Step, Target, Waiting
from forewarn_collector.state import reports, work
from forewarn_collector.state.history import events_of, past
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import service_reports
from forewarn_collector.state.tables import tickets as rows
from forewarn_collector.state.tickets import Conflict, Ticket, TicketState, get

HOUR = timedelta(hours=1)
POLICY = Policy(
    name="standard",
    targets={
        "P1": Target(response=timedelta(minutes=15), resolution=HOUR),
        "P3": Target(response=HOUR, resolution=8 * HOUR),
    },
    pauses=frozenset({Waiting.CUSTOMER}),
    warn_at=(0.75,),
    steps=(Step(clock=ClockName.RESOLUTION, at=1.5, to="lead", reassign=True),),
)
TELLING = Telling(("receiver",), "https://monitor/tickets/", Policies(otherwise=POLICY))


@pytest.fixture
def firing(line: Line) -> Line:
    """One new P3 ticket under the standard policy."""
    use(line, TELLING)
    line.hold(0.93, 20)
    return line


def use(line: Line, telling: Telling) -> None:
    line.telling = telling
    line.engine.use(line.book, telling)


def act(line: Line, name: str, **fields: Any) -> None:
    """Let somebody do something to the ticket."""
    common = {"actor": "mia", "now": line.at, "clients": None, "telling": line.telling}
    with line.database.write() as connection:
        getattr(work, name)(connection, 1, **{**common, **fields})


def attend(line: Line, **span: float) -> list[str]:
    """Look after tickets some time later; return the kinds of events that came of it."""
    line.wait(**span)
    before = len(ticket(line).events)
    attend_all(line.database, line.at, line.telling)
    return [event.kind for event in ticket(line).events[before:]]


def ticket(line: Line) -> Ticket:
    with line.database.read() as connection:
        return get(connection, 1, clients=None, now=line.at)


def test_a_ticket_tells_what_is_promised_from_its_opening(firing: Line) -> None:
    ((kind, told),) = firing.told()
    assert kind == "ticket.opened"
    assert told["sla"] == {
        "policy": "standard",
        "response": {
            "pace": "running",
            "running": True,
            "target_seconds": 3600.0,
            "remaining_seconds": 3600.0,
            "due_at": "2026-03-01T13:15:00.000Z",
        },
        "resolution": {
            "pace": "running",
            "running": True,
            "target_seconds": 28800.0,
            "remaining_seconds": 28800.0,
            "due_at": "2026-03-01T20:15:00.000Z",
        },
    }


def test_warnings_breaches_and_steps_are_told_once_each(firing: Line) -> None:
    assert attend(firing, minutes=40) == []
    assert attend(firing, minutes=10) == ["sla_warning"]
    assert attend(firing, minutes=30) == ["sla_breached"]
    assert attend(firing, hours=11) == ["sla_warning", "sla_breached", "escalated"]
    assert attend(firing, days=3) == []
    assert attend(firing) == []
    found = ticket(firing)
    assert (found.assignee, found.state) == ("lead", TicketState.ASSIGNED)
    assert found.sla is not None
    assert found.sla.resolution is not None
    assert (found.sla.resolution.pace, found.sla.resolution.running) == (Pace.BREACHED, True)
    assert firing.kinds() == ["ticket.opened", "ticket.updated"], "untried updates are one"


def test_a_pass_that_fails_tells_nothing_and_the_next_one_all(firing: Line) -> None:
    firing.wait(hours=2)
    with pytest.raises(RuntimeError), firing.database.write() as connection:
        from forewarn_collector.state.attending import attend as look

        look(connection, now=firing.at, telling=firing.telling)
        raise RuntimeError
    assert [event.kind for event in ticket(firing).events] == ["opened"]
    assert attend(firing) == ["sla_warning", "sla_breached"]


def test_a_person_s_answer_stops_the_response_clock(firing: Line) -> None:
    firing.wait(minutes=25)
    act(firing, "acknowledge")
    assert attend(firing, hours=2) == []
    found = ticket(firing)
    assert found.sla is not None
    assert found.sla.response is not None
    assert (found.sla.response.pace, found.sla.response.remaining_seconds) == (Pace.MET, 1800.0)


def test_waiting_for_the_customer_stands_still_until_work_goes_on(firing: Line) -> None:
    act(firing, "wait", waiting_for=Waiting.CUSTOMER, text="asked for access")
    assert attend(firing, days=3) == []
    found = ticket(firing)
    assert (found.state, found.waiting_for) == (TicketState.WAITING, "customer")
    assert found.sla is not None
    assert found.sla.resolution is not None
    assert (found.sla.resolution.pace, found.sla.resolution.due_at) == (Pace.PAUSED, None)
    act(firing, "start")
    found = ticket(firing)
    assert (found.state, found.waiting_for) == (TicketState.IN_PROGRESS, None)
    assert found.sla is not None
    assert found.sla.resolution is not None
    assert found.sla.resolution.due_at == firing.at + 8 * HOUR - timedelta(minutes=5)


def test_another_priority_counts_from_the_opening_and_says_once_what_is_past(firing: Line) -> None:
    firing.wait(hours=2)
    act(firing, "prioritise", priority="P1")
    kinds = {event.kind: event.data for event in ticket(firing).events}
    assert kinds["sla_overtaken"]["breached"] == ["response", "resolution"]
    assert len(kinds["sla_overtaken"]["marks"]) == 5
    assert attend(firing, hours=1) == []


def test_a_priority_set_by_hand_stays_until_it_is_given_back(firing: Line) -> None:
    act(firing, "prioritise", priority="P5")
    firing.hold(0.99, 15)
    found = ticket(firing)
    assert (found.severity, found.priority, found.priority_by) == ("critical", "P5", "mia")
    act(firing, "prioritise", priority=None)
    assert (ticket(firing).priority, ticket(firing).priority_by) == ("P2", None)


def test_what_fires_half_an_hour_after_it_was_resolved_is_opened_again(firing: Line) -> None:
    act(firing, "acknowledge")
    act(firing, "resolve", text="done")
    assert attend(firing, minutes=29) == []
    assert attend(firing, minutes=2) == ["reopened"]
    found = ticket(firing)
    assert (found.state, found.assignee, found.resolved_at) == (TicketState.ASSIGNED, "mia", None)
    assert "still firing" in found.events[-1].data["because"]


def test_a_ticket_that_people_touched_closes_a_day_after_it_cleared(firing: Line) -> None:
    act(firing, "note", text="looking into it")
    firing.hold(0.5, 20)
    found = ticket(firing)
    assert (found.state, found.condition) == (TicketState.NEW, "cleared")
    assert attend(firing, hours=5) == []
    assert "closed" in attend(firing, hours=20)
    assert ticket(firing).state is TicketState.CLOSED
    assert firing.kinds()[-1] == "ticket.closed"


def test_what_comes_back_before_that_goes_on_in_the_same_ticket(firing: Line) -> None:
    act(firing, "acknowledge")
    firing.hold(0.5, 20)
    firing.hold(0.93, 20)
    found = ticket(firing)
    assert (found.state, found.condition, found.cleared_at) == (
        TicketState.IN_PROGRESS,
        "firing",
        None,
    )
    assert "closed" not in attend(firing, days=2)


def test_a_false_alarm_is_over_for_people_and_fires_on_for_rules(firing: Line) -> None:
    act(firing, "cancel", text="test load")
    found = ticket(firing)
    assert (found.state, found.condition) == (TicketState.CANCELLED, "firing")
    assert firing.kinds()[-1] == "ticket.closed"
    with pytest.raises(Conflict, match="cancelled"):
        act(firing, "acknowledge")
    firing.hold(0.99, 15)
    firing.hold(0.5, 30)
    assert ticket(firing).condition == "cleared"
    assert firing.kinds().count("ticket.closed") == 1
    assert "ticket.updated" not in firing.kinds()
    assert attend(firing, days=5) == []


def test_a_cancelled_ticket_is_taken_up_again_when_it_fires_anew(firing: Line) -> None:
    act(firing, "cancel", text="test load")
    firing.hold(0.5, 20)
    firing.hold(0.93, 20)
    assert ticket(firing).state is TicketState.NEW
    assert firing.kinds() == ["ticket.opened", "ticket.closed", "ticket.opened"]


def test_the_promise_is_that_of_the_opening_whatever_the_settings_say_later(firing: Line) -> None:
    slower = Policy(name="slow", targets={"P3": Target(resolution=100 * HOUR)})
    use(firing, Telling(("receiver",), "", Policies(otherwise=slower)))
    firing.wait(hours=1)
    act(firing, "start")
    found = ticket(firing)
    assert found.sla is not None
    assert found.sla.policy == "standard"


# -- routes --------------------------------------------------------------------------------------


def routed(line: Line, *routes: Route) -> Ticket:
    use(line, Telling(("receiver",), "", Policies(), Routing(routes)))
    line.hold(0.93, 20)
    return ticket(line)


def test_the_first_route_that_fits_decides_and_says_why(line: Line) -> None:
    found = routed(
        line,
        Route(name="drives", rules=("DriveFailing",), to="ola"),
        Route(name="rooms", clients=("acme",), rules=("RoomFull",), to="mia"),
        Route(name="rest", to="desk"),
    )
    assert (found.assignee, found.state) == ("mia", TicketState.ASSIGNED)
    assert found.first_response_at is None, "a route is no person"
    assert found.events[1].data == {
        "route": "rooms",
        "reason": "client acme, rule RoomFull",
        "to": "mia",
    }
    ((_, told),) = line.told()
    assert (told["assignee"], told["state"]) == ("mia", "assigned")


def test_nothing_is_nobody_s(line: Line) -> None:
    found = routed(line, Route(name="x", sites=("elsewhere",), to="mia"), Route(name="r", to="d"))
    assert (found.assignee, found.events[1].data["reason"]) == ("d", "no other route fits")


def test_a_team_without_members_keeps_it_for_whoever_takes_it(line: Line) -> None:
    found = routed(line, Route(name="all", team=Team(name="desk")))
    assert (found.state, found.assignee, found.team) == (TicketState.NEW, None, "desk")


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ROUND_ROBIN, ["mia", "ola", "mia"]),
        (Strategy.LEAST_OPEN, ["mia", "ola", "mia"]),
        (Strategy.STICKY, ["mia", "mia", "ola"]),
    ],
)
def test_a_team_shares_its_tickets(line: Line, strategy: Strategy, expected: list[str]) -> None:
    """Two of the first host and one of the second, in this order."""
    team = Team(name="desk", members=("mia", "ola"), strategy=strategy)
    use(line, Telling((), "", Policies(), Routing((Route(name="all", team=team),))))
    line.hold(0.93, 20)
    line.wait(minutes=1)
    line.sample("self_test_passed", 0.0, mountpoint="/other")
    line.pass_()
    line.wait(minutes=1)
    line.sample("self_test_passed", 0.0, host=2, mountpoint="/other")
    line.pass_()
    assert [one.assignee for one in line.tickets()] == expected


# -- reports -------------------------------------------------------------------------------------


def test_a_close_carries_a_report_of_what_was_seen_and_done(firing: Line) -> None:
    act(firing, "acknowledge")
    firing.hold(0.5, 20)
    act(firing, "resolve", text="moved the logs away")
    kind, told = firing.told()[-1]
    assert kind == "ticket.closed"
    with firing.database.read() as connection:
        report = reports.newest(connection, ticket(firing).id)
        assert list(reports.faults(connection)) == []
    assert report is not None
    assert told["report"] == {
        "url": "https://monitor/tickets/1/report",
        "sha256": hashlib.sha256(report.document.encode()).hexdigest(),
    }
    says = json.loads(report.document)
    (raised,) = says["raised_by"]
    assert (raised["rule"], raised["before"]["value"]) == ("RoomFull", 0.93)
    assert raised["after"]["value"] == 0.5
    assert [action["what"] for action in says["actions"]][-2:] == ["resolved", "closed"]
    assert says["sla"]["resolution"]["pace"] == "met"
    assert says["asset"]["name"] == "web1"
    assert says["previous"] == reports.BEGINNING


def test_a_report_that_was_altered_shows(firing: Line) -> None:
    for used in (0.5, 0.93, 0.5):
        firing.hold(used, 20)
    with firing.database.write() as connection:
        assert list(reports.faults(connection)) == []
        forged = update(service_reports).where(service_reports.c.id == 1)
        connection.execute(forged.values(document='{"previous":"x"}'))
        (first, second) = reports.faults(connection)
    assert "not the one that was hashed" in first
    assert "does not follow" in second


# -- the row is made from the history ------------------------------------------------------------

ACTS = st.one_of(
    st.sampled_from(
        [
            ("acknowledge", {}),
            ("start", {}),
            ("assign", {"assignee": "ola"}),
            ("note", {"text": "x"}),
            ("resolve", {"text": "x"}),
            ("cancel", {"text": "x"}),
            ("prioritise", {"priority": None}),
            ("fire", {"used": 0.93}),
            ("fire", {"used": 0.99}),
            ("fire", {"used": 0.5}),
            ("attend", {}),
        ]
    ),
    st.sampled_from(list(Waiting)).map(lambda one: ("wait", {"waiting_for": one})),
    st.sampled_from(["P1", "P3", "P5"]).map(lambda one: ("prioritise", {"priority": one})),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(ACTS, st.integers(1, 600)), max_size=10))
def test_a_ticket_is_what_its_events_say(
    tmp_path_factory: pytest.TempPathFactory,
    acts: list[tuple[tuple[str, dict[str, Any]], int]],
) -> None:
    """Whatever people, rules and time do: state, priority and assignee follow from the history."""
    with new_line(tmp_path_factory.mktemp("line")) as line:
        use(line, TELLING)
        line.hold(0.93, 20)
        for (name, fields), minutes in acts:
            line.wait(minutes=minutes)
            try:
                if name == "fire":
                    line.hold(fields["used"], 15)
                elif name == "attend":
                    attend_all(line.database, line.at, line.telling)
                else:
                    act(line, name, **fields)
            except Conflict:
                continue
        with line.database.read() as connection:
            row = connection.execute(select(rows).where(rows.c.number == 1)).mappings().one()
            events = events_of(connection, [row["id"]])[row["id"]]
        standing: dict[str, str | None] = {}
        for event in events:
            standing |= event["sets"]
        assert standing == {name: row[name] for name in standing}
        found = past(events)
        assert found.turns[-1].state == row["state"]
        told = [event["data"]["mark"] for event in events if "mark" in event["data"]]
        assert len(told) == len(set(told)), "no mark is told twice"
        closes = line.kinds().count("ticket.closed")
        assert closes == sum(event["kind"] in ("closed", "cancelled") for event in events)


def test_a_pass_that_took_long_leaves_the_rest_to_the_next(firing: Line) -> None:
    """However many promises break at once, others get their turn; nothing is left for good."""
    later = firing.at + timedelta(days=30)
    spent = iter([0.0, 2.0])
    none = attend_all(
        firing.database, later, firing.telling, enough_seconds=1.0, elapsed=lambda: next(spent)
    )
    assert none.tickets == 0
    assert none.left, "the next pass is to come at once"
    rest = attend_all(firing.database, later, firing.telling)
    assert rest.marks > 0
    assert not rest.left


def test_a_ticket_with_nothing_to_be_done_is_not_due_for_ever(firing: Line) -> None:
    from sqlalchemy import update

    from forewarn_collector.state.tables import tickets

    with firing.database.write() as connection:
        connection.execute(update(tickets).values(wake_at=firing.at - timedelta(seconds=1)))
    assert attend_all(firing.database, firing.at, firing.telling).tickets == 1
    assert attend_all(firing.database, firing.at, firing.telling).tickets == 0
