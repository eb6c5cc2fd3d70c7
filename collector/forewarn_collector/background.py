"""Work that a running collector repeats beside answering: one thread each, stopped together."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

log = structlog.get_logger("forewarn.background")

_PATIENCE = 30.0  # how long the end of one turn is waited for
_BREATH = 0.2  # what others have of the database before a turn that had more to do goes on


@dataclass(slots=True)
class Task:
    """Something to do every so often.

    A turn that fails is logged and the next one comes all the same: a full disk or a locked
    database must not end judging or telling for good.  One that says True had more to do, and
    comes again at once.
    """

    name: str
    every: timedelta
    turn: Callable[[], bool | None]
    last_turn: bool = False  # once more when stopping
    failures: int = 0
    longest_seconds: float = 0.0  # of all turns so far
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; the first turn comes at once."""
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Let the present turn be the last."""
        self._stop.set()

    def wait(self) -> None:
        """Return when the thread has ended, or after half a minute."""
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def is_alive(self) -> bool:
        """Say whether its thread still turns."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            has_more = self._once()
            self._stop.wait(_BREATH if has_more else self.every.total_seconds())
        if self.last_turn:
            self._once()

    def _once(self) -> bool:
        began, has_more = time.perf_counter(), False
        try:
            has_more = bool(self.turn())
        # Whatever it was: the thread is the only one that does this work, see the class.
        except Exception as trouble:
            self.failures += 1
            log.exception("turn failed", task=self.name, trouble=repr(trouble)[:300])
        self.longest_seconds = max(self.longest_seconds, time.perf_counter() - began)
        return has_more


def stop_all(tasks: Sequence[Task]) -> None:
    """Stop every task, and wait for the turns under way."""
    for task in tasks:
        task.ask_to_stop()
    for task in tasks:
        task.wait()
