"""Carry messages from the outbox to destinations: at least once, in order, and not in a storm.

A row is leased, sent and then settled: a crash at any point sends it again under the same id.
"""

import logging
import random
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_never

import httpx
from sqlalchemy import Connection

from forewarn_collector import egress
from forewarn_collector.asking import Asker
from forewarn_collector.clock import uuid7
from forewarn_collector.config import DestinationEntry
from forewarn_collector.destinations import all_destinations
from forewarn_collector.state import outbox as rows
from forewarn_collector.state import retelling
from forewarn_collector.state.database import Database
from forewarn_collector.state.outbox import Due, Health, Telling
from forewarn_collector.ticket_body import TicketBody, write
from forewarn_collector.tickets import (
    Delivered,
    Delivery,
    Destination,
    Kind,
    Message,
    Refused,
    TryAgain,
)

_log = logging.getLogger(__name__)

# The schedule of the Standard Webhooks specification after the first attempt: three days in all.
SCHEDULE = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
JITTER = 0.2
BREAKS_AFTER = 5
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=15)
_LEASE = timedelta(minutes=10)
_AT_ONCE = 20
_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Delivering:
    """What came of one call: how many messages were delivered, postponed and refused."""

    delivered: int = 0
    postponed: int = 0
    refused: int = 0


class Courier:
    """Delivers what is due.  Calls come from one thread at a time; sending has threads of its own.

    A destination that is slow keeps nobody waiting but itself.
    """

    def __init__(
        self,
        database: Database,
        destinations: Iterable[DestinationEntry],
        *,
        client: Callable[[DestinationEntry], httpx.Client] | None = None,
        dice: Callable[[], float] = random.random,
        telling: Telling | None = None,
    ) -> None:
        self._database = database
        self._client = client or (lambda entry: egress.client(entry.allow_networks))
        self._dice = dice
        self._ports: dict[str, _Port] = {}
        self._running: dict[str, Future[Delivering]] = {}
        self._told_again: dict[str, datetime] = {}
        self._counted: frozenset[str] | None = None
        self._started = False
        self._telling = telling
        self._asker = Asker(database)
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="courier")
        self.use(destinations)

    def start(self) -> None:
        """Give back what a collector that died had under way.  Call once before the first call."""
        with self._database.write() as connection:
            rows.release_all(connection)
        self._started = True

    def use(self, destinations: Iterable[DestinationEntry], telling: Telling | None = None) -> None:
        """Deliver to these from now on.  What is under way ends as it began.

        `telling` is what answers from there set off here; None leaves it as it was.

        What waits for others is given up by the next call after `start`, and taken up again when
        they come back.
        """
        self._telling = telling or self._telling
        self._ports = {
            entry.name: _Port(entry, all_destinations()[entry.kind], self._client(entry))
            for entry in destinations
        }

    def deliver_due(self, now: datetime) -> Delivering:
        """Send what is due; return what came of it within about a second.

        What takes longer goes on and is counted by a later call.
        """
        self._count_destinations(now)
        for name, port in self._ports.items():
            if name not in self._running:
                self._running[name] = self._threads.submit(self._serve, port, now)
        done, _ = wait(self._running.values(), timeout=_PATIENCE_SECONDS)
        total = Delivering()
        for name in [name for name, future in self._running.items() if future in done]:
            total = _sum(total, self._running.pop(name).result())
        return total

    def try_out(self, name: str, now: datetime) -> Delivery:
        """Send a made-up message to one destination, past outbox and breaker.

        Raises KeyError when there is no such destination.
        """
        message = Message(
            id=uuid7(now),
            kind=Kind.OPENED,
            ticket_key="test#1",
            body=write(Kind.OPENED, _trial(now), now).encode(),
        )
        return self._ports[name].send(message, now)

    def describe(self) -> Mapping[str, Mapping[str, str]]:
        """Return what may be shown of every destination: no secrets."""
        return {name: port.describe() for name, port in self._ports.items()}

    def close(self) -> None:
        """Wait for what is under way and close every connection."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for port in self._ports.values():
            port.http.close()

    def _count_destinations(self, now: datetime) -> None:
        """Set aside what waits for destinations that are not there any more."""
        names = frozenset(self._ports)
        if not self._started or (self._counted == names and not self._strays(names)):
            return
        with self._database.write() as connection:
            given_up = retelling.set_aside(connection, names, now)
        self._counted = names
        if given_up:
            _log.warning(
                "%d messages wait for destinations that are not in collector.toml; see "
                "forewarn-collector outbox list, drop",
                given_up,
            )

    def _strays(self, names: Collection[str]) -> bool:
        """Say whether anything waits for others: a pass under way may still have told them."""
        with self._database.read() as connection:
            return retelling.waits_for_others(connection, names)

    # -- one destination -------------------------------------------------------------------------

    def _serve(self, port: "_Port", now: datetime) -> Delivering:
        """Send what is due for one destination, up to the first trouble."""
        health, batch = self._lease(port.entry.name, now)
        total = Delivering()
        for index, due in enumerate(batch):
            delivery = port.send(_message(due), now)
            with self._database.write() as connection:
                health = _settle(connection, due, delivery, health, now, self._dice)
                stop = isinstance(delivery, TryAgain) or health.disabled_at is not None
                if stop:
                    rows.release(connection, [later.id for later in batch[index + 1 :]])
            total = _sum(total, _count(delivery))
            if stop:
                return total
        self._tell_again(port, health, now)
        if self._telling is not None and not _is_shut(health, now):
            self._asker.ask(port.entry, port.http, now=now, telling=self._telling)
        return total

    def _tell_again(self, port: "_Port", health: Health, now: datetime) -> None:
        """Tell a system that forgets what is open, now and then; a failure waits for the next."""
        every, name = port.destination.resend_every, port.entry.name
        last = self._told_again.get(name)
        early = last is not None and timedelta(0) <= now - last < (every or timedelta(0))
        if every is None or early or _is_shut(health, now):
            return
        self._told_again[name] = now
        with self._database.read() as connection:
            standing = retelling.standing(connection, name, now)
        for due in standing:
            if not isinstance(port.send(_message(due), now), Delivered):
                return

    def _lease(self, name: str, now: datetime) -> tuple[Health, list[Due]]:
        with self._database.read() as connection:
            health = rows.health(connection, name)
            if _is_shut(health, now) or not rows.waiting(connection, name):
                return health, []
        # Behind an open breaker one message goes ahead to see whether the way is free.
        limit = 1 if health.failures >= BREAKS_AFTER else _AT_ONCE
        with self._database.write() as connection:
            return health, rows.lease(connection, name, now=now, until=now + _LEASE, limit=limit)


@dataclass(frozen=True, slots=True)
class _Port:
    """A destination ready to be sent to."""

    entry: DestinationEntry
    destination: Destination[Any]
    http: httpx.Client

    def send(self, message: Message, now: datetime) -> Delivery:
        """Post once; whatever goes wrong is an answer."""
        try:
            return self.destination.deliver(self.entry.config, message, self.http, now.timestamp())
        except Exception as failure:  # noqa: BLE001 - one broken destination must not stop the rest
            # Its text could hold an address with a token in it.
            return TryAgain(type(failure).__name__)

    def describe(self) -> Mapping[str, str]:
        """Return what may be shown."""
        return {"kind": self.entry.kind, **self.destination.describe(self.entry.config)}


def _settle(
    connection: Connection,
    due: Due,
    delivery: Delivery,
    health: Health,
    now: datetime,
    dice: Callable[[], float],
) -> Health:
    """Write down how an attempt ended; return how the destination is now."""
    match delivery:
        case Delivered(reference):
            rows.settle(connection, due, state="delivered", answer="", now=now, reference=reference)
            if health.failures >= BREAKS_AFTER:
                rows.hasten(connection, due.destination, now)
            after = Health()
        case TryAgain(reason, after_seconds):
            wait_for = delay(due.attempts, after_seconds, dice())
            if wait_for is None:
                _log.warning(
                    "%s: gave up message %s after %d attempts, the last: %s; replay it with "
                    "forewarn-collector outbox replay",
                    *(due.destination, due.id, due.attempts + 1, reason),
                )
                rows.settle(connection, due, state="dead", answer=reason, now=now)
            else:
                rows.postpone(connection, due, answer=reason, next_at=now + wait_for)
            after = failed(health, after_seconds, now)
        case Refused(reason, gone):
            _log.warning(
                "%s: refused message %s: %s; mend it, then forewarn-collector outbox replay",
                *(due.destination, due.id, reason),
            )
            rows.settle(connection, due, state="dead", answer=reason, now=now)
            after = Health(disabled_at=now if gone else None)
        case _:
            assert_never(delivery)
    if after != health:
        rows.save_health(connection, due.destination, after)
    return after


def _is_shut(health: Health, now: datetime) -> bool:
    """Say whether a destination is to be left alone."""
    return health.disabled_at is not None or (
        health.open_until is not None and now < health.open_until
    )


def delay(attempts: int, after_seconds: float | None, dice: float) -> timedelta | None:
    """Return how long to wait after one attempt more failed; None when it was the last.

    `dice` in [0, 1) spreads it upwards, so that what failed together does not return together.
    """
    if attempts >= len(SCHEDULE):
        return None
    planned = SCHEDULE[attempts] * (1 + JITTER * dice)
    return max(planned, timedelta(seconds=after_seconds or 0.0))


def failed(health: Health, after_seconds: float | None, now: datetime) -> Health:
    """Return how a destination is after a failure: from the fifth in a row on it is left alone."""
    failures = health.failures + 1
    pause = timedelta(seconds=after_seconds or 0.0)
    if failures >= BREAKS_AFTER:
        doubled = FIRST_PAUSE * 2 ** min(failures - BREAKS_AFTER, 10)
        pause = max(pause, min(doubled, LONGEST_PAUSE))
    return Health(
        failures=failures,
        failing_since=health.failing_since or now,
        open_until=now + pause if pause else None,
    )


def _message(due: Due) -> Message:
    return Message(
        id=due.id,
        kind=due.kind,
        ticket_key=due.ticket_key,
        body=due.body.encode(),
        reference=due.reference,
    )


def _count(delivery: Delivery) -> Delivering:
    return Delivering(
        delivered=int(isinstance(delivery, Delivered)),
        postponed=int(isinstance(delivery, TryAgain)),
        refused=int(isinstance(delivery, Refused)),
    )


def _sum(one: Delivering, other: Delivering) -> Delivering:
    return Delivering(
        one.delivered + other.delivered,
        one.postponed + other.postponed,
        one.refused + other.refused,
    )


def _trial(now: datetime) -> TicketBody:
    """Return a ticket that is none: it says so."""
    return TicketBody(
        key="test#1",
        number=0,
        title="A test of forewarn: nothing is wrong",
        priority="P5",
        severity="info",
        state="new",
        condition="firing",
        client="",
        site="",
        host="",
        host_id="",
        component="test",
        assignee=None,
        url="",
        opened_at=now,
        closed_at=None,
        episodes=(),
    )
