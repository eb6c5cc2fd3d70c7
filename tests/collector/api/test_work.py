"""Work on tickets through the API: waiting, priorities, false alarms, calls by hand, reports."""

import hashlib
from typing import Any

import pytest

from forewarn_collector.api.principal import Role


@pytest.fixture
def ann(world: Any) -> Any:
    """A technician of acorp."""
    world.person("ann", Role.TECHNICIAN, "acorp")
    return world.program(world.key("ann"))


def test_a_ticket_waits_goes_on_and_is_a_false_alarm_in_the_end(ann: Any) -> None:
    waiting = ann.post("/api/v1/tickets/1/wait", {"waiting_for": "vendor", "text": "RMA"}).json()
    assert (waiting["state"], waiting["waiting_for"]) == ("waiting", "vendor")
    going_on = ann.post("/api/v1/tickets/1/start").json()
    assert (going_on["state"], going_on["waiting_for"]) == ("in_progress", None)
    over = ann.post("/api/v1/tickets/1/cancel", {"text": "load test"}).json()
    assert over["state"] == "cancelled"
    assert ann.post("/api/v1/tickets/1/start").status_code == 409
    assert ann.get("/api/v1/tickets?state=cancelled").json()["tickets"][0]["number"] == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("wait", {"waiting_for": "godot"}),
        ("priority", {"priority": "P0"}),
        ("priority", {}),
        ("cancel", {}),
    ],
)
def test_what_makes_no_sense_is_refused(ann: Any, path: str, body: dict[str, str]) -> None:
    assert ann.post(f"/api/v1/tickets/1/{path}", body).status_code == 422


def test_a_priority_stays_and_can_be_given_back(ann: Any) -> None:
    chosen = ann.post("/api/v1/tickets/1/priority", {"priority": "P1"}).json()
    assert (chosen["priority"], chosen["priority_by"]) == ("P1", "ann")
    back = ann.post("/api/v1/tickets/1/priority", {"priority": None}).json()
    assert (back["priority"], back["priority_by"]) == ("P4", None)


def test_a_ticket_opened_by_hand_is_one_like_any_other(world: Any, ann: Any) -> None:
    call = {"title": "The scanner jams", "text": "Third time.", "impact": 3, "urgency": 2}
    made = ann.post("/api/v1/tickets", {**call, "host": world.host_ids["acorp"]})
    assert made.status_code == 201
    ticket = made.json()
    assert (ticket["state"], ticket["condition"], ticket["priority"]) == ("new", "reported", "P4")
    assert (ticket["client"], ticket["description"]) == ("acorp", "Third time.")
    assert [(event["actor"], event["kind"]) for event in ticket["events"]] == [("ann", "opened")]
    number = ticket["number"]
    done = ann.post(f"/api/v1/tickets/{number}/resolve", {"text": "cleaned it"}).json()
    assert done["state"] == "closed"
    report = ann.get(f"/api/v1/tickets/{number}/report")
    assert report.headers["x-content-sha256"] == hashlib.sha256(report.content).hexdigest()
    assert report.json()["ticket"]["title"] == "The scanner jams"


def test_nobody_reports_for_a_client_they_may_not_see(world: Any, ann: Any) -> None:
    for about in ({"client": "globex"}, {"host": world.host_ids["globex"]}, {}):
        answer = ann.post("/api/v1/tickets", {"title": "x", **about})
        assert answer.status_code == 422, about
