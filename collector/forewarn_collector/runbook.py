"""What to do about a rule, put together from its declaration: for the page, the API and the docs.

A runbook is nobody's second text: meaning, conditions, steps and settings follow the rule as it
stands, so that they cannot fall behind it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from forewarn_checks.base import Absence, Forecast, Growth, Metric, Rule, State, Threshold, Wear
from forewarn_checks.base.catalog import all_checks
from forewarn_checks.base.durations import write_duration
from forewarn_collector.rules.book import BookedRule
from forewarn_collector.rules.evidence import fill
from forewarn_collector.rules.kinds import kind_of
from forewarn_collector.rules.own import COLLECTOR
from forewarn_collector.sample_config import rule_table
from forewarn_collector.units import write_value
from forewarn_scripts import library

_KINDS = {
    "threshold": "A reading past its mark.",
    "state": "A reading that has one certain value.",
    "growth": "A counter that grew. What it stood at when it was first read counts nothing, and a"
    " drop (the part was replaced) begins anew.",
    "forecast": "A date at which a level will be reached, with the interval in which it falls in"
    " nine of ten cases. Where the readings carry no date, none is told.",
    "wear": "A date at which something that is used up in steps will be gone, with the interval in"
    " which it falls in nine of ten cases. Too few steps carry no date.",
    "absence": "Nothing comes any more. The time in which the collector itself was down is not"
    " counted.",
}


@dataclass(frozen=True, slots=True)
class Remedy:
    """A maintenance script that may help: what it does, and how it is run."""

    name: str
    help: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """What a rule means and what to do about it, in sentences.

    Words in capitals (HOST, MOUNTPOINT, VALUE) stand for what the ticket says in their place.
    `settings` and `elsewhere` are TOML for collector.toml: the rule as it is, and how it is made
    another for some hosts.
    """

    name: str
    check: str
    kind: str
    severity: str
    title: str
    meaning: tuple[str, ...]
    metrics: tuple[Metric, ...]
    fires: str
    holds: tuple[str, ...]
    ends: str
    advice: str
    steps: tuple[str, ...]
    scripts: tuple[Remedy, ...]
    settings: str
    elsewhere: str
    trial: tuple[str, ...]


def runbook_of(booked: BookedRule) -> Runbook:
    """Return the runbook of a rule in the form it has here."""
    rule = booked.rule
    words = _words(booked)
    return Runbook(
        name=rule.name,
        check=booked.check,
        kind=kind_of(rule).name,
        severity=str(rule.severity),
        title=fill(rule.title, words),
        meaning=tuple(_meaning(booked)),
        metrics=tuple(_metrics(booked)),
        fires=kind_of(rule).explain(rule),
        holds=tuple(_holds(rule)),
        ends=_ends(booked),
        advice=fill(rule.advice, words),
        steps=tuple(_steps(booked)),
        scripts=tuple(_remedies(rule.name)),
        settings="\n".join(rule_table(rule)),
        elsewhere="\n".join(_elsewhere(rule)),
        trial=(
            "forewarn-collector rules check",
            "forewarn-collector rules backtest --from 7d --rule changed.toml --compare current",
        ),
    )


def _words(booked: BookedRule) -> dict[str, str]:
    labels = () if booked.metric is None else booked.metric.labels
    names = ("host", "value", "due", "earliest", "latest", *labels)
    return {name: name.upper() for name in names} | {"silence": "is silent"}


def _meaning(booked: BookedRule) -> Iterator[str]:
    yield _KINDS[kind_of(booked.rule).name]
    if booked.check == COLLECTOR:
        yield "The collector judges it by what it knows of a host without any check."
        return
    check = all_checks()[booked.check]
    yield (
        f"It looks at what the check {check.name} reads every {write_duration(check.every)}:"
        f" {check.help[:1].lower()}{check.help[1:]}"
    )


def _metrics(booked: BookedRule) -> Iterator[Metric]:
    rule = booked.rule
    names: list[str] = []
    if isinstance(rule, Growth):
        names += [one.metric.name for one in rule.any_of]
        names += [one.and_.metric.name for one in rule.any_of if one.and_ is not None]
    else:
        names += [one.name for one in (booked.metric, booked.companion) if one is not None]
    yield from (booked.metrics[name] for name in dict.fromkeys(names) if name in booked.metrics)


def _holds(rule: Rule) -> Iterator[str]:
    """Say how long a condition has to last before anything is told."""
    hold = getattr(rule, "hold_for", None)
    readings = getattr(rule, "hold_readings", 1)
    if hold:
        yield f"It must last {write_duration(hold)} before a ticket opens."
    if readings > 1:
        yield f"It must show in {readings} readings in a row."
    if not isinstance(rule, Absence):
        yield "Missing readings neither begin it nor end it."


def _ends(booked: BookedRule) -> str:
    rule = booked.rule
    clear = getattr(rule, "clear_for", None)
    lasting = f" and stays so for {write_duration(clear)}" if clear else ""
    if isinstance(rule, Threshold):
        unit = rule.metric.unit
        side = "down to" if rule.above is not None else "up to"
        back = f"once {rule.metric.name} is back {side} {write_value(rule.clear_at, unit)}{lasting}"
        other = "" if rule.and_ is None else f", or once {rule.and_.metric.name} is out of danger"
        return f"The alert is over {back}{other}."
    if isinstance(rule, State):
        return f"The alert is over once {rule.metric.name} is not {rule.when:g} any more{lasting}."
    if isinstance(rule, Growth):
        window = write_duration(rule.window)
        return f"The alert is over once nothing of it grew for {window}, or when it is accepted."
    if isinstance(rule, Forecast | Wear):
        return f"The alert is over once that date is out of sight{lasting}."
    return "The alert is over once something is received again."


def _steps(booked: BookedRule) -> Iterator[str]:
    rule = booked.rule
    yield "Read the ticket: it shows the readings, since when, and what else is wrong on the host."
    yield "Acknowledge it, so that others see that somebody is at it."
    yield "Do what the advice says."
    if booked.check != COLLECTOR:
        yield (
            f"See the effect on the host: `forewarn-agent once --check {booked.check}` reads it"
            " now and sends nothing."
        )
    if isinstance(rule, Growth):
        yield (
            'Nothing to be done about it? `forewarn ticket accept NUMBER "why"` takes the'
            " counters as they are; only what grows from there on is told."
        )
    yield (
        "Not now? `forewarn silence add host:HOST --rule"
        f' {rule.name} --for 7d --reason "why"` holds it back until then.'
    )
    yield "The ticket closes by itself once the condition is over, unless people worked on it."


def _remedies(rule: str) -> Iterator[Remedy]:
    for script in library.all_scripts().values():
        if rule in script.manifest.helps_with:
            command = f'forewarn run {script.name} --on host:HOST --reason "ticket NUMBER"'
            yield Remedy(script.name, script.manifest.help, command)


def _elsewhere(rule: Rule) -> Iterator[str]:
    """Show the two commonest scopes: other marks for some hosts, none for others."""
    field = next((line for line in list(rule_table(rule))[2:] if not line.startswith("[")), "")
    yield f"[[rules.{rule.name}.scopes]]"
    yield 'select = "client:acme tag:db"'
    yield f"{field}  # write your own" if field else 'severity = "info"'
    yield ""
    yield f"[[rules.{rule.name}.scopes]]"
    yield 'select = "tag:scratch"'
    yield "enabled = false"
