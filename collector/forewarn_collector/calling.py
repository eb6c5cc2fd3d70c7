"""Call up standing orders: make the runs that a calendar asks for, and end what nobody took."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from forewarn_collector.state import standing
from forewarn_collector.state.database import Database
from forewarn_collector.state.orders import touch

_DAY = timedelta(days=1)


@dataclass(slots=True)
class Caller:
    """For one thread."""

    database: Database
    _forgot: datetime | None = None

    def turn(self, now: datetime) -> None:
        """Make what is due, and give up what is over."""
        with self.database.read() as connection:
            if not standing.any_order(connection):
                return
        with self.database.write() as connection:
            made = standing.make_due(connection, now)
            if standing.give_up(connection, now) or made:
                touch(connection)
            if self._forgot is None or now - self._forgot >= _DAY:
                self._forgot = now
                standing.forget(connection, now)
