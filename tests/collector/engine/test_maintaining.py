"""A window ends with a verdict: what is not as it was before it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.collector.pages.fleet import Fleet, Samples, disk, new_fleet, uptime

from forewarn_checks.base import Outcome
from forewarn_collector.maintaining import Maintained, Maintainer
from forewarn_collector.state import suppression, tickets
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.suppression import NewWindow
from forewarn_collector.state.tables import maintenance_hosts, maintenance_occurrences

DAY = 86400.0


def failed(*names: str) -> Samples:
    samples: Samples = {("services_failed", ()): float(len(names))}
    for name in ("nginx", "cron", "old"):
        samples["service_failed", (("service", name),)] = float(name in names)
    return samples


class House:
    """A fleet with a window of half an hour that settles in ten minutes."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.host = fleet.host("web1")
        self.desk = fleet.host("desk1", host_class="workstation")
        self.began = fleet.at
        fleet.judge_from(fleet.at)
        self.maintainer = Maintainer(fleet.database, fleet.store, fleet.hosts)

    def report(self, host: KnownHost, *, up: float, services: Samples, mounts: list[str]) -> None:
        at = self.fleet.at
        rooms: Samples = {}
        for mount in mounts:
            rooms |= disk(mount, 0.3)
        self.fleet.read(host, "uptime", [(at, uptime(up, pending=False))])
        self.fleet.read(host, "services", [(at, services)])
        self.fleet.read(host, "disk", [(at, rooms)])

    def plan(self) -> str:
        new = NewWindow(
            clients=None,
            selector="client:acme",
            group="",
            reason="new kernel",
            starts=self.fleet.at,
            ends=self.fleet.at + timedelta(minutes=30),
            settle=timedelta(minutes=10),
        )
        with self.fleet.database.write() as connection:
            return suppression.add_window(connection, new, "ann", self.fleet.at)

    def go(self, minutes: float) -> Maintained:
        """Let time pass, judging every 50 s, then look after windows."""
        end = self.fleet.at + timedelta(minutes=minutes)
        while self.fleet.at < end:
            self.fleet.at = min(self.fleet.at + timedelta(seconds=50), end)
            self.fleet.engine.pass_(self.fleet.at)
        return self.turn()

    def turn(self) -> Maintained:
        return self.maintainer.turn(self.fleet.book, self.fleet.telling, self.fleet.at)

    def verdict(self, host: KnownHost) -> tuple[int | None, list[tuple[str, str]]]:
        with self.fleet.database.read() as connection:
            wanted = maintenance_hosts.c.host_id == host.id
            row = connection.execute(select(maintenance_hosts).where(wanted)).one()
        return row.rebooted, [(one["kind"], one["name"]) for one in row.findings]

    def tickets(self) -> list[tickets.Ticket]:
        with self.fleet.database.read() as connection:
            found = tickets.find(connection, clients=None)
            return [tickets.get(connection, one.number, clients=None) for one in reversed(found)]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with new_fleet(tmp_path) as fleet:
        yield House(fleet)


def well(house: House, host: KnownHost, *, up: float = DAY) -> None:
    house.report(host, up=up, services=failed("old"), mounts=["/", "/srv"])


def test_what_is_as_it_was_is_no_finding_and_no_ticket(house: House) -> None:
    well(house, house.host)
    well(house, house.desk)
    house.plan()
    assert house.turn() == Maintained(begun=1)
    house.go(35)
    well(house, house.host, up=600)
    well(house, house.desk, up=DAY + 35 * 60)
    assert house.go(5) == Maintained(decided=1)
    assert house.verdict(house.host) == (1, [])
    assert house.verdict(house.desk) == (0, [])
    assert house.tickets() == []
    assert house.turn() == Maintained()


def test_services_and_mounts_that_did_not_come_back_are_one_ticket_of_the_host(
    house: House,
) -> None:
    well(house, house.host)
    house.plan()
    house.turn()
    house.go(35)
    house.report(house.host, up=600, services=failed("old", "nginx"), mounts=["/"])
    house.go(5)
    assert house.verdict(house.host) == (1, [("mount_gone", "/srv"), ("service_failed", "nginx")])
    reported = [one for one in house.tickets() if one.component == "maintenance"]
    assert [one.title for one in reported] == [
        "web1 after its maintenance: /srv is no longer mounted (and 1 more)"
    ]
    assert "service nginx failed" in reported[0].description
    assert "It was restarted." in reported[0].description
    with house.fleet.database.read() as connection:
        row = connection.execute(select(maintenance_occurrences)).one()
    assert (row.hosts, row.rebooted, row.wrong) == (2, 1, 1)


def test_a_host_that_never_came_back_is_found_and_told_once_by_its_rule(house: House) -> None:
    well(house, house.host)
    well(house, house.desk)
    house.plan()
    house.turn()
    house.go(40)
    house.fleet.engine.pass_(house.fleet.at)
    assert house.verdict(house.host) == (None, [("silent", "")])
    assert house.verdict(house.desk) == (None, [("silent", "")])
    assert [one.title for one in house.tickets()] == ["web1 is silent"]


def test_a_check_that_fails_only_since_is_found_and_one_that_failed_before_is_not(
    house: House,
) -> None:
    well(house, house.host)
    house.fleet.read(house.host, "smart", [(house.fleet.at, {})], Outcome.FAILED, "no")
    house.plan()
    house.turn()
    house.go(38)
    well(house, house.host)
    house.fleet.read(house.host, "smart", [(house.fleet.at, {})], Outcome.FAILED, "no")
    house.fleet.read(house.host, "raid", [(house.fleet.at, {})], Outcome.TIMED_OUT, "slow")
    house.go(2)
    assert house.verdict(house.host) == (0, [("check_failing", "raid")])


def test_deciding_twice_opens_nothing_twice(house: House) -> None:
    """As after a crash between the hosts and the end of the verdict."""
    well(house, house.host)
    house.plan()
    house.turn()
    house.go(35)
    house.report(house.host, up=600, services=failed("old"), mounts=["/"])
    house.go(5)
    with house.fleet.database.write() as connection:
        connection.execute(maintenance_occurrences.update().values(decided_at=None))
    house.turn()
    assert len(house.tickets()) == 1


def test_what_was_held_long_ago_is_forgotten_and_what_became_of_it_stays(house: House) -> None:
    well(house, house.host)
    house.plan()
    house.turn()
    house.go(40)
    house.fleet.at += timedelta(days=401)
    house.turn()
    with house.fleet.database.read() as connection:
        assert connection.execute(select(maintenance_hosts)).all() == []
        assert connection.execute(select(maintenance_occurrences)).one().hosts == 2
