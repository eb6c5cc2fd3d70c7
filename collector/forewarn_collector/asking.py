"""Ask other systems every quarter of an hour what became of tickets there.

Asking is spread over the quarter, goes a bounded number at a time, and gives way to telling: a
destination in trouble is not asked.
"""

import logging
from datetime import datetime, timedelta

import httpx

from forewarn_collector.config import DestinationEntry
from forewarn_collector.destinations import all_destinations
from forewarn_collector.state import answers
from forewarn_collector.state.answers import ASK_EVERY
from forewarn_collector.state.database import Database
from forewarn_collector.state.outbox import Telling
from forewarn_collector.tickets import Looked, TryAgain

_log = logging.getLogger(__name__)

TURN = timedelta(seconds=20)
"""How often a destination is asked about some of its tickets."""
MOST_REQUESTS = 20
"""In one turn: a request a second.  With more tickets than that allows the quarter gets longer."""
AFTER_TROUBLE = timedelta(minutes=5)
_SHARE = TURN / ASK_EVERY * 1.5  # of all that are open, so that they stay spread
_AT_ONCE = 50
"""Answers taken over in one transaction."""


class Asker:
    """Asks one destination at a time; the threads of the courier each ask their own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._next: dict[str, datetime] = {}

    def ask(
        self, entry: DestinationEntry, http: httpx.Client, *, now: datetime, telling: Telling
    ) -> int:
        """Ask about the tickets that are due, if it is time; return how many had news."""
        destination = all_destinations()[entry.kind]
        look, turn = destination.look, self._next.get(entry.name)
        # A clock that was set back must not silence us until it is there again.
        if look is None or (turn is not None and turn - AFTER_TROUBLE <= now < turn):
            return 0
        self._next[entry.name] = now + TURN
        with self._database.read() as connection:
            share = round(answers.open_there(connection, entry.name) * _SHARE)
            limit = min(max(share, MOST_REQUESTS), MOST_REQUESTS * destination.at_once)
            known = answers.due(connection, entry.name, now=now, limit=limit)
        if not known:
            return 0
        looked: Looked
        try:
            looked = look(entry.config, known, http, now.timestamp())
        except Exception as failure:  # noqa: BLE001 - what they answer must not stop what we tell
            looked = TryAgain(type(failure).__name__)
        if not isinstance(looked, tuple):
            self._next[entry.name] = now + AFTER_TROUBLE
            _log.warning("%s: cannot be asked about tickets: %s", entry.name, looked.reason)
            return 0
        with self._database.write() as connection:
            answers.asked(connection, entry.name, known, now)
        news = 0
        for start in range(0, len(looked), _AT_ONCE):
            with self._database.write() as connection:
                for standing in looked[start : start + _AT_ONCE]:
                    news += answers.take(connection, entry.name, standing, now=now, telling=telling)
        return news
