"""The report over a period counts what is recorded, for those who may see it, in their days."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from forewarn_collector.api.principal import Role
from forewarn_collector.clock import uuid7
from forewarn_collector.money import read_money
from forewarn_collector.state import assets, work
from forewarn_collector.state.tables import alerts, episodes, forecasts, sites, tickets


@pytest.fixture
def ann(world: Any) -> Any:
    world.person("ann", Role.TECHNICIAN, "acorp")
    return world.program(world.key("ann"))


def forecast(world: Any, days: float) -> None:
    """Keep a forecast of what ticket 1 is about."""
    with world.database.write() as connection:
        due = world.at + timedelta(days=days)
        connection.execute(
            insert(forecasts).values(
                id=uuid7(world.at),
                client_id=world.client_ids["acorp"],
                host_id=world.host_ids["acorp"],
                component="filesystem:/srv",
                rule="DiskWillFill",
                made_at=world.at,
                tier="slow",
                value=0.9,
                due_at=due,
                earliest=due,
                latest=due,
            )
        )


def finish(world: Any, change: Any = work.resolve, **said: Any) -> None:
    """End ticket 1, its condition gone."""
    with world.database.write() as connection:
        connection.execute(update(episodes).values(closed_at=world.at))
        connection.execute(update(tickets).values(cleared_at=world.at))
        common = {"actor": "ann", "now": world.at, "clients": None, "telling": world.telling}
        work.spend(connection, 1, minutes=30, **common)
        work.use_part(connection, 1, name="SSD", unit_cost=read_money("89.90 EUR"), **common)
        change(connection, 1, text="done", **common)


def test_what_was_prevented_and_spent_is_counted_once_ticket_by_ticket(
    world: Any, ann: Any
) -> None:
    forecast(world, 10)
    world.wait(days=1)
    finish(world)
    ann = world.program(world.key("ann"))
    says = ann.get("/api/v1/report", client="acorp").json()
    assert (says["opened"], says["closed"], says["open_now"]) == (1, 1, 0)
    assert (says["forecast"], says["prevented_count"], says["reached"]) == (1, 1, 0)
    assert says["days_bought"] == 9.0
    assert (says["labour_minutes"], says["parts_cost"]) == (30, ["89.90 EUR"])
    assert says["raised_by_rule"] == {"DiskAlmostFull": 1}
    ann.post("/api/v1/tickets/1/labour", {"minutes": 10})  # another version of the same report
    again = ann.get("/api/v1/report", client="acorp").json()
    assert (again["closed"], again["labour_minutes"], again["days_bought"]) == (1, 40, 9.0)


def test_a_false_alarm_prevented_nothing(world: Any, ann: Any) -> None:
    forecast(world, 10)
    finish(world, work.cancel)
    says = ann.get("/api/v1/report", client="acorp").json()
    assert (says["false_alarms"], says["closed"], says["prevented_count"]) == (1, 0, 0)


def test_days_are_those_of_the_clients_zone_both_ends_included(world: Any, ann: Any) -> None:
    with world.database.write() as connection:
        connection.execute(update(sites).values(zone="Pacific/Auckland"))
    # 08:00 UTC on the 21st is 21:00 there; at 12:00 UTC the 22nd begins.
    asked = {"client": "acorp", "from": "2026-11-21", "to": "2026-11-21"}
    assert ann.get("/api/v1/report", **asked).json()["opened"] == 1
    with world.database.write() as connection:
        connection.execute(update(tickets).values(opened_at=world.at + timedelta(hours=4)))
    assert ann.get("/api/v1/report", **asked).json()["opened"] == 0
    assert ann.get("/api/v1/report", **asked).json()["zone"] == "Pacific/Auckland"


def test_warranties_that_end_soon_are_named(world: Any, ann: Any) -> None:
    for client, days in (("acorp", 30), ("globex", 30)):
        with world.database.write() as connection:
            until = (world.at + timedelta(days=days)).date().isoformat()
            host_id = world.host_ids[client]
            assets.change(connection, host_id, {"warranty_until": until}, by="a", now=world.at)
    ending = ann.get("/api/v1/report").json()["warranties_ending"]
    assert [one["host"] for one in ending] == ["web1"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"client": "globex"}, 404),
        ({"client": "nobody"}, 404),
        ({"from": "2026-12-01", "to": "2026-11-01"}, 422),
        ({"from": "1980-01-01", "to": "2026-11-01"}, 422),
        ({"from": "0001-01-01"}, 422),
        ({"to": "9999-12-31"}, 422),
        ({"from": "yesterday"}, 422),
    ],
)
def test_what_cannot_be_told_is_refused(
    world: Any, ann: Any, asked: dict[str, str], status: int
) -> None:
    assert ann.get("/api/v1/report", **asked).status_code == status


def test_a_host_behind_with_patches_is_counted_once(world: Any, ann: Any) -> None:
    with world.database.write() as connection:
        row = dict(connection.execute(select(alerts)).mappings().first() or {})
        for number, rule in enumerate(("PatchesSecurityOverdue", "RebootPending")):
            connection.execute(insert(alerts).values({**row, "key": str(number), "rule": rule}))
    assert ann.get("/api/v1/report").json()["patch_hosts_now"] == 1
