"""What stands in addresses: ids, numbers, selectors, spans.  Each is bounded before it is used."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime

from forewarn_collector.selector import LONGEST, Selector, parse

_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

Id = Annotated[str, Path(pattern=_UUID, description="A UUID, in lower case.")]
Number = Annotated[int, Path(ge=1, lt=2**31, description="A ticket's number.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many at once.")]
Cursor = Annotated[
    str | None,
    Query(max_length=2000, description="`next` of the answer before; not for the first page."),
]


def _selector(text: str) -> str:
    parse(text)
    return text


Select = Annotated[
    str,
    Query(
        max_length=LONGEST,
        description="Which hosts: `client:acme tag:db,web host:web* health:firing`.",
    ),
    AfterValidator(_selector),
]
"""A selector that parses; endpoints parse it again with `picked`, because it is quick."""


def _within_reason(at: datetime) -> datetime:
    # Before it is converted: at either end of the calendar another zone is out of range.
    if not 1970 <= at.year < 2200:
        raise ValueError("the year is not between 1970 and 2200")
    return at.astimezone(UTC)


Moment = Annotated[
    AwareDatetime,
    Query(description="RFC 3339 with Z or an offset: `2026-11-21T08:00:00Z`."),
    AfterValidator(_within_reason),
]


def picked(select: str) -> Selector:
    """Return the selector of a checked query."""
    return parse(select)
