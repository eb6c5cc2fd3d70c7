"""Take batches in: read them, date them, and make many durable together.

The order of things is what makes a receipt true: facts are committed first (they are sent only
when they change, so a receipt must never promise ones that were lost), then samples, runs and
marks in one transaction, then the answers go out.
"""

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

import structlog

from forewarn_checks.base import Batch, FactValue, Lane, Receipt
from forewarn_collector.dating import date_runs, microseconds
from forewarn_collector.decoding import decode
from forewarn_collector.newest import Newest
from forewarn_collector.quotas import Allowance, BadBatch, Busy, Limits, check, check_name
from forewarn_collector.samples import Arrival, ArrivedRun, SampleStore
from forewarn_collector.skew import METRIC, Clocks

__all__ = ["BadBatch", "Busy", "Host", "Ingest", "Limits", "OnFacts", "Room", "decode"]

_LINGER_SECONDS = 0.02  # how long the first batch of a group waits for others
_GROUP = 64  # batches that end the waiting
_MOST = 1024  # batches of one commit
_QUEUE = 4096  # batches that may wait; more are sent away
_REMEMBERED_SHAPES = 200_000
_DAY = 86_400_000_000
_LANES = tuple(Lane)  # iterating over an enum costs more than a look-up

log = structlog.get_logger("forewarn.ingest")


class Host(Protocol):
    """What ingest needs to know of an enrolled host."""

    @property
    def number(self) -> int:
        """The short key of its samples."""

    @property
    def id(self) -> str:
        """Its id."""


Finding = tuple[str, dict[str, str], float]
"""Metric, labels and value of what the collector itself found of a host."""

OnFacts = Callable[[int, str, Mapping[str, FactValue], datetime], None]
"""Makes changed facts of a host (number, id) durable.  May be called again with the same ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Refuses to take more in while the disk still has room for everything else.

    Nothing is taken below `least_bytes`, nor below `least_ratio` of the disk; the ratio asks for
    `ratio_bytes` at most, or a large disk would be called full with plenty of room.
    """

    directory: Path
    least_bytes: int = 1 << 30
    least_ratio: float = 0.05
    ratio_bytes: int = 10 << 30

    def missing(self) -> int:
        """Return how many bytes must be freed before anything is taken, 0 for none."""
        usage = shutil.disk_usage(self.directory)
        wanted = max(self.least_bytes, min(int(usage.total * self.least_ratio), self.ratio_bytes))
        return max(wanted - usage.free, 0)


@dataclass(slots=True, eq=False)
class _Waiting:
    """One batch between its request and its commit."""

    arrival: Arrival
    counts: Sequence[int]  # samples of each run
    facts: Sequence[Mapping[str, FactValue]]  # of each run, or nothing at all
    host_id: str
    newest_boottime: float  # of its last run
    received: datetime
    answer: asyncio.Future[Receipt]


_Answered = tuple[_Waiting, Receipt | Busy]


@dataclass(slots=True)
class Counts:
    """What was taken in since the start."""

    batches: int = 0
    repeats: int = 0  # of those, the ones that held nothing new
    runs: int = 0
    samples: int = 0
    commits: int = 0


class Ingest:
    """Commits batches in groups from one thread of its own.

    `start` it before the first `accept`, and `close` it before the store.  `missing_bytes` is
    asked at most once a second how much room the disk lacks (`Room.missing`).  `on_results` takes
    what the runs of the results lane carry: what became of orders, never facts of the host.
    """

    def __init__(
        self,
        store: SampleStore,
        on_facts: OnFacts,
        *,
        missing_bytes: Callable[[], int] = lambda: 0,
        on_results: OnFacts = lambda *_: None,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
        linger_seconds: float = _LINGER_SECONDS,
        queue: int = _QUEUE,
    ) -> None:
        self._store = store
        self._on_facts = on_facts
        self._on_results = on_results
        self._missing_bytes = missing_bytes
        self._limits = limits
        self._linger = linger_seconds
        self._room = queue
        self._names = Allowance(limits.series)
        self._spools = Allowance(limits.spools)
        self._shapes: dict[object, int] = {}
        self._clocks = Clocks()
        self._newest = Newest()
        self._missing = (0.0, 0)
        self._waiting: list[_Waiting] = []
        self._arrived = threading.Condition()
        self._closing = False
        self.counts = Counts()
        self._thread = threading.Thread(target=self._write, name="ingest", daemon=True)

    def start(self) -> None:
        """Begin to commit what is accepted."""
        self._thread.start()

    def close(self) -> None:
        """Commit what waits, answer it, and end.  Later batches are sent away."""
        with self._arrived:
            self._closing = True
            self._arrived.notify()
        if self._thread.is_alive():
            self._thread.join()

    def waiting(self) -> int:
        """Return how many batches wait for their commit."""
        return len(self._waiting)

    # -- on the way in, in the event loop --------------------------------------------------------

    async def accept(
        self, batch: Batch, host: Host, received: datetime, finding: Finding | None = None
    ) -> Receipt:
        """Return what is durably held of the batch's spool once the batch is.

        A repeat changes nothing and is answered alike.  `finding` is what the collector itself
        has to tell of the host: metric, labels, value.  Raises BadBatch when the batch may not be
        taken, Busy when nothing can be taken just now.
        """
        self._refuse_if_busy()
        check(batch, self._limits)
        if self._newest.contradicts(host.number, batch):
            raise BadBatch(
                409, "another run of this spool and sequence is held; go on as a new spool"
            )
        waiting = self._convert(batch, host, received, finding)
        with self._arrived:
            if self._closing:
                raise Busy("the collector is stopping", 5)
            self._waiting.append(waiting)
            if len(self._waiting) in (1, _GROUP):
                self._arrived.notify()
        return await waiting.answer

    def _refuse_if_busy(self) -> None:
        if len(self._waiting) >= self._room:
            raise Busy("too many batches wait for the disk", 10)
        asked, missing = self._missing
        now = time.monotonic()
        if now - asked >= 1:
            missing = self._missing_bytes()
            self._missing = (now, missing)
        if missing:
            raise Busy(f"the collector's disk lacks {missing} bytes of room", 60)

    def _convert(
        self, batch: Batch, host: Host, received: datetime, finding: Finding | None
    ) -> _Waiting:
        at_collector = microseconds(received)
        try:
            moments = date_runs(batch, at_collector)
        except ValueError as error:
            raise BadBatch(422, str(error)) from None
        day = at_collector // _DAY
        self._admit_spool(batch, host.number, day)
        runs = []
        shapes: list[int] = []
        times: list[int] = []
        values: list[float] = []
        number = self._shape_number
        for run, at in zip(batch.runs, moments, strict=True):
            number(host.number, day, "check_failed", {"check": run.check})
            runs.append(
                ArrivedRun(
                    run.sequence, run.check, at, run.duration_seconds, run.outcome, run.error
                )
            )
            samples = run.samples
            shapes += [number(host.number, day, s.metric, s.labels) for s in samples]
            times += [at] * len(samples)
            values += [s.value for s in samples]
        counts = [len(run.samples) for run in batch.runs]
        found = [] if finding is None else [finding]
        if skew := self._clocks.seen(host.number, batch.sent_at, at_collector):
            direction, seconds = skew
            found.append((METRIC, {"direction": direction}, seconds))
        for metric, labels, value in found:
            shapes.append(self._store.shape(metric, labels))
            times.append(at_collector)
            values.append(value)
            counts[-1] += 1
        return _Waiting(
            arrival=Arrival(
                host=host.number,
                spool=batch.spool,
                lane=batch.lane,
                through=batch.runs[-1].sequence,
                received=at_collector,
                runs=tuple(runs),
                shapes=shapes,
                times=times,
                values=values,
            ),
            counts=counts,
            facts=[run.facts for run in batch.runs] if any(r.facts for r in batch.runs) else (),
            host_id=host.id,
            newest_boottime=batch.runs[-1].boottime_seconds,
            received=received,
            answer=asyncio.get_running_loop().create_future(),
        )

    def _shape_number(self, host: int, day: int, metric: str, labels: dict[str, str]) -> int:
        # Labels come in the order of their check, so the unsorted pairs find the number again.
        key = (metric, *labels.items()) if labels else metric
        number = self._shapes.get(key)
        if number is None:
            number = self._new_shape(host, day, metric, labels)
            if len(self._shapes) >= _REMEMBERED_SHAPES:
                self._shapes.clear()
            self._shapes[key] = number
        return number

    def _new_shape(self, host: int, day: int, metric: str, labels: dict[str, str]) -> int:
        if self._names.spent(host, day):
            raise BadBatch(
                422,
                f"this host named {self._limits.series} new series today, the last {metric};"
                " something in their labels changes all the time",
            )
        check_name("metric", metric)
        for label in labels:
            check_name("label", label)
        known = len(self._store.shapes())
        number = self._store.shape(metric, labels)
        if len(self._store.shapes()) > known:
            self._names.take(host, day)
        return number

    def _admit_spool(self, batch: Batch, host: int, day: int) -> None:
        if self._store.mark(host, batch.spool, batch.lane) >= 0:
            return
        if any(self._store.mark(host, batch.spool, lane) >= 0 for lane in _LANES):
            return
        if self._spools.spent(host, day):
            raise Busy(f"this host began {self._limits.spools} spools today", 3600)

    # -- in the writer's thread ------------------------------------------------------------------

    def _write(self) -> None:
        while group := self._next_group():
            _answer(self._try(group))

    def _try(self, group: Sequence[_Waiting]) -> list[_Answered]:
        """Commit a group; one that holds something impossible is taken apart."""
        try:
            return self._commit(group)
        # A dead writer would leave every request waiting, so whatever it was is told to these.
        except Exception as error:  # noqa: BLE001
            if len(group) > 1 and isinstance(error, ValueError | ArithmeticError | TypeError):
                return [answer for waiting in group for answer in self._try([waiting])]
            hosts = sorted({waiting.host_id for waiting in group})[:5]
            log.error(
                "batches not stored", batches=len(group), hosts=hosts, trouble=repr(error)[:300]
            )
            trouble = Busy("the collector could not store this", 30)
            return [(waiting, trouble) for waiting in group]

    def _next_group(self) -> list[_Waiting]:
        """Return batches to commit together, none when closing."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._waiting or self._closing)
            self._arrived.wait_for(
                lambda: len(self._waiting) >= _GROUP or self._closing, self._linger
            )
            group = self._waiting[:_MOST]
            del self._waiting[:_MOST]
            return group

    def _commit(self, group: Sequence[_Waiting]) -> list[_Answered]:
        arrivals = []
        marks: dict[tuple[int, str, Lane], int] = {}  # as this group will leave them
        for waiting in group:
            arrival = waiting.arrival
            key = (arrival.host, arrival.spool, arrival.lane)
            mark = marks[key] if key in marks else self._store.mark(*key)
            if arrival.through <= mark:
                continue
            if waiting.facts:
                self._keep_facts(waiting, mark)
            arrivals.append(_cut(waiting, mark))
            marks[key] = arrival.through
            if mark < 0:
                self._spools.take(arrival.host, arrival.received // _DAY)
        self._store.append(arrivals)
        self._count(group, arrivals)
        for waiting in group:
            self._newest.note(waiting.arrival, waiting.newest_boottime)
        return [(waiting, self._receipt(waiting.arrival)) for waiting in group]

    def _keep_facts(self, waiting: _Waiting, mark: int) -> None:
        if waiting.arrival.lane is Lane.RESULTS:
            self._keep_results(waiting, mark)
            return
        facts: dict[str, FactValue] = {}
        for run, said in zip(waiting.arrival.runs, waiting.facts, strict=True):
            if run.sequence > mark:
                facts |= said
        if facts:
            self._on_facts(waiting.arrival.host, waiting.host_id, facts, waiting.received)

    def _keep_results(self, waiting: _Waiting, mark: int) -> None:
        for run, said in zip(waiting.arrival.runs, waiting.facts, strict=True):
            if run.sequence > mark and said:
                self._on_results(waiting.arrival.host, waiting.host_id, said, waiting.received)

    def _count(self, group: Sequence[_Waiting], arrivals: Sequence[Arrival]) -> None:
        self.counts.batches += len(group)
        self.counts.repeats += len(group) - len(arrivals)
        self.counts.runs += sum(len(arrival.runs) for arrival in arrivals)
        self.counts.samples += sum(len(arrival.shapes) for arrival in arrivals)
        self.counts.commits += 1

    def _receipt(self, arrival: Arrival) -> Receipt:
        marks = {lane: self._store.mark(arrival.host, arrival.spool, lane) for lane in _LANES}
        return Receipt({lane: mark for lane, mark in marks.items() if mark >= 0})


def _cut(waiting: _Waiting, mark: int) -> Arrival:
    """Return the part of an arrival that is above the mark."""
    arrival = waiting.arrival
    if arrival.runs[0].sequence > mark:
        return arrival
    old = sum(run.sequence <= mark for run in arrival.runs)
    samples = sum(waiting.counts[:old])
    return replace(
        arrival,
        runs=arrival.runs[old:],
        shapes=arrival.shapes[samples:],
        times=arrival.times[samples:],
        values=arrival.values[samples:],
    )


def _answer(answers: Sequence[_Answered]) -> None:
    """Wake the requests, each loop once."""
    loops = {waiting.answer.get_loop() for waiting, _ in answers}
    for loop in loops:
        loop.call_soon_threadsafe(_settle, [a for a in answers if a[0].answer.get_loop() is loop])


def _settle(answers: Sequence[_Answered]) -> None:
    for waiting, answer in answers:
        if waiting.answer.done():  # the client has hung up
            continue
        if isinstance(answer, Busy):
            waiting.answer.set_exception(answer)
        else:
            waiting.answer.set_result(answer)
