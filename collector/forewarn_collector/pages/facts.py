"""Facts for people: scalars as rows, lists of things as small tables.

Facts come from hosts and may have any shape; what does not fit is written as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from pydantic import JsonValue

from forewarn_checks.base import Unit
from forewarn_collector.assets import FIELDS, warranty
from forewarn_collector.queries.hosts import HostFact
from forewarn_collector.state.assets import Change
from forewarn_collector.units import write_value

_MOST_ROWS = 500
_SOON_DAYS = 90
_MOST_COLUMNS = 12


@dataclass(frozen=True, slots=True)
class FactRow:
    """One plain fact."""

    title: str
    text: str
    since: datetime

    @property
    def long(self) -> bool:
        """True when it wants a line of its own."""
        return len(self.text) > 60


@dataclass(frozen=True, slots=True)
class Said:
    """Something people said of a host; `level` is a sign where it presses."""

    title: str
    text: str
    level: str = ""


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """How something about a host changed, for people."""

    at: datetime
    title: str
    before: str
    after: str
    by: str


@dataclass(frozen=True, slots=True)
class FactTable:
    """A fact that is a list of things."""

    title: str
    since: datetime
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int  # rows left out


def lay_out(facts: Sequence[HostFact]) -> tuple[tuple[FactRow, ...], tuple[FactTable, ...]]:
    """Return plain facts and tables apart, each by name."""
    rows: list[FactRow] = []
    tables: list[FactTable] = []
    for fact in facts:
        things = _things(fact.value)
        if things:
            tables.append(_table(fact, things))
        elif fact.value not in (None, "", []):
            rows.append(FactRow(_title(fact.name), _written(fact.name, fact.value), fact.since))
    return tuple(rows), tuple(tables)


def lay_out_asset(fields: Mapping[str, str], today: date) -> tuple[Said, ...]:
    """Return what people said of a host, in the order it is declared in."""
    return tuple(
        _warranty(fields, today) if one.name == "warranty_until" else Said(one.title, held)
        for one in FIELDS.values()
        if (held := fields.get(one.name)) is not None
    )


def _warranty(fields: Mapping[str, str], today: date) -> Said:
    held = warranty(fields, today)
    assert held is not None
    if not held.valid:
        return Said("Warranty", f"over since {held.until}", "high")
    if held.days_left <= _SOON_DAYS:
        return Said("Warranty", f"until {held.until}, {held.days_left} days left", "warning")
    return Said("Warranty", f"until {held.until}", "ok")


def lay_out_changes(changes: Sequence[Change]) -> tuple[ChangeLine, ...]:
    """Return how a host changed; of things in lists what went and what came."""
    return tuple(
        ChangeLine(
            one.at,
            FIELDS[one.name].title if one.name in FIELDS and one.by else _title(one.name),
            _written(one.name, one.before),
            _written(one.name, one.after),
            one.by or "the host",
        )
        for one in changes
    )


def _things(value: JsonValue) -> list[Mapping[str, JsonValue]]:
    if not isinstance(value, list) or not value:
        return []
    things: list[Mapping[str, JsonValue]] = [one for one in value if isinstance(one, dict)]
    return things if len(things) == len(value) else []


def _table(fact: HostFact, things: Sequence[Mapping[str, JsonValue]]) -> FactTable:
    columns = tuple(dict.fromkeys(name for thing in things for name in thing))[:_MOST_COLUMNS]
    rows = tuple(
        tuple(_written(name, thing.get(name)) for name in columns) for thing in things[:_MOST_ROWS]
    )
    titles = tuple(_title(name) for name in columns)
    return FactTable(_title(fact.name), fact.since, titles, rows, len(things) - len(rows))


def _title(name: str) -> str:
    for unit in (Unit.BYTES, Unit.SECONDS, Unit.RATIO, Unit.CELSIUS):
        name = name.removesuffix(f"_{unit}")
    text = name.replace("_", " ")
    for short in ("os", "cpu", "id"):
        text = " ".join(word.upper() if word == short else word for word in text.split(" "))
    return text[:1].upper() + text[1:]


def _written(name: str, value: JsonValue) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        unit = next((unit for unit in Unit if name.endswith(f"_{unit}")), None)
        return write_value(float(value), unit) if unit is not None else f"{value}"
    if isinstance(value, list):
        return ", ".join(_written(name, one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_written(key, one)}" for key, one in value.items())
    return value
