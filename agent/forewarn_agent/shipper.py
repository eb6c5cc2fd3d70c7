"""Carry runs from the spool to the collector: one batch a call, live ones first."""

import gzip
import json
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

import httpx

from forewarn_agent.clock import Moment
from forewarn_agent.pace import (
    LARGEST_ANSWER,
    Answer,
    Backoff,
    BadBatch,
    Bucket,
    Conflict,
    Held,
    TryLater,
    advance,
    decide,
)
from forewarn_agent.record import Record
from forewarn_agent.spool import Spool
from forewarn_checks.base import signing
from forewarn_checks.base.wire import SCHEMA, Batch, Lane, Receipt, to_json

log = logging.getLogger(__name__)

PATH: Final = "/v1/batches"
STREAM: Final = "batches"
MOST_RUNS: Final = 2000
MOST_SAMPLES: Final = 10_000
MOST_BYTES: Final = 2 * 1024 * 1024  # of JSON; a quarter of what a collector takes, for our memory
MOST_SENT_BYTES: Final = 1024 * 1024
_BACKFILL_TURN: Final = 4
"""While live runs wait, one request in so many may carry backfill: a quarter."""
_CALM: Final = Backoff()
_REQUESTS: Final = Bucket(per_second=1.0, most=5.0, tokens=5.0)
_BACKFILL: Final = Bucket(per_second=0.5, most=5.0, tokens=5.0)


class Identity(Protocol):
    """What the shipper needs to know of who this host is."""

    @property
    def host_id(self) -> str:
        """The id the collector gave this host."""

    @property
    def collector_id(self) -> str:
        """The collector that a request is meant for."""

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of `message`."""

    def next_seq(self, stream: str) -> int:
        """Return a number higher than all before it on `stream`."""


@dataclass(frozen=True, slots=True)
class Pace:
    """All the shipper remembers between two calls.

    `most_runs` is how many runs the next batch may carry; a refused batch halves it until the
    one bad run is alone.  `not_before` is boot time in seconds.
    """

    backoff: Backoff = _CALM
    not_before: tuple[str, float] = ("", 0.0)
    requests: Bucket = _REQUESTS
    backfill: Bucket = _BACKFILL
    since_backfill: int = 0
    most_runs: Mapping[Lane, int] = field(default_factory=dict)

    def wait_seconds(self, now: Moment) -> float:
        """Return how long the back-off still asks to wait; another boot forgets it."""
        boot, at = self.not_before
        return max(0.0, at - now.boottime_seconds) if boot == now.boot else 0.0


@dataclass(frozen=True, slots=True)
class Shipped:
    """What came of one call.

    `answer` is None when nothing was sent; then nothing waits or it is too early.  `wait_seconds`
    is how long to leave it at that at least.  `receipt` is there when the collector gave one.
    """

    pace: Pace
    lane: Lane | None = None
    answer: Answer | None = None
    runs: int = 0
    sent_bytes: int = 0
    wait_seconds: float = 0.0
    receipt: Receipt | None = None


def ship_once(
    spool: Spool,
    client: httpx.Client,
    identity: Identity,
    now: Moment,
    pace: Pace = Pace(),
    *,
    live_for: timedelta = timedelta(minutes=5),
    agent_version: str = "",
    chance: Callable[[], float] = random.random,
) -> Shipped:
    """Send the oldest runs of the most urgent lane and forget what the receipt covers.

    Never raises for what a network or a collector does.  Live runs that still wait after
    `live_for` move to the backfill lane, so that newer ones overtake them.
    """
    pace = replace(
        pace,
        requests=pace.requests.at(now.boottime_seconds),
        backfill=pace.backfill.at(now.boottime_seconds),
    )
    lane = choose_lane({lane: spool.waiting(lane) for lane in Lane}, pace.since_backfill)
    if lane is None:
        return Shipped(pace)
    wait = max(pace.wait_seconds(now), pace.requests.wait_seconds())
    if lane is Lane.BACKFILL:
        wait = max(wait, pace.backfill.wait_seconds())
    if wait > 0:
        return Shipped(pace, lane, wait_seconds=wait)
    records, body = _fill(spool, lane, pace, identity, now, agent_version)
    if not records:
        return Shipped(pace)  # what was left could not be read and is counted
    answer = _post(client, identity, now, body)
    answer, pace = _act(spool, lane, records, answer, pace)
    pace = _after(pace, lane, answer, now, chance)
    if isinstance(answer, Held) and lane is Lane.LIVE and Lane.LIVE in answer.receipt.through:
        spool.demote(older_than=live_for, boot=now.boot, boottime_seconds=now.boottime_seconds)
    return Shipped(
        pace,
        lane,
        answer,
        runs=len(records),
        sent_bytes=len(body),
        wait_seconds=pace.wait_seconds(now),
        receipt=answer.receipt if isinstance(answer, Held) else None,
    )


def choose_lane(waiting: Mapping[Lane, int], since_backfill: int) -> Lane | None:
    """Return the lane whose turn it is, None when nothing waits."""
    if waiting[Lane.BACKFILL] and since_backfill >= _BACKFILL_TURN - 1:
        return Lane.BACKFILL
    return next((k for k in (Lane.LIVE, Lane.RESULTS, Lane.BACKFILL) if waiting[k]), None)


def batch_body(batch: Batch, records: tuple[Record, ...]) -> bytes:
    """Return `batch` as gzipped JSON, its runs taken from `records`, which are JSON already."""
    envelope = to_json(batch)
    del envelope["runs"]
    head = json.dumps(envelope, allow_nan=False, separators=(",", ":")).encode()
    runs = b",".join(record.payload for record in records)
    return gzip.compress(head[:-1] + b',"runs":[' + runs + b"]}", compresslevel=6, mtime=0)


def _fill(
    spool: Spool, lane: Lane, pace: Pace, identity: Identity, now: Moment, agent_version: str
) -> tuple[tuple[Record, ...], bytes]:
    """Return the oldest runs of `lane` that fit one request, and its body."""
    limit = pace.most_runs.get(lane, MOST_RUNS)
    while True:
        records = spool.records(
            lane, limit_runs=limit, limit_bytes=MOST_BYTES, limit_samples=MOST_SAMPLES
        )
        batch = Batch(
            schema=SCHEMA,
            host=identity.host_id,
            spool=spool.spool_id,
            lane=lane,
            runs=(),
            sent_at=now.wall,
            sent_boot=now.boot,
            sent_boottime_seconds=now.boottime_seconds,
            dropped=spool.dropped(lane),
            agent_version=agent_version,
        )
        body = batch_body(batch, records)
        if len(body) <= MOST_SENT_BYTES or len(records) <= 1:
            return records, body
        limit = len(records) // 2


def _post(client: httpx.Client, identity: Identity, now: Moment, body: bytes) -> Answer:
    """Post one signed request and say what the answer means."""
    headers = signing.sign(
        method="POST",
        path=PATH,
        query="",
        body=body,
        content_encoding="gzip",
        collector=identity.collector_id,
        stream=STREAM,
        seq=identity.next_seq(STREAM),
        key_id=identity.host_id,
        created=int(datetime.fromisoformat(now.wall).timestamp()),
        key=identity.sign,
    ) | {"content-type": "application/json", "accept-encoding": "identity"}
    answer = bytearray()
    try:
        with client.stream("POST", identity.url + PATH, content=body, headers=headers) as response:
            for chunk in response.iter_bytes():
                answer += chunk
                if len(answer) > LARGEST_ANSWER:
                    return TryLater(f"status {response.status_code} with an endless answer")
            return decide(response.status_code, response.headers, bytes(answer))
    except (httpx.HTTPError, httpx.InvalidURL) as failure:
        return TryLater(f"{identity.url}: {type(failure).__name__}: {failure}")


def _act(
    spool: Spool, lane: Lane, records: tuple[Record, ...], answer: Answer, pace: Pace
) -> tuple[Answer, Pace]:
    """Do to the spool what the answer asks for; return the answer as it turned out."""
    if isinstance(answer, Held):
        answer = _forget(spool, lane, answer)
    if isinstance(answer, Held):
        limit = min(2 * pace.most_runs.get(lane, MOST_RUNS), MOST_RUNS)
        return answer, replace(pace, most_runs={**pace.most_runs, lane: limit})
    if isinstance(answer, BadBatch):
        limit = max(1, len(records) // 2)
        if len(records) == 1:
            log.error(
                "the collector refuses %s run %d (%s); it is kept in corrupt/ and counted",
                lane,
                records[0].sequence,
                answer.text,
            )
            spool.quarantine(lane, records[0].sequence)
            answer = replace(answer, alone=True)
        return answer, replace(pace, most_runs={**pace.most_runs, lane: limit})
    if isinstance(answer, Conflict) and not pace.backoff.failures:
        log.error("the collector holds other runs of ours (%s); going on as a new spool", answer)
        spool.renew()
    return answer, pace


def _forget(spool: Spool, lane: Lane, held: Held) -> Answer:
    """Forget what a receipt covers.  One that covers nothing sent, or too much, helps nobody."""
    if any(mark > spool.newest for mark in held.receipt.through.values()):
        log.error(
            "the collector knows runs of this spool that were never taken here; this host was "
            "restored or cloned. Going on as a new spool, nothing is forgotten"
        )
        spool.renew()
        return TryLater("the receipt claims runs that were never taken")
    before = spool.mark(lane)
    for named, mark in held.receipt.through.items():
        spool.through(named, mark)
    if spool.mark(lane) == before:
        return TryLater("the receipt covers nothing of what was sent")
    return held


def _after(
    pace: Pace, lane: Lane, answer: Answer, now: Moment, chance: Callable[[], float]
) -> Pace:
    """Return the pace after a request on `lane` was answered."""
    backoff = advance(pace.backoff, answer, chance)
    if not isinstance(answer, Held) and backoff.failures == 1:
        log.warning("batch not taken: %s; next try in %.0f s", answer.text, backoff.wait_seconds)
    is_backfill = lane is Lane.BACKFILL
    return replace(
        pace,
        backoff=backoff,
        not_before=(now.boot, now.boottime_seconds + backoff.wait_seconds),
        requests=pace.requests.take(),
        backfill=pace.backfill.take() if is_backfill else pace.backfill,
        since_backfill=0 if is_backfill else pace.since_backfill + 1,
    )
