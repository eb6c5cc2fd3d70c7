"""Decide when a batch leaves, and let it."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from forewarn_agent.config import Sending

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """When the next batch should leave, in monotonic seconds; infinity when nothing waits."""

    leave_at: float = float("inf")
    sent_at: float = float("-inf")
    held_until: float = float("-inf")  # the collector, or our own patience, said not before

    def after_run(self, now: float, sending: Sending, *, urgent: bool) -> "Plan":
        """Return the plan once a run waits: after a little company, and not too often."""
        settled = now + sending.settle.total_seconds()
        spaced = self.sent_at + sending.every.total_seconds()
        wanted = now if urgent else max(settled, spaced)
        return Plan(min(self.leave_at, wanted), self.sent_at, self.held_until)

    def sending(self, now: float) -> "Plan":
        """Return the plan while a batch is on its way: runs taken meanwhile plan the next one."""
        return Plan(float("inf"), now, self.held_until)

    def after_sending(self, now: float, tried: "Tried") -> "Plan":
        """Return the plan once a batch was tried."""
        leave_at = min(self.leave_at, now) if tried.more else self.leave_at
        sent_at = now if tried.sent else float("-inf")
        return Plan(leave_at, sent_at, now + tried.wait_seconds)

    def due(self) -> float:
        """Return when to leave."""
        return max(self.leave_at, self.held_until)


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one attempt: whether a request was made, how long to hold back, what is left."""

    sent: bool = False
    wait_seconds: float = 0.0
    more: bool = False  # runs wait that were there before the attempt


class Sender:
    """One thread that calls `ship` when a batch is due.  `ship` must not raise."""

    def __init__(self, ship: Callable[[], Tried], sending: Callable[[], Sending]) -> None:
        self._ship = ship
        self._sending = sending
        self._plan = Plan(leave_at=time.monotonic())
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="sender", daemon=True)

    def start(self) -> None:
        """Begin with what an earlier process left in the spool."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Say whether the thread runs."""
        return self._thread.is_alive()

    def run_waits(self, *, urgent: bool) -> None:
        """Take note that the spool holds a new run."""
        with self._changed:
            self._plan = self._plan.after_run(time.monotonic(), self._sending(), urgent=urgent)
            self._changed.notify()

    def woke_up(self) -> None:
        """After a suspend: no need to go on waiting, the network may be another."""
        with self._changed:
            self._plan = Plan(self._plan.leave_at, self._plan.sent_at)
            self._changed.notify()

    def stop(self, within_seconds: float) -> None:
        """Send once more what waits, if that is done in time."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(within_seconds)

    def _loop(self) -> None:
        while self._wait_until_due():
            with self._changed:
                self._plan = self._plan.sending(time.monotonic())
            tried = self._ship()
            with self._changed:
                self._plan = self._plan.after_sending(time.monotonic(), tried)
        if self._plan.held_until <= time.monotonic():
            self._ship()

    def _wait_until_due(self) -> bool:
        """Wait; return False when it is time to stop."""
        with self._changed:
            while not self._stopping:
                left = self._plan.due() - time.monotonic()
                if left <= 0:
                    return True
                self._changed.wait(min(left, threading.TIMEOUT_MAX))
            return False
