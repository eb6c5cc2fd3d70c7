"""Read the text format that programs write for Prometheus, within bounds.

https://prometheus.io/docs/instrumenting/exposition_formats/ has the format.  The official parser
comes with a client library that no endpoint needs for anything else.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]{0,199}"
_TYPE = re.compile(rf"#[ \t]+TYPE[ \t]+({_NAME})[ \t]+(\w+)[ \t]*")
_LABEL = re.compile(r'[ \t]*([a-zA-Z_][a-zA-Z0-9_]{0,79})[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*,?')
_ESCAPE = re.compile(r"\\(.)")
_PLAIN = {"n": " ", "\\": "\\", '"': '"'}
_COUNTED = ("_total", "_count", "_bucket")


class BadText(ValueError):
    """The text is not of the format; says in which line."""


@dataclass(frozen=True, slots=True)
class Point:
    """One series and its value.  `labels` are sorted by name; `counter` says that it only grows."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float
    counter: bool

    @property
    def series(self) -> str:
        """The labels in one text: ``disk=sda,mode=read``."""
        return ",".join(f"{name}={value}" for name, value in self.labels)


def parse(text: str) -> Iterator[Point]:
    """Yield the points of `text`, those that are no finite number left out.  Raises BadText."""
    types: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip(" \t\r")
        if not line:
            continue
        if line.startswith("#"):
            if told := _TYPE.fullmatch(line):
                types[told[1]] = told[2]
            continue
        point = _point(line, types)
        if point is None:
            raise BadText(f'line {number} is not of the format: name{{label="value"}} number')
        if math.isfinite(point.value):
            yield point


def _point(line: str, types: dict[str, str]) -> Point | None:
    name = re.match(_NAME, line)
    if name is None:
        return None
    rest = line[name.end() :].lstrip(" \t")
    labels: dict[str, str] = {}
    if rest.startswith("{"):
        place = 1
        while found := _LABEL.match(rest, place):
            labels[found[1]] = _ESCAPE.sub(lambda e: _PLAIN.get(e[1], e[0]), found[2])
            place = found.end()
        if not rest.startswith("}", place):
            return None
        rest = rest[place + 1 :]
    words = rest.split()
    if len(words) not in {1, 2}:  # a time may follow; when the file was written is told instead
        return None
    try:
        value = float(words[0])
    except ValueError:
        return None
    return Point(name[0], tuple(sorted(labels.items())), value, _is_counter(name[0], types))


def _is_counter(name: str, types: dict[str, str]) -> bool:
    if name in types:
        return types[name] == "counter"
    family = next((name.removesuffix(end) for end in _COUNTED if name.endswith(end)), "")
    return types.get(family) in {"counter", "histogram", "summary"}
