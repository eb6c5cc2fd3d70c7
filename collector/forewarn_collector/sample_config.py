"""Write collector.toml as `init` leaves it: every field, its default and what it is for."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from datetime import timedelta

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from forewarn_checks.base import (
    Absence,
    Condition,
    Forecast,
    Growth,
    Increase,
    Level,
    Rule,
    State,
    Threshold,
)
from forewarn_checks.base.durations import write_duration
from forewarn_collector.config import CollectorConfig, DestinationEntry, Group, Proxy, Retention
from forewarn_collector.destinations import all_destinations
from forewarn_collector.rules.book import declared
from forewarn_collector.rules.kinds import kind_of

_HEAD = """\
# The collector's configuration.  A line that begins with # shows a default or an example.
# Unknown keys are errors; forewarn-collector serve reads the file again when it changes, and keeps
# the last good one when it finds a mistake.  Rules may also stand in rules.d/*.toml.
"""


def sample_config(
    url: str = "https://monitor.example.com:8440",
    agents: str = "0.0.0.0:8440",  # noqa: S104 - agents come from anywhere
    operators: str = "127.0.0.1:8441",
) -> str:
    """Return a valid collector.toml that sets these three and shows everything else."""
    return "\n".join(
        [
            _HEAD,
            *_addresses({"url": url, "agents": agents, "operators": operators}),
            *_section("[retention]", Retention),
            *_section("[proxy]", Proxy),
            *_destinations(),
            *_section("[groups.databases]", Group, {"select": "client:acme tag:db"}),
            *_rules(),
        ]
    )


def _addresses(values: Mapping[str, str]) -> Iterator[str]:
    for name, value in values.items():
        yield f"# {_description(CollectorConfig.model_fields[name])}"
        yield f"{name} = {_toml(value)}"
    yield f"# {_description(CollectorConfig.model_fields['pages_url'])}"
    yield '# pages_url = "https://forewarn.example.com"'
    yield ""


def _section(
    header: str, model: type[BaseModel], examples: Mapping[str, object] | None = None
) -> Iterator[str]:
    yield f"# {header}"
    for name, field in model.model_fields.items():
        value = (examples or {}).get(name, field.default)
        yield f"# {name} = {_toml(value)}  # {_description(field)}"
    yield ""


def _destinations() -> Iterator[str]:
    kinds = all_destinations()
    told = f"Other kinds: {', '.join(kind for kind in kinds if kind != 'webhook')}."
    yield "# Where tickets go.  Any number of these, each with a name of its own."
    yield from (f"# {line}" for line in textwrap.wrap(told, 96))
    yield "# What each asks for: forewarn-collector destination kinds KIND"
    for kind, destination in [("webhook", kinds["webhook"])]:
        yield "# [[destinations]]"
        yield f'# name = "desk"  # {_description(DestinationEntry.model_fields["name"])}'
        yield f'# kind = "{kind}"'
        for name, field in destination.config.model_fields.items():
            if name == "secret":
                yield f'# secret_file = "desk.secret"  # {_description(field)}'
            else:
                yield f"# {name} = {_toml(_EXAMPLES.get(name, field.default))}  # {_description(field)}"
        networks = _description(DestinationEntry.model_fields["allow_networks"])
        yield f"# allow_networks = []  # {networks}"
    yield ""


_EXAMPLES = {"url": "https://desk.example.com/hooks/forewarn"}


def _rules() -> Iterator[str]:
    yield "# The rules as they hold; write only what you change.  A scope changes it for some hosts:"
    yield "# [[rules.NAME.scopes]]"
    yield '# select = "client:acme class:server"  # or: group = "databases"'
    yield "# enabled = false"
    yield ""
    for one in declared():
        rule = one.booked.rule
        yield from (f"# {line}" for line in textwrap.wrap(f"{rule.name}: {_meaning(rule)}", 96))
        yield f"# [rules.{rule.name}]"
        for name, value in _fields(rule):
            yield f"# {name} = {_toml(value)}"
        if one.off_for:
            yield f"# By itself it leaves alone: {one.off_for}"
        if isinstance(rule, Threshold):
            for severity, level in rule.levels.items():
                yield f"# [rules.{rule.name}.levels.{severity}]"
                yield from (f"# {name} = {_toml(value)}" for name, value in _marks(level))
        if isinstance(rule, Forecast):
            for severity, within in rule.levels.items():
                yield f"# [rules.{rule.name}.levels.{severity}]"
                yield f"# within = {_toml(within)}"
        yield ""


def _meaning(rule: Rule) -> str:
    return kind_of(rule).explain(rule)


def _fields(rule: Rule) -> Iterator[tuple[str, object]]:
    yield "severity", str(rule.severity)
    if isinstance(rule, Threshold):
        yield from _marks(rule)
    if isinstance(rule, State):
        yield "when", rule.when
    if isinstance(rule, Forecast):
        yield "within", rule.within
    if isinstance(rule, Threshold | State | Forecast):
        yield "hold_for", rule.hold_for
        yield "clear_for", rule.clear_for
    if isinstance(rule, Growth):
        yield "window", rule.window
        yield "any_of", rule.any_of
    if isinstance(rule, Absence):
        yield "after", rule.after


def _marks(step: Threshold | Level) -> Iterator[tuple[str, object]]:
    if step.above is not None:
        yield "above", step.above
    if step.below is not None:
        yield "below", step.below
    yield "clear_at", step.clear_at
    if step.and_ is not None:
        yield "and", step.and_


def _description(field: FieldInfo) -> str:
    return field.description or ""


def _toml(value: object) -> str:
    if isinstance(value, timedelta):
        return _toml(write_duration(value))
    if isinstance(value, Condition):
        mark = "above" if value.above is not None else "below"
        number = value.above if value.above is not None else value.below
        return f'{{metric = "{value.metric.name}", {mark} = {_toml(number)}}}'
    if isinstance(value, Increase):
        also = "" if value.and_ is None else f", and = {_toml(value.and_)}"
        return f'{{metric = "{value.metric.name}", by = {_toml(value.by)}{also}}}'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)  # JSON's texts, numbers and true are TOML's, too
