"""Fill the templates of profiles with values, and read values out of answers.  Pure.

A template is data with ``{word}`` in its texts.  A text that is nothing but one word becomes the
word's value, whatever its type; None and "" leave the key out.  The result is serialised as a
whole, so no value can end a text early or begin another key.

    NoSuchPlace     an answer does not hold what a path names
"""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from pydantic import JsonValue

Word = str | int | float | bool | None
Words = Mapping[str, Word]

_WORD = re.compile(r"\{([a-z_0-9]+)\}")
_STEP = re.compile(r"([^.\[\]]+)|\[([^\]=]*)(?:=([^\]]*))?\]")


class NoSuchPlace(LookupError):
    """An answer does not hold what a path names."""


def fill(template: JsonValue, words: Words) -> JsonValue:
    """Return `template` with its words put in.  Raises KeyError for an unknown one."""
    if isinstance(template, str):
        alone = _WORD.fullmatch(template)
        if alone is None:
            return fill_text(template, words)
        return None if words[alone[1]] == "" else words[alone[1]]
    if isinstance(template, dict):
        filled = {key: fill(value, words) for key, value in template.items()}
        return {key: value for key, value in filled.items() if value is not None}
    if isinstance(template, list):
        return [one for one in (fill(value, words) for value in template) if one is not None]
    return template


def fill_text(template: str, words: Words) -> str:
    """Return a text with its words put in, None as nothing."""
    return _WORD.sub(lambda found: _text(words[found[1]]), template)


def fill_texts(templates: Mapping[str, str], words: Words) -> dict[str, str]:
    """Return texts by name with their words put in, empty ones left out."""
    filled = {name: fill_text(text, words) for name, text in templates.items()}
    return {name: text for name, text in filled.items() if text}


def fill_path(template: str, words: Words) -> str:
    """Return the path of an address; no word can leave its place between two slashes."""
    return _WORD.sub(lambda found: quote(_text(words[found[1]]), safe=""), template)


def words_in(template: JsonValue) -> Iterator[str]:
    """Return every word a template names."""
    if isinstance(template, str):
        yield from _WORD.findall(template)
    elif isinstance(template, dict):
        for value in template.values():
            yield from words_in(value)
    elif isinstance(template, list):
        for value in template:
            yield from words_in(value)


def read_all(value: JsonValue, path: str) -> list[JsonValue]:
    """Return every value at `path`: ``a.b`` descends, ``[]`` takes all of a list, ``[k=v]`` some.

    An empty path is the value itself.  What is not there is not returned.
    """
    found = [value]
    for name, key, wanted in _STEP.findall(path):
        found = [below for one in found for below in _below(one, name, key, wanted)]
    return found


def read(value: JsonValue, path: str) -> JsonValue:
    """Return the first value at `path`.  Raises NoSuchPlace."""
    for found in read_all(value, path):
        return found
    raise NoSuchPlace(path)


def _below(value: JsonValue, name: str, key: str, wanted: str) -> list[JsonValue]:
    if name:
        return [value[name]] if isinstance(value, dict) and name in value else []
    if not isinstance(value, list):
        return []
    if not key:
        return list(value)
    return [one for one in value if any(_text_of(found) == wanted for found in read_all(one, key))]


def _text_of(value: JsonValue) -> str:
    return "" if isinstance(value, dict | list) else _text(value)


def _text(value: Word) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
