"""What is known of a machine that no agent can read: what it cost, whose it is, its warranty.

Each field is declared once here: its name, what is read of a person's text, and how it is called.
Values are kept as texts in one spelling, so that dates sort and a repeat changes nothing.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from forewarn_collector.money import read_money

LONGEST_TEXT = 200
_FORMULA = "=+-@"
_NUMBER = re.compile(r"[+-][\d ()./-]+")


@dataclass(frozen=True, slots=True)
class Field:
    """Something a person says of a host.  `read` gives the one spelling, or raises ValueError."""

    name: str
    title: str
    help: str
    read: Callable[[str], str]


def read_date(text: str) -> str:
    """Return a day as ``2026-11-21``.  Raises ValueError."""
    try:
        day = date.fromisoformat(text.strip()) if len(text.strip()) == 10 else None
    except ValueError:
        day = None
    if day is None or not 1970 <= day.year < 2200:
        raise ValueError(f"{text[:40]!r} is no day; write it like 2026-11-21")
    return day.isoformat()


def read_text(text: str) -> str:
    """Return one line of at most 200 characters.

    Raises ValueError, also for what a spreadsheet would take for a formula: what stands here is
    copied into tables of others.
    """
    line = unicodedata.normalize("NFC", text.strip())
    if any(unicodedata.category(one) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for one in line):
        raise ValueError("control and direction characters are not taken")
    if len(line) > LONGEST_TEXT:
        raise ValueError(f"it is {len(line)} characters long; {LONGEST_TEXT} are taken")
    if line[:1] and line[0] in _FORMULA and not _NUMBER.fullmatch(line):
        raise ValueError(f"it begins with {line[0]!r}, as a formula does; write it otherwise")
    return line


def _cost(text: str) -> str:
    return str(read_money(text))


FIELDS: Mapping[str, Field] = {
    one.name: one
    for one in (
        Field("model", "Model", "Maker and model, where the agent cannot read it.", read_text),
        Field("serial", "Serial number", "The machine's own.", read_text),
        Field("purchased_at", "Purchased", "The day, like 2026-11-21.", read_date),
        Field("warranty_until", "Warranty until", "The last day, like 2029-11-20.", read_date),
        Field("contract", "Contract", "What it is served under.", read_text),
        Field("owner", "Owner", "Who answers for it.", read_text),
        Field("location", "Location", "Where it stands.", read_text),
        Field("cost", "Cost", "What it cost, like 1299.00 EUR.", _cost),
    )
}


def read_value(name: str, text: str) -> str | None:
    """Return a field's value in its one spelling, None for an empty text, which takes it away.

    Raises ValueError with a sentence for people, for an unknown field, too.
    """
    field = FIELDS.get(name)
    if field is None:
        raise ValueError(f"{name[:40]!r} is no field; there are {', '.join(FIELDS)}")
    if not text.strip():
        return None
    try:
        return field.read(text)
    except ValueError as wrong:
        raise ValueError(f"{name}: {wrong}") from None


@dataclass(frozen=True, slots=True)
class Warranty:
    """How long a warranty lasts, as seen from one day; negative `days_left` once it is over."""

    until: date
    days_left: int

    @property
    def valid(self) -> bool:
        """Whether it lasts still."""
        return self.days_left >= 0


def warranty(fields: Mapping[str, str], today: date) -> Warranty | None:
    """Return a host's warranty, None when nobody said."""
    until = fields.get("warranty_until")
    if until is None:
        return None
    last = date.fromisoformat(until)
    return Warranty(last, (last - today).days)
