"""What a check reads in a child process arrives as if it had been read here."""

import io
import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from forewarn_agent.child import InChild, line_of, reading_of, speak
from forewarn_agent.clock import Moment
from forewarn_agent.runner import perform
from forewarn_checks.base import (
    CannotRead,
    Check,
    Component,
    Fact,
    NothingToRead,
    Options,
    Outcome,
    Reading,
    Sample,
)
from forewarn_checks.base.catalog import all_checks
from forewarn_checks.base.wire import FactScalar

DRIVES: list[dict[str, FactScalar]] = [{"model": "X", "size": 5, "spun": None}]
NOW = Moment("2026-11-21T08:00:00.000Z", "boot", 100.0)


def check(name: str = "tank", timeout: float = 20) -> Check:
    return Check(
        name=name,
        help="",
        every=timedelta(hours=1),
        timeout=timedelta(seconds=timeout),
        metrics=(),
        component=Component("tank"),
        read_linux=None,
        read_windows=None,
        in_child=True,
    )


@pytest.mark.parametrize(
    "reading",
    [
        Sample("smart_passed", 1.0, {"drive": "S3Z9 ä"}),
        Fact("package_manager", "apt"),
        Fact("drives", DRIVES),
    ],
)
def test_a_reading_survives_the_pipe(reading: Reading) -> None:
    assert reading_of(json.loads(line_of(reading))) == reading


@pytest.mark.parametrize(
    ("raised", "ended"),
    [
        (NothingToRead("no drive"), {"end": "nothing", "error": "no drive"}),
        (CannotRead("not root"), {"end": "failed", "error": "not root"}),
        (KeyError("x"), {"end": "failed", "error": "KeyError: 'x'"}),
        (None, {"end": "ok", "error": ""}),
    ],
)
def test_a_child_says_what_it_read_and_how_it_ended(
    raised: Exception | None, ended: dict[str, str]
) -> None:
    def read(options: Options) -> Iterator[Reading]:
        yield Fact("a", 1)
        if raised is not None:
            raise raised

    out = io.StringIO()
    speak(read, {}, out)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines == [{"fact": "a", "value": 1}, ended]


def test_a_real_child_reads_what_this_process_reads() -> None:
    """The cheapest real check, through the real child."""
    disk = all_checks()["disk"]
    run = perform(disk, InChild(disk), {"exclude": ("/proc",)}, NOW)
    assert run.outcome is Outcome.OK
    assert run.samples


def fake_python(tmp_path: Path, body: str) -> tuple[str, ...]:
    """Return a command that runs `body` whatever module it is told to run."""
    script = tmp_path / "fake.py"
    script.write_text(body)
    return (sys.executable, str(script))


def test_a_child_that_hangs_is_killed_with_all_it_started(tmp_path: Path) -> None:
    body = f"""
import subprocess, sys, time
started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(tmp_path / "pids")!r}, "w").write(str(started.pid))
print('{{"fact": "a", "value": 1}}', flush=True)
time.sleep(60)
"""
    run = perform(check(timeout=1), InChild(check(), fake_python(tmp_path, body)), {}, NOW)
    assert (run.outcome, run.facts) == (Outcome.TIMED_OUT, {"a": 1})
    pid = int((tmp_path / "pids").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("", "ended without an answer"),
        ("print('not json', flush=True)", "JSONDecodeError"),
        ('print(\'{"metric": "a"}\', flush=True)', "KeyError"),
        ("import os; os.kill(os.getpid(), 9)", "ended without an answer"),
        ('while True: print(\'{"fact": "a", "value": "%s"}\' % (\'x\' * 10**6))', "it was ended"),
    ],
)
def test_a_child_that_breaks_is_a_failed_run(tmp_path: Path, body: str, error: str) -> None:
    run = perform(check(), InChild(check(), fake_python(tmp_path, body)), {}, NOW)
    assert run.outcome is Outcome.FAILED
    assert error in run.error
