"""Judge a metric that is at or past its mark, with levels and a second condition."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from forewarn_checks.base import Condition, Severity, Threshold, Unit
from forewarn_collector.rules.kind import Alert, Marks, Observation, Problem, RuleKind, Verdict
from forewarn_collector.units import write_value


@dataclass(frozen=True, slots=True)
class _Step:
    """One rung of a rule's ladder: the rule itself or one of its levels."""

    severity: Severity
    above: float | None
    below: float | None
    clear_at: float
    and_: Condition | None

    def raised(self, observation: Observation) -> bool | None:
        """Say whether the rung is reached; None when the second value is not there."""
        if not _past(observation.value, self.above, self.below):
            return False
        return _also(self.and_, observation)

    def cleared(self, observation: Observation) -> bool | None:
        """Say whether the rung is left; None when that hangs on a second value that is missing."""
        if self.raised(observation):
            return False
        back = (
            observation.value <= self.clear_at
            if self.above is not None
            else observation.value >= self.clear_at
        )
        also = _also(self.and_, observation)
        return True if back else None if also is None else not also


def ladder(rule: Threshold) -> tuple[_Step, ...]:
    """Return the rule and its levels, the most severe first."""
    found = _LADDERS.get(id(rule))
    if found is None or found[0] is not rule:
        steps = [_Step(rule.severity, rule.above, rule.below, rule.clear_at, rule.and_)]
        for severity, level in rule.levels.items():
            steps.append(_Step(severity, level.above, level.below, level.clear_at, level.and_))
        steps.sort(key=lambda step: -step.severity.rank)
        found = _LADDERS[id(rule)] = (rule, tuple(steps))
    return found[1]


# Rules are few, live as long as their book and hold mappings, so they cannot be hashed.
_LADDERS: dict[int, tuple[Threshold, tuple[_Step, ...]]] = {}


def judge(rule: Threshold, observation: Observation, alert: Alert) -> Verdict:
    """Say whether the rule holds, and how severely.

    A rung holds from its mark on; once reached it holds until its own `clear_at`.
    """
    unknown = False
    for step in ladder(rule):
        raised = step.raised(observation)
        if raised:
            return Verdict(True, observation.value, step.severity)
        stood = alert.stands and step.severity.rank <= alert.severity.rank
        cleared = step.cleared(observation) if stood else True
        if cleared is False:
            return Verdict(True, observation.value, step.severity)
        if cleared is None:
            break  # what cannot be told lowers no severity
        unknown = unknown or raised is None
    else:
        if not unknown:
            return Verdict(False, observation.value, rule.severity)
    return Verdict(None, observation.value, rule.severity)


def problems(rule: Threshold) -> Iterator[Problem]:
    """Yield what cannot be meant: marks on the wrong side of each other."""
    for step in ladder(rule):
        where = "" if step.severity is rule.severity else f"levels.{step.severity}."
        if (step.above is None) == (step.below is None):
            yield Problem(f"{where}above", "takes either above or below, not both")
            continue
        if step.above is not None and step.clear_at > step.above:
            yield Problem(
                f"{where}clear_at",
                f"{step.clear_at:g} is past above = {step.above:g}: it would clear while it "
                f"raises; write a clear_at of {step.above:g} or less",
            )
        if step.below is not None and step.clear_at < step.below:
            yield Problem(
                f"{where}clear_at",
                f"{step.clear_at:g} is past below = {step.below:g}: it would clear while it "
                f"raises; write a clear_at of {step.below:g} or more",
            )
        if step.and_ is not None:
            yield from _condition_problems(rule, step.and_, where)
    yield from _order_problems(rule)
    seconds = {step.and_.metric.name for step in ladder(rule) if step.and_ is not None}
    if len(seconds) > 1:
        yield Problem("and", f"a rule takes one second metric, not {' and '.join(sorted(seconds))}")


def _condition_problems(rule: Threshold, condition: Condition, where: str) -> Iterator[Problem]:
    if (condition.above is None) == (condition.below is None):
        yield Problem(f"{where}and", "takes either above or below, not both")
    if not set(condition.metric.labels) <= set(rule.metric.labels):
        yield Problem(
            f"{where}and",
            f"{condition.metric.name} is told apart by more labels than {rule.metric.name}; "
            "name a metric of the same component",
        )


def _order_problems(rule: Threshold) -> Iterator[Problem]:
    """Yield levels that are easier to reach than the less severe one under them."""
    steps = ladder(rule)
    for severer, milder in pairwise(steps):
        where = f"levels.{severer.severity}"
        if severer.severity is milder.severity:
            yield Problem(where, f"{severer.severity} is the rule's own severity already")
        elif (severer.above is None) != (milder.above is None):
            yield Problem(where, "must look the same way as the rule: all above, or all below")
        elif severer.above is not None and severer.above < _or(milder.above, -inf):
            yield Problem(f"{where}.above", f"must be {milder.above:g} or more, as under it")
        elif severer.below is not None and severer.below > _or(milder.below, inf):
            yield Problem(f"{where}.below", f"must be {milder.below:g} or less, as under it")


def marks(rule: Threshold) -> Marks:
    """Return the loosest raise of all rungs."""
    steps = ladder(rule)
    return Marks(
        above=min((step.above for step in steps if step.above is not None), default=inf),
        below=max((step.below for step in steps if step.below is not None), default=-inf),
    )


def explain(rule: Threshold) -> str:
    """Return e.g. ``high from 90 % up with disk_free_bytes up to 20.0 GiB; clears at 85 %``."""
    parts = []
    for step in reversed(ladder(rule)):
        text = f"{step.severity} {_span(step.above, step.below, rule.metric.unit)}"
        if step.and_ is not None:
            name, unit = step.and_.metric.name, step.and_.metric.unit
            text += f" with {name} {_span(step.and_.above, step.and_.below, unit)}"
        parts.append(f"{text}, clears at {write_value(step.clear_at, rule.metric.unit)}")
    return "; ".join(parts)


def _span(above: float | None, below: float | None, unit: Unit) -> str:
    if above is not None:
        return f"from {write_value(above, unit)} up"
    return f"from {write_value(below or 0.0, unit)} down"


def _or(mark: float | None, otherwise: float) -> float:
    return otherwise if mark is None else mark


def _past(value: float, above: float | None, below: float | None) -> bool:
    """A value exactly on a mark is past it."""
    return (above is not None and value >= above) or (below is not None and value <= below)


def _also(condition: Condition | None, observation: Observation) -> bool | None:
    if condition is None:
        return True
    if observation.companion is None:
        return None
    return _past(observation.companion, condition.above, condition.below)


KIND = RuleKind(
    name="threshold",
    rule_type=Threshold,
    fields=frozenset(
        {"severity", "above", "below", "clear_at", "hold_for", "clear_for", "and_", "levels"}
    ),
    judge=judge,
    problems=problems,
    marks=marks,
    explain=explain,
)
