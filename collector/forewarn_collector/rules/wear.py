"""When something that is used up in steps will be used up: wear of drives, their spare blocks.

Drives tell of these in whole percents.  Each step that was seen is a point whose time is known to
the reading, so the slope goes through the steps; between two of them nothing is known, and a step
that is overdue slows the pace.  Too few steps carry no date.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import pairwise

import numpy as np

from forewarn_checks.base import Wear
from forewarn_checks.base.durations import write_duration
from forewarn_collector.rules.ahead import judge, levels_in_words, misplaced
from forewarn_collector.rules.counters import Counter
from forewarn_collector.rules.forecast import (
    Date,
    Error,
    Forecast,
    Insufficient,
    Never,
    Tier,
)
from forewarn_collector.rules.kind import Marks, Problem, RuleKind
from forewarn_collector.rules.trend import theil_sen
from forewarn_collector.units import write_value

FARTHEST = timedelta(days=180)
LEAST_STEPS = 5
_LEAST_SPAN = timedelta(days=7).total_seconds()
_STALLED = 4.0
"""Nothing for so many times the usual wait between two steps, and the wear has stopped."""
_REACH = 1.5  # times the span of the steps seen
_SECOND = 1_000_000


def exhaustion(counter: Counter, level: float, at: int) -> Forecast:
    """Return when a counter of what is used up reaches `level`, as seen at a moment."""
    if level <= 0:
        return Error(f"{level:g} cannot be used up")
    if counter.value >= level:
        return Never()  # it is there: a threshold tells of it, and nothing is ahead
    steps = counter.rises
    if len(steps) < LEAST_STEPS:
        return Insufficient(f"{len(steps)} of {LEAST_STEPS} steps seen")
    moments = np.array([moment for moment, _ in steps], float) / _SECOND
    used = np.cumsum([by for _, by in steps])
    if moments[-1] - moments[0] < _LEAST_SPAN:
        return Insufficient(f"steps of less than {write_duration(timedelta(days=7))}")
    slope = theil_sen(moments - moments[0], used)
    quiet = at / _SECOND - float(moments[-1])
    step = float(np.median([by for _, by in steps]))
    usual = float(np.median([later - earlier for earlier, later in pairwise(moments)]))
    if slope.low <= 0 or quiet > _STALLED * usual:
        return Never()
    # Of the step after the last one only this is known: it has not come yet.
    slowest = min(slope.low, step / quiet) if quiet > 0 else slope.low
    left = level - counter.value
    # A whole step may be between what is told and what is true.
    earliest = max((left - step) / slope.high, 0.0)
    latest = max((left + step) / slowest - quiet, earliest)
    seconds = min(max(left / slope.middle - quiet, earliest), latest)
    if seconds > _REACH * float(moments[-1] - moments[0]):
        return Never()
    return Date(Tier.STEPS, seconds, earliest, latest)


def is_about(rule: Wear, labels: Mapping[str, str]) -> bool:
    """Say whether the rule's `where` picks a component with these labels."""
    return all(labels.get(name) == value for name, value in rule.where.items())


def problems(rule: Wear) -> Iterator[Problem]:
    """Yield what cannot be meant: a look too far ahead, levels in the wrong order."""
    if not timedelta(0) < rule.within <= FARTHEST:
        yield Problem("within", f"we look {write_duration(FARTHEST)} ahead at most")
    yield from misplaced(rule)


def explain(rule: Wear) -> str:
    """Return e.g. ``info when smart_life_used_ratio is forecast to reach 100 % within 90d``."""
    return (
        f"{rule.severity} when {rule.metric.name} is forecast to reach "
        f"{write_value(rule.reaches, rule.metric.unit)} within {write_duration(rule.within)}, "
        f"by {LEAST_STEPS} steps or more{levels_in_words(rule)}"
    )


KIND = RuleKind(
    name="forecast",
    rule_type=Wear,
    fields=frozenset({"severity", "within", "hold_for", "clear_for", "levels"}),
    judge=judge,
    problems=problems,
    marks=lambda _rule: Marks(),
    explain=explain,
)
