"""A site that falls silent is one ticket; a host that does so alone is its own."""

from pathlib import Path

import numpy as np
import pytest
from tests.collector.engine.crowd import check_whole, crowd, standing
from tests.collector.engine.line import Line, microseconds

from forewarn_collector.rules.change import RuleChange
from forewarn_collector.rules.together import FELL_WITHIN, fell_together
from forewarn_collector.state.hosts import KnownHost

MINUTE = 60_000_000


def hear(line: Line, *numbers: int, ago: int = 0) -> None:
    """Hear hosts, `ago` seconds before now."""
    for number in numbers:
        line.store.heard[number] = microseconds(line.at) - ago * 1_000_000


def go_on(line: Line, minutes: int, *heard: int) -> None:
    """Let time go by, hearing some hosts every minute."""
    for _ in range(minutes):
        line.wait(minutes=1)
        hear(line, *heard)
        line.pass_()


def test_a_site_that_falls_silent_is_one_ticket_from_its_first_host_on(tmp_path: Path) -> None:
    """Hosts send a minute apart: the first one silent for long enough tells of them all."""
    with crowd(tmp_path, 6) as line:
        for number in range(101, 107):
            hear(line, number, ago=10 * (number - 101))
        line.pass_()
        go_on(line, 9)
        line.wait(seconds=15)
        line.pass_()
        assert standing(line) == [("site", "new", "site0 is silent: 1 host")]
        for _ in range(12):
            line.wait(seconds=5)
            line.pass_()
        assert standing(line) == [("site", "new", "site0 is silent: 6 hosts")]
        assert line.told()[0][1]["rules"] == ["SiteSilent"]
        assert line.kinds()[0] == "ticket.opened"
        assert "ticket.opened" not in line.kinds()[1:]
        check_whole(line)


def test_hosts_that_come_back_close_it_and_the_one_left_stays_on_it(tmp_path: Path) -> None:
    with crowd(tmp_path, 5) as line:
        hear(line, *range(101, 106))
        go_on(line, 11)
        assert standing(line) == [("site", "new", "site0 is silent: 5 hosts")]
        go_on(line, 20, *range(101, 105))
        assert standing(line) == [("site", "new", "site0 is silent: 1 host")]
        go_on(line, 1, *range(101, 106))
        assert standing(line)[0][1] == "closed"
        assert line.kinds()[-1] == "ticket.closed"


def test_all_there_are_of_two_are_the_site(tmp_path: Path) -> None:
    with crowd(tmp_path, 2) as line:
        hear(line, 101, 102)
        go_on(line, 11)
        assert standing(line) == [("site", "new", "site0 is silent: 2 hosts")]


@pytest.mark.parametrize(("silent", "there"), [(1, 1), (1, 3), (4, 6)])
def test_a_few_of_a_site_are_silent_by_themselves(tmp_path: Path, silent: int, there: int) -> None:
    with crowd(tmp_path, there) as line:
        hear(line, *range(101, 101 + there))
        go_on(line, 11, *range(101 + silent, 101 + there))
        titles = [f"pc{101 + number} is silent" for number in range(silent)]
        assert standing(line) == [(None, "new", title) for title in titles]


def test_hosts_that_fell_silent_one_after_the_other_are_not_their_site(tmp_path: Path) -> None:
    with crowd(tmp_path, 5) as line:
        for turn in range(5):
            hear(line, *range(101 + turn, 106))
            go_on(line, 3, *range(102 + turn, 106))
        go_on(line, 11)
        assert [kind for kind, _, _ in standing(line)] == [None] * 5
        check_whole(line)


def test_laptops_that_leave_with_their_people_say_nothing(tmp_path: Path) -> None:
    with crowd(tmp_path, 8, host_class="roaming") as line:
        hear(line, *range(101, 109))
        go_on(line, 60)
        assert standing(line) == []


def test_without_the_rule_each_host_is_silent_by_itself_and_shares_a_ticket(
    tmp_path: Path,
) -> None:
    with crowd(tmp_path, 5) as line:
        line.change({"SiteSilent": RuleChange(enabled=False)})
        hear(line, *range(101, 106))
        go_on(line, 11)
        assert standing(line) == [("site", "new", "HostSilent on 5 hosts of site0")]


def test_what_a_host_of_a_silent_site_last_said_opens_nothing(tmp_path: Path) -> None:
    """As with a silent host: nothing current is known of it."""
    with crowd(tmp_path, 5) as line:
        hear(line, *range(101, 106))
        go_on(line, 11)
        line.sample("self_test_passed", 0.0, host=101, mountpoint="/srv")
        hear(line, 101, ago=700)
        line.pass_()
        assert [
            rule for ticket in line.tickets() for rule in {e.rule for e in ticket.episodes}
        ] == ["SiteSilent"]


def test_a_restart_in_a_silent_site_changes_nothing(tmp_path: Path) -> None:
    with crowd(tmp_path, 5) as line:
        hear(line, *range(101, 106))
        go_on(line, 11)
        before = standing(line), line.kinds()
        for _ in range(3):
            line.restart()
            line.pass_()
        assert (standing(line), line.kinds()) == before


def test_a_hundred_thousand_hosts_are_told_apart_at_once() -> None:
    """A thousand sites of a hundred, every tenth one silent: all of those and no other."""
    numbers = np.arange(100_000)
    hosts = {n: _host(n) for n in range(100_000)}
    dark = (numbers // 100) % 10 == 0
    silent = np.where(dark, 11 * MINUTE + numbers % FELL_WITHIN, numbers % MINUTE)
    fell = fell_together(numbers, silent, silent > 10 * MINUTE, hosts.get)
    assert fell == set(numbers[dark].tolist())


def _host(number: int) -> KnownHost:
    return KnownHost(
        number=number,
        id=str(number),
        client_id="acme",
        site_id=f"site{number // 100}",
        name=f"pc{number}",
        public_key=b"",
    )
