"""From an accepted batch to a receipt that is true."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from forewarn_checks.base import SCHEMA, Batch, FactValue, Lane, Outcome, Receipt, Run, Sample
from forewarn_collector.ingest import BadBatch, Busy, Ingest, Limits, Room
from forewarn_collector.samples import Arrival
from forewarn_collector.samples.duck import DuckSampleStore

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


@dataclass(frozen=True)
class AHost:
    number: int = 1
    id: str = "host-1"


@dataclass
class Facts:
    """Remembers what it was told, in order; may be made to fail."""

    told: list[tuple[int, str, dict[str, FactValue]]] = field(default_factory=list)
    trouble: Exception | None = None

    def __call__(
        self, number: int, host_id: str, facts: Mapping[str, FactValue], at: datetime
    ) -> None:
        if self.trouble:
            raise self.trouble
        self.told.append((number, host_id, dict(facts)))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckSampleStore]:
    opened = DuckSampleStore(tmp_path)
    yield opened
    opened.close()


def runs(*sequences: int, **changes: object) -> tuple[Run, ...]:
    run = Run(
        sequence=0,
        check="disk",
        started_at="2026-11-21T07:59:00Z",
        boot="b",
        boottime_seconds=0.0,
        duration_seconds=0.1,
        outcome=Outcome.OK,
        samples=(Sample("disk_free_bytes", 5.0, {"mountpoint": "/"}),),
    )
    run = replace(run, **changes)  # type: ignore[arg-type]
    return tuple(replace(run, sequence=n, boottime_seconds=float(n)) for n in sequences)


def a_batch(*sent: Run, spool: str = "s", lane: Lane = Lane.LIVE) -> Batch:
    return Batch(
        schema=SCHEMA,
        host="host-1",
        spool=spool,
        lane=lane,
        runs=sent,
        sent_at="2026-11-21T08:00:00Z",
        sent_boot="b",
        sent_boottime_seconds=60.0,
    )


Answer = Receipt | BadBatch | Busy


def take(ingest: Ingest, *batches: Batch, host: AHost | None = None) -> list[Answer]:
    """Accept batches at the same time, and close."""

    async def all_of_them() -> list[Answer | BaseException]:
        ingest.start()
        accepted = [ingest.accept(batch, host or AHost(), NOW) for batch in batches]
        return await asyncio.gather(*accepted, return_exceptions=True)

    try:
        answers = asyncio.run(all_of_them())
    finally:
        ingest.close()
    for answer in answers:
        assert isinstance(answer, Answer), answer
    return [answer for answer in answers if isinstance(answer, Answer)]


def ingest_into(store: DuckSampleStore, facts: Facts | None = None, **changes: object) -> Ingest:
    return Ingest(store, facts or Facts(), linger_seconds=0.002, **changes)  # type: ignore[arg-type]


def test_a_receipt_names_what_is_held_and_the_rows_are_dated(store: DuckSampleStore) -> None:
    (receipt,) = take(ingest_into(store), a_batch(*runs(3, 4)))
    assert receipt == Receipt({Lane.LIVE: 4})
    assert store.sequences(1) == [("s", Lane.LIVE, 3), ("s", Lane.LIVE, 4)]
    (reading,) = (one for one in store.latest(1) if one.metric == "disk_free_bytes")
    assert reading.at == (NOW - timedelta(seconds=56)).timestamp() * 1e6
    assert reading.received == NOW.timestamp() * 1e6


def test_the_receipt_names_every_lane_of_the_spool(store: DuckSampleStore) -> None:
    take(ingest_into(store), a_batch(*runs(1), lane=Lane.BACKFILL))
    (receipt,) = take(ingest_into(store), a_batch(*runs(9)))
    assert receipt == Receipt({Lane.LIVE: 9, Lane.BACKFILL: 1})


def test_the_same_batch_again_gets_the_same_answer_and_changes_nothing(
    store: DuckSampleStore,
) -> None:
    batch = a_batch(*runs(0, 1))
    ingest = ingest_into(store)
    answers = take(ingest, batch, batch, batch)
    answers += take(ingest_into(store), batch)
    assert answers == [Receipt({Lane.LIVE: 1})] * 4
    assert len(store.sequences(1)) == 2
    assert (ingest.counts.batches, ingest.counts.repeats, ingest.counts.runs) == (3, 2, 2)


def test_only_the_new_end_of_an_overlapping_batch_is_kept(store: DuckSampleStore) -> None:
    take(ingest_into(store), a_batch(*runs(0, 1), *runs(2, samples=())))
    take(ingest_into(store), a_batch(*runs(1), *runs(2, samples=()), *runs(3, 4)))
    assert [sequence for _, _, sequence in store.sequences(1)] == [0, 1, 2, 3, 4]
    (series,) = store.history(1, "disk_free_bytes", 0, 2**62, steps=10**15)
    assert len(series.at) == 4


def test_overlapping_batches_in_one_commit_are_cut_against_each_other(
    store: DuckSampleStore,
) -> None:
    take(ingest_into(store), a_batch(*runs(0, 1, 2)), a_batch(*runs(1, 2, 3)))
    assert [sequence for _, _, sequence in store.sequences(1)] == [0, 1, 2, 3]


def test_a_gap_is_accepted_and_what_it_skipped_is_not_taken_later(store: DuckSampleStore) -> None:
    take(ingest_into(store), a_batch(*runs(5)))
    (receipt,) = take(ingest_into(store), a_batch(*runs(2)))
    assert receipt == Receipt({Lane.LIVE: 5})
    assert len(store.sequences(1)) == 1


def test_facts_are_durable_before_the_rows_and_told_once(store: DuckSampleStore) -> None:
    facts = Facts()
    batch = a_batch(*runs(0, facts={"kernel": "6.1"}), *runs(1, facts={"kernel": "6.2"}))
    take(ingest_into(store, facts), batch)
    take(ingest_into(store, facts), batch)
    assert facts.told == [(1, "host-1", {"kernel": "6.2"})]


def test_without_its_facts_a_batch_is_not_acknowledged(store: DuckSampleStore) -> None:
    facts = Facts(trouble=OSError("disk full"))
    batch = a_batch(*runs(0, facts={"kernel": "6.1"}))
    (answer,) = take(ingest_into(store, facts), batch)
    assert isinstance(answer, Busy)
    assert store.sequences(1) == []
    facts.trouble = None
    assert take(ingest_into(store, facts), batch) == [Receipt({Lane.LIVE: 0})]
    assert len(facts.told) == 1


class Refusing(DuckSampleStore):
    """Stores nothing while it has a reason not to."""

    reason: Callable[[Sequence[Arrival]], Exception | None] = staticmethod(lambda _: None)

    def append(self, arrivals: Sequence[Arrival]) -> None:
        """Raise the reason, or append."""
        if trouble := self.reason(arrivals):
            raise trouble
        super().append(arrivals)


def test_when_nothing_can_be_stored_the_host_is_told_to_come_back(tmp_path: Path) -> None:
    store = Refusing(tmp_path)
    store.reason = lambda _: OSError("no space left")
    answers = take(ingest_into(store), a_batch(*runs(0)), a_batch(*runs(0), spool="t"))
    assert [type(answer) for answer in answers] == [Busy, Busy]
    store.reason = lambda _: None
    assert take(ingest_into(store), a_batch(*runs(0))) == [Receipt({Lane.LIVE: 0})]
    store.close()


def test_one_impossible_batch_does_not_hold_up_the_others(tmp_path: Path) -> None:
    def impossible(arrivals: Sequence[Arrival]) -> Exception | None:
        bad = any(arrival.spool == "bad" for arrival in arrivals)
        return ValueError("cannot be written") if bad else None

    store = Refusing(tmp_path)
    store.reason = impossible
    batches = [a_batch(*runs(0), spool=spool) for spool in ("a", "bad", "b")]
    answers = take(ingest_into(store), *batches)
    assert [type(answer) for answer in answers] == [Receipt, Busy, Receipt]
    assert {spool for spool, _, _ in store.sequences(1)} == {"a", "b"}
    store.close()


def test_batches_that_come_together_share_a_commit(store: DuckSampleStore) -> None:
    ingest = Ingest(store, Facts(), linger_seconds=0.5)
    answers = take(ingest, *(a_batch(*runs(0), spool=f"s{n}") for n in range(64)))
    assert all(isinstance(answer, Receipt) for answer in answers)
    assert ingest.counts.commits <= 2


def test_closing_commits_and_answers_what_waits(store: DuckSampleStore) -> None:
    async def closing() -> Receipt:
        ingest = Ingest(store, Facts(), linger_seconds=3600)
        ingest.start()
        waiting = asyncio.ensure_future(ingest.accept(a_batch(*runs(0)), AHost(), NOW))
        while not ingest.waiting():
            await asyncio.sleep(0)
        await asyncio.to_thread(ingest.close)
        with pytest.raises(Busy, match="stopping"):
            await ingest.accept(a_batch(*runs(1)), AHost(), NOW)
        return await waiting

    assert asyncio.run(closing()) == Receipt({Lane.LIVE: 0})


def test_a_full_queue_sends_hosts_away_before_it_costs_anything(tmp_path: Path) -> None:
    gate = threading.Event()

    def wait(_arrivals: Sequence[Arrival]) -> None:
        gate.wait(30)

    async def flood() -> None:
        store = Refusing(tmp_path)
        store.reason = wait
        ingest = Ingest(store, Facts(), linger_seconds=0, queue=3)
        ingest.start()
        accepted = []
        for number in range(8):
            batch = a_batch(*runs(0), spool=f"s{number}")
            accepted.append(asyncio.ensure_future(ingest.accept(batch, AHost(), NOW)))
            await asyncio.sleep(0)
        gate.set()
        answers = await asyncio.gather(*accepted, return_exceptions=True)
        await asyncio.to_thread(ingest.close)
        store.close()
        kinds = [type(answer) for answer in answers]
        assert kinds[:3] == [Receipt] * 3
        assert kinds[-1] is Busy
        assert isinstance(answers[-1], Busy)
        assert answers[-1].retry_after_seconds > 0

    asyncio.run(flood())


def test_a_full_disk_sends_hosts_away(store: DuckSampleStore, tmp_path: Path) -> None:
    (answer,) = take(ingest_into(store, missing_bytes=lambda: 7), a_batch(*runs(0)))
    assert isinstance(answer, Busy)
    assert "lacks 7 bytes" in str(answer)
    assert Room(directory=tmp_path, least_bytes=0, least_ratio=0.0).missing() == 0
    assert Room(directory=tmp_path, least_bytes=1 << 60).missing() > 0


class TestQuotas:
    """No host can fill the memory of the collector."""

    def answer(self, store: DuckSampleStore, *sent: Run, **limits: int) -> Answer:
        ingest = ingest_into(store, limits=Limits(**limits))
        (answer,) = take(ingest, a_batch(*sent))
        return answer

    def refused(self, store: DuckSampleStore, *sent: Run, **limits: int) -> tuple[int, str]:
        answer = self.answer(store, *sent, **limits)
        assert isinstance(answer, BadBatch)
        assert store.sequences(1) == []
        return answer.status, str(answer)

    def test_samples_of_a_batch_are_counted(self, store: DuckSampleStore) -> None:
        many = tuple(Sample("m", 1.0) for _ in range(6))
        assert self.refused(store, *runs(0, 1, samples=many), samples=11)[0] == 413
        assert isinstance(self.answer(store, *runs(0, 1, samples=many), samples=12), Receipt)

    def test_values_of_a_label_are_counted(self, store: DuckSampleStore) -> None:
        many = tuple(Sample("m", 1.0, {"pid": str(n)}) for n in range(4))
        status, text = self.refused(store, *runs(0, samples=many), values_of_a_label=3)
        assert (status, "label pid of m" in text) == (422, True)

    def test_series_of_a_batch_are_counted(self, store: DuckSampleStore) -> None:
        many = tuple(Sample(f"m{n}", 1.0) for n in range(4))
        status, _ = self.refused(store, *runs(0, samples=many), series=3, values_of_a_label=1)
        assert status == 413

    def test_new_names_of_a_host_are_counted_over_batches(self, store: DuckSampleStore) -> None:
        ingest = ingest_into(store, limits=Limits(series=10))
        churning = [
            a_batch(*runs(n, samples=(Sample("m", 1.0, {"id": str(n)}),))) for n in range(20)
        ]
        answers = take(ingest, *churning)
        refused = [answer for answer in answers if isinstance(answer, BadBatch)]
        assert len(refused) == 11, "check_failed{check} is a name, too"
        assert "changes all the time" in str(refused[0])
        assert len(store.shapes()) == 10 + 1, "the clock's, which is ours"

    def test_a_known_name_costs_a_churning_host_nothing(self, store: DuckSampleStore) -> None:
        ingest = ingest_into(store, limits=Limits(series=2))
        answers = take(ingest, *(a_batch(*runs(n)) for n in range(5)))
        assert all(isinstance(answer, Receipt) for answer in answers)

    def test_new_spools_of_a_host_are_counted(self, store: DuckSampleStore) -> None:
        async def many() -> list[type]:
            ingest = ingest_into(store, limits=Limits(spools=2))
            ingest.start()
            kinds: list[type] = []
            for number in range(4):
                batch = a_batch(*runs(0), spool=f"s{number}")
                try:
                    kinds.append(type(await ingest.accept(batch, AHost(), NOW)))
                except Busy as busy:
                    kinds.append(type(busy))
            kinds.append(type(await ingest.accept(a_batch(*runs(1), spool="s0"), AHost(), NOW)))
            await asyncio.to_thread(ingest.close)
            return kinds

        assert asyncio.run(many()) == [Receipt, Receipt, Busy, Busy, Receipt]

    def test_runs_out_of_order_are_refused(self, store: DuckSampleStore) -> None:
        assert self.refused(store, *runs(2, 1))[0] == 422
        assert self.refused(store, *runs(2, 2))[0] == 422

    def test_facts_are_bounded(self, store: DuckSampleStore) -> None:
        many = {f"f{n}": 1 for n in range(4)}
        assert self.refused(store, *runs(0, facts=many), facts=3)[0] == 422
        assert self.refused(store, *runs(0, facts={"f": ["x" * 99]}), fact_characters=50)[0] == 413
        assert self.refused(store, *runs(0, facts={"f" * 101: 1}))[0] == 422
        table = {"disks": [{"name": "sda", "size_bytes": 2**63, "rotational": None}]}
        assert isinstance(self.answer(store, *runs(0, facts=table)), Receipt)

    def test_a_moment_that_is_none_is_refused(self, store: DuckSampleStore) -> None:
        assert self.refused(store, *runs(0, boot="older", started_at="soon"))[0] == 422

    def test_extreme_numbers_are_stored(self, store: DuckSampleStore) -> None:
        extreme = runs(2**63 - 1, duration_seconds=1e308, samples=(Sample("m", -1e308),))
        assert self.answer(store, *extreme) == Receipt({Lane.LIVE: 2**63 - 1})
        assert store.latest(1)[0].value == -1e308


@pytest.mark.parametrize(
    "strange",
    [
        {"check": "<script>"},
        {"samples": (Sample("m[mory_used_ratio", 1.0),)},
        {"samples": (Sample("memory_used_ratio", 1.0, {"": "x"}),)},
        {"samples": (Sample("memory_used_ratio", 1.0, {"a\x1bb": "x"}),)},
    ],
)
def test_names_no_check_could_have_are_refused(
    store: DuckSampleStore, strange: dict[str, object]
) -> None:
    """Names become rows, labels of charts and lines in terminals for every host."""
    (answer,) = take(ingest_into(store), a_batch(*runs(0, **strange)))
    assert isinstance(answer, BadBatch)
    assert answer.status == 422
    assert store.sequences(1) == []
