"""Judge a forecast: only a date within the time the rule gives may raise."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import assert_never

from forewarn_checks.base import Forecast, Severity, Wear
from forewarn_checks.base.durations import write_duration
from forewarn_collector.rules.forecast import Date, Error, Insufficient, Never
from forewarn_collector.rules.kind import (
    Alert,
    Due,
    Marks,
    Observation,
    Problem,
    RuleKind,
    Verdict,
)
from forewarn_collector.units import write_value

FARTHEST = timedelta(days=7)
"""No further than the growth of a week can carry."""
_BACK = 1.25
"""A severity falls only once there is so many times its own time left: dates waver."""


def judge(rule: Forecast | Wear, observation: Observation, alert: Alert) -> Verdict:
    """Say whether the level is near.

    Without a forecast nothing can be told, but where the history began anew after the alert did,
    the ground of the alert is gone.
    """
    ahead = observation.ahead
    nothing = Verdict(None, observation.value, rule.severity)
    over = Verdict(False, observation.value, rule.severity)
    match ahead:
        case None:
            return nothing
        case Date():
            if ahead.seconds > rule.within.total_seconds():
                return over
            severity = _severity(rule, ahead.seconds, alert)
            return Verdict(True, observation.value, severity, due_of(ahead, observation.at))
        case Never():
            return over
        case Insufficient() | Error():
            return over if alert.stands and observation.restarted > alert.began else nothing
        case _:
            assert_never(ahead)


def due_of(date: Date, at: int) -> Due:
    """Return the moments of a date that was forecast at a moment."""
    reached, earliest, latest = (
        # A slope that may as well be nothing has no latest; a century stands for it.
        at + round(min(seconds, _CENTURY) * 1_000_000)
        for seconds in (date.seconds, date.earliest, date.latest)
    )
    return Due(reached, earliest, latest, str(date.tier))


_CENTURY = 100 * 365 * 86400.0


def _severity(rule: Forecast | Wear, seconds: float, alert: Alert) -> Severity:
    for severity, within in sorted(rule.levels.items(), key=lambda one: -one[0].rank):
        stood = alert.stands and severity.rank <= alert.severity.rank
        if seconds <= within.total_seconds() * (_BACK if stood else 1.0):
            return severity
    return rule.severity


def problems(rule: Forecast) -> Iterator[Problem]:
    """Yield what cannot be meant: a look too far ahead, levels in the wrong order."""
    if not timedelta(0) < rule.within <= FARTHEST:
        yield Problem("within", f"we look {write_duration(FARTHEST)} ahead at most")
    yield from misplaced(rule)
    if rule.restarts_on is not None and set(rule.restarts_on.labels) != set(rule.metric.labels):
        yield Problem("restarts_on", f"must have the labels of {rule.metric.name}")


def misplaced(rule: Forecast | Wear) -> Iterator[Problem]:
    """Yield levels that a milder one leaves no room for."""
    steps = [(rule.severity, rule.within), *rule.levels.items()]
    steps.sort(key=lambda step: step[0].rank)
    for (milder, longer), (severer, shorter) in pairwise(steps):
        if milder is severer:
            yield Problem(f"levels.{severer}", f"{severer} is the rule's own severity already")
        elif shorter >= longer:
            yield Problem(
                f"levels.{severer}.within",
                f"must be less than the {write_duration(longer)} of {milder}",
            )


def marks(_rule: Forecast) -> Marks:
    """Return that no single reading matters: forecasts are made apart, every hour."""
    return Marks()


def explain(rule: Forecast) -> str:
    """Return e.g. ``warning when disk_used_ratio is forecast to reach 100 % within 7d``."""
    return (
        f"{rule.severity} when {rule.metric.name} is forecast to reach "
        f"{write_value(rule.reaches, rule.metric.unit)} within {write_duration(rule.within)}"
        f"{levels_in_words(rule)}"
    )


def levels_in_words(rule: Forecast | Wear) -> str:
    """Return e.g. ``; high within 2d; critical within 12h``."""
    return "".join(
        f"; {severity} within {write_duration(within)}"
        for severity, within in sorted(rule.levels.items(), key=lambda one: one[0].rank)
    )


KIND = RuleKind(
    name="forecast",
    rule_type=Forecast,
    fields=frozenset({"severity", "within", "hold_for", "clear_for", "levels"}),
    judge=judge,
    problems=problems,
    marks=marks,
    explain=explain,
)
