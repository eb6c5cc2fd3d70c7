"""What people said of a host, and how it changed, on its page."""

from datetime import timedelta

from tests.collector.pages.conftest import House
from tests.collector.pages.fleet import HOSTILE

from forewarn_collector.state import assets


def test_a_page_tells_the_warranty_and_what_changed(house: House) -> None:
    host = house.fleet.host("web01")
    day = house.fleet.at.date()
    with house.fleet.database.write() as connection:
        said = {"warranty_until": (day + timedelta(days=30)).isoformat(), "owner": "Jörg"}
        assets.change(connection, host.id, said, by="ann", now=house.fleet.at)
    old: dict[str, str | int | float | bool | None] = {"serial": "S1", "model": HOSTILE[0]}
    house.fleet.facts(host, {"disks": [old], "kernel": "6.1"})
    house.fleet.at += timedelta(minutes=5)
    new: dict[str, str | int | float | bool | None] = {"serial": "S2", "model": "X"}
    house.fleet.facts(host, {"disks": [new], "kernel": HOSTILE[4]})
    page = house.as_("ann").get(f"/hosts/{host.id}").text
    assert "30 days left" in page
    assert "Jörg" in page
    assert "S1" in page
    assert "S2" in page
    assert "<svg onload" not in page
    assert "<script>alert" not in page


def test_a_warranty_that_is_over_is_said_louder(house: House) -> None:
    host = house.fleet.host("web01")
    with house.fleet.database.write() as connection:
        said = {"warranty_until": "2020-01-01"}
        assets.change(connection, host.id, said, by="ann", now=house.fleet.at)
    page = house.as_("ann").get(f"/hosts/{host.id}").text
    assert "over since 2020-01-01" in page


def test_a_host_of_which_nobody_said_anything_tells_how_to(house: House) -> None:
    host = house.fleet.host("web01")
    assert "forewarn host set" in house.as_("ann").get(f"/hosts/{host.id}").text
