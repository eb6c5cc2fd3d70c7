"""Charts of a host's metrics: what is drawn, on which scale, and where rules raise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from forewarn_checks.base import (
    Check,
    Component,
    Level,
    Metric,
    Panel,
    Severity,
    State,
    Threshold,
)
from forewarn_checks.base.catalog import all_checks
from forewarn_collector.pages.charts import Chart, Kind, Line, Mark
from forewarn_collector.pages.spans import Span
from forewarn_collector.pages.titles import metric_title, spoken
from forewarn_collector.queries.scope import microseconds
from forewarn_collector.rules.book import BookedRule, RuleBook
from forewarn_collector.rules.evidence import LONGEST_LABEL
from forewarn_collector.samples import SampleStore, Series
from forewarn_collector.selector import Selectable
from forewarn_collector.text import plain
from forewarn_collector.units import write_value

STEPS = 100
"""Points of one small drawing."""

_MISSED = 2.5  # readings: fewer missing ones are still joined


@dataclass(frozen=True, slots=True)
class Judged:
    """Every rule as it holds on one host."""

    rules: Sequence[BookedRule]

    def marks(self, metric: Metric) -> tuple[Mark, ...]:
        """Return the values of `metric` at which a rule raises, the mildest first."""
        found = []
        for booked in self.rules:
            rule = booked.rule
            if not isinstance(rule, Threshold) or rule.metric.name != metric.name:
                continue
            found.append(_mark(rule.name, rule.severity, rule, metric))
            found += [
                _mark(rule.name, severity, level, metric) for severity, level in rule.levels.items()
            ]
        return tuple(sorted(found, key=lambda mark: mark.severity.rank))

    def bad(self, metric: Metric) -> Mark | None:
        """Return the value that a rule of states calls wrong, None when none does."""
        for booked in self.rules:
            rule = booked.rule
            if isinstance(rule, State) and rule.metric.name == metric.name:
                return Mark(rule.when, rule.severity, f"{rule.severity} while so ({rule.name})")
        return None


def judged(book: RuleBook, host: Selectable | None) -> Judged:
    """Return the rules in force on `host`, or those for everybody when it is not known."""
    if host is None:
        return Judged(book.rules())
    effective = (book.effective(name, host) for name in book.names())
    return Judged([booked for booked in effective if booked is not None])


def series_name(
    component: Component, labels: Mapping[str, str], among: Sequence[Mapping[str, str]]
) -> str:
    """Return what tells a series from the others: its component, and labels beyond if need be."""
    own = [labels.get(label, "") for label in component.labels]
    same = [other for other in among if [other.get(label, "") for label in component.labels] == own]
    if len(same) > 1:
        own += [value for label, value in sorted(labels.items()) if label not in component.labels]
    return " ".join(part for part in own if part)


def build(
    store: SampleStore,
    number: int,
    check: Check,
    panel: Panel,
    rules: Judged,
    span: Span,
    zone: ZoneInfo,
    only: Mapping[str, str] | None = None,
) -> Chart:
    """Return the chart of one panel over the span; without lines when nothing was read.

    `only` leaves out series with other labels, written as evidence does.
    """
    begin, end = microseconds(span.since), microseconds(span.until)
    found = [
        series
        for series in store.history(number, panel.metric.name, begin, end, STEPS)
        if only is None or {k: plain(v, LONGEST_LABEL) for k, v in series.labels.items()} == only
    ]
    kind = Kind(panel.drawn_as)
    return Chart(
        title=metric_title(panel.metric, check),
        unit=panel.metric.unit,
        kind=kind,
        since=span.since,
        until=span.until,
        zone=zone,
        gap=gap_of(check.every, span.since, span.until),
        lines=lines_of(found, check.component),
        marks=rules.marks(panel.metric),
        bad=rules.bad(panel.metric) if kind is Kind.STATE else None,
    )


def gap_of(every: timedelta, since: datetime, until: datetime) -> timedelta:
    """Return the distance from which on readings are not joined: some were missed."""
    return _MISSED * max(every, (until - since) / STEPS)


def lines_of(found: Sequence[Series], component: Component) -> tuple[Line, ...]:
    """Return the series as lines, by name."""
    among = [series.labels for series in found]
    lines = [
        Line(
            series_name(component, series.labels, among),
            [at / 1_000_000 for at in series.at.tolist()],
            series.value.tolist(),
            series.low.tolist(),
            series.high.tolist(),
        )
        for series in found
    ]
    return tuple(sorted(lines, key=lambda line: line.name))


def _mark(name: str, severity: Severity, step: Threshold | Level, metric: Metric) -> Mark:
    value = step.above if step.above is not None else step.below or 0.0
    way = "from" if step.above is not None else "down to"
    text = f"{severity} {way} {write_value(value, metric.unit)} ({name})"
    also = step.and_
    if also is not None:
        bound = also.above if also.above is not None else also.below or 0.0
        text += f" with {spoken(also.metric)} {'≥' if also.above is not None else '≤'} "
        text += write_value(bound, also.metric.unit)
    return Mark(value, severity, text)


def panel_of(metric: str) -> tuple[Check, Panel] | None:
    """Return how a metric is drawn, as a line if its check does not say; None for no metric."""
    for check in all_checks().values():
        drawn = {panel.metric.name: panel for panel in check.panels}
        for one in check.metrics:
            if one.name == metric:
                return check, drawn.get(metric, Panel(one))
    return None


def build_around(
    store: SampleStore,
    number: int,
    metric: str,
    labels: Mapping[str, str],
    rules: Judged,
    span: Span,
    zone: ZoneInfo,
    shaded: Sequence[tuple[datetime, datetime]],
) -> Chart | None:
    """Return the chart of the one series that evidence speaks of, with its spans shaded.

    None when the metric is none of a check.  `labels` are as evidence writes them: cleaned.
    """
    found = panel_of(metric)
    if found is None:
        return None
    check, panel = found
    chart = build(store, number, check, panel, rules, span, zone, only=labels)
    return replace(chart, shaded=shaded)
