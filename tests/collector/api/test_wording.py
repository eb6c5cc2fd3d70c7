"""Refusals of input are in our own words, whatever the library calls them."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, get_args

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import core_schema

from forewarn_collector.api.wording import _FAMILIES, _SENTENCES, tell_form


class Colour(StrEnum):
    RED = "red"


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("it is even, and odd, ones are taken")
    return value


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)

    text: Annotated[str, Field(min_length=1, max_length=3, pattern="^a")] = "a"
    number: Annotated[int, Field(ge=1, lt=10)] = 1
    share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1.0
    yes: bool = True
    at: datetime | None = None
    day: date = date(2026, 1, 1)
    colour: Colour = Colour.RED
    word: Literal["x", "y"] = "x"
    some: Annotated[list[int], Field(min_length=1, max_length=2)] = [1]
    odd: Annotated[int, AfterValidator(_odd)] = 1
    table: dict[str, str] = {}


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"text": ""}, "text: is empty"),
        ({"text": "aaaa"}, "text: is longer than 3 characters"),
        ({"text": "b"}, "text: is not in the form that is asked for"),
        ({"text": 5}, "text: must be text"),
        ({"number": "x"}, "number: must be a whole number"),
        ({"number": 0}, "number: must be 1 or more"),
        ({"number": 10}, "number: must be less than 10"),
        ({"share": 0}, "share: must be more than 0"),
        ({"share": 2}, "share: must be 1 or less"),
        ({"share": float("nan")}, "share: must be a number"),
        ({"yes": "perhaps"}, "yes: must be true or false"),
        ({"at": "soon"}, "at: must be a moment like 2026-11-21T08:00:00Z"),
        ({"day": "soon"}, "day: must be a day like 2026-11-21"),
        ({"colour": "blue"}, "colour: must be one of 'red'"),
        ({"word": "z"}, "word: must be one of 'x' or 'y'"),
        ({"some": []}, "some: is empty"),
        ({"some": [1, 2, 3]}, "some: holds more than 2"),
        ({"some": 1}, "some: must be a list"),
        ({"odd": 2}, "odd: it is even, and odd, ones are taken"),
        ({"table": []}, "table: must be an object"),
        ({"x" * 99: 1}, f"{'x' * 60}: is not known here; leave it out"),
    ],
)
def test_what_is_wrong_is_told_after_its_place(sent: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Form.model_validate(sent)
    assert tell_form(caught.value) == told


def test_a_whole_that_is_no_object_is_told_without_a_place() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Form).validate_python("nothing")
    assert tell_form(caught.value) == "must be an object"


def test_every_sentence_is_of_a_kind_that_the_library_knows() -> None:
    known = set(get_args(core_schema.ErrorType))
    assert set(_SENTENCES) <= known
    assert all(any(kind.startswith(start) for kind in known) for start, _ in _FAMILIES)
