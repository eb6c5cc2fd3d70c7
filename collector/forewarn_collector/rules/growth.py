"""Judge counters that grew: the sum of what they rose by within a window, never their level."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from forewarn_checks.base import Growth, Increase
from forewarn_checks.base.durations import write_duration
from forewarn_collector.rules.counters import KEPT, Counters
from forewarn_collector.rules.kind import (
    Alert,
    Grown,
    Marks,
    Observation,
    Problem,
    RuleKind,
    Verdict,
)

_MICROSECOND = timedelta(microseconds=1)
SHORTEST = timedelta(hours=1)


def judge(rule: Growth, observation: Observation, alert: Alert) -> Verdict:
    """Say whether any clause holds; the value is the growth of the one nearest to holding.

    Once the rule stands a burst counts for the whole window, as all growth does.
    """
    if observation.counters is None:
        return Verdict(None, observation.value, rule.severity)
    window = rule.window // _MICROSECOND
    shares = [
        _share(increase, observation.counters, _span(increase, window, alert), observation.at)
        for increase in rule.any_of
    ]
    share = max(shares)
    nearest = rule.any_of[shares.index(share)]
    counter = observation.counters.get(nearest.metric.name)
    value = counter.growth(window, observation.at)[0] if counter is not None else 0.0
    if share < 1:
        return Verdict(False, value, rule.severity)
    grown = tuple(_grown(rule, observation.counters, window, observation.at))
    return Verdict(True, value, rule.severity, grown=grown)


def _span(increase: Increase, window: int, alert: Alert) -> int:
    if increase.within is None or alert.stands:
        return window
    return increase.within // _MICROSECOND


def is_about(rule: Growth, labels: Mapping[str, str]) -> bool:
    """Say whether the rule's `where` picks a component with these labels."""
    return all(labels.get(name) == value for name, value in rule.where.items())


def _share(increase: Increase, counters: Counters, window: int, until: int) -> float:
    """Return how much of the asked growth there is; 1 and more is enough."""
    counter = counters.get(increase.metric.name)
    share = 0.0 if counter is None else counter.growth(window, until)[0] / increase.by
    if increase.and_ is None:
        return share
    return min(share, _share(increase.and_, counters, window, until))


def _grown(rule: Growth, counters: Counters, window: int, until: int) -> Iterator[Grown]:
    """Yield every counter of the rule that grew, in the order of the rule."""
    for metric in metrics(rule):
        counter = counters.get(metric)
        by, since = counter.growth(window, until) if counter is not None else (0.0, 0)
        if counter is not None and by > 0:
            yield Grown(metric, by, counter.value, since)


def metrics(rule: Growth) -> tuple[str, ...]:
    """Return the names of the counters a rule is about, each once."""
    named = []
    for increase in rule.any_of:
        named.append(increase.metric.name)
        if increase.and_ is not None:
            named.append(increase.and_.metric.name)
    return tuple(dict.fromkeys(named))


def problems(rule: Growth) -> Iterator[Problem]:
    """Yield what cannot be meant."""
    if not SHORTEST <= rule.window <= KEPT:
        yield Problem(
            "window", f"takes {write_duration(SHORTEST)} to {write_duration(KEPT)}, as kept"
        )
    if not rule.any_of:
        yield Problem("any_of", "needs at least one counter; to switch a rule off: enabled = false")
    for place, increase in enumerate(rule.any_of):
        for one in (increase, increase.and_):
            if one is not None and one.by <= 0:
                yield Problem(f"any_of.{place}.by", "must be above 0: without growth nothing grew")
        if increase.within is not None and not SHORTEST <= increase.within <= rule.window:
            yield Problem(
                f"any_of.{place}.within",
                f"takes {write_duration(SHORTEST)} to the window, {write_duration(rule.window)}",
            )
        if increase.and_ is not None and increase.and_.and_ is not None:
            yield Problem(f"any_of.{place}.and", "takes one second counter, not a third")


def marks(_rule: Growth) -> Marks:
    """Return that no value by itself matters: which counters rose is found out apart."""
    return Marks()


def explain(rule: Growth) -> str:
    """Return e.g. ``high where type is hdd when within 30d smart_pending_sectors grew by 2``."""
    clauses = ", or ".join(_said(increase) for increase in rule.any_of)
    where = "".join(f" where {name} is {value}" for name, value in rule.where.items())
    return f"{rule.severity}{where} when within {write_duration(rule.window)} {clauses}"


def _said(increase: Increase) -> str:
    text = f"{increase.metric.name} grew by {increase.by:g}"
    if increase.and_ is not None:
        text += f" and {increase.and_.metric.name} by {increase.and_.by:g}"
    if increase.within is not None:
        text += f" in {write_duration(increase.within)}"
    return text


KIND = RuleKind(
    name="growth",
    rule_type=Growth,
    fields=frozenset({"severity", "window", "any_of"}),
    judge=judge,
    problems=problems,
    marks=marks,
    explain=explain,
)
