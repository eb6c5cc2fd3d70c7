"""What is forecast of a host, and how past forecasts came true, on pages and in the API."""

from datetime import timedelta

import pytest
from sqlalchemy import insert
from tests.collector.pages.conftest import House

from forewarn_collector.api.principal import Role
from forewarn_collector.clock import uuid7
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.tables import forecasts

HOUR = timedelta(hours=1)


def foretold(house: House, host: KnownHost, outcome: str | None, times: int = 1) -> None:
    """Keep forecasts of /srv that came out like this."""
    at = house.fleet.at
    row = {
        "client_id": host.client_id,
        "host_id": host.id,
        "component": "filesystem:/srv",
        "rule": "DiskWillFill",
        "made_at": at - HOUR,
        "tier": "slow",
        "value": 0.8,
        "due_at": at + 30 * HOUR,
        "earliest": at + 28 * HOUR,
        "latest": at + 40 * HOUR,
        "outcome": outcome,
    }
    with house.fleet.database.write() as connection:
        connection.execute(insert(forecasts), [row | {"id": uuid7(at)} for _ in range(times)])


@pytest.fixture
def host(house: House) -> KnownHost:
    return house.fleet.host("web01")


def test_a_date_that_stands_is_on_the_page_with_its_interval(house: House, host: KnownHost) -> None:
    page = f"/hosts/{host.id}"
    assert "Forecast for" not in house.as_("ann").get(page).text
    foretold(house, host, None)
    text = house.as_("ann").get(page).text
    assert "Forecast for" in text
    assert "filesystem:/srv" in text


def test_how_dates_came_true_is_told_once_ten_were_put_to_the_test(
    house: House, host: KnownHost
) -> None:
    foretold(house, host, "inside", 8)
    foretold(house, host, "late")
    foretold(house, host, "ended", 50)
    shown = (f"/hosts/{host.id}", "/checks", "/rules/DiskWillFill")
    for path in shown:
        assert "past forecasts" not in house.as_("ann").get(path).text
    foretold(house, host, "early")
    said = "8 of 10 past forecasts came true within their interval (1 earlier, 1 later)"
    for path in shown:
        assert said in house.as_("ann").get(path).text
    rules = house.as_("ann").get("/api/v1/checks").json()["rules"]
    (rule,) = (one for one in rules if one["name"] == "DiskWillFill")
    assert rule["track_record"] == {"tested": 10, "inside": 8}
    assert rule["kind"] == "forecast"


def test_forecasts_of_other_clients_are_nobodys_record(house: House, host: KnownHost) -> None:
    house.fleet.host("elsewhere", client="globex")
    foretold(house, host, "inside", 20)
    house.fleet.person("bob", Role.VIEWER, "globex")
    for path in ("/checks", "/rules/DiskWillFill"):
        assert "past forecasts" not in house.as_("bob").get(path).text
