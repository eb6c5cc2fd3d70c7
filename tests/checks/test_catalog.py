"""What every check must be, whoever wrote it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

import forewarn_checks
from forewarn_checks.base import (
    Absence,
    Check,
    Forecast,
    Growth,
    Level,
    Metric,
    Rule,
    Severity,
    State,
    Threshold,
    Unit,
    Wear,
)
from forewarn_checks.base.catalog import all_checks, all_metrics

CHECKS = list(all_checks().values())
RULES = [(check, rule) for check in CHECKS for rule in check.rules]
THRESHOLDS = [(check, rule) for check, rule in RULES if isinstance(rule, Threshold)]

each_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
each_rule = pytest.mark.parametrize(
    ("check", "rule"), RULES, ids=[f"{check.name}-{rule.name}" for check, rule in RULES]
)
each_threshold = pytest.mark.parametrize(
    ("check", "rule"), THRESHOLDS, ids=[rule.name for _, rule in THRESHOLDS]
)


def metrics_of(rule: Rule) -> Iterator[Metric]:
    """Yield the metrics whose series a rule judges, the main one first."""
    match rule:
        case Threshold():
            yield rule.metric
            conditions = [rule.and_, *(level.and_ for level in rule.levels.values())]
            yield from (condition.metric for condition in conditions if condition)
        case State():
            yield rule.metric
        case Growth():
            yield from (increase.metric for increase in rule.any_of)
        case Forecast():
            yield rule.metric
            if rule.restarts_on is not None:
                yield rule.restarts_on
        case Wear():
            yield rule.metric
        case Absence():
            pass


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def is_past(value: float, above: float | None, below: float | None) -> bool:
    """Whether `value` is at or past the one mark that is given."""
    if above is not None:
        return value >= above
    assert below is not None
    return value <= below


def test_the_six_checks_are_there() -> None:
    """Each found by its file alone, under its own name."""
    assert set(all_checks()) >= {"cpu", "disk", "memory", "patches", "smart", "uptime"}
    assert len(all_metrics()) == sum(len(check.metrics) for check in CHECKS), "a name used twice"


def test_rule_names_are_unique() -> None:
    """Rules are changed by name in the collector's settings."""
    names = [rule.name for _, rule in RULES]
    assert len(names) == len(set(names))


@each_check
def test_a_run_ends_before_the_next_begins(check: Check) -> None:
    """Also with room to spare: the time limit is at most half the interval."""
    assert check.timeout <= check.every / 2


@pytest.mark.parametrize(
    "check",
    # those that run in a child take stock: what they count besides is evidence, too much to draw
    [check for check in CHECKS if not check.in_child],
    ids=lambda check: check.name,
)
def test_every_metric_is_shown_or_judged(check: Check) -> None:
    """What nobody looks at is not worth sending."""
    judged = {metric.name for rule in check.rules for metric in metrics_of(rule)}
    shown = {panel.metric.name for panel in check.panels}
    assert {metric.name for metric in check.metrics} <= judged | shown


@each_check
def test_panels_show_own_metrics_in_a_known_way(check: Check) -> None:
    """A bar is a share of a whole, so it needs a ratio."""
    assert check.panels
    for panel in check.panels:
        assert panel.metric in check.metrics
        assert panel.drawn_as in {"line", "bar", "state"}
        assert panel.drawn_as != "bar" or panel.metric.unit is Unit.RATIO


@each_check
def test_texts_are_there_and_options_have_a_help(check: Check) -> None:
    """They become documentation and the sample configuration."""
    assert check.help.endswith(".")
    assert all(metric.help.endswith(".") for metric in check.metrics)
    assert all(option.help for option in check.options)
    names = [option.name for option in check.options]
    assert len(names) == len(set(names))
    assert set(check.works_on) <= set(check.options)
    assert check.has_work({}) == (not check.works_on), "nothing is looked at unasked"


@each_rule
def test_a_rule_judges_metrics_of_its_own_check(check: Check, rule: Rule) -> None:
    """Their series carry what names the component, so that a ticket finds its part."""
    for metric in metrics_of(rule):
        assert metric in check.metrics
        assert set(check.component.labels) <= set(metric.labels)


@each_rule
def test_title_and_advice_name_what_is_known(check: Check, rule: Rule) -> None:
    """A field that no series has would break the ticket in the moment it is needed."""
    labels: set[str] = set()
    for metric in metrics_of(rule):
        labels |= set(metric.labels)
    known = labels | {"host", "value"}
    if isinstance(rule, Forecast | Wear):
        known |= {"due", "earliest", "latest"}
    assert fields_of(rule.title) | fields_of(rule.advice) <= known
    assert "{host}" in rule.title
    assert len(rule.title) <= 100
    assert 40 <= len(rule.advice) <= 1000, "advice a technician can act on, in a few sentences"


@each_rule
def test_where_names_labels_of_the_metric(check: Check, rule: Rule) -> None:
    """A label that is not there would match nothing, for ever."""
    if isinstance(rule, Threshold | State):
        assert set(rule.where) <= set(rule.metric.labels)


@each_threshold
def test_a_threshold_clears_on_the_good_side(check: Check, rule: Threshold) -> None:
    """One mark each, and one level's clear_at not past the mark it clears."""
    marks: list[Threshold | Level] = [rule, *rule.levels.values()]
    for mark in marks:
        assert (mark.above is None) != (mark.below is None)
        assert not is_past(mark.clear_at, mark.above, mark.below)
    for condition in (rule.and_, *(level.and_ for level in rule.levels.values())):
        assert condition is None or (condition.above is None) != (condition.below is None)


@each_threshold
def test_levels_are_ordered(check: Check, rule: Threshold) -> None:
    """The more severe, the further past the mark, and on the same side of it."""
    before: tuple[Severity, float | None, float | None] = (rule.severity, rule.above, rule.below)
    for severity, level in sorted(rule.levels.items(), key=lambda item: item[0].rank):
        mark = level.above if level.above is not None else level.below
        assert mark is not None
        assert severity.rank > before[0].rank
        assert (level.above is None) == (rule.above is None)
        assert is_past(mark, before[1], before[2])
        assert mark not in before[1:]
        before = (severity, level.above, level.below)


def imports_of(module: Path) -> set[str]:
    """Return every name a file imports, modules and what is taken from them."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return names


@each_check
def test_a_check_imports_no_other_check(check: Check) -> None:
    """A check can be read, changed and dropped alone."""
    others = {f"forewarn_checks.{name}" for name in all_checks()} - {
        f"forewarn_checks.{check.name}"
    }
    folder = Path(forewarn_checks.__file__).parent
    assert not imports_of(folder / f"{check.name}.py") & others


def test_what_checks_share_knows_none_of_them() -> None:
    """The packages and private modules beside the checks are below them."""
    checks = {f"forewarn_checks.{name}" for name in all_checks()}
    folder = Path(forewarn_checks.__file__).parent
    for module in folder.rglob("*.py"):
        if module.parent != folder or module.name.startswith("_"):
            assert not imports_of(module) & checks, module.name
