"""Read what a monitoring plugin prints: its text and its performance data.

The format is that of the Monitoring Plugins' development guidelines: a line of text, a bar, then
``'label'=value[unit];[warn];[crit];[min];[max]``; further lines may carry more of both.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from forewarn_checks.base import Unit

# every repetition has a bound: what a plugin prints must not cost more than its length
_ITEM = re.compile(
    r"\s{0,9}(?:'(?P<quoted>(?:[^']|''){1,120})'|(?P<plain>[^'=\s][^'=]{0,119}?))="
    r"(?P<value>U|[-+]?[0-9]{0,40}[.,]?[0-9]{1,40}(?:[eE][-+]?[0-9]{1,4})?)"
    r"(?P<unit>[^\s;0-9'=]{0,20})"
    r"(?P<rest>(?:;[^;\s]{0,60}){0,4})(?=\s|;|$);*"
)
_LONGEST_LABEL = 80
_K = 1024
_UNITS: dict[str, tuple[Unit, float]] = {
    "s": (Unit.SECONDS, 1),
    "ms": (Unit.SECONDS, 1e-3),
    "us": (Unit.SECONDS, 1e-6),
    "ns": (Unit.SECONDS, 1e-9),
    "%": (Unit.RATIO, 0.01),
    # plugins write MB and mean 1024 x 1024, as their own thresholds show
    **{
        f"{prefix}{ending}": (Unit.BYTES, float(_K**power))
        for power, prefix in enumerate(("", "k", "m", "g", "t", "p"))
        for ending in (("b",) if power == 0 else ("b", "ib"))
    },
}


@dataclass(frozen=True, slots=True)
class Range:
    """Where a plugin becomes alarmed: outside `low` to `high`, or inside when `inverted`."""

    low: float
    high: float
    inverted: bool = False

    def alarms(self, value: float) -> bool:
        """Whether `value` is one to be alarmed about."""
        return (self.low <= value <= self.high) == self.inverted


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure in base units.  `counter` says that it only grows."""

    label: str
    value: float
    unit: Unit = Unit.COUNT
    counter: bool = False
    warning: Range | None = None
    critical: Range | None = None

    @property
    def critical_ratio(self) -> float | None:
        """The share of the way from 0 to the critical mark; None where the range has no such."""
        limit = self.critical
        if limit is None or limit.inverted or limit.low > 0 or not 0 < limit.high < math.inf:
            return None
        return self.value / limit.high


@dataclass(frozen=True, slots=True)
class Said:
    """What a plugin printed: its first line without figures, and the figures."""

    text: str
    measures: tuple[Measure, ...]


def parse_output(output: str) -> Said:
    """Return what `output` says.  What makes no sense is passed over."""
    lines = output.splitlines() or [""]
    text, _, figures = lines[0].partition("|")
    # further lines are text until one has a bar; from there on they are figures
    later = "\n".join(lines[1:]).partition("|")[2]
    measures = {each.label: each for each in _measures(f"{figures} {later}")}
    return Said(_plain(text), tuple(measures.values()))


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _measures(text: str) -> Iterator[Measure]:
    place = 0
    text = text.replace("\n", " ")
    while place < len(text):
        found = _ITEM.match(text, place)
        if found is None:  # the rest of a broken item: go on behind the next space
            place = text.find(" ", place + 1)
            if place < 0:
                return
            continue
        place = found.end()
        measure = _measure(found)
        if measure is not None:
            yield measure


def _measure(found: re.Match[str]) -> Measure | None:
    """Return the figure of one item; None when the plugin itself does not know it (``U``)."""
    if found["value"] == "U":
        return None
    label = _plain((found["quoted"] or found["plain"]).replace("''", "'"))[:_LONGEST_LABEL]
    unit, factor = _UNITS.get(found["unit"].lower(), (Unit.COUNT, 1.0))
    value = float(found["value"].replace(",", ".")) * factor
    marks = [*found["rest"].split(";")[1:], "", ""]
    if not label or not math.isfinite(value):
        return None
    return Measure(
        label,
        value,
        unit,
        counter=found["unit"] == "c",
        warning=parse_range(marks[0], factor),
        critical=parse_range(marks[1], factor),
    )


def parse_range(text: str, factor: float = 1.0) -> Range | None:
    """Return the range ``[@][low:][high]``, times `factor`; None when there is none."""
    inverted = text.startswith("@")
    low, sign, high = text.removeprefix("@").rpartition(":")
    if not sign and not high:
        return None
    try:
        least = -math.inf if low == "~" else float(low.replace(",", ".") or 0) * factor
        most = math.inf if not high else float(high.replace(",", ".")) * factor
    except ValueError:
        return None
    if math.isnan(least) or math.isnan(most) or least > most:
        return None
    return Range(least, most, inverted)
