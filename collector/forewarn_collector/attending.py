"""Look after every open ticket that is due, a few at a time."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from forewarn_collector.state.attending import Attended, attend, waiting
from forewarn_collector.state.database import Database
from forewarn_collector.state.outbox import Telling

AT_ONCE = 200
"""Tickets in one transaction: others who write wait no longer than these take."""


ENOUGH_SECONDS = 0.7
"""How long one pass of a running collector takes; what is left is taken up by the next."""


def attend_all(
    database: Database,
    now: datetime,
    telling: Telling,
    *,
    enough_seconds: float = math.inf,
    elapsed: Callable[[], float] = time.perf_counter,
) -> Attended:
    """Tell of warnings and breaches, and move on what time moves on; return what it came to.

    No more is begun after `enough_seconds`: those longest due come first, so none is left for good,
    and `left` says that there are more.
    """
    done, began = Attended(), elapsed()
    while elapsed() - began < enough_seconds:
        with database.read() as connection:
            if not waiting(connection, now):
                return done
        with database.write() as connection:
            once = attend(connection, now=now, telling=telling, limit=AT_ONCE)
        done += once
        if once.tickets < AT_ONCE:
            return done
    return replace(done, left=True)
