"""Run another program for a bounded time.  Knows nothing of what it says."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Done:
    """What a process printed, and its exit status; None when it had to be killed."""

    output: str
    status: int | None
    errors: str = ""


Execute = Callable[[Sequence[str], float], Done]
"""Runs an argv for at most so many seconds.  Raises OSError when it cannot be started."""


def execute(argv: Sequence[str], timeout_seconds: float) -> Done:
    """Run `argv` in English and without input; kill it when its time is up.

    A process stuck in the kernel (a dead drive, a dead mount) outlives even that: it is left.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"LC_ALL": "C"},
    )
    try:
        output, errors = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        try:
            process.communicate(timeout=2)
        except subprocess.TimeoutExpired:
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        return Done("", None)
    return Done(
        output.decode("utf-8", "replace"), process.returncode, errors.decode("utf-8", "replace")
    )


def within(run: Execute, seconds: float, clock: Callable[[], float] = time.monotonic) -> Execute:
    """Return `run`, bounded to `seconds` for all its calls together.

    Once they are used up, nothing is started: such a call ends as one that had to be killed.
    """
    end = clock() + seconds

    def run_within(argv: Sequence[str], timeout_seconds: float) -> Done:
        left = end - clock()
        return run(argv, min(timeout_seconds, left)) if left > 0 else Done("", None)

    return run_within
