"""What agents are told to do otherwise than by default: `[checks.NAME]` of collector.toml.

Plain data alone: how often, whether, and those options that checks declare as `remote`.  What a
host's own agent.toml says goes before it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from forewarn_checks.base import Check
from forewarn_checks.base.catalog import all_checks
from forewarn_checks.base.durations import write_duration
from forewarn_collector.rules.change import Duration
from forewarn_collector.scopes import BadScope, meant, picked, rank
from forewarn_collector.selector import Selectable, Selector

_SHORTEST, _LONGEST = timedelta(seconds=10), timedelta(days=7)
_MOST_WORDS, _MOST_LETTERS = 200, 256

Stated = bool | int | float | str | tuple[str, ...]


class _CheckFields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    every: Duration | None = Field(default=None, description="How often; 10s at least.")
    enabled: bool | None = Field(default=None, description="false: hosts do not run it.")
    options: Mapping[str, Stated] = Field(
        default_factory=dict, description="Options of the check that may be set from here."
    )


class CheckScopeTable(_CheckFields):
    """What holds for some hosts instead, ``[[checks.NAME.scopes]]``."""

    select: str | None = Field(default=None, description='Which hosts: "client:acme tag:db".')
    group: str | None = Field(default=None, description="Or the name of a group of this file.")


class CheckTable(_CheckFields):
    """How agents run one check, ``[checks.NAME]``.  A host's own agent.toml goes before it."""

    scopes: tuple[CheckScopeTable, ...] = Field(
        default=(), description="Other values for some hosts; the most specific scope wins."
    )


@dataclass(frozen=True, slots=True)
class Document:
    """What one host is sent: ``{"version": "…", "checks": {…}}``."""

    version: str
    body: bytes


@dataclass(frozen=True, slots=True)
class _Scope:
    selector: Selector
    rank: int
    stated: Mapping[str, object]


class AgentSettings:
    """The settings of every host.  One document for all hosts that the same scopes pick."""

    def __init__(self, tables: Mapping[str, CheckTable], groups: Mapping[str, str]) -> None:
        """Take what a file says.  Raises BadScope for what no agent would take."""
        self._everywhere: dict[str, Mapping[str, object]] = {}
        self._scopes: dict[str, tuple[_Scope, ...]] = {}
        self._made: dict[tuple[tuple[str, int], ...], Document] = {}
        for name, table in tables.items():
            self._add(name, table, groups)

    def document(self, host: Selectable) -> Document:
        """Return what this host is to be told."""
        chosen = tuple(
            (name, index)
            for name, scopes in self._scopes.items()
            if (index := _first(scopes, host)) >= 0
        )
        made = self._made.get(chosen)
        if made is None:
            made = self._made[chosen] = self._make(dict(chosen))
        return made

    def _make(self, chosen: Mapping[str, int]) -> Document:
        checks = {}
        for name, everywhere in self._everywhere.items():
            special = self._scopes[name][chosen[name]].stated if name in chosen else {}
            merged = {**everywhere, **special}
            options = {**_options(everywhere), **_options(special)}
            checks[name] = merged | {"options": options} if options else merged
        checks = {name: stated for name, stated in checks.items() if stated}
        told = json.dumps(checks, sort_keys=True, ensure_ascii=False)
        version = hashlib.sha256(told.encode()).hexdigest()[:16]
        return Document(version, json.dumps({"version": version, "checks": checks}).encode())

    def _add(self, name: str, table: CheckTable, groups: Mapping[str, str]) -> None:
        known, path = all_checks(), ("checks", name)
        if name not in known:
            there = ", ".join(known)
            raise BadScope(path, f"there is no such check{meant(name, known)}; there are {there}")
        self._everywhere[name] = _stated(known[name], table, path)
        scopes = []
        for index, scope in enumerate(table.scopes):
            here = (*path, "scopes", index)
            selector = picked(scope.select, scope.group, groups, here)
            ranked = rank(selector, by_group=scope.group is not None)
            scopes.append(_Scope(selector, ranked, _stated(known[name], scope, here)))
        # Of equals the later one wins, as in the rules.
        in_order = sorted(enumerate(scopes), key=lambda one: (-one[1].rank, -one[0]))
        self._scopes[name] = tuple(scope for _, scope in in_order)


def _first(scopes: Sequence[_Scope], host: Selectable) -> int:
    return next((at for at, scope in enumerate(scopes) if scope.selector.matches(host)), -1)


def _options(stated: Mapping[str, object]) -> Mapping[str, object]:
    options = stated.get("options", {})
    assert isinstance(options, Mapping)
    return options


def _stated(check: Check, table: _CheckFields, path: Sequence[str | int]) -> dict[str, object]:
    """Return a table as agents read it.  Raises BadScope."""
    stated: dict[str, object] = {}
    if table.every is not None:
        if not _SHORTEST <= table.every <= _LONGEST:
            bounds = f"{write_duration(_SHORTEST)} to {write_duration(_LONGEST)}"
            raise BadScope((*path, "every"), f"write a time from {bounds}")
        stated["every"] = write_duration(table.every)
    if table.enabled is not None:
        stated["enabled"] = table.enabled
    options = {
        name: _value(check, name, value, (*path, "options", name))
        for name, value in table.options.items()
    }
    return stated | ({"options": options} if options else {})


def _value(check: Check, name: str, value: Stated, path: Sequence[str | int]) -> object:
    open_to_us = [option.name for option in check.options if option.remote]
    option = next((one for one in check.options if one.name == name), None)
    if option is None:
        raise BadScope(path, f"{check.name} has no such option{meant(name, open_to_us)}")
    if not option.remote:
        raise BadScope(path, "can be set in a host's own agent.toml alone; take it out here")
    if type(value) is not type(option.default) and not (
        isinstance(option.default, float) and type(value) is int
    ):
        raise BadScope(path, f"write {_KINDS[type(option.default)]}")
    words = value if isinstance(value, tuple) else (str(value),)
    if len(words) > _MOST_WORDS or any(
        len(word) > _MOST_LETTERS or not word.isprintable() for word in words
    ):
        raise BadScope(path, f"takes {_MOST_WORDS} plain texts of {_MOST_LETTERS} letters at most")
    return list(value) if isinstance(value, tuple) else value


_KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text in quotes",
    tuple: 'a list of texts: ["one", "two"]',
}
