"""Whatever a reader does, what comes out is a run the collector will take."""

import json
import math
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from forewarn_agent.bounds import fit_fact, fit_text
from forewarn_agent.clock import Moment
from forewarn_agent.runner import Runner, perform
from forewarn_checks.base import (
    Batch,
    CannotRead,
    Check,
    Component,
    Fact,
    Lane,
    Metric,
    NothingToRead,
    Options,
    Outcome,
    Reading,
    Run,
    Sample,
    Unit,
)
from forewarn_checks.base.wire import to_json

FREE = Metric("tank_free_bytes", Unit.BYTES, "Room in the tank.", ("tank",))
NOW = Moment("2026-11-21T08:00:00.000Z", "boot", 100.0)


def check(timeout: timedelta = timedelta(seconds=5)) -> Check:
    return Check(
        name="tank",
        help="A tank.",
        every=timedelta(minutes=1),
        timeout=timeout,
        metrics=(FREE,),
        component=Component("tank", ("tank",)),
        read_linux=None,
        read_windows=None,
    )


def test_samples_and_facts_of_a_good_run() -> None:
    def read(options: Options) -> Iterator[Reading]:
        yield FREE.sample(7, tank=str(options["which"]))
        yield Fact("tank_model", "T-1")

    run = perform(check(), read, {"which": "north"}, NOW)
    assert (run.sequence, run.outcome, run.error) == (0, Outcome.OK, "")
    assert run.samples == (Sample("tank_free_bytes", 7.0, {"tank": "north"}),)
    assert run.facts == {"tank_model": "T-1"}
    assert (run.started_at, run.boot, run.boottime_seconds) == (NOW.wall, "boot", 100.0)


@pytest.mark.parametrize(
    ("raised", "outcome", "error"),
    [
        (NothingToRead("no tank here; install one"), Outcome.NOTHING, "no tank here; install one"),
        (CannotRead("tank locked: run as root"), Outcome.FAILED, "tank locked: run as root"),
        (KeyError("valve"), Outcome.FAILED, "KeyError: 'valve'"),
        (ValueError(), Outcome.FAILED, "ValueError"),
    ],
)
def test_what_was_read_before_it_was_raised_is_kept(
    raised: Exception, outcome: Outcome, error: str
) -> None:
    def read(options: Options) -> Iterator[Reading]:
        yield FREE.sample(7, tank="north")
        raise raised

    run = perform(check(), read, {}, NOW)
    assert (run.outcome, run.error, len(run.samples)) == (outcome, error, 1)


def test_no_reader_for_this_system_is_unsupported() -> None:
    assert perform(check(), None, {}, NOW).outcome is Outcome.UNSUPPORTED


def test_values_that_are_no_number_are_left_out_and_named() -> None:
    def read(options: Options) -> Iterator[Reading]:
        yield FREE.sample(math.nan, tank="north")
        yield FREE.sample(math.inf, tank="south")
        yield FREE.sample(1, tank="west")

    run = perform(check(), read, {}, NOW)
    assert [sample.labels["tank"] for sample in run.samples] == ["west"]
    assert "tank_free_bytes was no finite number" in run.error
    assert run.outcome is Outcome.OK


def test_a_stuck_reader_times_out_once_and_is_not_started_again() -> None:
    release = threading.Event()
    started: list[str] = []

    def read(options: Options) -> Iterator[Reading]:
        started.append("")
        yield FREE.sample(7, tank="north")
        release.wait(30)

    runner, tank = Runner(), check(timeout=timedelta(seconds=0.05))
    try:
        first = runner.perform(tank, read, {}, NOW)
        second = runner.perform(tank, read, {}, NOW)
    finally:
        release.set()
    assert (first.outcome, len(first.samples)) == (Outcome.TIMED_OUT, 1)
    assert "no answer within 0.05 s" in first.error
    assert (second.outcome, len(second.samples)) == (Outcome.TIMED_OUT, 0)
    assert "still hangs" in second.error
    assert len(started) == 1


def test_more_samples_than_any_host_has_are_cut_and_said() -> None:
    def read(options: Options) -> Iterator[Reading]:
        while True:
            yield FREE.sample(7, tank="north")

    run = perform(check(), read, {}, NOW)
    assert len(run.samples) == 2000
    assert "more than 2000 samples" in run.error


def test_long_and_broken_texts_are_cut_to_what_the_wire_takes() -> None:
    assert fit_text("a\0b\ud800") == "a\ufffdb?"
    assert len(fit_text("ä" * 500).encode()) <= 256
    assert fit_text("ä" * 500).endswith("…")
    assert fit_fact(2**80) == str(2**80)
    assert fit_fact(math.nan) is None


any_text = st.text(st.characters(), max_size=400)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | any_text
facts = (
    scalars
    | st.lists(any_text, max_size=5)
    | st.lists(st.dictionaries(any_text, scalars, max_size=3), max_size=5)
)
readings = st.lists(
    st.builds(Sample, any_text, st.floats(), st.dictionaries(any_text, any_text, max_size=20))
    | st.builds(Fact, any_text, facts),
    max_size=8,
)
batch_adapter: TypeAdapter[Batch] = TypeAdapter(Batch)


@given(readings, any_text)
@settings(deadline=None, max_examples=60)
def test_no_reading_makes_a_run_the_collector_must_refuse(
    read: list[Reading], complaint: str
) -> None:
    def reader(options: Options) -> Iterator[Reading]:
        yield from read
        raise CannotRead(complaint)

    sent = wire(perform(check(), reader, {}, NOW))
    assert batch_adapter.validate_json(sent).runs[0].check == "tank"


def wire(run: Run) -> bytes:
    batch = Batch(
        schema=1,
        host="host",
        spool="spool",
        lane=Lane.LIVE,
        runs=(run,),
        sent_at=NOW.wall,
        sent_boot="boot",
        sent_boottime_seconds=101.0,
    )
    document: dict[str, Any] = to_json(batch)
    return json.dumps(document, allow_nan=False).encode()
