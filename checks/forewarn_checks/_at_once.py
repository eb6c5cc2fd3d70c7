"""Look at many things at once that may never answer, for a bounded time."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

Thing = TypeVar("Thing")
Answer = TypeVar("Answer")


class AtOnce(Generic[Thing, Answer]):
    """Asks in threads and gives up waiting for those that hang.

    A thread inside the resolver or a dead mount cannot be ended.  While it hangs, what it looks at
    is not asked again, so that each costs one thread in all, not one a run.
    """

    def __init__(self, ask: Callable[[Thing], Answer], *, width: int = 8) -> None:
        """Take what asks one, raising nothing, and how many are asked at a time.

        `width` is to be so large that all have their turn although each uses up its own time:
        one that had none counts as one that did not answer.
        """
        self._ask = ask
        self._width = width
        self._open: set[Thing] = set()
        self._lock = threading.Lock()

    def __call__(
        self, things: Sequence[Thing], seconds: float
    ) -> Iterator[tuple[Thing, Answer | None]]:
        """Yield each thing with its answer, None when there was none within `seconds` for all.

        `ask` catches what it expects; what it raises ends its thread and is no answer.
        """
        answers: dict[Thing, Answer] = {}
        with self._lock:
            waiting = [thing for thing in dict.fromkeys(things) if thing not in self._open]

        def work() -> None:
            while True:
                with self._lock:
                    if not waiting:
                        return
                    thing = waiting.pop(0)
                    self._open.add(thing)
                try:
                    answers[thing] = self._ask(thing)
                finally:
                    with self._lock:
                        self._open.discard(thing)

        threads = [
            threading.Thread(target=work, name="looking", daemon=True)
            for _ in range(min(self._width, len(waiting)))
        ]
        end = time.monotonic() + seconds
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        with self._lock:
            waiting.clear()
        for thing in things:
            yield thing, answers.get(thing)
