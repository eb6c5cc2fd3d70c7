"""What came of forecasts: of each whether its level was reached inside the interval it told.

`Ledger` keeps the score in memory, for replays; `state.forecasts` does the same in the database.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from forewarn_checks.base import Forecast, Wear
from forewarn_collector.judgement import AlertId, Made
from forewarn_collector.rules.kind import Due

FORETELLING = (Forecast, Wear)
"""The kinds of rules that tell dates."""
FINENESS = timedelta(minutes=10)
"""Two readings of a filesystem: when it was full is not known better."""
LEAST_TESTED = 10
"""Of fewer intervals put to the test no share is told: it would be chance."""
_FINENESS = FINENESS // timedelta(microseconds=1)


class Outcome(StrEnum):
    """What came of a forecast."""

    INSIDE = "inside"
    EARLY = "early"  # the level was reached before the interval
    LATE = "late"  # after it, or not at all although the growth went on
    ENDED = "ended"  # the growth did


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often the level was reached inside the interval that was told, which promises 90 %."""

    inside: int = 0
    early: int = 0
    late: int = 0
    ended: int = 0
    waiting: int = 0

    @property
    def tested(self) -> int:
        """How many intervals were put to the test."""
        return self.inside + self.early + self.late

    @property
    def made(self) -> int:
        """How many forecasts there were."""
        return self.tested + self.ended + self.waiting

    @property
    def share(self) -> float | None:
        """The share of tested intervals that held, None before the first."""
        return self.inside / self.tested if self.tested else None

    def plus(self, other: "Coverage") -> "Coverage":
        """Return both together."""
        sums = (getattr(self, name) + getattr(other, name) for name in self.__slots__)
        return Coverage(*sums)

    @property
    def words(self) -> str:
        """``118 of 131 past forecasts came true within their interval``; "" when too few were."""
        if self.tested < LEAST_TESTED:
            return ""
        return (
            f"{self.inside} of {self.tested} past forecasts came true within their interval"
            f" ({self.early} earlier, {self.late} later)"
        )


class Ledger:
    """The score of forecasts as they are made, in order of event time for each component."""

    def __init__(self) -> None:
        self._waiting: dict[AlertId, list[tuple[int, Due]]] = defaultdict(list)
        self._counts: Counter[Outcome] = Counter()
        self._reached: dict[AlertId, list[int]] = defaultdict(list)

    def take(self, made: Iterable[Made]) -> None:
        """Score what waits by what is known now, and let new dates wait."""
        for one in made:
            key = (one.host.number, one.component, one.rule)
            self._score(key, one)
            if one.due is not None:
                self._waiting[key].append((one.at, one.due))

    def coverage(self) -> Coverage:
        """Return how all forecasts so far came out."""
        counts = {str(outcome): self._counts[outcome] for outcome in Outcome}
        return Coverage(**counts, waiting=sum(map(len, self._waiting.values())))

    def reached(self, alert_id: AlertId, since: int, until: float) -> int | None:
        """Return when the level was first reached in a span, None if it was not."""
        moments = [at for at in self._reached.get(alert_id, ()) if since <= at <= until]
        return min(moments, default=None)

    def _score(self, key: AlertId, one: Made) -> None:
        left = []
        for at, due in self._waiting.pop(key, ()):
            outcome = outcome_of(at, due, one)
            if outcome is None:
                left.append((at, due))
            else:
                self._counts[outcome] += 1
        if left:
            self._waiting[key] = left
        if one.reached is not None:
            self._reached[key].append(one.reached)


def outcome_of(at: int, due: Due, now: Made) -> Outcome | None:
    """Return what came of a forecast made at `at`, None while that is not known."""
    if now.reached is not None and at < now.reached:
        if due.earliest > now.reached + _FINENESS:
            return Outcome.EARLY
        return Outcome.LATE if due.latest < now.reached - _FINENESS else Outcome.INSIDE
    if due.latest < now.at - _FINENESS:
        return Outcome.LATE
    return Outcome.ENDED if now.over else None
