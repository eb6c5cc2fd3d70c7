"""Ask the kernel what it may never answer."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_Answer = TypeVar("_Answer")


class NoAnswer(Exception):
    """The kernel has not answered in time, and may never: the disk below is dead or asleep."""


class Asking:
    """Asks what may never be answered, each in a thread of its own, and gives up waiting.

    A thread stuck in the kernel cannot be ended.  It is remembered by its key, so that a dead
    disk costs one thread in all, not one a run, and is not waited for again.
    """

    def __init__(self) -> None:
        self._open: dict[str, threading.Thread] = {}

    def ask(self, key: str, question: Callable[[], _Answer], seconds: float) -> _Answer:
        """Return what `question` returns, or raise what it raises.

        Raises NoAnswer after `seconds`, and at once while an earlier question of `key` is open.
        """
        if key in self._open and self._open[key].is_alive():
            raise NoAnswer
        future: Future[_Answer] = Future()

        def put() -> None:
            try:
                future.set_result(question())
            except Exception as error:  # noqa: BLE001 - it is raised again where it was asked
                future.set_exception(error)

        thread = threading.Thread(target=put, name=f"asking {key}", daemon=True)
        thread.start()
        thread.join(seconds)
        if thread.is_alive():
            self._open[key] = thread
            raise NoAnswer
        self._open.pop(key, None)
        return future.result()
