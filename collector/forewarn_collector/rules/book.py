"""The rule book: what checks declare, what collector.toml changes, and which holds where."""

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from forewarn_checks.base import (
    Absence,
    Check,
    Component,
    Condition,
    Forecast,
    Growth,
    Increase,
    Level,
    Metric,
    Rule,
    Severity,
    State,
    Threshold,
    Wear,
)
from forewarn_checks.base.catalog import all_checks
from forewarn_checks.base.durations import write_duration
from forewarn_collector import selector
from forewarn_collector.rules import growth
from forewarn_collector.rules.change import (
    Adjustment,
    ConditionChange,
    IncreaseChange,
    LevelChange,
    RuleChange,
    ScopeChange,
)
from forewarn_collector.rules.kinds import KINDS, kind_of
from forewarn_collector.rules.own import COLLECTOR, OWN_METRICS, OWN_RULES
from forewarn_collector.scopes import BadScope, meant, picked, rank
from forewarn_collector.selector import Selectable, Selector

FORECAST_EVERY = timedelta(hours=1)
"""How often a series is forecast at most."""


class BadRule(Exception):
    """A change of a rule makes no sense.  `path` is where it stands in the file."""

    def __init__(self, path: Sequence[str | int], text: str) -> None:
        super().__init__(text)
        self.path = tuple(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedRule:
    """A rule with what the check that declares it says of its metric.

    `metrics` are all of its check, by name; `every` how often the check runs.
    """

    rule: Rule
    check: str
    component: Component
    every: timedelta
    metrics: Mapping[str, Metric] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.rule.name

    @property
    def metric(self) -> Metric | None:
        """The metric it judges, of several counters the first; None for silence."""
        return None if isinstance(self.rule, Absence) else metric_of(self.rule)

    @property
    def counters(self) -> tuple[str, ...]:
        """The names of the counters it is about; none unless it judges growth or wear."""
        if isinstance(self.rule, Wear):
            return (self.rule.metric.name,)
        return growth.metrics(self.rule) if isinstance(self.rule, Growth) else ()

    @property
    def companion(self) -> Metric | None:
        """The second metric it needs, None for none."""
        if isinstance(self.rule, Forecast):
            return self.rule.restarts_on
        if not isinstance(self.rule, Threshold):
            return None
        steps: tuple[Threshold | Level, ...] = (self.rule, *self.rule.levels.values())
        return next((step.and_.metric for step in steps if step.and_ is not None), None)


# A union of types would be made anew at every call, and this is called for every alert.
_OF_ONE_METRIC = (Threshold, State, Forecast, Wear)


def metric_of(rule: Rule) -> Metric:
    """Return the metric of a rule that judges one metric.  Raises TypeError for other kinds."""
    if isinstance(rule, _OF_ONE_METRIC):
        return rule.metric
    if isinstance(rule, Growth) and rule.any_of:
        return rule.any_of[0].metric
    raise TypeError(f"{rule.name} judges no single metric")


@dataclass(frozen=True, slots=True)
class Declared:
    """A rule as it comes, before any file changed it.  `off_for` picks hosts it leaves alone."""

    booked: BookedRule
    off_for: str = ""


def declared() -> tuple[Declared, ...]:
    """Return every rule of every check, and the collector's own."""
    found = []
    for check in all_checks().values():
        metrics = {metric.name: metric for metric in check.metrics}
        for rule in check.rules:
            if type(rule) in KINDS:
                booked = BookedRule(
                    rule=rule,
                    check=check.name,
                    component=check.component,
                    every=_interval(rule, check),
                    metrics=metrics,
                )
                found.append(Declared(booked))
    for own in OWN_RULES:
        booked = BookedRule(
            rule=own.rule,
            check=COLLECTOR,
            component=own.component,
            every=own.every,
            metrics={metric.name: metric for metric in OWN_METRICS},
        )
        found.append(Declared(booked, own.off_for))
    return tuple(found)


def _interval(rule: Rule, check: Check) -> timedelta:
    """Return how often a rule is judged: as often as its check runs, a forecast every hour."""
    return max(check.every, FORECAST_EVERY) if isinstance(rule, Forecast) else check.every


@dataclass(frozen=True, slots=True)
class _Scope:
    """A rule for the hosts a selector picks; `booked` is None where it is switched off."""

    selector: Selector
    rank: int
    booked: BookedRule | None


@dataclass(frozen=True, slots=True)
class _Page:
    """One rule of the book: for everybody, and for some, the most specific scope first."""

    booked: BookedRule | None
    scopes: tuple[_Scope, ...]


class RuleBook:
    """Every rule as it holds on every host.  Never changes; a new configuration is a new book.

    Raises BadRule when a change makes no sense: then nothing of it is taken.
    """

    def __init__(
        self,
        rules: Sequence[Declared],
        changes: Mapping[str, RuleChange] | None = None,
        groups: Mapping[str, str] | None = None,
    ) -> None:
        names = [one.booked.name for one in rules]
        changes, groups = changes or {}, groups or {}
        for name in changes:
            if name not in names:
                raise BadRule(("rules", name), f"there is no rule {name}{meant(name, names)}")
        self.groups: Mapping[str, str] = dict(groups)
        """What the groups of the configuration select, by their names."""
        self.warnings: tuple[str, ...] = ()
        self._pages = {
            one.booked.name: self._page(one, changes.get(one.booked.name), groups) for one in rules
        }
        # Asked for many times a round, and a replay has very many rounds.
        self._variants = {name: _forms(page) for name, page in self._pages.items()}
        self._names = tuple(name for name, forms in self._variants.items() if forms)
        self.warnings = tuple(self._hints({one.booked.name: one.booked for one in rules}))

    def rules(self) -> tuple[BookedRule, ...]:
        """Return every rule that is on, as it holds where no scope says otherwise."""
        return tuple(page.booked for page in self._pages.values() if page.booked is not None)

    def growing(self) -> tuple[BookedRule, ...]:
        """Return every form of every rule of growth or wear that is on somewhere."""
        forms = (form for name in self._pages for form in self.variants(name))
        return tuple(form for form in forms if isinstance(form.rule, Growth | Wear))

    def names(self) -> tuple[str, ...]:
        """Return the names of all rules that are on somewhere."""
        return self._names

    def __contains__(self, name: object) -> bool:
        """Say whether there is a rule of this name, on or off."""
        return name in self._pages

    def variants(self, name: str) -> tuple[BookedRule, ...]:
        """Return every form the rule `name` takes on any host; none if it is off everywhere."""
        return self._variants[name]

    def effective(self, name: str, host: Selectable) -> BookedRule | None:
        """Return the rule `name` as it holds on `host`, or None where it is off.

        Of the scopes that pick the host the most specific one holds, as a whole.
        """
        page = self._pages[name]
        for scope in page.scopes:
            if scope.selector.matches(host):
                return scope.booked
        return page.booked

    def _page(self, one: Declared, change: RuleChange | None, groups: Mapping[str, str]) -> _Page:
        base, path = one.booked, ("rules", one.booked.name)
        scopes = []
        if one.off_for:
            scopes.append(_Scope(selector.parse(one.off_for), -1, None))
        if change is None:
            return _Page(base, tuple(scopes))
        everywhere = adjust(base, change, path)
        for index, scope in enumerate(change.scopes):
            here = (*path, "scopes", index)
            chosen = _picked(scope, groups, here)
            enabled = change.enabled if scope.enabled is None else scope.enabled
            booked = adjust(everywhere, scope, here) if enabled is not False else None
            scopes.append(_Scope(chosen, rank(chosen, by_group=scope.group is not None), booked))
        # Of equals the one written last wins.
        ranked = sorted(enumerate(scopes), key=lambda one: (-one[1].rank, -one[0]))
        return _Page(
            None if change.enabled is False else everywhere, tuple(scope for _, scope in ranked)
        )

    def _hints(self, usual: Mapping[str, BookedRule]) -> Iterator[str]:
        for name in self._pages:
            for booked in self.variants(name):
                hold = _hold_for(booked)
                # What nobody changed is as it was meant to be.
                if timedelta(0) < hold < booked.every and hold != _hold_for(usual[name]):
                    yield (
                        f"rules.{name}.hold_for is {write_duration(hold)}, but {booked.check} is "
                        f"read every {write_duration(booked.every)}: it raises at the second "
                        "reading, unless agents read more often"
                    )


def _forms(page: _Page) -> tuple[BookedRule, ...]:
    forms = (page.booked, *(scope.booked for scope in page.scopes))
    return tuple(form for form in forms if form is not None)


def _hold_for(booked: BookedRule) -> timedelta:
    hold: timedelta = getattr(booked.rule, "hold_for", timedelta(0))
    return hold


def adjust(booked: BookedRule, change: Adjustment, path: Sequence[str | int]) -> BookedRule:
    """Return the rule with the changed fields.  Raises BadRule with the path of the mistake."""
    kind = kind_of(booked.rule)
    values: dict[str, Any] = {}
    for name in change.model_fields_set - {"enabled", "select", "group", "scopes"}:
        if name not in kind.fields:
            known = ", ".join(sorted(_written(one) for one in kind.fields))
            raise BadRule(
                (*path, _written(name)),
                f"{booked.name} is {_a(kind.name)} rule and has no such field; it has {known}",
            )
        values[name] = getattr(change, name)
    if isinstance(booked.rule, Threshold):
        values = _threshold_values(booked, booked.rule, values, path)
    elif isinstance(booked.rule, Forecast | Wear) and "levels" in values:
        values["levels"] = _times_left(booked.rule, values["levels"], (*path, "levels"))
    elif isinstance(booked.rule, Growth) and "any_of" in values:
        values["any_of"] = tuple(
            _increase(booked, one, (*path, "any_of", place))
            for place, one in enumerate(values["any_of"])
        )
    rule = replace(booked.rule, **values)
    for problem in kind.problems(rule):
        where = (int(part) if part.isdigit() else part for part in problem.field.split("."))
        raise BadRule((*path, *where), problem.text)
    for field_name in ("title", "advice"):
        check_template(getattr(rule, field_name), booked, (*path, field_name))
    return replace(booked, rule=rule)


def _threshold_values(
    booked: BookedRule, rule: Threshold, values: dict[str, Any], path: Sequence[str | int]
) -> dict[str, Any]:
    values = dict(values)
    for one, other in (("above", "below"), ("below", "above")):
        if values.get(one) is not None and getattr(rule, one) is None:
            raise BadRule((*path, one), f"{rule.name} is judged the other way: set {other} instead")
    if "and_" in values:
        values["and_"] = _condition(booked, rule.and_, values["and_"], (*path, "and"))
    if "levels" in values:
        values["levels"] = _levels(booked, rule, values["levels"], (*path, "levels"))
    return values


def _condition(
    booked: BookedRule,
    present: Condition | None,
    change: ConditionChange | bool | None,
    path: Sequence[str | int],
) -> Condition | None:
    if change is None:
        return present
    if isinstance(change, bool):
        return None
    metric = booked.metrics.get(change.metric)
    if metric is None:
        raise BadRule(
            (*path, "metric"),
            f"{change.metric} is no metric of the check {booked.check}"
            f"{meant(change.metric, booked.metrics)}",
        )
    return Condition(metric=metric, above=change.above, below=change.below)


def _increase(booked: BookedRule, change: IncreaseChange, path: Sequence[str | int]) -> Increase:
    metric = booked.metrics.get(change.metric)
    if metric is None:
        raise BadRule(
            (*path, "metric"),
            f"{change.metric} is no metric of the check {booked.check}"
            f"{meant(change.metric, booked.metrics)}",
        )
    also = None if change.and_ is None else _increase(booked, change.and_, (*path, "and"))
    return Increase(metric=metric, by=change.by, and_=also, within=change.within)


def _levels(
    booked: BookedRule,
    rule: Threshold,
    changes: Mapping[Severity, LevelChange],
    path: Sequence[str | int],
) -> dict[Severity, Level]:
    levels = dict(rule.levels)
    for severity, change in changes.items():
        here = (*path, str(severity))
        present = levels.pop(severity, None)
        if not change.enabled:
            continue
        if change.within is not None:
            raise BadRule((*here, "within"), f"{rule.name} forecasts nothing; write above or below")
        above, below, clear_at, and_ = change.above, change.below, change.clear_at, None
        if present is not None:
            above = present.above if above is None else above
            below = present.below if below is None else below
            clear_at = present.clear_at if clear_at is None else clear_at
            and_ = present.and_
        if clear_at is None:
            raise BadRule((*here, "clear_at"), "a new level needs a clear_at")
        condition = _condition(booked, and_, change.and_, (*here, "and"))
        levels[severity] = Level(above=above, below=below, clear_at=clear_at, and_=condition)
    return levels


def _times_left(
    rule: Forecast | Wear, changes: Mapping[Severity, LevelChange], path: Sequence[str | int]
) -> dict[Severity, timedelta]:
    levels = dict(rule.levels)
    for severity, change in changes.items():
        present = levels.pop(severity, None)
        if not change.enabled:
            continue
        within = present if change.within is None else change.within
        if within is None or change.model_fields_set - {"enabled", "within"}:
            raise BadRule(
                (*path, str(severity)), f'a level of {rule.name} takes only within = "…", time left'
            )
        levels[severity] = within
    return levels


def _picked(scope: ScopeChange, groups: Mapping[str, str], path: Sequence[str | int]) -> Selector:
    try:
        return picked(scope.select, scope.group, groups, path)
    except BadScope as bad:
        raise BadRule(bad.path, str(bad)) from None


def check_template(template: str, booked: BookedRule, path: Sequence[str | int]) -> None:
    """Raise BadRule when a title or advice names something no alert of the rule will have."""
    labels = booked.metric.labels if booked.metric is not None else ()
    dates = ("due", "earliest", "latest") if isinstance(booked.rule, Forecast | Wear) else ()
    silence = ("silence",) if isinstance(booked.rule, Absence) else ()
    known = {"host", "value", *labels, *dates, *silence}
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as bad:
        raise BadRule(path, f"is no template: {bad}") from None
    for name in names:
        if name not in known:
            raise BadRule(path, f"names {{{name}}}; known are {', '.join(sorted(known))}")


def _a(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _written(field_name: str) -> str:
    return field_name.rstrip("_")
