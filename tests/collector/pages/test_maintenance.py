"""The pages of maintenance and silences, made by a real engine and looked at without scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.collector.pages.conftest import House, Visitor
from tests.collector.pages.fleet import HOSTILE, disk, new_fleet

from forewarn_collector.api.app import operators_app
from forewarn_collector.api.principal import Role
from forewarn_collector.maintaining import Maintainer
from forewarn_collector.state import tickets


@pytest.fixture
def planned(tmp_path: Path) -> Iterator[House]:
    """Two hosts of acme and one of globex, an operator, a technician and one of globex."""
    with new_fleet(tmp_path) as fleet:
        fleet.host("web1", tags="web")
        fleet.host("db1", tags="db")
        fleet.host(HOSTILE[0], client="globex")
        fleet.person("olga", Role.OPERATOR)
        fleet.person("ann", Role.TECHNICIAN)
        fleet.person("gus", Role.OPERATOR, "globex")
        fleet.judge_from(fleet.at)
        with asyncio.Runner() as runner:
            yield House(fleet, runner, operators_app(fleet))


def fill(house: House, minutes: int) -> None:
    """Let /srv of web1 be full for so long, judging all the while."""
    fleet = house.fleet
    web = next(host for host in fleet.hosts.all() if host.name == "web1")
    maintainer = Maintainer(fleet.database, fleet.store, fleet.hosts)
    for _ in range(minutes * 2):
        fleet.at += timedelta(seconds=30)
        fleet.read(web, "disk", [(fleet.at, disk("/srv", 0.97))])
        fleet.engine.pass_(fleet.at)
        maintainer.turn(fleet.book, fleet.telling, fleet.at)


def plan(visitor: Visitor, **said: str) -> str:
    """Plan a window and return the address of its page."""
    asked = {"select": "client:acme", "reason": "new kernel", "lasts": "2h", "zone": "UTC", **said}
    answer = visitor.post("/maintenance", **asked)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_a_window_is_planned_seen_in_the_list_and_on_its_hosts(planned: House) -> None:
    olga = planned.as_("olga")
    address = plan(olga)
    listed = olga.get("/maintenance").text
    assert "new kernel" in listed
    assert "running" in listed
    assert '<svg class="chart weeks"' in listed
    assert "In maintenance: new kernel" in olga.get(f"/hosts/{planned.host_id('web1')}").text
    other = planned.host_id(HOSTILE[0])
    assert "In maintenance" not in olga.get(f"/hosts/{other}").text
    assert "End it now" in olga.get(address).text


def test_what_is_held_shows_on_the_host_the_window_and_the_list(planned: House) -> None:
    olga = planned.as_("olga")
    address = plan(olga)
    fill(planned, 20)
    for path in (f"/hosts/{planned.host_id('web1')}", address, "/silences"):
        assert "DiskAlmostFull" in olga.get(path).text, path
    assert "held by maintenance until" in olga.get(f"/hosts/{planned.host_id('web1')}").text
    assert olga.post(f"{address}/end").status_code == 303
    fill(planned, 12)
    page = olga.get(address).text
    assert "ended early by olga" in page
    assert "told afterwards" in page
    assert "all as before" in page
    with planned.fleet.database.read() as connection:
        number = next(
            one.number for one in tickets.find(connection, clients=None) if "/srv" in one.title
        )
    assert "held by maintenance (new kernel)" in olga.get(f"/tickets/{number}").text


def test_what_repeats_is_drawn_each_time_and_can_be_taken_back(planned: House) -> None:
    olga = planned.as_("olga")
    address = plan(olga, repeat="weekly sat,sun", at="22:00", zone="Europe/Berlin")
    listed = olga.get("/maintenance").text
    assert listed.count('class="span"') == 8
    assert "Sun 22 Nov, 21:00 to Sun 23:00 UTC" in listed
    assert olga.post(f"{address}/delete").status_code == 303
    assert 'class="span"' not in olga.get("/maintenance").text


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"select": ""}, "Say which hosts"),
        ({"select": "nonsense"}, "has no key"),
        ({"reason": ""}, "eason"),
        ({"starts": "soon"}, "write a day and a time"),
        ({"lasts": "long"}, "is no duration"),
        ({"repeat": "sometimes", "at": "02:00"}, "names no days"),
        ({"repeat": "daily", "at": "02:00", "zone": "Nowhere"}, "no time zone"),
    ],
)
def test_a_form_that_makes_no_sense_comes_back_with_what_was_written(
    planned: House, said: dict[str, str], told: str
) -> None:
    asked = {"select": "client:acme", "reason": "<b>why</b>", "lasts": "2h", "zone": "UTC", **said}
    answer = planned.as_("olga").post("/maintenance", **asked)
    assert answer.status_code == 422
    assert told in answer.text
    if asked["reason"]:
        assert 'value="&lt;b&gt;why&lt;/b&gt;"' in answer.text


def test_a_silence_is_made_shown_and_ended_by_a_technician_who_cannot_plan(planned: House) -> None:
    ann = planned.as_("ann")
    said = {"select": "host:db1", "reason": "known", "rule": "DiskAlmostFull", "lasts": "1d"}
    assert ann.post("/silences", **said).status_code == 303
    page = ann.get("/silences").text
    assert "DiskAlmostFull" in page
    end = page.split('action="/silences/')[1].split('"')[0]
    assert ann.post(f"/silences/{end}").status_code == 303
    assert ann.post(f"/silences/{end}").status_code == 409
    assert "Plan a window" not in ann.get("/maintenance").text
    assert ann.post("/maintenance", select="host:db1", reason="x", lasts="1h").status_code == 403


def test_people_of_another_client_see_none_of_it(planned: House) -> None:
    address = plan(planned.as_("olga"))
    gus = planned.as_("gus")
    assert "new kernel" not in gus.get("/maintenance").text
    assert gus.get(address).status_code == 404
    assert gus.post(f"{address}/end").status_code == 404


@pytest.mark.parametrize("text", HOSTILE[:6])
def test_what_people_write_is_shown_and_never_run(planned: House, text: str) -> None:
    olga = planned.as_("olga")
    address = plan(olga, reason=text, select='host:"<b>"')
    for path in ("/maintenance", address):
        page = olga.get(path).text
        assert "<script>alert" not in page, path
        assert "<img src" not in page, path
        assert "<svg onload" not in page, path
        assert 'host:"<b>"' not in page, path
