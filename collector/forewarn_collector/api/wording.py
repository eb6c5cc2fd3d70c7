"""Say in our own words what is wrong with what was sent: one place for every refusal of input."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

_MOST, _LONGEST, _LONGEST_PLACE = 10, 1000, 60

Told = Mapping[str, Any]


def tell_all(errors: Sequence[Told]) -> str:
    """Return what pydantic found as sentences of ours, each after the place it is about."""
    told = "; ".join(_one(error) for error in errors[:_MOST])
    # What was sent may be no text at all; what is sent back must be.
    return told.encode("utf-8", "replace").decode()[:_LONGEST]


def tell_form(invalid: ValidationError) -> str:
    """Return what is wrong with a form on a page."""
    return tell_all(invalid.errors(include_url=False, include_input=False))


def _one(error: Told) -> str:
    where = " ".join(str(part)[:_LONGEST_PLACE] for part in error["loc"])
    kind = str(error["type"])
    if kind in ("value_error", "assertion_error"):
        said = str(error["msg"]).partition(", ")[2]  # what we raised, behind pydantic's own word
    else:
        said = _sentence(kind, error.get("ctx") or {})
    return f"{where}: {said}" if where else said


def _sentence(kind: str, about: Told) -> str:
    write = _SENTENCES.get(kind)
    if write is not None:
        return write(about)
    return next((text for start, text in _FAMILIES if kind.startswith(start)), "is not taken")


def _at_least(what: str, name: str) -> Callable[[Told], str]:
    return lambda about: (
        "is empty" if about[name] == 1 else f"must hold at least {about[name]} {what}"
    )


_SENTENCES: dict[str, Callable[[Told], str]] = {
    "missing": lambda _: "is missing",
    "extra_forbidden": lambda _: "is not known here; leave it out",
    "json_invalid": lambda _: "is no JSON",
    "string_too_long": lambda about: f"is longer than {about['max_length']} characters",
    "string_too_short": _at_least("characters", "min_length"),
    "string_pattern_mismatch": lambda _: "is not in the form that is asked for",
    "too_long": lambda about: f"holds more than {about['max_length']}",
    "too_short": _at_least("of them", "min_length"),
    "greater_than": lambda about: f"must be more than {about['gt']:g}",
    "greater_than_equal": lambda about: f"must be {about['ge']:g} or more",
    "less_than": lambda about: f"must be less than {about['lt']:g}",
    "less_than_equal": lambda about: f"must be {about['le']:g} or less",
    "enum": lambda about: f"must be one of {about['expected']}",
    "literal_error": lambda about: f"must be one of {about['expected']}",
    "timezone_aware": lambda _: "must say its zone, as 2026-11-21T08:00:00Z does",
    "finite_number": lambda _: "must be a number",
    "none_required": lambda _: "must be null",
    "recursion_loop": lambda _: "is nested too deeply",
}

_FAMILIES = (
    ("int_", "must be a whole number"),
    ("float_", "must be a number"),
    ("decimal_", "must be a number"),
    ("bool_", "must be true or false"),
    ("datetime_", "must be a moment like 2026-11-21T08:00:00Z"),
    ("timezone_", "must be a moment like 2026-11-21T08:00:00Z"),
    ("date_", "must be a day like 2026-11-21"),
    ("time_delta_", 'must be a time like "5m"'),
    ("string_", "must be text"),
    ("bytes_", "must be text"),
    ("list_", "must be a list"),
    ("tuple_", "must be a list"),
    ("set_", "must be a list"),
    ("dict_", "must be an object"),
    ("model_", "must be an object"),
    ("dataclass_", "must be an object"),
    ("uuid_", "must be a UUID"),
)
