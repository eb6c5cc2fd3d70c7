"""What holding back costs: 100,000 hosts, 200 maintenance windows, 100 silences.

    python -m benchmarks.suppression [--hosts 100000] [--windows 200] [--json]

Prints processor seconds, because neighbours differ: reading windows and silences out of the
database, finding what holds now (every pass, 5 s apart), deciding one event of 10,000 hosts the
first time and again, looking through those that are held, and the reference: copying one value of
every series of the fleet.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from forewarn_checks.base import Severity
from forewarn_collector.rules.kind import OK, Alert, AlertState
from forewarn_collector.rules.step import Event, EventKind
from forewarn_collector.state import suppression
from forewarn_collector.state.database import open_sqlite
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.suppression import NewSilence, NewWindow
from forewarn_collector.state.tables import metadata
from forewarn_collector.suppression.holding import Held, let_go, meet
from forewarn_collector.suppression.holds import Holds

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)  # a Sunday
EVENTS = 10_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=100_000)
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.hosts, asked.windows)
    if asked.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:32} {value:>12.6g}")


def measure(count: int, windows: int) -> dict[str, float]:
    """Return seconds by what took them, and how many of the events were held."""
    hosts = [_host(number) for number in range(1, count + 1)]
    with tempfile.TemporaryDirectory() as directory:
        database = open_sqlite(Path(directory) / "state.sqlite")
        metadata.create_all(database.engine)
        with database.write() as connection:
            for number in range(windows):
                suppression.add_window(connection, _window(number), "bench", NOW)
            for number in range(windows // 2):
                suppression.add_silence(connection, _silence(number), "bench", NOW)
        with database.read() as connection:
            began = time.process_time()
            held = Holds(
                suppression.load_windows(connection, NOW),
                suppression.load_silences(connection, NOW),
            )
            loading = time.process_time() - began
            edition = _seconds(lambda: suppression.edition(connection))
        database.close()
    first = _once(lambda: held.turn(NOW))
    turning = _seconds(lambda: held.turn(NOW))
    picked = hosts[:: max(count // EVENTS, 1)][:EVENTS]
    opened = Event(EventKind.OPENED, 0, Severity.HIGH, 0.97)
    decided: list[Held | None] = []

    def decide() -> None:
        decided.clear()
        for host in picked:
            hold = held.of(host, "DiskAlmostFull", "filesystem:/")
            decided.append(meet(opened, None, None, hold).held)

    cold, warm = _once(decide), _seconds(decide)
    kept = [one for one in decided if one is not None]
    firing = _alert()

    def look() -> None:
        for host, one in zip(picked, decided, strict=True):
            if one is not None:
                hold = held.of(host, "DiskAlmostFull", "filesystem:/")
                let_go(one, firing, hold)

    points = np.arange(count * 30, dtype=np.float64)
    return {
        "hosts": count,
        "windows": windows,
        "silences": windows // 2,
        "events": len(picked),
        "held": len(kept),
        "read_seconds": loading,
        "unchanged_seconds": edition,
        "first_turn_seconds": first,
        "turn_seconds": turning,
        "decide_first_seconds": cold,
        "decide_again_seconds": warm,
        "look_through_held_seconds": _seconds(look),
        "copy_points_seconds": _seconds(points.copy),
    }


def _alert() -> Alert:
    return replace(OK, state=AlertState.FIRING, severity=Severity.HIGH, told=Severity.HIGH)


def _host(number: int) -> KnownHost:
    client = f"client{number % 500}"
    return KnownHost(
        number=number,
        id=f"00000000-0000-7000-8000-{number:012d}",
        client_id=client,
        site_id=f"{client}-{number % 3}",
        name=f"host{number}",
        public_key=b"",
        client=client,
        site=f"site{number % 3}",
        system="linux",
        tags=(f"ring{number % 4}",),
    )


def _window(number: int) -> NewWindow:
    """All are open: a third once, a third every Sunday, a third every fourth Sunday of a month."""
    selector = (f"client:client{number}", f"tag:ring{number % 4} site:site1", f"host:host{number}*")
    zone = ("UTC", "Europe/Berlin", "Europe/London")[number % 3]
    repeating = number % 3 > 0
    return NewWindow(
        clients=None,
        selector=selector[number % 3],
        group="",
        reason="patch night",
        starts=NOW - timedelta(hours=1),
        ends=None if repeating else NOW + timedelta(hours=1),
        repeats=("", "weekly sun", "monthly 4th sun")[number % 3],
        local_time="01:30" if repeating else "",
        lasts=timedelta(hours=3),
        zone=zone,
        settle=timedelta(minutes=10),
    )


def _silence(number: int) -> NewSilence:
    return NewSilence(
        clients=None,
        selector=f"host:host{number}",
        group="",
        rule="DiskAlmostFull",
        component="",
        reason="known",
        expires=NOW + timedelta(days=30),
    )


def _once(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _seconds(work: Callable[[], object]) -> float:
    """Return the shortest of five."""
    return min(_once(work) for _ in range(5))


if __name__ == "__main__":
    main()
