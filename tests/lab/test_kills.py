"""Both sides killed with -9 again and again, while a filesystem fills and empties.

How often, and from which seed, is the environment's to say: FOREWARN_LAB_KILLS (of each side) and
FOREWARN_LAB_SEED.
"""

import contextlib
import importlib.util
import json
import os
import random
import sqlite3
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from forewarn_agent.spool import Spool
from forewarn_checks.base import Lane
from forewarn_collector.trial import Trial

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a filesystem needs root"),
]

KILLS = int(os.environ.get("FOREWARN_LAB_KILLS", "30"))
SEED = int(os.environ.get("FOREWARN_LAB_SEED", "1"))
AGENT, COLLECTOR = "forewarn-agent", "forewarn-collector"
SETTINGS = '[checks.disk]\nevery = "1s"\n[checks.patches]\nenabled = false\n'
QUICK = '\n[rules.DiskAlmostFull]\nhold_for = "2s"\nclear_for = "2s"\n'


def _line() -> ModuleType:
    path = Path(__file__).with_name("line.py")
    spec = importlib.util.spec_from_file_location("lab_line_of_kills", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


line = _line()


@dataclass(slots=True)
class Tide:
    """A filesystem that is filled once its last ticket closed, and emptied once one opened."""

    trial: Trial
    mountpoint: Path
    fills: int = 0
    full: bool = False

    def told(self) -> Counter[str]:
        """Return how many deliveries of each type were about the filesystem."""
        named = f"filesystem:{self.mountpoint}"
        return Counter(
            delivery.type
            for delivery in self.trial.receiver.deliveries
            if delivery.ticket.get("component") == named
        )

    def turn(self) -> None:
        """Fill or empty it, if what was done last has been told."""
        told = self.told()
        if self.full and told["ticket.opened"] >= self.fills:
            self.empty()
        elif not self.full and told["ticket.closed"] >= self.fills:
            self.fill()

    def fill(self) -> None:
        """Write until nothing more fits."""
        self.fills += 1
        self.full = True
        with contextlib.suppress(OSError), (self.mountpoint / "filler").open("wb") as filler:
            while filler.write(b"\0" * (1 << 20)):
                filler.flush()

    def empty(self) -> None:
        """Take the filler away."""
        (self.mountpoint / "filler").unlink()
        self.full = False

    def settled(self) -> bool | None:
        """Say that it is empty and all was told, for `wait_for`; turns it till then."""
        if self.full:
            self.turn()
        return True if not self.full and self.told()["ticket.closed"] >= self.fills else None


def _start(trial: Trial, name: str) -> None:
    if name == AGENT:
        line.start_agent(trial)
    else:
        trial.start(COLLECTOR, "serve", "--dir", str(trial.instance))


def _tickets(trial: Trial, component: str) -> list[tuple[int, str]]:
    with sqlite3.connect(trial.instance / "state.sqlite") as state:
        return state.execute(
            "SELECT number, state FROM tickets WHERE component = ? ORDER BY number", (component,)
        ).fetchall()


def test_kills_lose_and_double_neither_runs_nor_tickets(tmp_path: Path) -> None:
    """Every run is held once; every filling is told open once and closed once, by one ticket."""
    chance = random.Random(SEED)
    victims = [AGENT, COLLECTOR] * KILLS
    chance.shuffle(victims)
    with line.running(QUICK) as trial, line.loop_filesystem(tmp_path) as mountpoint:
        line.enrol(trial, SETTINGS)
        line.start_agent(trial)
        tide = Tide(trial, mountpoint)
        for victim in victims:
            # Short enough to hit a start, long enough to let some batches and passes through.
            time.sleep(chance.choice((0.2, 1.0, 2.5, 5.0)))
            tide.turn()
            line.end(trial, victim, by_force=True)
            time.sleep(chance.choice((0.0, 0.0, 1.5)))
            _start(trial, victim)
        trial.wait_for("close of the last ticket", 120, tide.settled)
        line.end(trial, AGENT, by_force=False)
        line.end(trial, COLLECTOR, by_force=False)
        rows = line.held(trial)
        tickets = _tickets(trial, f"filesystem:{mountpoint}")
        deliveries = [one for one in trial.receiver.deliveries if one.type != "ticket.updated"]
        spool = Spool.open(trial.agent / "spool")
        newest, waiting = spool.newest, sum(spool.waiting(lane) for lane in Lane)
        dropped = sum(spool.dropped(lane) for lane in Lane)
        spool.close()
        print(f"\n{2 * KILLS} kills, seed {SEED}: {len(rows)} runs, {tide.fills} fillings")
        print(f"{len(deliveries)} openings and closings told, {trial.receiver.repeated} told again")
        print(json.dumps(tickets))
        assert line.repeats(rows) == []
        assert line.gaps(rows) == []
        assert waiting == dropped == 0
        assert max(sequence for _, _, sequence in rows) == newest
        # A ticket that closed lately opens again under its key, so the kinds alternate.
        assert [one.type for one in deliveries] == ["ticket.opened", "ticket.closed"] * tide.fills
        assert {one.ticket["component"] for one in deliveries} == {f"filesystem:{mountpoint}"}
        assert {state for _, state in tickets} == {"closed"}
        assert {number for number, _ in tickets} == {one.ticket["number"] for one in deliveries}
        assert trial.receiver.refused == 0
