"""What is watched and how it is judged: every check, its metrics, and the rules in force."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta

from fastapi import Request, Response

from forewarn_checks.base import Check, Rule
from forewarn_checks.base.catalog import all_checks
from forewarn_checks.base.durations import write_duration
from forewarn_collector.api.guard import Asker, Here
from forewarn_collector.pages.view import render
from forewarn_collector.rules.book import RuleBook
from forewarn_collector.rules.kinds import kind_of
from forewarn_collector.state import forecasts
from forewarn_collector.track_record import FORETELLING


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule in words.  `elsewhere` is how many other forms it has for some hosts.

    `record` is how its forecasts came out, "" for a rule without, or with too few so far.
    """

    name: str
    severity: str
    raises: str
    holds: str
    advice: str
    elsewhere: int
    record: str


@dataclass(frozen=True, slots=True)
class Chapter:
    """One check with its rules; the collector's own rules come without a check."""

    title: str
    check: Check | None
    metrics: tuple[tuple[str, str, str], ...]  # name, unit, help
    rules: tuple[RuleLine, ...]


def get_checks(request: Request, asker: Asker, collector: Here) -> Response:
    """Show the catalogue."""
    with collector.database.read() as connection:
        records = {
            one.name: forecasts.record(connection, clients=asker.clients, rule=one.name).words
            for one in collector.book.rules()
            if isinstance(one.rule, FORETELLING)
        }
    rules = _rules(collector.book, records)
    chapters = [_chapter(check, rules.get(check.name, [])) for check in all_checks().values()]
    own = tuple(rules.get("collector", ()))
    if own:
        chapters.append(Chapter("collector", None, (), own))
    return render(request, "checks.html", asker=asker, chapters=chapters)


def _chapter(check: Check, rules: list[RuleLine]) -> Chapter:
    metrics = tuple((metric.name, str(metric.unit), metric.help) for metric in check.metrics)
    return Chapter(check.name, check, metrics, tuple(rules))


def _rules(book: RuleBook, records: Mapping[str, str]) -> dict[str, list[RuleLine]]:
    found: dict[str, list[RuleLine]] = {}
    for booked in book.rules():
        rule = booked.rule
        line = RuleLine(
            name=rule.name,
            severity=str(rule.severity),
            raises=kind_of(rule).explain(rule),
            holds=_holds(rule),
            advice=rule.advice,
            elsewhere=len(book.variants(rule.name)) - 1,
            record=records.get(rule.name, ""),
        )
        found.setdefault(booked.check, []).append(line)
    return found


def _holds(rule: Rule) -> str:
    """Return ``after 15m; clears after 15m``, or what of it there is."""
    said = {field.name: getattr(rule, field.name) for field in fields(rule)}
    parts = []
    if said.get("hold_for"):
        parts.append(f"after {_duration(said['hold_for'])}")
    if said.get("hold_readings", 1) > 1:
        parts.append(f"after {said['hold_readings']} readings in a row")
    if said.get("clear_for"):
        parts.append(f"over after {_duration(said['clear_for'])}")
    return "; ".join(parts)


def _duration(duration: timedelta) -> str:
    return write_duration(duration)
