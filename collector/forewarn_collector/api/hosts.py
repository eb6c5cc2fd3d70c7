"""Hosts, what they last said, and what was read on them over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field
from sqlalchemy import update

from forewarn_collector import selector
from forewarn_collector.api.assets import Said, set_fields
from forewarn_collector.api.guard import Asker, Here, Problem, missing
from forewarn_collector.api.paths import Cursor, Id, Limit, Moment, Select, picked
from forewarn_collector.api.texts import Body, Label, Name
from forewarn_collector.queries.hosts import (
    HostDetail,
    HostPage,
    LatestReading,
    Order,
    SpanSeries,
    find_host,
    host_number,
    latest_readings,
    list_hosts,
    read_history,
)
from forewarn_collector.state import acceptance, audit
from forewarn_collector.state import hosts as known
from forewarn_collector.state.acceptance import Baselines
from forewarn_collector.state.tables import hosts

MOST_TAGS = 32


@dataclass(frozen=True, slots=True)
class Readings:
    """The latest value of every series of a host."""

    readings: Sequence[LatestReading]


@dataclass(frozen=True, slots=True)
class History:
    """Every series of one metric over a span."""

    metric: str
    since: datetime
    until: datetime
    series: Sequence[SpanSeries]


class HostChange(Body):
    """What may be changed of a host.  What is left out stays."""

    name: Name | None = None
    host_class: str | None = Field(None, pattern=f"^({'|'.join(selector.HOST_CLASSES)})$")
    tags: tuple[Label, ...] | None = Field(None, max_length=MOST_TAGS)
    asset: Said | None = None


def get_hosts(
    asker: Asker,
    collector: Here,
    select: Select = "",
    order: Order = Order.NAME,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> HostPage:
    """Return hosts with their health at a glance."""
    with collector.database.read() as connection:
        return list_hosts(
            connection,
            collector.store,
            asker,
            picked(select),
            order=order,
            limit=limit,
            cursor=cursor,
        )


def get_host(id: Id, asker: Asker, collector: Here) -> HostDetail:  # noqa: A002 - as in the path
    """Return all there is to know of one host."""
    with collector.database.read() as connection:
        host = find_host(connection, collector.store, asker, id)
    if host is None:
        raise missing()
    return host


def get_baselines(id: Id, asker: Asker, collector: Here) -> Baselines:  # noqa: A002 - as in the path
    """Return from where its counters are counted: what was there before, and what was accepted."""
    with collector.database.read() as connection:
        if host_number(connection, asker, id) is None:
            raise missing()
        return acceptance.of_host(connection, id)


def patch_host(
    id: Id,  # noqa: A002 - as in the path
    change: HostChange,
    asker: Asker,
    collector: Here,
) -> HostDetail:
    """Change a host's name, class, tags or what is said of it as an asset, and return it."""
    values = {
        name: sorted(set(value)) if name == "tags" else value
        for name, value in change.model_dump(exclude={"asset"}, exclude_none=True).items()
    }
    if not values and not change.asset:
        raise Problem(422, "body: name at least one of name, host_class, tags and asset")
    now = collector.now()
    with collector.database.write() as connection:
        if host_number(connection, asker, id) is None:
            raise missing()
        if values:
            connection.execute(update(hosts).where(hosts.c.id == id).values(values))
            known.touch(connection)
            audit.record(connection, now, asker.name, "host.change", id, values)
        if change.asset:
            set_fields(connection, id, change.asset, by=asker.name, now=now)
    collector.hosts.refresh()
    return get_host(id, asker, collector)


def get_readings(id: Id, asker: Asker, collector: Here) -> Readings:  # noqa: A002
    """Return the latest value of every series of one host."""
    return Readings(latest_readings(collector.store, _number(id, asker, collector)))


def get_history(
    id: Id,  # noqa: A002 - as in the path
    asker: Asker,
    collector: Here,
    metric: Annotated[str, Query(min_length=1, max_length=100, pattern="^[a-z][a-z0-9_]*$")],
    since: Moment,
    until: Moment,
    steps: Annotated[int, Query(ge=1, le=2000, description="Points a series.")] = 500,
) -> History:
    """Return every series of `metric` in [since, until), thinned to at most `steps` points."""
    number = _number(id, asker, collector)
    if since >= until:
        raise Problem(422, "query: since must be before until")
    series = read_history(collector.store, number, metric, since, until, steps)
    return History(metric, since, until, series)


def _number(host_id: str, asker: Asker, collector: Here) -> int:
    with collector.database.read() as connection:
        number = host_number(connection, asker, host_id)
    if number is None:
        raise missing()
    return number
