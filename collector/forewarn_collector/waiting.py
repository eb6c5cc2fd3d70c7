"""Which hosts have something waiting for them: in memory, for every receipt and every long poll."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Final

from forewarn_collector.state.database import Database
from forewarn_collector.state.offering import waiting_hosts
from forewarn_collector.state.orders import edition

_LOOK_SECONDS: Final = 0.4
_ANEW: Final = timedelta(minutes=1)  # what ended by time alone leaves the list


class Board:
    """Knows for whom orders wait, half a second late at most.  For one event loop."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._since: Mapping[str, datetime] = {}
        self._edition = -1
        self._read_at = datetime.min.replace(tzinfo=now().tzinfo)
        self._looked = float("-inf")
        self._looking: asyncio.Future[None] | Future[None] | None = None
        self._lock = threading.Lock()

    def waits(self, host_id: str) -> bool:
        """Say whether something waits for this host, by what was last read.  Reads anew beside."""
        self._look()
        begins = self._since.get(host_id)
        return begins is not None and begins <= self._now()

    def refresh(self) -> None:
        """Read again if anything changed: one small look-up otherwise."""
        with self._lock, self._database.read() as connection:
            found, now = edition(connection), self._now()
            if found == self._edition and now - self._read_at < _ANEW:
                return
            self._since = waiting_hosts(connection, now)
            self._edition, self._read_at = found, now

    def _look(self) -> None:
        now = time.monotonic()
        busy = self._looking is not None and not self._looking.done()
        if busy or now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        self._looking = asyncio.get_running_loop().run_in_executor(None, self.refresh)
