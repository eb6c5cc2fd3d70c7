"""Run a program that is not ours within limits of time, output and memory."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_CHUNK = 4096
_LAST_WORDS_SECONDS = 1.0
# The shell sets the limits and becomes the program: in a process with threads nothing else may
# run between fork and exec.
_SHELL = 'ulimit -c 0; ulimit -d "$0" && exec "$@"'


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may take."""

    seconds: float
    output_bytes: int = 65536
    memory_bytes: int = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Ended:
    """What a program printed and how it ended; `cut` says which limit ended it, "" for none."""

    output: str
    status: int
    cut: str = ""


Run = Callable[[Sequence[str], Limits], Ended]
"""Runs an argv within limits.  Raises OSError when it cannot be started."""


def run_limited(argv: Sequence[str], limits: Limits) -> Ended:
    """Run `argv` without input in a clean environment; whatever it started goes with it."""
    process = _start(argv, limits)
    assert process.stdout is not None
    heard = bytearray()
    full = threading.Event()
    pipe = process.stdout.fileno()

    def hear() -> None:
        with contextlib.suppress(OSError):
            while chunk := os.read(pipe, _CHUNK):
                heard.extend(chunk[: limits.output_bytes - len(heard)])
                if len(heard) >= limits.output_bytes:
                    full.set()
                    _end(process)
                    return

    listener = threading.Thread(target=hear, name="hearing a plugin", daemon=True)
    listener.start()
    cut = ""
    try:
        process.wait(limits.seconds)
    except subprocess.TimeoutExpired:
        cut = f"it did not end within {limits.seconds:g} s"
        _end(process)
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel: left
            process.wait(_LAST_WORDS_SECONDS)
    listener.join(_LAST_WORDS_SECONDS)
    if listener.is_alive():  # something it started still holds the pipe
        _end(process)
        listener.join(_LAST_WORDS_SECONDS)
    if not listener.is_alive():
        process.stdout.close()
    if full.is_set():
        cut = f"it printed more than {limits.output_bytes} bytes"
    status = -1 if process.returncode is None else process.returncode
    return Ended(bytes(heard).decode("utf-8", "replace"), status, cut)


def _start(argv: Sequence[str], limits: Limits) -> "subprocess.Popen[bytes]":
    if sys.platform == "win32":
        kept = ("SYSTEMROOT", "COMSPEC", "PATH", "PATHEXT", "TEMP", "TMP")
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in kept if name in os.environ},
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW,
        )
    return subprocess.Popen(
        ("/bin/sh", "-c", _SHELL, str(limits.memory_bytes // 1024), *argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={
            "LC_ALL": "C",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        },
        start_new_session=True,
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    if sys.platform == "win32":
        subprocess.run(
            ("taskkill", "/F", "/T", "/PID", str(process.pid)), check=False, capture_output=True
        )
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
