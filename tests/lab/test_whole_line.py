"""The line under stress, with real processes: a full disk, kills, an outage, a jumping clock."""

import importlib.util
import os
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from forewarn_agent.spool import Spool
from forewarn_checks.base import Lane

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts and clock jumps need root"),
]


def _line() -> ModuleType:
    path = Path(__file__).with_name("line.py")
    spec = importlib.util.spec_from_file_location("lab_line", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


line = _line()
EVERY_TWO_SECONDS = '[checks.disk]\nevery = "2s"\n[checks.patches]\nenabled = false\n'
QUICK = '\n[rules.DiskAlmostFull]\nhold_for = "5s"\nclear_for = "5s"\n'


def test_a_brimming_filesystem_is_one_signed_ticket_until_it_is_emptied(tmp_path: Path) -> None:
    """Filled, it opens within 30 s at the receiver; emptied, it closes under the same key."""
    with line.running(QUICK) as trial, line.loop_filesystem(tmp_path) as full:
        line.enrol(trial, EVERY_TWO_SECONDS)
        line.start_agent(trial)

        def about(kind: str) -> object:
            named = f"filesystem:{full}"
            for one in trial.receiver.deliveries:
                if one.type == kind and one.ticket.get("component") == named:
                    return one
            return None

        time.sleep(10)
        assert about("ticket.opened") is None
        began = time.monotonic()
        with (full / "filler").open("wb") as filler:
            try:
                while filler.write(b"\0" * (1 << 20)):
                    filler.flush()
            except OSError:
                pass  # that is the point
        opened = trial.wait_for("ticket.opened", 30, lambda: about("ticket.opened"))
        took = time.monotonic() - began
        (full / "filler").unlink()
        closed = trial.wait_for("ticket.closed", 30, lambda: about("ticket.closed"))
        print(f"\nfull to opened at the receiver: {took:.1f} s")
        assert opened.ticket["key"] == closed.ticket["key"]
        assert trial.receiver.refused == trial.receiver.repeated == 0


def test_an_outage_two_kills_and_a_jumping_clock_lose_and_double_nothing(tmp_path: Path) -> None:
    """The collector is away for a minute; the agent is killed twice; its clock jumps both ways."""
    library = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
    if not library.exists():
        pytest.skip("libfaketime is not installed: apt-get install faketime")
    clock = tmp_path / "clock"
    clock.write_text("+0", "ascii")
    faked = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    minute = float(os.environ.get("FOREWARN_LAB_OUTAGE_SECONDS", "60"))
    with line.running() as trial:
        line.enrol(trial, EVERY_TWO_SECONDS)
        line.start_agent(trial, faked)
        time.sleep(12)
        line.end(trial, "forewarn-collector", by_force=True)
        for jump in ("-2h", "+1d"):
            time.sleep(minute / 3)
            line.end(trial, "forewarn-agent", by_force=True)
            line.start_agent(trial, faked)
            time.sleep(2)
            clock.write_text(jump, "ascii")
        time.sleep(minute / 3)
        trial.start("forewarn-collector", "serve", "--dir", str(trial.instance))
        time.sleep(25)
        line.end(trial, "forewarn-agent", by_force=False)
        line.end(trial, "forewarn-collector", by_force=False)
        rows = line.held(trial)
        spool = Spool.open(trial.agent / "spool")
        newest, waiting = spool.newest, sum(spool.waiting(lane) for lane in Lane)
        dropped = sum(spool.dropped(lane) for lane in Lane)
        spool.close()
        pause = line.longest_pause(trial, "disk_used_ratio")
    print(f"\n{len(rows)} runs held, newest {newest}, {waiting} waiting, {dropped} dropped")
    print(f"longest pause of a check read every 2 s: {pause:.1f} s")
    assert line.repeats(rows) == []
    assert line.gaps(rows) == []
    assert waiting == dropped == 0
    assert max(sequence for _, _, sequence in rows) == newest
    assert pause < 12, "the schedule stopped"
