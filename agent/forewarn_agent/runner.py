"""Run one check and say how it went.

Whatever a reader does, what comes out is a run the collector will take: it never raises, never
hangs, and what it read before it failed is kept.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from forewarn_agent.bounds import LONG_TEXT, MOST_SAMPLES, fit_fact, fit_sample, fit_text
from forewarn_agent.child import InChild
from forewarn_agent.clock import Moment
from forewarn_checks.base import (
    CannotRead,
    Check,
    Fact,
    FactValue,
    NothingToRead,
    Options,
    Outcome,
    Reader,
    Reading,
    Run,
    Sample,
)


@dataclass(slots=True)
class _Attempt:
    """What a reader has yielded so far; filled by its thread, read when it ends or time is up."""

    readings: list[Reading] = field(default_factory=list)
    outcome: Outcome = Outcome.OK
    error: str = ""


class Runner:
    """Runs checks and remembers which readers are stuck, so that they do not pile up."""

    def __init__(self) -> None:
        self._stuck: dict[str, threading.Thread] = {}

    def perform(self, check: Check, reader: Reader | None, options: Options, now: Moment) -> Run:
        """Run `check` once through `reader` (None: the system is not supported).  Never raises.

        The run has sequence 0: the spool gives it its own.  A reader that outlasts the check's
        timeout makes a `timed_out` run and is left behind; while it hangs it is not started again.
        """
        began = time.monotonic()
        if reader is None:
            attempt = _Attempt(outcome=Outcome.UNSUPPORTED, error=_unsupported(check))
        elif self._is_stuck(check.name):
            attempt = _Attempt(outcome=Outcome.TIMED_OUT, error=_still_stuck(check))
        else:
            attempt = self._attempt(check, reader, options)
        return _run_of(check, attempt, now, time.monotonic() - began)

    def _is_stuck(self, name: str) -> bool:
        thread = self._stuck.get(name)
        if thread is not None and not thread.is_alive():
            del self._stuck[name]
            thread = None
        return thread is not None

    def _attempt(self, check: Check, reader: Reader, options: Options) -> _Attempt:
        attempt = _Attempt()
        # A daemon, because a reader inside a dead network mount cannot be ended from outside.
        thread = threading.Thread(
            target=_read, args=(reader, options, attempt), name=f"read-{check.name}", daemon=True
        )
        thread.start()
        thread.join(check.timeout.total_seconds())
        if not thread.is_alive():
            return attempt
        if isinstance(reader, InChild):
            reader.kill()
            thread.join(1.0)
        if thread.is_alive():
            self._stuck[check.name] = thread
        return _Attempt(list(attempt.readings), Outcome.TIMED_OUT, _too_slow(check))


def perform(check: Check, reader: Reader | None, options: Options, now: Moment) -> Run:
    """Run `check` once, remembering nothing; see `Runner.perform`."""
    return Runner().perform(check, reader, options, now)


def _read(reader: Reader, options: Options, attempt: _Attempt) -> None:
    try:
        for reading in reader(options):
            attempt.readings.append(reading)
            if len(attempt.readings) > MOST_SAMPLES:
                break
    except NothingToRead as nothing:
        attempt.outcome, attempt.error = Outcome.NOTHING, str(nothing)
    except Exception as failure:  # noqa: BLE001 - a broken check must not stop the others
        attempt.outcome, attempt.error = Outcome.FAILED, say_failure(failure)


def say_failure(failure: Exception) -> str:
    """Return what went wrong in one line; the class too, where the text alone would not tell."""
    text = " ".join(str(failure).split())
    if isinstance(failure, CannotRead) and text:
        return text
    return f"{type(failure).__name__}: {text}" if text else type(failure).__name__


def _run_of(check: Check, attempt: _Attempt, now: Moment, duration_seconds: float) -> Run:
    samples, facts, complaints = _sort(attempt.readings)
    error = "; ".join(text for text in (attempt.error, *complaints) if text)
    return Run(
        sequence=0,
        check=check.name,
        started_at=now.wall,
        boot=now.boot,
        boottime_seconds=now.boottime_seconds,
        duration_seconds=round(duration_seconds, 4),
        outcome=attempt.outcome,
        error=fit_text(error, LONG_TEXT),
        samples=samples,
        facts=facts,
    )


def _sort(
    readings: Iterable[Reading],
) -> tuple[tuple[Sample, ...], dict[str, FactValue], list[str]]:
    """Return samples, facts and what had to be left out, in words."""
    samples: list[Sample] = []
    facts: dict[str, FactValue] = {}
    complaints: list[str] = []
    for reading in readings:
        if isinstance(reading, Fact):
            facts[fit_text(reading.name)] = fit_fact(reading.value)
        elif len(samples) >= MOST_SAMPLES:
            complaints.append(f"more than {MOST_SAMPLES} samples; the rest is left out")
            break
        else:
            sample = fit_sample(reading)
            if sample is None:
                complaints.append(f"{fit_text(reading.metric)} was no finite number")
            else:
                samples.append(sample)
    return tuple(samples), facts, complaints[:5]


def _unsupported(check: Check) -> str:
    return f"{check.name} cannot be read on this operating system"


def _too_slow(check: Check) -> str:
    seconds = f"{check.timeout.total_seconds():g}"
    return f"{check.name} gave no answer within {seconds} s; what it had read by then is kept"


def _still_stuck(check: Check) -> str:
    return (
        f"{check.name} still hangs in an earlier reading and was not started again; "
        "look for a dead mount or device"
    )
