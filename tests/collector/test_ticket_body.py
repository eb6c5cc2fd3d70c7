"""What destinations are told stays within its bounds, whatever hosts say."""

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from forewarn_checks.base import Severity, Unit
from forewarn_collector.priority import priority
from forewarn_collector.text import plain
from forewarn_collector.ticket_body import (
    LARGEST,
    LARGEST_EVIDENCE,
    CarriedEpisode,
    TicketBody,
    write,
)
from forewarn_collector.tickets import Kind
from forewarn_collector.units import write_value

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def body(episodes: int, text: str) -> str:
    evidence = {
        "title": text[:300],
        "component": text[:400],
        "labels": {str(number): text[:200] for number in range(4)},
        "advice": text[:1500],
        "readings": [{"at": "2026-03-01T12:00:00.000Z", "value": 0.9, "shown": "90 %"}] * 8,
    }
    ticket = TicketBody(
        key="k#1",
        number=1,
        title=text,
        priority="P1",
        severity="high",
        state="new",
        condition="firing",
        client=text,
        site=text,
        host=text,
        host_id="h1",
        component=text,
        assignee=text,
        url="https://monitor/tickets/1",
        opened_at=NOW,
        closed_at=None,
        episodes=[
            CarriedEpisode(
                rule=f"Rule{number}",
                severity="high",
                opened_at=NOW + timedelta(minutes=number),
                closed_at=None if number % 2 else NOW,
                evidence=evidence,
            )
            for number in range(episodes)
        ],
    )
    return write(Kind.OPENED, ticket, NOW)


@given(st.integers(0, 20), st.text(max_size=3000))
def test_a_body_fits_and_is_json_whatever_hosts_are_called(episodes: int, text: str) -> None:
    written = body(episodes, text)
    told = json.loads(written)["data"]["ticket"]
    size = len(json.dumps(told["evidence"], ensure_ascii=False, separators=(",", ":")).encode())
    assert len(written.encode()) < LARGEST
    assert size <= LARGEST_EVIDENCE


def test_names_of_the_widest_letters_fit_too() -> None:
    told = json.loads(body(1, "\U0001f4be" * 3000))["data"]["ticket"]
    assert "labels" not in told["evidence"][0]
    assert len(json.dumps(told, ensure_ascii=False).encode()) < LARGEST


def test_what_still_fires_is_told_before_what_is_over() -> None:
    told = json.loads(body(6, "x" * 3000))["data"]["ticket"]
    assert told["rules"] == ["Rule1", "Rule3", "Rule5"]
    assert told["evidence"][0]["rule"] == "Rule5"


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_plain_text_can_be_stored_and_shown(text: str) -> None:
    shown = plain(text)
    shown.encode()
    assert len(shown) <= 256
    assert not set(shown) & set("\x00\x1b\n\r\u202e\u2066")


def test_priority_is_impact_times_urgency() -> None:
    assert priority(Severity.CRITICAL, "server") == "P2"
    assert priority(Severity.HIGH, "server") == "P3"
    assert priority(Severity.WARNING, "workstation") == "P5"
    assert priority(Severity.CRITICAL, "roaming", ("business-critical",)) == "P1"


def test_values_are_scaled_for_people() -> None:
    shown = [
        write_value(0.934, Unit.RATIO),
        write_value(5 * 1024.0**3, Unit.BYTES),
        write_value(12.0, Unit.BYTES),
        write_value(777_600.0, Unit.SECONDS),
        write_value(90.0, Unit.SECONDS),
        write_value(41.25, Unit.CELSIUS),
        write_value(3.0, Unit.COUNT),
        write_value(0.25, Unit.COUNT),
    ]
    assert shown == ["93.4 %", "5.0 GiB", "12 B", "9 d", "1.5 min", "41.2 °C", "3", "0.25"]
