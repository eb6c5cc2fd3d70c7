"""One host: what fires on it, what was last read, how it went over time, what it is."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Query, Request, Response
from markupsafe import Markup
from sqlalchemy import Connection

from forewarn_checks.base import Check, Metric, Unit
from forewarn_checks.base.catalog import all_checks
from forewarn_collector.api.guard import Asker, Collector, Here, missing
from forewarn_collector.api.paths import Id
from forewarn_collector.api.principal import Principal
from forewarn_collector.pages import panels
from forewarn_collector.pages.charts import MOST_LINES, WIDE, Chart, draw
from forewarn_collector.pages.facts import lay_out, lay_out_asset, lay_out_changes
from forewarn_collector.pages.panels import Judged
from forewarn_collector.pages.readings import sections
from forewarn_collector.pages.spans import DEFAULT, USUAL, Span, choose
from forewarn_collector.pages.titles import check_title
from forewarn_collector.pages.view import Clock, clock, link, render
from forewarn_collector.queries.alerts import AlertLine
from forewarn_collector.queries.hosts import HostDetail, find_host
from forewarn_collector.queries.orders import list_orders
from forewarn_collector.queries.suppression import holding, list_held
from forewarn_collector.queries.tickets import Which, list_tickets
from forewarn_collector.selector import Selector, parse
from forewarn_collector.state import acceptance, forecasts
from forewarn_collector.state.assets import changes_of
from forewarn_collector.state.forecasts import Standing
from forewarn_collector.track_record import FORETELLING, Coverage
from forewarn_collector.units import write_value

_TICKETS = 10
_ORDERS = 5
_CHANGES = 30

Usual = Annotated[str, Query(alias="range", max_length=20)]
Given = Annotated[str, Query(max_length=40)]
MetricName = Annotated[str, Query(min_length=1, max_length=100, pattern="^[a-z][a-z0-9_]*$")]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart on the page, and where its big one is.

    `svg` is None for what is only named: it never changed, or nothing was read in the span.
    """

    chart: Chart
    svg: Markup | None
    address: str
    left_out: int  # lines there was no room for


@dataclass(frozen=True, slots=True)
class Ahead:
    """The dates that stand for a host, and how past ones came out; "" for too few."""

    dates: Sequence[Standing]
    record: str


def get_host(
    id: Id,  # noqa: A002 - as in the path
    request: Request,
    asker: Asker,
    collector: Here,
    usual: Usual = DEFAULT,
    since: Given = "",
    until: Given = "",
) -> Response:
    """Show one host, with charts over the span asked for."""
    host = _found(id, asker, collector)
    now = collector.now()
    with collector.database.read() as connection:
        tickets = list_tickets(
            connection, asker, Selector(), which=Which.ALL, host_id=id, limit=_TICKETS
        )
        changed, _ = changes_of(connection, id, limit=_CHANGES)
        ahead = _ahead(connection, collector, id, now)
        held = list_held(connection, asker, host_id=id)
        ordered = list_orders(connection, asker, now, host_id=id, limit=_ORDERS).orders
        baselines = acceptance.of_host(connection, id)
        known = collector.hosts.get(id)
        groups = {name: parse(text) for name, text in collector.book.groups.items()}
        hold = None if known is None else holding(connection, known, groups, now)
    here = clock(host.zone, now)
    span = choose(usual, since, until, here.zone, now)
    rules = panels.judged(collector.book, collector.hosts.get(id))
    rows, tables = lay_out(host.facts)
    checks = all_checks()
    shown = sections(checks.values(), host, rules, now)
    return render(
        request,
        "host.html",
        asker=asker,
        clock=here,
        host=host,
        tickets=tickets.tickets,
        ahead=ahead,
        baselines=baselines,
        orders=[(one, one.stage(now)) for one in ordered],
        hold=hold,
        held={(one.rule, one.component): one for one in held},
        sections=shown,
        failing=[check_title(one.check.name) for one in shown if one.trouble],
        values={alert.key: _value(alert, rules) for alert in host.alerts},
        drawings={
            name: list(_drawings(collector, host, check, rules, span, here))
            for name, check in checks.items()
        },
        asset=lay_out_asset(host.asset, now.astimezone(here.zone).date()),
        changes=lay_out_changes(changed),
        facts=rows,
        tables=tables,
        span=span,
        spans=_spans(f"/hosts/{id}", {}),
    )


def get_chart(
    id: Id,  # noqa: A002 - as in the path
    request: Request,
    asker: Asker,
    collector: Here,
    metric: MetricName,
    usual: Usual = DEFAULT,
    since: Given = "",
    until: Given = "",
) -> Response:
    """Show one metric of a host large, to zoom into; without JavaScript as a drawing."""
    host = _found(id, asker, collector)
    known = panels.panel_of(metric)
    if known is None:
        raise missing()
    check, panel = known
    now = collector.now()
    here = clock(host.zone, now)
    span = choose(usual, since, until, here.zone, now)
    rules = panels.judged(collector.book, collector.hosts.get(id))
    chart = panels.build(collector.store, host.number, check, panel, rules, span, here.zone)
    return render(
        request,
        "chart.html",
        asker=asker,
        clock=here,
        host=host,
        check=check,
        metric=panel.metric,
        chart=chart,
        drawing=draw(chart, "chart", WIDE),
        wanted=_wanted(host, check, panel.metric, chart),
        span=span,
        spans=_spans(f"/hosts/{id}/chart", {"metric": metric}),
    )


def _ahead(connection: Connection, collector: Collector, host_id: str, now: datetime) -> Ahead:
    counted = Coverage()
    for rule in collector.book.rules():
        if isinstance(rule.rule, FORETELLING):
            record = forecasts.record(connection, clients=None, rule=rule.name, host_id=host_id)
            counted = counted.plus(record)
    return Ahead(forecasts.standing(connection, host_id, now), counted.words)


def _value(alert: AlertLine, rules: Judged) -> str:
    """Return the value an alert was last judged by, "" when its rule is no longer in force."""
    booked = next((one for one in rules.rules if one.name == alert.rule), None)
    if booked is None or alert.value is None:
        return ""
    return write_value(alert.value, booked.metric.unit if booked.metric else Unit.SECONDS)


def _found(host_id: str, asker: Principal, collector: Collector) -> HostDetail:
    with collector.database.read() as connection:
        host = find_host(connection, collector.store, asker, host_id)
    if host is None:
        raise missing()
    return host


def _drawings(
    collector: Collector,
    host: HostDetail,
    check: Check,
    rules: Judged,
    span: Span,
    here: Clock,
) -> Iterator[Drawing]:
    read = {reading.metric for reading in host.readings}
    for panel in check.panels:
        if panel.metric.name not in read:
            continue
        chart = panels.build(collector.store, host.number, check, panel, rules, span, here.zone)
        address = link(f"/hosts/{host.id}/chart", {"metric": panel.metric.name}, **span.query)
        left_out = max(len(chart.lines) - MOST_LINES, 0)
        svg = None if chart.still else draw(chart, panel.metric.name)
        yield Drawing(chart, svg, address, left_out)


def _spans(path: str, query: dict[str, str | None]) -> list[tuple[str, str]]:
    return [(name, link(path, query, range=name)) for name in USUAL]


def _wanted(host: HostDetail, check: Check, metric: Metric, chart: Chart) -> str:
    """Return what the page's script has to know, as JSON for an attribute."""
    return json.dumps(
        {
            "host": host.id,
            "metric": metric.name,
            "title": chart.title,
            "unit": str(metric.unit),
            "kind": str(chart.kind),
            "since": chart.since.isoformat(),
            "until": chart.until.isoformat(),
            "every_seconds": check.every.total_seconds(),
            "component": list(check.component.labels),
            "zone": chart.zone.key,
            "marks": [
                {"value": mark.value, "severity": str(mark.severity), "text": mark.text}
                for mark in chart.marks
            ],
        }
    )
