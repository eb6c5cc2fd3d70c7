"""Slow down guessing of passwords: count failures by name and address, in memory."""

import ipaddress
import threading
from collections import OrderedDict
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=1)
BY_NAME_AND_ADDRESS = 5
BY_ADDRESS = 30  # one address trying a few passwords on many names
_MOST = 10_000


class Throttle:
    """Failures of the last minute.  Safe to share between threads; bounded in memory."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], tuple[datetime, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str, address: str, now: datetime) -> bool:
        """Count a try of `name` from `address`; False when there were too many to look at it.

        Counted before the password is looked at, so that many at once do not slip through.
        """
        network = network_of(address)
        with self._lock:
            by_name = self._recent((name, network), now)
            by_address = self._recent(("", network), now)
            if len(by_name) >= BY_NAME_AND_ADDRESS or len(by_address) >= BY_ADDRESS:
                return False
            self._keep((name, network), (*by_name, now))
            self._keep(("", network), (*by_address, now))
            return True

    def forgive(self, name: str, address: str) -> None:
        """Take back a try that turned out right, and the earlier slips of that name."""
        network = network_of(address)
        with self._lock:
            self._failures.pop((name, network), None)
            by_address = self._failures.get(("", network), ())
            self._keep(("", network), by_address[:-1])

    def _keep(self, key: tuple[str, str], failures: tuple[datetime, ...]) -> None:
        self._failures[key] = failures
        self._failures.move_to_end(key)
        while len(self._failures) > _MOST:
            self._failures.popitem(last=False)

    def _recent(self, key: tuple[str, str], now: datetime) -> tuple[datetime, ...]:
        return tuple(at for at in self._failures.get(key, ()) if now - WINDOW < at <= now)


def network_of(address: str) -> str:
    """Return the address, or for IPv6 its /64: one customer owns them all."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
