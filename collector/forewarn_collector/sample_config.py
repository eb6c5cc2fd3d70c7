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
    Wear,
)
from forewarn_checks.base.catalog import all_checks
from forewarn_checks.base.durations import write_duration
from forewarn_collector.agent_config import CheckTable
from forewarn_collector.config import (
    CollectorConfig,
    DestinationEntry,
    Group,
    Proxy,
    Retention,
    SecondFactor,
)
from forewarn_collector.destinations import all_destinations
from forewarn_collector.rules.book import declared
from forewarn_collector.rules.kinds import kind_of
from forewarn_collector.ticket_config import (
    CalendarTable,
    InboundTable,
    RouteTable,
    SlaTable,
    StepTable,
    TargetTable,
    TeamTable,
    TicketsTable,
)

_HEAD = """\
# The collector's configuration.  A line that begins with # shows a default or an example.
# Unknown keys are errors; forewarn-collector serve reads the file again when it changes, and keeps
# the last good one when it finds a mistake.  Rules may also stand in rules.d/*.toml.
"""


def sample_config(
    url: str = "https://monitor.example.com:8440",
    agents: str = "0.0.0.0:8440",  # agents come from anywhere
    operators: str = "127.0.0.1:8441",
) -> str:
    """Return a valid collector.toml that sets these three and shows everything else."""
    return "\n".join(
        [
            _HEAD,
            *_addresses({"url": url, "agents": agents, "operators": operators}),
            *_section("[retention]", Retention),
            *_section("[proxy]", Proxy),
            *_section("[second_factor]", SecondFactor),
            *_section("[tickets]", TicketsTable),
            *_destinations(),
            *_section("[groups.databases]", Group, {"select": "client:acme tag:db"}),
            *_tickets(),
            *_checks(),
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
                example = _toml(_EXAMPLES.get(name, field.default))
                yield f"# {name} = {example}  # {_description(field)}"
        networks = _description(DestinationEntry.model_fields["allow_networks"])
        yield f"# allow_networks = []  # {networks}"
    yield ""


def _tickets() -> Iterator[str]:
    """Show what may be said of work on tickets, as one office would say it."""
    yield "# When work is done.  Promises and routes name a calendar; around the clock is none."
    yield from _shown("[calendars.office]", CalendarTable, _CALENDAR)
    yield "# What is promised, to some clients or to all others.  A ticket keeps what held when it"
    yield "# was opened.  Nothing is promised for a priority that is left out."
    yield from _shown("[sla.standard]", SlaTable, _SLA)
    yield from _shown("[sla.standard.targets.P1]", TargetTable, _TARGET)
    yield from _shown("[[sla.standard.steps]]", StepTable, _STEP)
    yield "# Who gets a ticket: the first route that fits; the last one must ask nothing."
    yield from _shown("[teams.storage]", TeamTable, {"members": ["mia", "ola"]})
    yield from _shown("[[routes]]", RouteTable, _ROUTE)
    yield "# [[routes]]"
    yield '# to = "desk"'
    yield ""
    yield "# Other tools that open tickets: POST /api/v1/inbound/NAME, signed as webhooks are."
    yield from _shown("[inbound.phone]", InboundTable, {"client": "acme"})


def _shown(header: str, model: type[BaseModel], examples: Mapping[str, object]) -> Iterator[str]:
    """Show the fields of a table that explain themselves: an example, else the default."""
    yield f"# {header}"
    for name, field in model.model_fields.items():
        if not field.description or name in ("targets", "steps", "scopes"):
            continue  # tables of their own
        if name == "secret":
            yield f'# secret_file = "phone.secret"  # {field.description}'
            continue
        value = examples.get(name, field.get_default(call_default_factory=True))
        yield f"# {name} = {_toml(value)}  # {field.description}"
    yield ""


_HOURS = ["08:00-12:00", "13:00-17:00"]
_CALENDAR = {
    "zone": "Europe/Berlin",
    "weekdays": _HOURS,
    "monday": _HOURS,
    "holidays": "DE-BE",
}
_SLA = {"clients": ["acme"], "calendar": "office"}
_TARGET = {"response": timedelta(minutes=15), "resolution": timedelta(hours=4)}
_STEP = {"at": 0.5, "to": "storage"}
_ROUTE = {
    "name": "storage by day",
    "rules": ["DiskAlmostFull"],
    "hours": "office",
    "team": "storage",
}
_EXAMPLES = {"url": "https://desk.example.com/hooks/forewarn"}


def _checks() -> Iterator[str]:
    """Show how agents are told to run a check otherwise, and which options may be set from here."""
    yield "# How agents run checks.  What a host's own agent.toml says goes before it; what is run,"
    yield "# read from or connected to can be set there alone."
    yield from _shown("[checks.disk]", CheckTable, {"every": timedelta(minutes=1), "enabled": True})
    yield "# [[checks.disk.scopes]]"
    yield '# select = "tag:scratch"  # or: group = "databases"'
    yield '# every = "1h"'
    yield ""
    yield "# Options that may be set:"
    for check in all_checks().values():
        for option in check.options:
            if option.remote:
                told = f"{check.name}.{option.name} = {_toml(option.default)}  {option.help}"
                yield from (f"#   {line}" for line in textwrap.wrap(told, 94))
    yield ""


def _rules() -> Iterator[str]:
    yield "# The rules as they hold; write only what you change.  A scope changes it for some:"
    yield "# [[rules.NAME.scopes]]"
    yield '# select = "client:acme class:server"  # or: group = "databases"'
    yield "# enabled = false"
    yield ""
    for one in declared():
        rule = one.booked.rule
        yield from (f"# {line}" for line in textwrap.wrap(f"{rule.name}: {_meaning(rule)}", 96))
        yield from (f"# {line}" for line in rule_table(rule))
        if one.off_for:
            yield f"# By itself it leaves alone: {one.off_for}"
        yield ""


def rule_table(rule: Rule) -> Iterator[str]:
    """Return the lines of a rule's table in collector.toml, every field as it stands."""
    yield f"[rules.{rule.name}]"
    for name, value in _fields(rule):
        yield f"{name} = {_toml(value)}"
    if isinstance(rule, Threshold):
        for severity, level in rule.levels.items():
            yield f"[rules.{rule.name}.levels.{severity}]"
            yield from (f"{name} = {_toml(value)}" for name, value in _marks(level))
    if isinstance(rule, Forecast | Wear):
        for severity, within in rule.levels.items():
            yield f"[rules.{rule.name}.levels.{severity}]"
            yield f"within = {_toml(within)}"


def _meaning(rule: Rule) -> str:
    return kind_of(rule).explain(rule)


def _fields(rule: Rule) -> Iterator[tuple[str, object]]:
    yield "severity", str(rule.severity)
    if isinstance(rule, Threshold):
        yield from _marks(rule)
    if isinstance(rule, State):
        yield "when", rule.when
    if isinstance(rule, Forecast | Wear):
        yield "within", rule.within
    if isinstance(rule, Threshold | State | Forecast | Wear):
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
        also += "" if value.within is None else f", within = {_toml(value.within)}"
        return f'{{metric = "{value.metric.name}", by = {_toml(value.by)}{also}}}'
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_toml(name)} = {_toml(one)}' for name, one in value.items())}}}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)  # JSON's texts, numbers and true are TOML's, too
