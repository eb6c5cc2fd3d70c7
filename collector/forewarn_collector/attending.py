"""Look after every open ticket that is due, a few at a time."""

from datetime import datetime

from forewarn_collector.state.attending import Attended, attend, waiting
from forewarn_collector.state.database import Database
from forewarn_collector.state.outbox import Telling

AT_ONCE = 200
"""Tickets in one transaction: others who write wait no longer than these take."""


def attend_all(database: Database, now: datetime, telling: Telling) -> Attended:
    """Tell of warnings and breaches, and move on what time moves on; return what it came to."""
    done = Attended()
    while True:
        with database.read() as connection:
            if not waiting(connection, now):
                return done
        with database.write() as connection:
            once = attend(connection, now=now, telling=telling, limit=AT_ONCE)
        done += once
        if once.tickets < AT_ONCE:
            return done
