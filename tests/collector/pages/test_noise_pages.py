"""What pages and API tell of accepted values, inherited damage, shared tickets and flapping."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from tests.collector.pages.conftest import House
from tests.collector.pages.fleet import Samples, disk

from forewarn_checks import smart
from forewarn_collector.state.hosts import KnownHost

LABELS = (("drive", "Z305"), ("model", "ST4000DM000"), ("type", "hdd"))


def count(house: House, host: KnownHost, values: Mapping[str, float]) -> None:
    """Read a drive an hour later, and judge."""
    house.fleet.at += timedelta(hours=1)
    samples: Samples = {(name, LABELS): value for name, value in values.items()}
    house.fleet.read(host, "smart", [(house.fleet.at - timedelta(seconds=5), samples)])
    house.fleet.engine.pass_(house.fleet.at)


@pytest.fixture
def worn(house: House) -> House:
    """A drive that came with 8 sectors and has 60 and 20 pending ones now."""
    host = house.fleet.host("nas1")
    house.fleet.judge_from(house.fleet.at)
    count(house, host, {smart.REALLOCATED.name: 8.0, smart.PENDING.name: 0.0})
    count(house, host, {smart.REALLOCATED.name: 60.0, smart.PENDING.name: 20.0})
    return house


def test_a_button_accepts_what_counts_up_and_the_host_says_who_and_why(worn: House) -> None:
    ann = worn.as_("ann")
    assert "Accept as it is" in ann.get("/tickets/1").text
    answer = ann.post("/tickets/1/accept", text="it is a <b>scratch</b> disk")
    assert (answer.status_code, answer.headers["location"]) == (303, "/tickets/1")
    page = ann.get("/tickets/1").text
    assert "tell only if it grows" in page
    assert "Accept as it is" not in page
    host = ann.get(f"/hosts/{worn.host_id('nas1')}").text
    assert "it is a &lt;b&gt;scratch&lt;/b&gt; disk" in host
    assert "8 smart_reallocated_sectors of drive:Z305" in host
    worn.fleet.at += timedelta(seconds=5)
    worn.fleet.engine.pass_(worn.fleet.at)
    assert "somebody accepted it as it is" in ann.get("/tickets/1").text


def test_accepting_needs_a_reason(worn: House) -> None:
    assert worn.as_("ann").post("/tickets/1/accept", text="  ").status_code == 422


def test_what_a_disk_fills_cannot_be_accepted(house: House) -> None:
    host = house.fleet.host("web1")
    house.fleet.judge_from(house.fleet.at)
    for _ in range(8):
        house.fleet.at += timedelta(minutes=5)
        house.fleet.read(host, "disk", [(house.fleet.at, disk("/", 0.97))])
        house.fleet.engine.pass_(house.fleet.at)
    ann = house.as_("ann")
    assert "Accept as it is" not in ann.get("/tickets/1").text
    answer = ann.post("/tickets/1/accept", text="fine")
    assert answer.status_code == 409
    assert "counts up" in answer.text


def test_a_site_ticket_names_its_hosts_and_is_found_from_each(house: House) -> None:
    fleet = house.fleet
    hosts = [fleet.host(f"pc{number}", site="branch") for number in range(6)]
    fleet.judge_from(fleet.at)
    for _ in range(8):
        fleet.at += timedelta(minutes=5)
        for host in hosts:
            fleet.read(host, "disk", [(fleet.at, disk("/", 0.97))])
        fleet.engine.pass_(fleet.at)
    ann = house.as_("ann")
    page = ann.get("/tickets/1").text
    assert "DiskAlmostFull on 6 hosts of branch" in page
    assert all(f">pc{number}</a>" in page for number in range(6))
    assert "DiskAlmostFull on 6 hosts of branch" in ann.get(f"/hosts/{hosts[3].id}").text


def test_a_file_system_that_comes_and_goes_says_so(house: House) -> None:
    host = house.fleet.host("web1")
    house.fleet.judge_from(house.fleet.at)
    for turn in range(70):
        house.fleet.at += timedelta(minutes=5)
        used = 0.97 if turn % 14 < 7 else 0.5
        house.fleet.read(host, "disk", [(house.fleet.at, disk("/", used))])
        house.fleet.engine.pass_(house.fleet.at)
    ann = house.as_("ann")
    assert "comes and goes" in ann.get(f"/hosts/{host.id}").text
    assert "come and go: it lasts until it is over for longer" in ann.get("/tickets/1").text
