"""A real collector with 500 firing episodes, killed again and again: no ticket changes."""

import os
import signal
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import update
from tests.collector.engine.line import Line
from tests.collector.engine.test_engine_outage import everything, fill
from tests.collector.test_serve import Served, command

from forewarn_collector import clock
from forewarn_collector.instance import opened_state
from forewarn_collector.rules.book import RuleBook, declared
from forewarn_collector.state.alerts import move_cursor
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import hosts

pytestmark = pytest.mark.lab
COUNT = 500
LABELS = {"mountpoint": "/srv", "device": "/dev/sda1", "fstype": "ext4"}
KILLS = int(os.environ.get("FOREWARN_LAB_KILLS", "20"))


def prepared(directory: Path) -> None:
    """Let 500 hosts fire in the state of an instance, judged up to a minute ago."""
    with opened_state(directory) as database:
        fill(database, COUNT, sites=COUNT)
        with database.write() as connection:
            # Nobody misses them: the store of samples knows nothing of them.
            connection.execute(update(hosts).values(host_class="workstation"))
        line = Line(
            database,
            at=clock.now() - timedelta(minutes=21),
            book=RuleBook(declared()),
            telling=Telling((), ""),
        )
        for _ in range(4):
            line.wait(minutes=5)
            for host in range(1, COUNT + 1):
                line.sample("disk_read_only", 1.0, host=host, **LABELS)
            line.pass_()
        with database.write() as connection:
            move_cursor(connection, 0)


def test_a_real_collector_killed_again_and_again_keeps_every_ticket(tmp_path: Path) -> None:
    directory = tmp_path / "collector"
    command(directory, "init", "--agents", "127.0.0.1:0", "--operators", "127.0.0.1:0")
    prepared(directory)
    before = held(directory)
    assert [len(rows) for rows in before] == [COUNT, COUNT, COUNT, 0]
    served = Served(directory)
    for turn in range(KILLS):
        served.start()
        _linger(0.5 + turn % 5)  # some die before their first pass, some after their first beat
        served.stop(signal.SIGKILL)
        assert held(directory) == before, f"kill {turn}"
    served.start()
    _linger(6)
    assert served.stop() == 0
    assert held(directory) == before
    assert "Traceback" not in served.log()


def held(directory: Path) -> list[list[tuple[object, ...]]]:
    with opened_state(directory) as database:
        return everything(database)


def _linger(seconds: float) -> None:
    Event().wait(seconds)
