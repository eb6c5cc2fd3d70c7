"""The latest readings of a host, laid out by check and component, as people look at them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from forewarn_checks.base import Check, Metric, Outcome, Severity, Unit
from forewarn_collector.pages.panels import Judged
from forewarn_collector.pages.titles import metric_title
from forewarn_collector.queries.alerts import AlertLine
from forewarn_collector.queries.hosts import CheckOutcome, HostDetail, LatestReading
from forewarn_collector.units import write_value

_STALE_AFTER = 3  # intervals of its check


@dataclass(frozen=True, slots=True)
class Shown:
    """One reading for people.

    `share` is between 0 and 1 for what is drawn as a bar.  `level` is the severity of an alert
    that fires on it, "ok" for a state that is as it should be, else "".
    """

    text: str
    name: str
    share: float | None
    level: str
    at: datetime
    stale: bool


@dataclass(frozen=True, slots=True)
class Column:
    """One metric of a table of readings."""

    title: str
    help: str


@dataclass(frozen=True, slots=True)
class Part:
    """One component of the host: the readings of each column."""

    name: str
    about: str  # further labels, e.g. device and file system type
    cells: tuple[tuple[Shown, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One check on one host: how its latest run went, and what it read of each component."""

    check: Check
    outcome: CheckOutcome | None
    columns: tuple[Column, ...]
    parts: tuple[Part, ...]

    @property
    def trouble(self) -> bool:
        """True when the latest run did not read what it ought to have."""
        bad = (Outcome.FAILED, Outcome.TIMED_OUT)
        return self.outcome is not None and self.outcome.outcome in bad

    @property
    def word(self) -> str:
        """The outcome in a word or two."""
        if self.outcome is None:
            return "not run yet"
        return _WORDS.get(self.outcome.outcome, str(self.outcome.outcome))


_WORDS = {
    Outcome.OK: "read",
    Outcome.NOTHING: "nothing to read",
    Outcome.TIMED_OUT: "timed out",
}


def sections(
    checks: Collection[Check], host: HostDetail, rules: Judged, now: datetime
) -> tuple[Section, ...]:
    """Return a section for every check that the host runs or ought to."""
    outcomes = {one.check: one for one in host.checks}
    firing = _firing(host.alerts, rules)
    found = []
    for check in checks:
        reads = check.read_windows if host.system == "windows" else check.read_linux
        outcome = outcomes.get(check.name)
        if reads is not None or outcome is not None:
            oldest = now - _STALE_AFTER * check.every - timedelta(minutes=1)
            layout = _Layout(check, rules, firing, oldest)
            found.append(layout.section(host.readings, outcome))
    return tuple(found)


def _firing(alerts: Sequence[AlertLine], rules: Judged) -> Mapping[tuple[str, str], str]:
    """Return the worst severity that fires, by metric and component."""
    metrics = {booked.name: booked.metric.name for booked in rules.rules if booked.metric}
    # Worst last, so that it stays.
    ordered = sorted(alerts, key=lambda alert: Severity(alert.severity).rank)
    return {(metrics.get(alert.rule, ""), alert.component): alert.severity for alert in ordered}


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the readings of one check are laid out; those before `oldest` are stale."""

    check: Check
    rules: Judged
    firing: Mapping[tuple[str, str], str]
    oldest: datetime

    def section(self, readings: Sequence[LatestReading], outcome: CheckOutcome | None) -> Section:
        present = {reading.metric for reading in readings}
        metrics = [metric for metric in _in_order(self.check) if metric.name in present]
        names = {metric.name for metric in metrics}
        parts: dict[tuple[str, ...], list[LatestReading]] = {}
        for reading in readings:
            if reading.metric in names:
                parts.setdefault(self._component(reading), []).append(reading)
        return Section(
            self.check,
            outcome,
            tuple(Column(metric_title(metric, self.check), metric.help) for metric in metrics),
            tuple(self._part(name, parts[name], metrics) for name in sorted(parts)),
        )

    def _part(
        self, name: tuple[str, ...], readings: Sequence[LatestReading], metrics: Sequence[Metric]
    ) -> Part:
        common = self._common(readings) if any(name) else {}
        cells = tuple(
            tuple(self._shown(metric, one, common) for one in readings if one.metric == metric.name)
            for metric in metrics
        )
        return Part(" ".join(name), " · ".join(common.values()), cells)

    def _component(self, reading: LatestReading) -> tuple[str, ...]:
        return tuple(reading.labels.get(label, "") for label in self.check.component.labels)

    def _common(self, readings: Sequence[LatestReading]) -> Mapping[str, str]:
        """Return the labels that all readings of the component have, and have alike."""
        first, *others = (reading.labels for reading in readings)
        return {
            label: value
            for label, value in first.items()
            if label not in self.check.component.labels
            and all(other.get(label) == value for other in others)
        }

    def _shown(self, metric: Metric, reading: LatestReading, common: Mapping[str, str]) -> Shown:
        drawn = {panel.metric.name: panel.drawn_as for panel in self.check.panels}.get(metric.name)
        bar = drawn == "bar" and metric.unit is Unit.RATIO
        said = {*self.check.component.labels, *common}
        extra = " ".join(value for label, value in reading.labels.items() if label not in said)
        text = write_value(reading.value, metric.unit)
        if drawn == "state":
            text = "yes" if reading.value else "no"
        return Shown(
            text=text,
            name=extra,
            share=min(max(reading.value, 0.0), 1.0) if bar else None,
            level=self._level(metric, reading, is_state=drawn == "state"),
            at=reading.at,
            stale=reading.at < self.oldest,
        )

    def _level(self, metric: Metric, reading: LatestReading, *, is_state: bool) -> str:
        """Return what fires on the reading: a mark alone says little, rules ask for more."""
        component = self.check.component.name(reading.labels)
        if level := self.firing.get((metric.name, component)):
            return level
        bad = self.rules.bad(metric) if is_state else None
        return "ok" if bad is not None and reading.value != bad.value else ""


def _in_order(check: Check) -> list[Metric]:
    """Return the check's metrics: those with a panel first, in the order of the panels."""
    shown = [panel.metric for panel in check.panels]
    names = {metric.name for metric in shown}
    return shown + [metric for metric in check.metrics if metric.name not in names]
