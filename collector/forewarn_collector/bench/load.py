"""Send what the fleet has to say when it is due, over kept-alive connections."""

import asyncio
import contextlib
import json
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from forewarn_collector.bench.fleet import PATH, Request, SimulatedHost, request, utc

_AHEAD_SECONDS = 0.5  # batches are signed before they are due, so that it costs no answer time
_TICK_SECONDS = 0.005
_PATIENCE_SECONDS = 30.0
_REPEAT_EVERY = 100


@dataclass(slots=True)
class Tally:
    """What came of the requests."""

    acknowledged: dict[int, int] = field(default_factory=dict)  # sequence by host number
    runs: int = 0
    samples: int = 0
    rejected: int = 0
    repeats: int = 0
    late: int = 0
    last_answer: float = 0.0  # unix seconds
    milliseconds: list[float] = field(default_factory=list)
    connect_seconds: list[float] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Whom to send to, for how long, and which hosts fill up when.

    `fills` are unix seconds by host number; `on_full` is told when a host's first full reading
    is due.
    """

    address: tuple[str, int]
    tls: ssl.SSLContext
    collector_id: str
    start: float
    seconds: float
    warm_up_seconds: float
    connections: int
    fills: Mapping[int, float]
    on_full: Callable[[SimulatedHost, float], None]


@dataclass(frozen=True, slots=True)
class _Due:
    request: Request
    at: float
    repeat: bool


async def send_all(plan: Plan, fleet: list[SimulatedHost], per_batch: tuple[int, int]) -> Tally:
    """Send every batch that falls due and return what came of it.

    `per_batch` is (runs, samples) of one batch.
    """
    tally = Tally()
    queue: asyncio.Queue[_Due] = asyncio.Queue()
    workers = [
        asyncio.create_task(_Connection(plan, tally, per_batch).work(queue))
        for _ in range(plan.connections)
    ]
    await _feed(plan, fleet, queue)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(queue.join(), _PATIENCE_SECONDS)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    tally.late += queue.qsize()
    return tally


async def _feed(plan: Plan, fleet: list[SimulatedHost], queue: asyncio.Queue[_Due]) -> None:
    """Sign batches a little ahead and hand each over when it is due."""
    chance = random.Random(1)
    ready: list[_Due] = []
    coming = _schedule(plan, fleet)
    following = next(coming, None)
    fills = dict(plan.fills)
    number = 0
    while following or ready:
        now = time.time()
        while following and following[0] <= now + _AHEAD_SECONDS:
            at, host = following
            if fills.get(host.number, at + 1) <= at:
                del fills[host.number]
                host.full = True
                plan.on_full(host, at)
            signed = request(host, plan.collector_id, utc(at), chance)
            number += 1
            ready.append(_Due(signed, at, number % _REPEAT_EVERY == 0))
            following = next(coming, None)
            if time.time() - now > _TICK_SECONDS:
                break  # let answers in between
        now = time.time()
        due = [one for one in ready if one.at <= now]
        if due:
            ready = ready[len(due) :]
            for one in due:
                queue.put_nowait(one)
        await asyncio.sleep(_TICK_SECONDS)


def _schedule(plan: Plan, fleet: list[SimulatedHost]) -> Iterator[tuple[float, SimulatedHost]]:
    minute = 0
    while True:
        for place, host in enumerate(fleet):
            offset = 60 * (minute + place / len(fleet))
            if offset >= plan.seconds:
                return
            yield plan.start + offset, host
        minute += 1


class _Connection:
    """One kept-alive connection; opened again when the collector closes it."""

    def __init__(self, plan: Plan, tally: Tally, per_batch: tuple[int, int]) -> None:
        self._plan = plan
        self._tally = tally
        self._runs, self._samples = per_batch
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._target = f"{plan.address[0]}:{plan.address[1]}"

    async def work(self, queue: asyncio.Queue[_Due]) -> None:
        """Send one batch after the other."""
        try:
            while True:
                due = await queue.get()
                await self._send(due)
                if due.repeat:
                    await self._send(due)
                    self._tally.repeats += 1
                queue.task_done()
        finally:
            await self._leave()

    async def _send(self, due: _Due) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                status, body = await self._post(due.request)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self._close()
            self._reject(type(error).__name__)
            return
        if status != 200:
            self._reject(f"{status} {body[:120].decode(errors='replace')}")
            return
        self._acknowledge(due, json.loads(body)["through"]["live"])

    def _acknowledge(self, due: _Due, through: int) -> None:
        number, tally = due.request.host.number, self._tally
        new = through > tally.acknowledged.get(number, -1)
        tally.acknowledged[number] = max(through, tally.acknowledged.get(number, -1))
        if not new:
            return  # a repeat
        tally.last_answer = time.time()
        tally.runs += self._runs
        tally.samples += self._samples
        if due.at >= self._plan.start + self._plan.warm_up_seconds:
            tally.milliseconds.append((time.time() - due.at) * 1000)

    def _reject(self, reason: str) -> None:
        self._tally.rejected += 1
        self._tally.refusals[reason] = self._tally.refusals.get(reason, 0) + 1

    async def _post(self, sent: Request) -> tuple[int, bytes]:
        reader, writer = self._streams or await self._connect()
        head = [f"POST {PATH} HTTP/1.1", f"host: {self._target}"]
        head += [f"{name}: {value}" for name, value in sent.headers.items()]
        head += [f"content-length: {len(sent.body)}", "", ""]
        writer.write("\r\n".join(head).encode() + sent.body)
        answer = await reader.readuntil(b"\r\n\r\n")
        status = int(answer.split(b" ", 2)[1])
        length = 0
        for line in answer.lower().split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name == b"content-length":
                length = int(value)
        body = await reader.readexactly(length)
        if b"connection: close" in answer.lower():
            self._close()
        return status, body

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        began = time.perf_counter()
        host, port = self._plan.address
        self._streams = await asyncio.open_connection(host, port, ssl=self._plan.tls)
        self._tally.connect_seconds.append(time.perf_counter() - began)
        return self._streams

    def _close(self) -> None:
        if self._streams:
            self._streams[1].transport.abort()
            self._streams = None

    async def _leave(self) -> None:
        """Close, and give the loop the turns it takes to let go of the socket."""
        writer = self._streams[1] if self._streams else None
        self._close()
        if writer:
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), 5)
