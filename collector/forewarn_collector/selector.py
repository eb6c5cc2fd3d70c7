"""Pick hosts by a line of text, the same line in pages, commands and rule scopes.

``client:acme site:hq tag:db,web os:linux class:server host:web* health:firing``

A space is AND, a comma is OR.  ``*`` stands for any characters; inside double quotes it is itself,
and so are spaces and commas: ``client:"Smith, Jones & Co"``.  Case of ASCII letters is ignored.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sqlalchemy import ColumnElement, and_, func, or_, select, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import String

from forewarn_collector.state.tables import clients, hosts, sites

LONGEST = 1000
MOST_STARS = 8


class Key(StrEnum):
    """What a term can ask about."""

    CLIENT = "client"
    SITE = "site"
    TAG = "tag"
    OS = "os"
    CLASS = "class"
    HOST = "host"  # its name or its id
    HEALTH = "health"


class Health(StrEnum):
    """How a host is at a glance: the worst that fires on it, or that nothing is heard of it."""

    OK = "ok"
    WARNING = "warning"
    HIGH = "high"
    CRITICAL = "critical"
    SILENT = "silent"


HOST_CLASSES = ("server", "workstation", "roaming")
SYSTEMS = ("linux", "windows")
FIRING = "firing"  # any health but ok

_CHOICES = {
    Key.OS: SYSTEMS,
    Key.CLASS: HOST_CLASSES,
    Key.HEALTH: (*Health, FIRING),
}


class BadSelector(ValueError):
    """The text is no selector; the message says where and what would be."""


class Selectable(Protocol):
    """What has to be known of a host to tell whether it is picked.

    `client` and `site` are names, `system` is ``linux`` or ``windows``.
    """

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def client(self) -> str: ...
    @property
    def site(self) -> str: ...
    @property
    def tags(self) -> Collection[str]: ...
    @property
    def system(self) -> str: ...
    @property
    def host_class(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Pattern:
    """One value of a term: literal pieces with anything between them."""

    pieces: tuple[str, ...]

    def matches(self, text: str) -> bool:
        """Say whether all of `text` is what the pattern describes, in time linear in it."""
        first, *between = (fold(piece) for piece in self.pieces)
        folded = fold(text)
        if not between:
            return folded == first
        last = between.pop()
        if not folded.startswith(first):
            return False
        position = len(first)
        for piece in between:
            found = folded.find(piece, position)
            if found < 0:
                return False
            position = found + len(piece)
        return len(folded) - position >= len(last) and folded.endswith(last)

    def like(self, column: ColumnElement[str]) -> ColumnElement[bool]:
        """Return the same question about a column."""
        form = "%".join(re.sub(r"([\\%_])", r"\\\1", fold(piece)) for piece in self.pieces)
        return func.lower(column).like(form, escape="\\")

    def __str__(self) -> str:
        return "*".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Term:
    """One key and the values of which any will do."""

    key: Key
    patterns: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Selector:
    """A parsed selector; without terms it picks every host."""

    terms: tuple[Term, ...] = ()

    @property
    def asks_health(self) -> bool:
        """True when it depends on health: no rule may be scoped by what rules decide."""
        return any(term.key is Key.HEALTH for term in self.terms)

    def matches(self, host: Selectable, health: Health = Health.OK) -> bool:
        """Say whether `host` is picked."""
        return all(
            any(pattern.matches(text) for pattern in term.patterns for text in texts)
            for term in self.terms
            for texts in [_texts(term.key, host, health)]
        )

    def condition(self, health: ColumnElement[str]) -> ColumnElement[bool]:
        """Return the same as SQL over hosts joined with clients and sites.

        `health` is an expression that gives the host's Health as text.
        """
        return and_(true(), *(_condition(term, health) for term in self.terms))


def parse(text: str) -> Selector:
    """Return the selector that `text` writes.  Raises BadSelector."""
    if len(text) > LONGEST:
        raise BadSelector(f"the selector is longer than {LONGEST} characters")
    terms = []
    position = _skip_spaces(text, 0)
    while position < len(text):
        term, position = _term(text, position)
        terms.append(term)
        position = _skip_spaces(text, position)
    return Selector(tuple(terms))


# -- reading -------------------------------------------------------------------------------------

_WORD = re.compile(r"[^\s:,\"*]+")
# Controls and lone surrogates are in no name, and databases choke on them.
_NEVER = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"
_BARE = re.compile(rf"[^\s,\"*{_NEVER}]+")
_QUOTED = re.compile(rf'"((?:[^"\\{_NEVER}]|\\["\\])*)"')


def _term(text: str, start: int) -> tuple[Term, int]:
    word = _WORD.match(text, start)
    if word is None or word.end() == len(text) or text[word.end()] != ":":
        shown = text[start:].split()[0][:40]
        raise _bad(start, f"{shown!r} has no key before it; {_known()}, e.g. host:web*")
    try:
        key = Key(word[0])
    except ValueError:
        raise _bad(start, f"{word[0][:40]!r} is no key; {_known()}") from None
    patterns = []
    position = word.end() + 1
    while True:
        pattern, end = _pattern(text, position, key)
        _check_choice(key, pattern, position)
        patterns.append(pattern)
        if text[end : end + 1] != ",":
            return Term(key, tuple(patterns)), end
        position = end + 1


def _pattern(text: str, start: int, key: Key) -> tuple[Pattern, int]:
    """Read one value: bare and quoted stretches and stars, up to a space or a comma."""
    pieces = [""]
    position = start
    while position < len(text) and not text[position].isspace() and text[position] != ",":
        if text[position] == "*":
            pieces.append("")
            position += 1
        elif quoted := _QUOTED.match(text, position):
            pieces[-1] += re.sub(r"\\(.)", r"\1", quoted[1])
            position = quoted.end()
        elif bare := _BARE.match(text, position):
            pieces[-1] += bare[0]
            position = bare.end()
        elif text[position] == '"':
            raise _bad(position, "the quote is not closed")
        else:
            raise _bad(position, "a control character is in no name")
    if position == start:
        raise _bad(start, f"{key}: has no value there, e.g. {key}:{_example(key)}")
    if len(pieces) > MOST_STARS + 1:
        raise _bad(start, f"more than {MOST_STARS} stars in one value")
    return Pattern(tuple(pieces)), position


def _check_choice(key: Key, pattern: Pattern, position: int) -> None:
    choices = _CHOICES.get(key)
    if choices and not any(pattern.matches(choice) for choice in choices):
        raise _bad(position, f"{key}: is one of {', '.join(choices)}")


def _example(key: Key) -> str:
    return str(_CHOICES.get(key, ("name",))[0])


def _known() -> str:
    return f"the keys are {', '.join(Key)}"


def _bad(position: int, what: str) -> BadSelector:
    return BadSelector(f"selector, character {position + 1}: {what}")


def _skip_spaces(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def fold(text: str) -> str:
    """Lower ASCII letters only, as SQLite's lower() and LIKE do."""
    # A table costs ten times as much, and nearly every name is ASCII.
    return text.lower() if text.isascii() else text.translate(_ASCII_LOWER)


_ASCII_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


# -- asking --------------------------------------------------------------------------------------


def texts_of(key: Key, host: Selectable) -> Collection[str]:
    """Return what a host has under any key but health."""
    return _TEXTS[key](host)


_TEXTS: dict[Key, Callable[[Selectable], Collection[str]]] = {
    Key.CLIENT: lambda host: (host.client,),
    Key.SITE: lambda host: (host.site,),
    Key.TAG: lambda host: host.tags,
    Key.OS: lambda host: (host.system,),
    Key.CLASS: lambda host: (host.host_class,),
    Key.HOST: lambda host: (host.name, host.id),
}


def _texts(key: Key, host: Selectable, health: Health) -> Collection[str]:
    if key is Key.HEALTH:
        return (health,) if health is Health.OK else (health, FIRING)
    return _TEXTS[key](host)


class _items(FunctionElement[str]):  # noqa: N801 - a function of SQL
    """The rows of a JSON array, one column `value`."""

    name = "json_each"
    inherit_cache = True


@compiles(_items, "postgresql")
def _items_postgresql(element: _items, compiler: SQLCompiler, **options: object) -> str:
    return f"json_array_elements_text({compiler.process(element.clauses, **options)})"


@compiles(_items)
def _items_sqlite(element: _items, compiler: SQLCompiler, **options: object) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


_COLUMNS: dict[Key, tuple[ColumnElement[str], ...]] = {
    Key.CLIENT: (clients.c.name,),
    Key.SITE: (sites.c.name,),
    Key.OS: (hosts.c.system,),
    Key.CLASS: (hosts.c.host_class,),
    Key.HOST: (hosts.c.name, hosts.c.id),
}


def _condition(term: Term, health: ColumnElement[str]) -> ColumnElement[bool]:
    if term.key is Key.TAG:
        tag = _items(hosts.c.tags).table_valued("value")
        value: ColumnElement[str] = tag.c.value.cast(String)
        return select(tag.c.value).where(_any(term.patterns, value)).exists()
    if term.key is Key.HEALTH:
        firing = [p for p in term.patterns if p.matches(FIRING)]
        asked = _any(term.patterns, health)
        return or_(asked, health != Health.OK) if firing else asked
    return or_(*(_any(term.patterns, column) for column in _COLUMNS[term.key]))


def _any(patterns: Collection[Pattern], column: ColumnElement[str]) -> ColumnElement[bool]:
    return or_(*(pattern.like(column) for pattern in patterns))
