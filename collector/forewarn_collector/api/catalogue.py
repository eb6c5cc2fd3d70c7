"""What is measured and how it is judged: checks, metrics and the rules in force."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta

from forewarn_checks.base import Absence, Check, Rule, State, Threshold, Unit
from forewarn_checks.base.catalog import all_checks
from forewarn_checks.base.durations import write_duration
from forewarn_collector.api.guard import Asker, Here
from forewarn_collector.rules.book import BookedRule
from forewarn_collector.rules.kinds import kind_of
from forewarn_collector.runbook_url import runbook_url
from forewarn_collector.state import forecasts
from forewarn_collector.track_record import FORETELLING, Coverage


@dataclass(frozen=True, slots=True)
class MetricAnswer:
    """One quantity, in base units."""

    name: str
    unit: Unit
    help: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """How many forecasts were put to the test, and in how many the interval held."""

    tested: int
    inside: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAnswer:
    """A rule as it holds where no scope says otherwise.  Durations are written ``5m``."""

    name: str
    check: str
    kind: str
    severity: str
    metric: str | None
    above: float | None
    below: float | None
    when: float | None
    clear_at: float | None
    hold_for: str | None
    clear_for: str | None
    after: str | None
    title: str
    advice: str
    runbook_url: str
    track_record: TrackRecord | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAnswer:
    """One thing that is watched."""

    name: str
    help: str
    every: str
    metrics: tuple[MetricAnswer, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every check, and every rule that is on."""

    checks: Sequence[CheckAnswer]
    rules: Sequence[RuleAnswer]


def get_checks(asker: Asker, collector: Here) -> Catalogue:
    """Return what is measured and how it is judged."""
    booked = collector.book.rules()
    with collector.database.read() as connection:
        records = {
            one.name: forecasts.record(connection, clients=asker.clients, rule=one.name)
            for one in booked
            if isinstance(one.rule, FORETELLING)
        }
    return Catalogue(
        tuple(_check(check) for check in all_checks().values()),
        tuple(_rule(one, records.get(one.name), collector.telling.ticket_url) for one in booked),
    )


def _check(check: Check) -> CheckAnswer:
    return CheckAnswer(
        name=check.name,
        help=check.help,
        every=write_duration(check.every),
        metrics=tuple(MetricAnswer(m.name, m.unit, m.help, m.labels) for m in check.metrics),
    )


def _rule(booked: BookedRule, record: Coverage | None, ticket_url: str) -> RuleAnswer:
    rule: Rule = booked.rule
    said = {field.name: getattr(rule, field.name) for field in fields(rule)}
    return RuleAnswer(
        name=rule.name,
        check=booked.check,
        kind=kind_of(rule).name,
        severity=str(rule.severity),
        metric=booked.metric.name
        if isinstance(rule, Threshold | State | Absence) and booked.metric
        else None,
        above=said.get("above"),
        below=said.get("below"),
        when=said.get("when"),
        clear_at=said.get("clear_at"),
        hold_for=_written(said.get("hold_for")),
        clear_for=_written(said.get("clear_for")),
        after=_written(said.get("after")),
        title=rule.title,
        advice=rule.advice,
        runbook_url=runbook_url(ticket_url, rule.name),
        track_record=None if record is None else TrackRecord(record.tested, record.inside),
    )


def _written(duration: timedelta | None) -> str | None:
    return None if duration is None else write_duration(duration)
