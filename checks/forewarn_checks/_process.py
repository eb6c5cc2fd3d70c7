"""Run another program for a bounded time.  Knows nothing of what it says."""

import os
import subprocess
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
