"""Judge silence: the observation's value is how many seconds nothing was received."""

from collections.abc import Iterator
from datetime import timedelta

from forewarn_checks.base import Absence, Unit
from forewarn_collector.rules.kind import Alert, Marks, Observation, Problem, RuleKind, Verdict
from forewarn_collector.units import write_value

SHORTEST = timedelta(seconds=30)  # agents send every 10 s at most, and may have to come back first


def judge(rule: Absence, observation: Observation, _alert: Alert) -> Verdict:
    """Say whether the silence has lasted as long as the rule allows."""
    return Verdict(
        observation.value >= rule.after.total_seconds(), observation.value, rule.severity
    )


def problems(rule: Absence) -> Iterator[Problem]:
    """Yield a silence too short to mean anything."""
    if rule.after < SHORTEST:
        yield Problem("after", "a silence this short means nothing; write 30s or more")


def marks(rule: Absence) -> Marks:
    """Return the shortest silence that matters."""
    return Marks(above=rule.after.total_seconds())


def explain(rule: Absence) -> str:
    """Return e.g. ``high when nothing was received for 10 min``."""
    return (
        f"{rule.severity} when nothing was received for "
        f"{write_value(rule.after.total_seconds(), Unit.SECONDS)}"
    )


KIND = RuleKind(
    name="absence",
    rule_type=Absence,
    fields=frozenset({"severity", "after"}),
    judge=judge,
    problems=problems,
    marks=marks,
    explain=explain,
)
