"""Maintenance windows and silences through the API: whose they are, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from forewarn_collector.api.principal import Role

WINDOW = {"select": "", "reason": "patches", "lasts": "2h"}
SILENCE = {"select": "host:*", "reason": "known", "lasts": "1h"}


def person(world: Any, name: str, role: Role, *clients: str) -> Any:
    world.person(name, role, *clients)
    return world.program(world.key(name, days=30))


def test_a_technician_silences_and_does_not_plan_maintenance(world: Any) -> None:
    ann = person(world, "ann", Role.TECHNICIAN, "acorp")
    assert ann.post("/api/v1/silences", SILENCE).status_code == 201
    assert ann.post("/api/v1/maintenance", WINDOW).status_code == 403


def test_a_window_is_made_seen_ended_and_over_only_once_it_has_settled(world: Any) -> None:
    ann = person(world, "ann", Role.OPERATOR)
    made = ann.post("/api/v1/maintenance", WINDOW).json()["window"]
    assert (made["state"], made["author"]) == ("running", "ann")
    world.wait(minutes=30)
    ended = ann.post(f"/api/v1/maintenance/{made['id']}/end").json()["window"]
    assert ended["state"] == "settling"
    again = ann.post(f"/api/v1/maintenance/{made['id']}/end")
    assert again.status_code == 409
    assert "not under way" in again.json()["error"]
    world.wait(minutes=10)
    assert ann.get("/api/v1/maintenance").json()["windows"][0]["state"] == "over"


def test_what_is_to_come_is_deleted_and_what_runs_goes_on(world: Any) -> None:
    ann = person(world, "ann", Role.OPERATOR)
    nightly = {**WINDOW, "repeat": "daily", "at": "08:00", "zone": "UTC"}
    made = ann.post("/api/v1/maintenance", nightly).json()["window"]
    assert made["state"] == "running"
    assert ann.request("DELETE", f"/api/v1/maintenance/{made['id']}").status_code == 204
    (line,) = ann.get("/api/v1/maintenance").json()["windows"]
    assert line["state"] == "running"
    world.wait(days=1)
    (line,) = ann.get("/api/v1/maintenance").json()["windows"]
    assert line["state"] == "deleted"


def test_people_of_one_client_touch_hosts_of_nobody_else(world: Any) -> None:
    """Not even with a selector that names every host: theirs is narrowed to their clients."""
    ann = person(world, "ann", Role.OPERATOR, "acorp")
    eve = person(world, "eve", Role.OPERATOR, "globex")
    root = person(world, "root", Role.ADMIN)
    ann.post("/api/v1/maintenance", WINDOW)
    ann.post("/api/v1/silences", SILENCE)
    assert eve.get("/api/v1/maintenance").json() == {"windows": []}
    assert eve.get("/api/v1/silences").json() == {"silences": []}
    assert len(root.get("/api/v1/maintenance").json()["windows"]) == 1
    foreign = eve.post("/api/v1/maintenance", {**WINDOW, "select": "client:acorp"})
    unknown = eve.post("/api/v1/maintenance", {**WINDOW, "select": "client:nobody"})
    assert (foreign.status_code, foreign.text) == (unknown.status_code, unknown.text)
    assert foreign.status_code == 422


def test_a_window_about_every_client_is_shown_to_those_who_see_every_client(world: Any) -> None:
    """Its text may name others."""
    ann = person(world, "ann", Role.OPERATOR, "acorp")
    root = person(world, "root", Role.ADMIN)
    root.post("/api/v1/maintenance", {**WINDOW, "reason": "move of globex"})
    root.post("/api/v1/maintenance", {**WINDOW, "select": "client:acorp"})
    assert [one["reason"] for one in ann.get("/api/v1/maintenance").json()["windows"]] == [
        "patches"
    ]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"lasts": None}, "either `ends` or `lasts`"),
        ({"lasts": "2 hours"}, "is no duration"),
        ({"lasts": "31d"}, "30d after the start"),
        ({"lasts": "999999999d"}, "body"),
        ({"starts": "2020-01-01T00:00:00Z"}, "now or within a year"),
        ({"starts": "2026-11-21T09:00:00"}, "starts"),
        ({"select": "health:firing"}, "health is what rules decide"),
        ({"select": "nonsense"}, "has no key"),
        ({"group": "nowhere"}, "no [groups.nowhere]"),
        ({"repeat": "weekly", "at": "02:00"}, "names no days"),
        ({"repeat": "weekly someday", "at": "02:00"}, "are no weekdays"),
        ({"repeat": "daily", "at": "25:00"}, "no time of day"),
        ({"repeat": "daily", "at": "02:00", "zone": "Mars/Base"}, "no time zone"),
        ({"repeat": "daily", "at": "02:00", "zone": "../../etc/passwd"}, "no time zone"),
        ({"repeat": "daily", "at": "02:00", "lasts": "8d"}, "at most 7d"),
        ({"repeat": "daily", "at": "02:00", "until": "2026-01-01T00:00:00Z"}, "nothing would"),
        ({"at": "02:00"}, "belong to a window with `repeat`"),
        ({"settle": "7h"}, "at most 6h"),
        ({"reason": " "}, "reason"),
        ({"reason": "a\u0000b"}, "control characters"),
        ({"why": "x"}, "why"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused_with_what_would(
    world: Any, said: dict[str, str | None], told: str
) -> None:
    ann = person(world, "ann", Role.OPERATOR)
    answer = ann.post("/api/v1/maintenance", {**WINDOW, **said})
    assert answer.status_code == 422
    assert told in answer.json()["error"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"lasts": None}, "either `expires` or `lasts`"),
        ({"lasts": "91d"}, "by 90d at most"),
        ({"lasts": None, "expires": "2026-11-21T07:00:00Z"}, "must be ahead"),
        ({"rule": "Nonsense"}, "there is no rule Nonsense"),
        ({"component": "x" * 401}, "component"),
    ],
)
def test_a_silence_must_end_and_name_what_there_is(
    world: Any, said: dict[str, str | None], told: str
) -> None:
    ann = person(world, "ann", Role.TECHNICIAN)
    answer = ann.post("/api/v1/silences", {**SILENCE, **said})
    assert answer.status_code == 422
    assert told in answer.json()["error"]


def test_a_silence_is_over_when_it_expires_or_is_ended(world: Any) -> None:
    ann = person(world, "ann", Role.TECHNICIAN)
    first = ann.post("/api/v1/silences", {**SILENCE, "rule": "DiskAlmostFull"}).json()
    assert (first["state"], first["rule"]) == ("active", "DiskAlmostFull")
    second = ann.post("/api/v1/silences", {**SILENCE, "lasts": "3h"}).json()
    assert ann.request("DELETE", f"/api/v1/silences/{first['id']}").status_code == 204
    assert ann.request("DELETE", f"/api/v1/silences/{first['id']}").status_code == 409
    world.wait(hours=3)
    states = {one["id"]: one["state"] for one in ann.get("/api/v1/silences").json()["silences"]}
    assert states == {first["id"]: "ended", second["id"]: "expired"}


def test_a_repeating_window_is_written_in_one_form(world: Any) -> None:
    ann = person(world, "ann", Role.OPERATOR)
    said = {"repeat": " Weekly  sun,SAT,sun", "at": "22:30", "zone": "Europe/Berlin"}
    made = ann.post("/api/v1/maintenance", {**WINDOW, **said}).json()["window"]
    assert (made["repeat"], made["at"], made["state"]) == ("weekly sat,sun", "22:30", "coming")
    assert made["starts"].startswith("2026-11-21T21:30")
