"""What a terminal shows: every word of a hostile name, and none of its tricks."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console, RenderableType

from forewarn_scripts.answers import Host, HostLine, Ticket
from forewarn_scripts.shown import ago, host_whole, hosts_table, plain, ticket_whole, tickets_table

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
LINE = {
    "id": "0193ffff-0000-7000-8000-000000000000",
    "name": "[red]web1[/]\x1b[2J",
    "client": "acme",
    "site": "hq",
    "host_class": "server",
    "system": "linux",
    "tags": ["db", "prod"],
    "health": "critical",
    "firing": 2,
    "last_seen": NOW - timedelta(minutes=3),
}
TICKET = {
    "number": 7,
    "title": "/srv is almost full",
    "state": "in_progress",
    "condition": "firing",
    "severity": "high",
    "priority": "P2",
    "assignee": None,
    "client": "acme",
    "site": "hq",
    "host": "web1",
    "component": "filesystem:/srv",
    "opened_at": NOW,
    "resolved_at": None,
    "closed_at": None,
    "events": [
        {"at": NOW, "actor": "forewarn", "kind": "opened", "data": {"value": 0.97}},
        {"at": NOW, "actor": "ann", "kind": "note", "data": {"text": "looking"}},
    ],
    "episodes": [
        {
            "rule": "DiskAlmostFull",
            "component": "filesystem:/srv",
            "severity": "high",
            "opened_at": NOW,
            "closed_at": None,
            "evidence": {"advice": "Free space."},
        }
    ],
}
HOST = LINE | {
    "agent_version": "0.1.0",
    "enrolled_at": NOW,
    "facts": [
        {"name": "os_name", "value": "Debian"},
        {"name": "packages_waiting", "value": [{"name": "apt"}] * 40},
        {"name": "disks", "value": [{"name": "sda", "model": "X", "serial": None}]},
    ],
    "checks": [{"check": "smart", "outcome": "nothing", "error": "no smartctl", "at": NOW}],
    "readings": [
        {"metric": "disk_free_bytes", "labels": {"mountpoint": "/"}, "value": 2**31, "at": NOW},
        {"metric": "disk_used_ratio", "labels": {"mountpoint": "/"}, "value": None, "at": NOW},
    ],
    "alerts": [
        {
            "rule": "DiskAlmostFull",
            "component": "filesystem:/srv",
            "state": "firing",
            "severity": "high",
            "data": "fresh",
            "since": NOW,
            "ticket": 7,
        }
    ],
}


def drawn(what: RenderableType, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(what)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_a_list_of_hosts_reads_without_colour() -> None:
    lines = drawn(hosts_table([HostLine.model_validate(LINE)], NOW)).splitlines()
    assert lines[0].split()[:4] == ["HEALTH", "HOST", "CLIENT", "SITE"]
    assert lines[1].split()[0] == "critical"
    assert "[red]web1[/]�[2J" in lines[1]
    assert lines[1].rstrip().endswith("3 min ago")


def test_one_host_shows_alerts_checks_facts_and_readings() -> None:
    text = drawn(host_whole(Host.model_validate(HOST), NOW))
    for part in (
        "acme / hq",
        "#7",
        "no smartctl",
        "Debian",
        "sda X",
        "40 of them; --json",
        "2.0 GiB",
        "mountpoint=/",
    ):
        assert part in text


def test_a_list_of_tickets_has_a_line_each() -> None:
    lines = drawn(tickets_table([Ticket.model_validate(TICKET)], NOW)).splitlines()
    assert lines[1].split()[:5] == ["#7", "P2", "high", "in_progress", "web1"]


def test_one_ticket_shows_advice_and_history() -> None:
    text = drawn(ticket_whole(Ticket.model_validate(TICKET)))
    for part in ("#7  /srv is almost full", "Free space.", "looking", "value 0.97", "still"):
        assert part in text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        ({"seconds": -3}, "just now"),
        ({"seconds": 4}, "just now"),
        ({"seconds": 59}, "59 s ago"),
        ({"minutes": 90}, "1 h ago"),
        ({"days": 3}, "3 d ago"),
    ],
)
def test_how_long_ago(passed: dict[str, float], text: str) -> None:
    assert ago(NOW - timedelta(**passed), NOW) == text


def test_never_is_said() -> None:
    assert ago(None, NOW) == "never"


def test_controls_and_direction_changes_are_made_visible() -> None:
    assert plain("a\x1b[31m\u202eb\r\nc") == "a�[31m�b�\nc"


def test_a_host_that_never_came_is_never_heard_not_ok() -> None:
    unheard = LINE | {"health": "ok", "last_seen": None}
    assert "never heard" in drawn(hosts_table([HostLine.model_validate(unheard)], NOW))
    whole = drawn(host_whole(Host.model_validate(HOST | unheard), NOW))
    assert "never heard" in whole
    assert "ok" not in whole.splitlines()[0]


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (10_800.0, "3 h ahead of the collector's"),
        (-300.0, "5 min behind the collector's"),
        (-0.3, "right"),
    ],
)
def test_a_host_says_how_its_clock_stands(ahead: float, said: str) -> None:
    whole = drawn(host_whole(Host.model_validate(HOST | {"clock_ahead_seconds": ahead}), NOW))
    assert said in whole


def test_of_a_clock_that_is_not_known_nothing_is_said() -> None:
    assert "clock" not in drawn(host_whole(Host.model_validate(HOST), NOW))
