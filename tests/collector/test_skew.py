"""What batches say of a host's clock."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.collector.test_ingest import AHost, a_batch, runs

from forewarn_collector.ingest import Ingest
from forewarn_collector.samples.duck import DuckSampleStore
from forewarn_collector.skew import SPACING, Clocks

RECEIVED = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def told(clocks: Clocks, ahead: float, after: float = 0.0) -> tuple[str, float] | None:
    """Let a batch arrive that was sent by a clock `ahead` seconds ahead."""
    received = RECEIVED + timedelta(seconds=after)
    sent = received + timedelta(seconds=ahead)
    return clocks.seen(7, sent.isoformat().replace("+00:00", "Z"), us(received))


def test_the_first_batch_tells_which_way_and_how_far() -> None:
    assert told(Clocks(), 3600.5) == ("ahead", 3600.5)
    assert told(Clocks(), -86400.0) == ("behind", 86400.0)


def test_it_is_told_now_and_then_not_with_every_batch() -> None:
    clocks = Clocks()
    spoken = [told(clocks, 5.0, after=second) is not None for second in range(0, 601, 10)]
    assert sum(spoken) == 1 + 600_000_000 // SPACING


def test_of_several_batches_the_fastest_tells() -> None:
    """One that lay in a queue for three minutes does not make a clock wrong."""
    clocks = Clocks()
    told(clocks, 0.0)
    for second, delay in ((60, 0.2), (120, 180.0), (180, 90.0)):
        assert told(clocks, -delay, after=second) is None
    assert told(clocks, -170.0, after=240) == ("behind", 0.2)


def test_a_moment_that_is_none_says_nothing() -> None:
    clocks = Clocks()
    assert clocks.seen(1, "yesterday", us(RECEIVED)) is None
    assert clocks.seen(1, "2026-03-02T12:00:00", us(RECEIVED)) is None


@given(st.text(max_size=40), st.integers(min_value=0, max_value=2**53))
def test_nothing_an_agent_writes_there_breaks_anything(text: str, received: int) -> None:
    Clocks().seen(3, text, received)


def test_our_own_clock_set_back_silences_nobody() -> None:
    clocks = Clocks()
    assert told(clocks, 0.0) is not None
    assert told(clocks, 0.0, after=-86400) is not None


def test_it_is_kept_as_a_sample_and_nothing_of_the_batch_is_dropped(tmp_path: Path) -> None:
    """A host set to 1970 is taken like any other."""
    store = DuckSampleStore(tmp_path)
    ingest = Ingest(store, lambda *_: None, linger_seconds=0.0)
    ingest.start()
    batch = a_batch(*runs(0, 1))
    received = datetime.fromisoformat(batch.sent_at) - timedelta(hours=3)

    async def send() -> None:
        await ingest.accept(batch, AHost(), received)

    asyncio.run(send())
    ingest.close()
    found = {one.metric: one for one in store.latest(AHost().number)}
    clock = found["clock_error_seconds"]
    assert (clock.labels, clock.value) == ({"direction": "ahead"}, 10800.0)
    assert clock.at == us(received)
    assert len(store.sequences(AHost().number)) == 2
    store.close()
