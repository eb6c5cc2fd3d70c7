"""Say in our own words what is wrong with a value of a file, and what to write instead."""

from collections.abc import Mapping
from typing import Any

_TYPES = {
    "string": 'a text in quotes: "…"',
    "bool": "true or false, without quotes",
    "int": "a whole number, without quotes",
    "float": "a number, without quotes",
    "list": "a list: […]",
    "tuple": "a list: […]",
    "set": "a list: […]",
    "frozen_set": "a list: […]",
    "iterable": "a list: […]",
    "dict": "a table: {…}",
    "mapping": "a table: {…}",
    "model": "a table: {…}",
    "model_attributes": "a table: {…}",
    "dataclass": "a table: {…}",
}
_BOUNDS = {
    "greater_than": ("a number above {}", "gt"),
    "greater_than_equal": ("{} or more", "ge"),
    "less_than": ("a number below {}", "lt"),
    "less_than_equal": ("{} or less", "le"),
}


def in_words(kind: str, message: str, context: Mapping[str, Any] | None = None) -> str:
    """Return the sentence for an error of pydantic: its type, message and context.

    What our own validators say is said as it is.
    """
    context = context or {}
    if kind in ("value_error", "assertion_error"):
        return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if kind == "missing":
        return "is missing; write it"
    if kind in ("literal_error", "enum"):
        return f"write {str(context.get('expected', '')).replace(chr(39), chr(34))}"
    if kind in ("too_short", "too_long"):
        least = kind == "too_short"
        count = context.get("min_length" if least else "max_length")
        return f"takes {'at least' if least else 'at most'} {count} of them"
    if kind in ("string_too_short", "string_too_long"):
        least = kind == "string_too_short"
        count = context.get("min_length" if least else "max_length")
        what = "characters" if count != 1 else "character"
        return f"write {'at least' if least else 'at most'} {count} {what}"
    if kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        return f"write {words.format(context.get(name))}"
    return _of_type(kind, context)


def _of_type(kind: str, context: Mapping[str, Any]) -> str:
    if kind == "finite_number":
        return "write a number; nan and inf are none"
    if kind == "int_from_float":
        return "write a whole number"
    if kind == "string_pattern_mismatch":
        return f"has characters it may not have; it must match {context.get('pattern')}"
    for ending in ("_type", "_parsing", "_parsing_size"):
        word = _TYPES.get(kind.removesuffix(ending))
        if kind.endswith(ending) and word is not None:
            return f"write {word}"
    return "is nothing that can stand here; see the documentation of this key"
