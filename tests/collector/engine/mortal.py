"""A collector in a process of its own that dies by SIGKILL at a chosen write."""

import os
import signal
import sys
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import event
from tests.collector.engine.line import START, Line

from forewarn_collector import egress
from forewarn_collector.config import DestinationEntry
from forewarn_collector.destinations import all_destinations
from forewarn_collector.outbox import Courier, Delivering
from forewarn_collector.state.database import open_sqlite
from forewarn_collector.state.outbox import Telling

LOOPBACK = ip_network("127.0.0.0/8")
STORY = ((0, 0.0), (10, 1.0))  # at minute 0 the self-test fails, at minute 10 it passes
DONE = 0


@dataclass(frozen=True)
class Life:
    """One life of a collector: its folder, whom it tells, and the write it dies at, 0 for none."""

    folder: Path
    kind: str
    table: dict[str, Any]
    dies_at: int


def live(life: Life) -> None:
    """Go on where the last life ended; exit with code 0 when the story is told."""
    moments = count(1)

    def perhaps_die(*_: Any) -> None:
        if next(moments) == life.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    database = open_sqlite(life.folder / "state.sqlite")

    def before(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.split(None, 1)[0].upper() in ("INSERT", "UPDATE", "DELETE"):
            perhaps_die()

    def client(_: DestinationEntry) -> httpx.Client:
        made = egress.client((LOOPBACK,))
        made.event_hooks = {"request": [perhaps_die], "response": [perhaps_die]}
        return made

    event.listen(database.engine, "before_cursor_execute", before)
    event.listen(database.engine, "commit", perhaps_die)
    line = Line(database, telling=Telling((life.kind,), "https://monitor.example.com/tickets/"))
    config = all_destinations()[life.kind].config.model_validate(life.table)
    entry = DestinationEntry(
        name=life.kind, kind=life.kind, allow_networks=(LOOPBACK,), config=config
    )
    progress = life.folder / "step"
    first = int(progress.read_text()) if progress.exists() else 0
    # What the store keeps is durable whatever becomes of the rest.
    for minute, value in STORY[: first + 1]:
        _sample(line, minute, value)
    line.restart()
    courier = Courier(database, [entry], client=client, dice=lambda: 0.0)
    courier.start()
    for step in range(first, len(STORY)):
        progress.write_text(str(step))
        if step > first:
            _sample(line, *STORY[step])
        line.at = max(line.at, START + timedelta(minutes=STORY[step][0], seconds=1))
        line.pass_()
        # A second life may find a message that waits for its next attempt.
        for _ in range(6):
            while courier.deliver_due(line.at) != Delivering():
                pass
            line.at += timedelta(seconds=6)
    courier.close()
    database.close()
    (life.folder / "moments").write_text(str(next(moments) - 1))
    sys.exit(DONE)


def _sample(line: Line, minute: int, value: float) -> None:
    line.at = START + timedelta(minutes=minute)
    line.sample("self_test_passed", value, mountpoint="/srv")
