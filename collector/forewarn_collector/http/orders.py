"""`GET /v1/orders`: what a host is to run, as its operators signed it.

    {"orders": [{"envelope": "…", "script": "<base64>", "occurrence": ""}], "keyrings": ["…"]}

`occurrence` is "" but for standing orders.

With ``?wait=SECONDS`` the answer comes when something waits, or after that time.
"""

import asyncio
import base64
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from forewarn_collector.gate import Gate
from forewarn_collector.state.database import Database
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.keyrings import all_keyrings
from forewarn_collector.state.offering import offers
from forewarn_collector.waiting import Board

LONGEST_WAIT: Final = 60
MOST_POLLS: Final = 5000
_TURN_SECONDS: Final = 0.25
_HELD_SECONDS: Final = 1.0
_QUERY = re.compile(r"(?:wait=(\d{1,3}))?")


class Counter:
    """Hands orders over.  One poll a host: a newer one ends the older."""

    def __init__(
        self, database: Database, board: Board, gate: Gate, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._board = board
        self._gate = gate
        self._now = now
        self._polls: dict[str, object] = {}

    @staticmethod
    def wait_asked(query: str) -> int | None:
        """Return how long a query asks to wait, None when it is no query of ours."""
        match = _QUERY.fullmatch(query)
        return None if match is None else min(int(match[1] or 0), LONGEST_WAIT)

    async def serve(self, host: KnownHost, wait_seconds: int) -> dict[str, JsonValue]:
        """Return the answer for a host, as soon as there is something or the time is over."""
        poll, host_id = object(), host.id
        if len(self._polls) >= MOST_POLLS and host_id not in self._polls:
            wait_seconds = 0
        self._polls[host_id] = poll
        ends = time.monotonic() + wait_seconds
        try:
            await asyncio.to_thread(self._board.refresh)
            while True:
                waits = self._board.waits(host_id)
                if waits:
                    answer = await asyncio.to_thread(self._take, host)
                    if answer["orders"]:
                        return answer
                if time.monotonic() >= ends or self._polls.get(host_id) is not poll:
                    return {"orders": [], "keyrings": []}
                # What waits for its canaries is asked for less often.
                await asyncio.sleep(_HELD_SECONDS if waits else _TURN_SECONDS)
        finally:
            if self._polls.get(host_id) is poll:
                del self._polls[host_id]

    def _take(self, host: KnownHost) -> dict[str, JsonValue]:
        with self._database.write() as connection:
            found = offers(connection, host, self._now(), self._gate)
            keyrings = all_keyrings(connection) if found else ()
        return {
            "orders": [
                {
                    "envelope": one.envelope.decode(),
                    "script": base64.b64encode(one.script).decode(),
                    "occurrence": one.occurrence,
                }
                for one in found
            ],
            "keyrings": [one.decode() for one in keyrings],
        }
