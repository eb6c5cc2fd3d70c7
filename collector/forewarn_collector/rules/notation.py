"""Write series by hand: ``0.5x10 0.9+0.01x5 _x3 1`` is 11, 6, none for 3, and 1 reading.

As in promtool: ``a+bxn`` is a and n more, each b higher; ``a-bxn`` each b lower; ``axn`` is a and n
more of it; ``_`` is a reading that was not made, ``_xn`` n of them.  Numbers may end in k, M, G, T
(1000), Ki, Mi, Gi, Ti (1024) or %.
"""

import re
from math import isfinite

MOST = 2_000_000

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?:[KMGT]i|[kMGT]|%)?"
_STEP = _NUMBER.replace("[+-]?", "[+-]", 1)
_TERM = re.compile(rf"(?P<first>{_NUMBER})(?P<step>{_STEP})?(?:x(?P<more>\d{{1,7}}))?")
_NONE = re.compile(r"_(?:x(?P<more>\d{1,7}))?")
_SCALES = {
    "%": 0.01,
    **{unit: 1000.0**power for power, unit in enumerate("kMGT", start=1)},
    **{unit: 1024.0**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti"), start=1)},
}


class BadSeries(ValueError):
    """The text is no series; the message says which part of it and what would be."""


def parse_series(text: str) -> list[float | None]:
    """Return the readings that `text` writes, None for one that was not made."""
    readings: list[float | None] = []
    for word in text.split():
        if none := _NONE.fullmatch(word):
            readings.extend([None] * int(none["more"] or 1))
        elif term := _TERM.fullmatch(word):
            first = _number(term["first"])
            step = _number(term["step"]) if term["step"] else 0.0
            more = int(term["more"] or 0)
            if term["step"] and term["more"] is None:
                raise BadSeries(f"{word!r} says no number of steps; write {word}x10")
            readings.extend(first + step * turn for turn in range(more + 1))
        else:
            raise BadSeries(
                f"{word!r} is no part of a series; write 0.9, 0.9x10, 0.5+0.01x20 or _x3"
            )
        if not all(value is None or isfinite(value) for value in readings[-1:]):
            raise BadSeries(f"{word!r} is too large to count; write a smaller number")
        if len(readings) > MOST:
            raise BadSeries(f"more than {MOST:,} readings; write fewer")
    if not readings:
        raise BadSeries("is empty; write readings such as 0.5x10 0.9x20")
    return readings


def _number(text: str) -> float:
    for unit in sorted(_SCALES, key=len, reverse=True):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * _SCALES[unit]
    return float(text)
