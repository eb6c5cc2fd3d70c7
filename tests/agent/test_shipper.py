"""The shipper: urgent runs first, the receipt decides, a bad answer costs nothing but time."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from nacl.signing import SigningKey
from pydantic import TypeAdapter

from forewarn_agent.clock import Moment
from forewarn_agent.pace import Busy, Conflict, Held, TryLater, Unwelcome
from forewarn_agent.record import record_of
from forewarn_agent.shipper import MOST_SAMPLES, Pace, Shipped, choose_lane, ship_once
from forewarn_agent.spool import Drop, Limits, Spool
from forewarn_checks.base import signing
from forewarn_checks.base.wire import Batch, Lane, Outcome, Run, Sample

HOST = "0198c0de-0000-7000-8000-000000000001"
KEY = SigningKey(b"k" * 32)
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Host:
    """An enrolled host."""

    host_id: str = HOST
    collector_id: str = "collector-1"
    url: str = "https://collector.example:8440"
    counted: int = 0

    def sign(self, message: bytes) -> bytes:
        return KEY.sign(message).signature

    def next_seq(self, stream: str) -> int:
        self.counted += 1
        return self.counted


@dataclass
class Collector:
    """Answers as told, by default as one that holds all it gets; keeps what it got."""

    answers: list[Answer | Exception] = field(default_factory=list)
    got: list[Batch] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    marks: dict[Lane, int] = field(default_factory=dict)
    refuses: Callable[[Batch], bool] = lambda _: False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        batch = TypeAdapter(Batch).validate_json(gzip.decompress(request.content))
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return httpx.Response(answer[0], headers=answer[1], content=answer[2])
        if self.refuses(batch):
            return httpx.Response(400, json={"error": "bad"})
        self.got.append(batch)
        self.marks[batch.lane] = batch.runs[-1].sequence
        return httpx.Response(200, json={"through": self.marks})


@dataclass
class Line:
    """A spool, a collector and a clock, and what is remembered between calls."""

    spool: Spool
    collector: Collector = field(default_factory=Collector)
    host: Host = field(default_factory=Host)
    pace: Pace = field(default_factory=Pace)
    seconds: float = 1000.0

    def ship(self, wait: float = 10.0) -> Shipped:
        """Ship once, `wait` seconds after the last time."""
        self.seconds += wait
        with httpx.Client(transport=httpx.MockTransport(self.collector)) as client:
            shipped = ship_once(
                self.spool, client, self.host, self.now(), self.pace, chance=lambda: 0.5
            )
        self.pace = shipped.pace
        return shipped

    def now(self) -> Moment:
        return Moment("2026-11-21T08:00:00.000Z", "b1", self.seconds)

    def take(self, count: int, *, lane: Lane = Lane.LIVE, text: str = "") -> None:
        for _ in range(count):
            self.spool.append(a_run(text, at=self.seconds), lane)

    def received(self) -> list[int]:
        return [run.sequence for batch in self.collector.got for run in batch.runs]


def a_run(text: str = "", *, at: float = 1.0, samples: tuple[Sample, ...] = ()) -> Run:
    return Run(
        sequence=0,
        check="disk",
        started_at="2026-11-21T08:00:00.000Z",
        boot="b1",
        boottime_seconds=at,
        duration_seconds=0.1,
        outcome=Outcome.OK,
        error=text,
        samples=samples,
    )


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    spool = Spool.open(tmp_path / "spool", limits=Limits(reserve_bytes=0))
    yield Line(spool)
    spool.close()


def test_runs_arrive_and_are_forgotten(line: Line) -> None:
    line.take(3)
    shipped = line.ship()
    assert (shipped.runs, shipped.lane, shipped.wait_seconds) == (3, Lane.LIVE, 0.0)
    assert line.received() == [1, 2, 3]
    assert line.ship() == Shipped(line.pace)
    batch = line.collector.got[0]
    assert (batch.host, batch.spool, batch.sent_boot) == (HOST, line.spool.spool_id, "b1")
    assert batch.sent_boottime_seconds == 1010.0


def test_a_request_is_signed_over_its_very_bytes(line: Line) -> None:
    line.take(1)
    line.ship()
    (request,) = line.collector.requests
    signed = signing.parse("POST", request.url.path, "", dict(request.headers))
    KEY.verify_key.verify(signed.base, signed.signature)
    assert signed.digest == signing.content_digest(request.content)
    assert (signed.key_id, signed.stream, signed.seq) == (HOST, "batches", 1)


def test_the_same_runs_make_the_same_bytes(line: Line) -> None:
    line.take(2)
    line.collector.answers = [httpx.ReadTimeout("slow"), httpx.ReadTimeout("slow")]
    line.ship()
    line.seconds -= 300.0
    line.ship(300.0)
    assert len({request.content for request in line.collector.requests}) == 1


def test_live_runs_go_before_results_and_backfill() -> None:
    assert choose_lane({Lane.LIVE: 1, Lane.RESULTS: 1, Lane.BACKFILL: 1}, 0) is Lane.LIVE
    assert choose_lane({Lane.LIVE: 0, Lane.RESULTS: 1, Lane.BACKFILL: 1}, 0) is Lane.RESULTS
    assert choose_lane({Lane.LIVE: 0, Lane.RESULTS: 0, Lane.BACKFILL: 1}, 0) is Lane.BACKFILL
    assert choose_lane({Lane.LIVE: 0, Lane.RESULTS: 0, Lane.BACKFILL: 0}, 9) is None


def test_backfill_gets_a_quarter_of_the_requests_while_live_runs_wait() -> None:
    since, turns = 0, []
    for _ in range(12):
        lane = choose_lane({Lane.LIVE: 9, Lane.RESULTS: 0, Lane.BACKFILL: 9}, since)
        turns.append(lane)
        since = 0 if lane is Lane.BACKFILL else since + 1
    assert turns.count(Lane.BACKFILL) == 3


def test_after_an_outage_new_runs_overtake_the_backlog_and_all_arrive_once(line: Line) -> None:
    for _ in range(25):
        line.spool.append(a_run(at=line.seconds, samples=(Sample("a", 1.0),) * 1000))
    line.seconds += 3600.0
    line.ship()  # the oldest 10,000 samples; the rest is late by now
    line.take(1)
    line.ship()
    assert line.collector.got[1].runs[0].sequence == 26
    for _ in range(5):
        line.ship()
    assert sorted(line.received()) == list(range(1, 27))
    lanes = [batch.lane for batch in line.collector.got]
    assert lanes == [Lane.LIVE, Lane.LIVE, Lane.BACKFILL, Lane.BACKFILL]


def test_a_batch_stays_within_what_a_collector_takes(line: Line) -> None:
    samples = tuple(Sample("a", float(i)) for i in range(3000))
    for _ in range(8):
        line.spool.append(a_run(samples=samples))
    while line.ship().runs:
        pass
    sizes = [sum(len(run.samples) for run in batch.runs) for batch in line.collector.got]
    assert sum(sizes) == 24_000
    assert max(sizes) <= MOST_SAMPLES


def test_one_bad_run_is_found_counted_and_the_others_arrive(line: Line) -> None:
    line.take(20)
    line.collector.refuses = lambda batch: any(run.sequence == 13 for run in batch.runs)
    for _ in range(40):
        line.ship(60.0)
    assert line.received() == [n for n in range(1, 21) if n != 13]
    assert list(line.spool.drops().values()) == [{Drop.REFUSED: 1}]


def test_the_search_for_a_bad_run_does_not_wait_but_giving_one_up_does(line: Line) -> None:
    line.take(2)
    line.collector.refuses = lambda _: True
    assert line.ship().wait_seconds == 0.0
    assert line.ship().wait_seconds > 0.0
    assert line.spool.dropped(Lane.LIVE) == 1


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        ((401, {}, b"{}"), Unwelcome),
        ((403, {}, b"{}"), Unwelcome),
        ((409, {}, b"{}"), Conflict),
        ((429, {"retry-after": "30"}, b""), Busy),
        ((503, {"retry-after": "30"}, b""), Busy),
        ((500, {}, b""), TryLater),
        ((200, {}, b"<html>log in</html>"), TryLater),
        ((200, {}, b"x" * 200_000), TryLater),
        ((400, {}, b"<html>who are you</html>"), TryLater),
        ((302, {"location": "https://elsewhere.example"}, b""), TryLater),
        (httpx.ConnectError("refused"), TryLater),
        (httpx.ReadTimeout("slow"), TryLater),
    ],
)
def test_trouble_costs_time_and_no_run(
    line: Line, answer: Answer | Exception, meaning: type
) -> None:
    line.take(3)
    line.collector.answers = [answer]
    shipped = line.ship()
    assert isinstance(shipped.answer, meaning)
    assert shipped.wait_seconds > 0
    assert line.ship(0.01).answer is None  # too early
    line.ship(5000.0)
    assert line.received() == [1, 2, 3]
    assert line.spool.dropped(Lane.LIVE) == 0


@pytest.mark.parametrize(
    "through",
    [{}, {"live": 0}, {"backfill": 3}, {"live": -1}, {"live": "3"}, {"live": True}, {"live": 1e9}],
)
def test_a_receipt_that_covers_nothing_forgets_nothing(line: Line, through: object) -> None:
    line.take(3)
    line.collector.answers = [(200, {}, json.dumps({"through": through}).encode())]
    assert isinstance(line.ship().answer, TryLater)
    line.ship(5000.0)
    assert line.received() == [1, 2, 3]


def test_a_receipt_beyond_what_was_sent_costs_nothing_unsent(line: Line) -> None:
    for _ in range(15):
        line.spool.append(a_run(samples=(Sample("a", 1.0),) * 1000))
    line.collector.answers = [(200, {}, b'{"through": {"live": 15}}')]
    assert isinstance(line.ship(wait=0.0).answer, Held)
    assert line.spool.mark(Lane.LIVE) == 10


def test_a_restored_host_goes_on_as_a_new_spool_and_loses_nothing(line: Line) -> None:
    line.take(3)
    before = line.spool.spool_id
    line.collector.answers = [(200, {}, b'{"through": {"live": 150}}')]
    line.ship()
    assert line.spool.spool_id != before
    line.ship(5000.0)
    assert line.received() == [1, 2, 3]


def test_a_conflict_makes_a_new_spool_once(line: Line) -> None:
    line.take(1)
    before = line.spool.spool_id
    line.collector.answers = [(409, {}, b"{}"), (409, {}, b"{}")]
    line.ship()
    after = line.spool.spool_id
    assert after != before
    assert line.ship(5000.0).wait_seconds > 1800
    assert line.spool.spool_id == after


def test_what_a_lost_receipt_covered_is_learnt_from_the_next_one(line: Line) -> None:
    line.take(3)
    line.collector.answers = [httpx.ReadTimeout("the answer was lost")]
    line.ship()
    line.take(2)
    line.collector.answers = [(200, {}, b'{"through": {"live": 5}}')]
    line.ship(500.0)
    assert line.spool.waiting(Lane.LIVE) == 0


def test_requests_are_one_a_second_at_most_after_a_burst(line: Line) -> None:
    sent = 0
    for _ in range(100):
        line.take(1)
        sent += line.ship(0.1).answer is not None
    assert sent <= 15


def test_drops_are_told_with_every_batch(line: Line) -> None:
    line.take(2)
    line.spool.quarantine(Lane.LIVE, 1)
    line.ship()
    assert line.collector.got[0].dropped == 1


def test_a_moment_of_another_boot_forgets_the_wait(line: Line) -> None:
    line.take(1)
    line.collector.answers = [(401, {}, b"{}")]
    line.ship()
    assert line.pace.wait_seconds(line.now()) > 1000
    assert line.pace.wait_seconds(replace(line.now(), boot="b2")) == 0.0


def test_a_record_knows_its_samples() -> None:
    assert record_of(a_run(samples=(Sample("a", 1.0),)), sequence=1, number=1).samples == 1
