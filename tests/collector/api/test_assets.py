"""What people say of hosts through the API, one and many at once, and the history it leaves."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from forewarn_collector.api.principal import Role
from forewarn_collector.state import assets
from forewarn_collector.state.hosts import record_facts
from forewarn_collector.state.tables import audit


@pytest.fixture
def ann(world: Any) -> Any:
    """An operator of acorp."""
    world.person("ann", Role.OPERATOR, "acorp")
    return world.program(world.key("ann"))


def tell(world: Any, minutes: int, **facts: Any) -> None:
    with world.database.write() as connection:
        at = world.at + timedelta(minutes=minutes)
        record_facts(connection, world.host_ids["acorp"], facts, at)


def changes(world: Any, ann: Any, **params: Any) -> Any:
    return ann.get(f"/api/v1/hosts/{world.host_ids['acorp']}/changes", **params).json()


def test_what_is_said_is_kept_audited_and_in_the_history(world: Any, ann: Any) -> None:
    host = f"/api/v1/hosts/{world.host_ids['acorp']}"
    said = {"warranty_until": "2029-11-20", "cost": "1299 EUR"}
    assert ann.patch(host, {"asset": said}).json()["asset"] == said | {"cost": "1299.00 EUR"}
    assert ann.patch(host, {"asset": {"cost": None}}).json()["asset"] == {
        "warranty_until": "2029-11-20"
    }
    ann.patch(host, {"asset": {"warranty_until": "2029-11-20"}})  # changes nothing
    found = changes(world, ann)["changes"]
    assert [(one["name"], one["before"], one["after"], one["by"]) for one in found] == [
        ("cost", "1299.00 EUR", None, "ann"),
        ("cost", None, "1299.00 EUR", "ann"),
        ("warranty_until", None, "2029-11-20", "ann"),
    ]
    with world.database.read() as connection:
        query = select(audit.c.data).where(audit.c.action == "host.asset")
        logged = connection.execute(query).scalars().all()
    assert len(logged) == 2


def test_a_field_that_makes_no_sense_is_refused_with_our_words(world: Any, ann: Any) -> None:
    answer = ann.patch(
        f"/api/v1/hosts/{world.host_ids['acorp']}", {"asset": {"warranty_until": "soon"}}
    )
    assert answer.status_code == 422
    assert "write it like 2026-11-21" in answer.json()["error"]


def test_a_changed_part_is_an_event_and_what_stays_is_none(world: Any, ann: Any) -> None:
    old, new = {"serial": "A1", "model": "X"}, {"serial": "B2", "model": "X"}
    tell(world, 0, disks=[old, {"serial": "C3"}], memory_bytes=16 << 30, addresses=["192.0.2.1"])
    tell(world, 1, disks=[{"serial": "C3"}, old], memory_bytes=(16 << 30) - 9000, addresses=[])
    assert changes(world, ann)["changes"] == []
    tell(world, 2, disks=[new, {"serial": "C3"}], memory_bytes=8 << 30)
    found = {one["name"]: one for one in changes(world, ann)["changes"]}
    assert (found["disks"]["before"], found["disks"]["after"]) == ([old], [new])
    assert (found["memory_bytes"]["after"], found["memory_bytes"]["by"]) == (8 << 30, "")


def test_a_host_cannot_push_out_what_people_said_nor_fill_the_disk(
    world: Any, ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "KEPT", 5)
    ann.patch(f"/api/v1/hosts/{world.host_ids['acorp']}", {"asset": {"owner": "zoe"}})
    for minute in range(20):
        tell(world, minute, kernel="x" * 9000 + str(minute), warranty_until="2099-01-01")
    found = changes(world, ann)["changes"]
    assert [one["by"] for one in found] == ["", "", "", "", "", "ann"]
    assert max(len(str(one["after"])) for one in found) < 2100
    host = ann.get(f"/api/v1/hosts/{world.host_ids['acorp']}").json()
    assert host["asset"] == {"owner": "zoe"}


def test_history_is_read_page_by_page(world: Any, ann: Any) -> None:
    for minute in range(5):
        tell(world, minute, kernel=str(minute))
    first = changes(world, ann, limit=3)
    second = changes(world, ann, limit=3, cursor=first["next"])
    assert [one["after"] for one in first["changes"] + second["changes"]] == ["4", "3", "2", "1"]
    assert second["next"] is None


def test_a_table_is_told_first_then_done_and_wrong_lines_are_named(world: Any, ann: Any) -> None:
    rows = [
        {"line": 2, "host": "web1", "fields": {"owner": "zoe"}},
        {"line": 3, "host": "web2", "fields": {"owner": "zoe"}},  # another client's
        {"line": 4, "host": "web1", "client": "acorp", "fields": {"cost": "cheap"}},
        {"line": 5, "host": "web1", "fields": {"owner": '=HYPERLINK("x")', "contract": "gold"}},
    ]
    for apply in (False, True):
        told = ann.post("/api/v1/assets", {"rows": rows, "apply": apply}).json()
        assert told["applied"] is apply
        assert [(one["line"], one["name"], one["after"]) for one in told["changes"]] == [
            (2, "owner", "zoe")
        ]
        assert [one["line"] for one in told["troubles"]] == [3, 4, 5]
        assert "none that you may see" in told["troubles"][0]["text"]
        asset = ann.get(f"/api/v1/hosts/{world.host_ids['acorp']}").json()["asset"]
        assert asset == ({"owner": "zoe"} if apply else {})
    again = ann.post("/api/v1/assets", {"rows": rows[:1], "apply": True}).json()
    assert again["changes"] == []
