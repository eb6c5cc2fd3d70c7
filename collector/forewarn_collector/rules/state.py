"""Judge a metric that is a state: it equals a value, or it does not."""

from collections.abc import Iterable

from forewarn_checks.base import State
from forewarn_collector.rules.kind import Alert, Marks, Observation, Problem, RuleKind, Verdict
from forewarn_collector.units import write_value


def judge(rule: State, observation: Observation, _alert: Alert) -> Verdict:
    """Say whether the metric equals `when`."""
    return Verdict(observation.value == rule.when, observation.value, rule.severity)


def problems(_rule: State) -> Iterable[Problem]:
    """Return nothing: any value can be a state."""
    return ()


def marks(rule: State) -> Marks:
    """Return the one value that matters."""
    return Marks(equals=rule.when)


def explain(rule: State) -> str:
    """Return e.g. ``critical while smart_passed is 0``."""
    return f"{rule.severity} while {rule.metric.name} is {write_value(rule.when, rule.metric.unit)}"


KIND = RuleKind(
    name="state",
    rule_type=State,
    fields=frozenset({"severity", "when", "hold_for", "clear_for"}),
    judge=judge,
    problems=problems,
    marks=marks,
    explain=explain,
)
