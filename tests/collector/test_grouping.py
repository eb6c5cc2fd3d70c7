"""How many tickets replayed episodes would have been on."""

from forewarn_checks.base import Severity
from forewarn_collector.grouping import count_tickets
from forewarn_collector.replay import Replayed
from forewarn_collector.state.hosts import KnownHost

SECOND = 1_000_000
DAY = 24 * 3600 * SECOND


def one(
    host: int, opened: int, closed: int | None, *, rule: str = "R", site: str = "hq"
) -> Replayed:
    """Return an episode of a host, in seconds."""
    return Replayed(
        rule=rule,
        host=KnownHost(
            number=host,
            id=str(host),
            client_id="acme",
            site_id=site,
            name=f"pc{host}",
            public_key=b"",
        ),
        component="room:/",
        labels={},
        severity=Severity.HIGH,
        first_severity=Severity.HIGH,
        opened_at=opened * SECOND,
        closed_at=None if closed is None else closed * SECOND,
        title="",
        shown="",
    )


def test_five_hosts_of_a_site_within_a_minute_are_one_ticket() -> None:
    assert count_tickets([one(host, 10 * host, 500) for host in range(1, 6)]) == 1
    assert count_tickets([one(host, 10 * host, 500) for host in range(1, 5)]) == 4
    assert count_tickets([one(host, 40 * host, 500) for host in range(1, 6)]) == 5
    assert count_tickets([one(host, 10, 500, site=f"s{host}") for host in range(1, 6)]) == 5
    assert count_tickets([one(host, 10, 500, rule=f"R{host}") for host in range(1, 6)]) == 5


def test_later_hosts_join_while_it_is_open_and_not_after() -> None:
    storm = [one(host, 10, 500) for host in range(1, 6)]
    assert count_tickets([*storm, one(9, 400, 900), one(8, 800, 950)]) == 1
    assert count_tickets([*storm, one(9, 600, 900)]) == 2


def test_the_same_storm_within_a_day_is_the_same_ticket() -> None:
    def storm(at: int) -> list[Replayed]:
        return [one(host, at, at + 100) for host in range(1, 6)]

    day = DAY // SECOND
    assert count_tickets([*storm(0), *storm(day // 2)]) == 1
    assert count_tickets([*storm(0), *storm(day * 2)]) == 2


def test_hosts_of_a_file_have_no_site_and_a_silent_site_is_always_one() -> None:
    assert count_tickets([one(host, 10, 500, site="") for host in range(1, 9)]) == 8
    assert count_tickets([one(host, 10, 500, rule="SiteSilent") for host in range(1, 3)]) == 1
