"""What a kind of rule is, and what the judging of one reading takes and gives.

Times are whole microseconds since 1970, UTC, as in the store.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import inf, nan
from typing import Generic, TypeVar

from forewarn_checks.base import Rule, Severity
from forewarn_collector.rules.counters import Counters
from forewarn_collector.rules.forecast import Forecast

R = TypeVar("R", bound=Rule)


class AlertState(StrEnum):
    """Where one rule stands on one component."""

    OK = "ok"
    PENDING = "pending"  # it holds, but not yet for `hold_for`
    FIRING = "firing"
    CLEARING = "clearing"  # it is over, but not yet for `clear_for`


class Data(StrEnum):
    """How far an alert's readings can be relied on."""

    FRESH = "fresh"
    STALE = "stale"  # nothing came for a while: what was known is held
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Observation:
    """One reading as a rule sees it.

    `at` is event time, `received` when the collector got it; `companion` is the second metric's
    value of the same run and component, None when the run had none.  `ahead` is what a forecast at
    this reading says, None when none was made; `restarted` when its history began anew, 0 if not.
    `counters` are those of the component right after it, None for a rule that counts nothing.
    """

    at: int
    value: float
    companion: float | None = None
    received: int = 0
    ahead: Forecast | None = None
    restarted: int = 0
    counters: Counters | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """When a level is forecast to be reached, and between when and when (90 %)."""

    at: int
    earliest: int
    latest: int
    tier: str


@dataclass(frozen=True, slots=True)
class Grown:
    """A counter that grew by `by` since the moment `since`, to `value`."""

    metric: str
    by: float
    value: float
    since: int


@dataclass(frozen=True, slots=True)
class Missed:
    """Runs of its check that went well and did not meet a component: how many, from, to when."""

    runs: int
    first: int
    last: int

    def again(self, at: int) -> "Missed":
        """Return it with one run more."""
        return Missed(self.runs + 1, self.first, at)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`holds` is None when it cannot be told; then nothing changes.

    `severity`, `due` and `grown` are meant only when it holds.
    """

    holds: bool | None
    value: float
    severity: Severity
    due: Due | None = None
    grown: tuple[Grown, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One rule on one component of one host: all that `step` has to remember.

    `since` is when this state began, `began` when the condition did, both in event time.
    `held` counts microseconds towards `hold_for` or `clear_for`, `readings` the readings since it
    began.  `told` is the severity its episode was last told with, None while there is none.
    `gaps` are the last two distances between readings; `recent` the newest few readings; `due`
    the newest date of a forecast; `grown` the counters that grew when it last held.  `cycles` are
    when it last was over, those of the last few hours; `flapping` while that was too often, and
    `flaps` how often its episode would have ended and begun again but for that.  `missed` are runs
    since its last reading that did not meet its component.
    """

    state: AlertState = AlertState.OK
    severity: Severity = Severity.INFO
    since: int = 0
    began: int = 0
    seen_until: int = -1
    held: int = 0
    readings: int = 0
    gaps: tuple[int, int] = (0, 0)
    value: float = 0.0
    companion: float | None = None
    told: Severity | None = None
    recent: tuple[tuple[int, float], ...] = ()
    due: Due | None = None
    grown: tuple[Grown, ...] = ()
    data: Data = Data.FRESH
    cycles: tuple[int, ...] = ()
    flapping: bool = False
    flaps: int = 0
    missed: Missed | None = None

    @property
    def stands(self) -> bool:
        """True from raise to clear: only then hysteresis applies."""
        return self.state in (AlertState.FIRING, AlertState.CLEARING)


OK = Alert()


@dataclass(frozen=True, slots=True)
class Marks:
    """The loosest values at which a rule could raise: anything else cannot matter to it."""

    above: float = inf
    below: float = -inf
    equals: float = nan


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a changed rule: the field, and what would mend it."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class RuleKind(Generic[R]):
    """One kind of rule: one module of `rules`, one KIND.

    `fields` are those collector.toml may change; `explain` says in words when a rule raises.
    """

    name: str
    rule_type: type[R]
    fields: frozenset[str]
    judge: Callable[[R, Observation, Alert], Verdict]
    problems: Callable[[R], Iterable[Problem]]
    marks: Callable[[R], Marks]
    explain: Callable[[R], str]
