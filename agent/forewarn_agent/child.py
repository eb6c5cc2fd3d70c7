"""Read one check in a short-lived process that can be killed and gives its memory back.

    python -m forewarn_agent.child NAME      options as one JSON line on stdin

It answers on stdout with one JSON object a line as it reads, so that what was read before a
failure or a timeout is kept:

    {"metric": "smart_passed", "value": 1.0, "labels": {"drive": "S3Z9"}}
    {"fact": "package_manager", "value": "apt"}
    {"end": "ok", "error": ""}

Its stdin stays open as long as the agent lives: when it closes, the child ends itself and all it
started, so that a killed agent leaves nothing behind.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import IO

from forewarn_agent import paths
from forewarn_checks.base import (
    CannotRead,
    Check,
    Fact,
    FactValue,
    NothingToRead,
    Options,
    Reader,
    Reading,
    Sample,
)

_LONGEST_LINE = 4 * 2**20
_LONGEST_ANSWER = 16 * 2**20


class InChild:
    """The reader of `check`, run in a child process.  One call at a time."""

    def __init__(self, check: Check, python: tuple[str, ...] = (sys.executable, "-P")) -> None:
        self._argv = [*python, "-m", "forewarn_agent.child", check.name]
        self._child: subprocess.Popen[bytes] | None = None

    def __call__(self, options: Options) -> Iterator[Reading]:
        """Yield what the child reads; raise what it raised."""
        child = self._child = paths.start_group(self._argv)
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(json.dumps(dict(options)).encode() + b"\n")
            child.stdin.flush()
            yield from _answers(child.stdout)
        finally:
            self._child = None
            paths.end_group(child)
            child.stdout.close()
            child.wait()
            child.stdin.close()

    def kill(self) -> None:
        """End the child and all it started, if it runs.  Does not wait: it may not die at once."""
        child = self._child
        if child is not None:
            paths.end_group(child)


def reader_for(check: Check) -> Reader | None:
    """Return how this system reads `check`, in a child if it asks for one."""
    native = paths.native_reader(check)
    return InChild(check) if native is not None and check.in_child else native


def _answers(stdout: IO[bytes]) -> Iterator[Reading]:
    taken = 0
    while line := stdout.readline(_LONGEST_LINE):
        taken += len(line)
        if taken > _LONGEST_ANSWER:
            raise CannotRead("the child wrote more than any check has to say; it was ended")
        answer = json.loads(line)
        if "end" in answer:
            _raise_what_ended(answer["end"], answer["error"])
            return
        yield reading_of(answer)
    raise CannotRead("the child process ended without an answer; its own words are in the log")


def _raise_what_ended(how: str, error: str) -> None:
    if how == "nothing":
        raise NothingToRead(error)
    if how != "ok":
        raise CannotRead(error)


def reading_of(answer: dict[str, FactValue]) -> Reading:
    """Return the reading that one line of a child stands for."""
    if "fact" in answer:
        return Fact(str(answer["fact"]), answer["value"])
    labels, value = answer["labels"], answer["value"]
    if not isinstance(labels, dict) or not isinstance(value, int | float):
        raise CannotRead("the child process wrote a line that is no reading")
    return Sample(str(answer["metric"]), float(value), labels)


def line_of(reading: Reading) -> str:
    """Return the line a child writes for one reading; `reading_of` reads it back."""
    if isinstance(reading, Fact):
        return json.dumps({"fact": reading.name, "value": reading.value})
    return json.dumps({"metric": reading.metric, "value": reading.value, "labels": reading.labels})


def speak(reader: Reader, options: Options, out: IO[str]) -> None:
    """Read once and write it all to `out`, line by line, with how it ended."""
    how, error = "ok", ""
    try:
        for reading in reader(options):
            print(line_of(reading), file=out, flush=True)
    except NothingToRead as nothing:
        how, error = "nothing", str(nothing)
    except CannotRead as failure:
        how, error = "failed", str(failure)
    except Exception as failure:  # noqa: BLE001 - the agent must hear of it, in one line
        how, error = "failed", f"{type(failure).__name__}: {failure}"
    print(json.dumps({"end": how, "error": error}), file=out, flush=True)


def main() -> None:
    """Be the child."""
    import importlib

    check: Check = importlib.import_module(f"forewarn_checks.{sys.argv[1]}").CHECK
    options: Options = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in json.loads(sys.stdin.readline()).items()
    }
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not come between our lines
    threading.Thread(target=_end_with_agent, daemon=True).start()
    native = paths.native_reader(check)
    if native is not None:
        speak(native, options, out)
    os._exit(0)  # the watching thread sits in a read


def _end_with_agent() -> None:
    sys.stdin.buffer.read()
    paths.end_own_group()


if __name__ == "__main__":
    main()
