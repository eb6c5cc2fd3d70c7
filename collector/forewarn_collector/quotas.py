"""How much one host may send, so that none of them can fill the collector's memory.

BadBatch   the batch is refused; sending it again would not help
Busy       nothing can be taken just now; the same batch may be sent again
"""

import re
from collections import Counter
from dataclasses import dataclass

from forewarn_checks.base import Batch, FactValue, Run

# As checks name themselves, their metrics and labels; what else comes is somebody's invention.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")


class BadBatch(Exception):
    """This batch cannot be taken, with the HTTP status that tells its sender so."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Busy(Exception):
    """Nothing is taken at the moment; the sender keeps what it has and comes back."""

    def __init__(self, text: str, retry_after_seconds: int) -> None:
        super().__init__(text)
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a batch and a host may hold."""

    samples: int = 10_000  # a batch
    series: int = 2_000  # a batch; and names nobody used before, a host and day
    values_of_a_label: int = 200  # a metric and batch
    labels: int = 16  # a sample
    spools: int = 50  # new ones, a host and day
    facts: int = 200  # a run
    fact_characters: int = 1_000_000  # a run


def check(batch: Batch, limits: Limits) -> None:
    """Raise BadBatch for a batch that holds more than it may, or holds it out of order."""
    count = sum(len(run.samples) for run in batch.runs)
    if count > limits.samples:
        raise BadBatch(413, f"{count} samples in one batch; send at most {limits.samples}")
    # Fewer samples than values or series allowed cannot break those limits.
    if count > limits.values_of_a_label:
        _check_names(batch, limits)
    previous = -1
    for run in batch.runs:
        if run.sequence <= previous:
            raise BadBatch(422, f"run {run.sequence} follows {previous}; send the oldest first")
        previous = run.sequence
        check_name("check", run.check)
        if run.facts:
            _check_facts(run, limits)


def check_name(what: str, name: str) -> None:
    """Raise BadBatch for a name no check could have: not lower case, digits and underscores."""
    if not _NAME.fullmatch(name):
        raise BadBatch(422, f"{name!r:.120} is no name of a {what}; names are a-z, 0-9 and _")


def _check_names(batch: Batch, limits: Limits) -> None:
    series = {
        (sample.metric, tuple(sorted(sample.labels.items())))
        for run in batch.runs
        for sample in run.samples
    }
    if len(series) > limits.series:
        raise BadBatch(
            413, f"{len(series)} series in one batch; a host has {limits.series} at most"
        )
    values = {(metric, label) for metric, labels in series for label in labels}
    counts = Counter((metric, name) for metric, (name, _) in values)
    for (metric, name), number in counts.most_common(1):
        if number > limits.values_of_a_label:
            raise BadBatch(
                422,
                f"{number} values of label {name} of {metric} in one batch; leave some out"
                f" with an option of the check, at most {limits.values_of_a_label} are taken",
            )


def _check_facts(run: Run, limits: Limits) -> None:
    if len(run.facts) > limits.facts:
        raise BadBatch(422, f"run {run.sequence} has {len(run.facts)} facts, not {limits.facts}")
    size = sum(len(name) + _size(value) for name, value in run.facts.items())
    if size > limits.fact_characters:
        raise BadBatch(413, f"the facts of run {run.sequence} are {size} characters long")
    if any(len(name) > 100 for name in run.facts):
        raise BadBatch(422, f"run {run.sequence} has a fact whose name is over 100 characters")


def _size(value: FactValue) -> int:
    if isinstance(value, list):
        return sum(_size_of_row(row) for row in value)
    return len(str(value))


def _size_of_row(row: str | dict[str, str | int | float | bool | None]) -> int:
    if isinstance(row, str):
        return len(row)
    return sum(len(key) + len(str(value)) for key, value in row.items())


class Allowance:
    """How many new things each host made today.  Only hosts that made any cost memory."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._day = 0
        self._made: dict[int, int] = {}

    def take(self, host: int, day: int, count: int = 1) -> bool:
        """Count new things of a host; return whether that is still allowed."""
        if day != self._day:
            self._day = day
            self._made.clear()
        made = self._made.get(host, 0) + count
        self._made[host] = made
        return made <= self._most

    def spent(self, host: int, day: int) -> bool:
        """Return whether the host may make nothing more today."""
        return day == self._day and self._made.get(host, 0) >= self._most
