"""The report over a period: what was prevented, promised and spent for a client."""

from datetime import date
from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator

from forewarn_collector.api.guard import Asker, Collector, Here, Problem, missing
from forewarn_collector.api.principal import Principal
from forewarn_collector.queries.period import PeriodReport, knows_client, period, span_of

LONGEST_DAYS = 3700


def _in_reach(day: date) -> date:
    if not 1970 < day.year < 2199:
        raise ValueError("the year is not between 1971 and 2198")
    return day


Client = Annotated[
    str, Query(max_length=100, description="A client's name; without it, all you may see.")
]
First = Annotated[
    date | None,
    Query(alias="from", description="The first day; by default 30 days in all."),
    AfterValidator(lambda day: None if day is None else _in_reach(day)),
]
Last = Annotated[
    date | None,
    Query(alias="to", description="The last day, itself included; by default today."),
    AfterValidator(lambda day: None if day is None else _in_reach(day)),
]


def get_period(
    asker: Asker, collector: Here, client: Client = "", first: First = None, last: Last = None
) -> PeriodReport:
    """Return what was done for a client over some days."""
    return read_period(asker, collector, client, first, last)


def read_period(
    asker: Principal, collector: Collector, client: str, first: date | None, last: date | None
) -> PeriodReport:
    """Return the report over a period.  Raises Problem 404 or 422."""
    with collector.database.read() as connection:
        if client and not knows_client(connection, asker, client):
            raise missing()
        span = span_of(connection, asker, client, first, last, collector.now())
        if not 0 <= (span.last - span.first).days < LONGEST_DAYS:
            raise Problem(422, "query from: must not be after to, nor more than ten years before")
        return period(connection, asker, client, span)
