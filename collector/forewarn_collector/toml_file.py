"""Read one TOML file as a model; a mistake names file, line, key and mend."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forewarn_collector.config import ConfigError, Group
from forewarn_collector.mistakes import in_words
from forewarn_collector.rules.book import BadRule, RuleBook, declared
from forewarn_collector.rules.change import RuleChange
from forewarn_collector.scopes import meant
from forewarn_collector.toml_place import line_of, resolves, write_path

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class TomlFile(Generic[M]):
    """A file, the text it was read from, and what it says."""

    path: Path
    text: str
    says: M

    def line(self, *where: str | int) -> int:
        """Return the line on which something of it stands."""
        return line_of(self.text, where)

    def wrong(self, where: Sequence[str | int], text: str) -> ConfigError:
        """Return the error that says what is wrong at a place."""
        return _wrong(self.path, self.text, tuple(where), text)


class RulesFile(BaseModel):
    """Changed rules, as in collector.toml or rules.d."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: Mapping[str, RuleChange] = Field(default_factory=dict)
    groups: Mapping[str, Group] = Field(default_factory=dict)


def read_toml(path: Path, model: type[M]) -> TomlFile[M]:
    """Return what a file says.  Raises ConfigError for the first mistake."""
    text = ""
    try:
        text = path.read_text("utf-8")
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as failure:
        raise ConfigError(f"{path}: cannot be read: {failure}") from None
    except tomllib.TOMLDecodeError as bad:
        place = re.search(r"\(at line (\d+)", str(bad))
        line = int(place[1]) if place else len(text.splitlines())
        raise ConfigError(f"{path}, line {line}: {bad}; mend the TOML there") from None
    try:
        return TomlFile(path, text, model.model_validate(table))
    except ValidationError as invalid:
        raise _said(path, text, table, invalid, _keys(model)) from None


def read_rules(path: Path) -> RuleBook:
    """Return the book that a file of changed rules makes.  Raises ConfigError."""
    file = read_toml(path, RulesFile)
    groups = {name: group.select for name, group in file.says.groups.items()}
    try:
        return RuleBook(declared(), file.says.rules, groups)
    except BadRule as bad:
        raise file.wrong(bad.path, str(bad)) from None


def _wrong(path: Path, text: str, where: tuple[str | int, ...], message: str) -> ConfigError:
    return ConfigError(f"{path}, line {line_of(text, where)}: {write_path(where)}: {message}")


def _said(
    path: Path,
    text: str,
    table: Mapping[str, Any],
    invalid: ValidationError,
    known: set[str],
) -> ConfigError:
    errors = invalid.errors(include_url=False, include_input=False)
    # A key that is missing is often one that was misspelt.
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    where: tuple[str | int, ...] = ()
    for part in first["loc"]:
        # Pydantic also names the branches of unions, which no file holds.
        if resolves(table, (*where, part)):
            where = (*where, part)
    message = in_words(first["type"], first["msg"], first.get("ctx"))
    if first["type"] == "missing":
        where = (*where, first["loc"][-1])
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        message = f"is not known here{meant(key, sorted(known - {key}))}; take it out"
    return _wrong(path, text, where, message)


def _keys(model: type[BaseModel]) -> set[str]:
    """Return every key that any table of a file may have."""
    schema = model.model_json_schema()
    tables = [schema, *schema.get("$defs", {}).values()]
    return {key for table in tables for key in table.get("properties", {})}
