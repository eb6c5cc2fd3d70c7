"""Say why a rule fired, for people and programs: reading, marks, since when, what to do."""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from forewarn_checks.base import Absence, Growth, Unit
from forewarn_collector.clock import rfc3339
from forewarn_collector.rules.book import BookedRule
from forewarn_collector.rules.kind import Alert, AlertState, Due, Grown
from forewarn_collector.rules.kinds import kind_of
from forewarn_collector.text import plain
from forewarn_collector.units import write_value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_LABEL = 200
NEVER_HEARD = {"heard": "never"}
"""The labels of a silence that began with the enrolment."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The title and the evidence of one alert as it is now."""

    title: str
    told: Mapping[str, Any]


def gather(
    booked: BookedRule, labels: Mapping[str, str], host: str, component: str, alert: Alert
) -> Evidence:
    """Return what to tell of an alert.

    Labels and names come from hosts: they are cleaned and never read as templates.
    """
    unit = Unit.SECONDS if booked.metric is None else booked.metric.unit
    known = {name: plain(value, LONGEST_LABEL) for name, value in labels.items()}
    words = known | {"host": plain(host, LONGEST_LABEL), "value": write_value(alert.value, unit)}
    words |= dates(alert.due)
    if isinstance(booked.rule, Absence):
        words["silence"] = "was never heard" if known == NEVER_HEARD else "is silent"
    if alert.grown and alert.state is not AlertState.OK:
        words["value"] = growths(alert.grown)
    title = fill(booked.rule.title, words)
    told: dict[str, Any] = {
        "title": title,
        "component": plain(component, 400),
        "metric": "silence_seconds" if booked.metric is None else booked.metric.name,
        "labels": known,
        "value": alert.value,
        "unit": str(unit),
        "shown": words["value"],
        "raises": kind_of(booked.rule).explain(booked.rule),
        "since": rfc3339(_moment(alert.began)),
        "seen_at": rfc3339(_moment(alert.seen_until)),
        "advice": fill(booked.rule.advice, words),
    }
    if booked.companion is not None and alert.companion is not None:
        told["with"] = {
            "metric": booked.companion.name,
            "value": alert.companion,
            "shown": write_value(alert.companion, booked.companion.unit),
        }
    if alert.due is not None:
        told["forecast"] = {
            "due": rfc3339(_moment(alert.due.at)),
            "earliest": rfc3339(_moment(alert.due.earliest)),
            "latest": rfc3339(_moment(alert.due.latest)),
            "tier": alert.due.tier,
        }
    if alert.grown:
        told["grown"] = [
            {
                "metric": one.metric,
                "by": one.by,
                "value": one.value,
                "since": rfc3339(_moment(one.since)),
            }
            for one in alert.grown
        ]
    if alert.flapping or alert.flaps:
        cycles = [rfc3339(_moment(at)) for at in alert.cycles]
        told["flapping"] = {"now": alert.flapping, "held": alert.flaps, "was_over": cycles}
    if not isinstance(booked.rule, Absence | Growth):
        told["readings"] = [
            {"at": rfc3339(_moment(at)), "value": value, "shown": write_value(value, unit)}
            for at, value in alert.recent
        ]
    return Evidence(title, told)


def growths(grown: tuple[Grown, ...]) -> str:
    """Return e.g. ``24 more pending sectors (now 24), 302 more reallocated sectors (now 310)``."""
    return ", ".join(
        f"{one.by:g} more {one.metric.partition('_')[2].replace('_', ' ')} (now {one.value:g})"
        for one in grown
    )


def dates(due: Due | None) -> Mapping[str, str]:
    """Return the words of a forecast, e.g. due ``Sat 2026-03-07 14:20 UTC``; none without one."""
    if due is None:
        return {}
    moments = {"due": due.at, "earliest": due.earliest, "latest": due.latest}
    return {name: f"{_moment(at):%a %Y-%m-%d %H:%M} UTC" for name, at in moments.items()}


def fill(template: str, words: Mapping[str, str]) -> str:
    """Return `template` with ``{name}`` replaced by known words; others stay as they are.

    Not str.format: a template only names, it never reaches into what it names.
    """
    parts = []
    for text, name, _, _ in string.Formatter().parse(template):
        parts.append(text)
        if name is not None:
            parts.append(words.get(name, f"{{{name}}}"))
    return "".join(parts)


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
