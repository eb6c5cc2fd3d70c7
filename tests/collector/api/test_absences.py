"""People who are away: who may say it, who sees it, and whom tickets pass by."""

from datetime import timedelta
from typing import Any

import pytest

from forewarn_collector.api.principal import Role
from forewarn_collector.routing import Asked, Route, Routing, Strategy, Team, rank
from forewarn_collector.state import absences, duty
from forewarn_collector.state.absences import Absence


@pytest.fixture
def ann(world: Any) -> Any:
    world.person("ann", Role.TECHNICIAN, "acorp")
    return world.program(world.key("ann"))


def until(world: Any, **span: float) -> str:
    return str((world.at + timedelta(**span)).isoformat())


def test_one_says_it_of_oneself_and_is_back(world: Any, ann: Any) -> None:
    told = ann.post("/api/v1/absences", {"until": until(world, days=5)}).json()["absences"]
    assert [one["person"] for one in told] == ["ann"]
    again = ann.post("/api/v1/absences", {"until": until(world, days=9)}).json()["absences"]
    assert len(again) == 1
    assert ann.post("/api/v1/absences", {}).json() == {"absences": []}


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"person": "zoe", "until": "2199-01-01T00:00:00Z"}, 403),
        ({"until": "2001-01-01T00:00:00Z"}, 422),
        ({"until": "2199-01-01T00:00:00Z", "since": "2199-02-01T00:00:00Z"}, 422),
        ({"until": "9999-12-31T23:59:59Z"}, 422),
        ({"until": "tomorrow"}, 422),
    ],
)
def test_what_makes_no_sense_is_refused(ann: Any, said: dict[str, str], status: int) -> None:
    assert ann.post("/api/v1/absences", said).status_code == status


def test_people_of_other_clients_do_not_exist(world: Any, ann: Any) -> None:
    world.person("eve", Role.OPERATOR, "globex")
    eve = world.program(world.key("eve"))
    ann.post("/api/v1/absences", {"until": until(world, days=5)})
    assert eve.get("/api/v1/absences").json() == {"absences": []}
    for name in ("ann", "nobody"):
        refused = eve.post("/api/v1/absences", {"person": name, "until": until(world, days=1)})
        assert refused.status_code == 422, name


def test_a_team_passes_by_who_is_away(world: Any) -> None:
    team = Team(name="desk", members=("ann", "bo"), strategy=Strategy.ROUND_ROBIN)
    with world.database.write() as connection:
        week = timedelta(days=7)
        gone = Absence("ann", world.at, world.at + week, "ann")
        absences.put(connection, gone, world.at)
        chosen = [
            duty.whom(connection, team, subject="s", host_id=None, at=world.at + after)[0]
            for after in (timedelta(0), timedelta(days=1), week)
        ]
    assert chosen == ["bo", "bo", "ann"]


def test_nobody_is_chosen_when_all_are_away() -> None:
    for strategy in Strategy:
        team = Team(name="desk", members=("ann", "bo"), strategy=strategy)
        assert rank(team, "ann", {}, None, {"ann", "bo"}) is None


def test_a_route_to_somebody_away_is_passed_over_except_the_last(world: Any) -> None:
    asked = Asked(client="acorp", site="hq", host=None, rule="", priority="P1", at=world.at)
    routes = (Route(name="first", clients=("acorp",), to="ann"), Route(name="rest", to="bo"))
    routing = Routing(routes)
    for away, name in ((set(), "first"), ({"ann"}, "rest"), ({"ann", "bo"}, "rest")):
        routed = routing.route(asked, away)
        assert routed is not None
        assert routed.route.name == name
