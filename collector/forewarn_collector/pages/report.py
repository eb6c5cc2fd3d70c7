"""The service report of a ticket: as a page that prints well, and as PDF."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Request, Response
from markupsafe import Markup

from forewarn_collector.api.guard import Asker, Collector, Here, missing
from forewarn_collector.api.paths import Number
from forewarn_collector.api.principal import Principal
from forewarn_collector.api.work import pick_report
from forewarn_collector.assets import FIELDS
from forewarn_collector.pages import panels, pdf
from forewarn_collector.pages.charts import WIDE, draw
from forewarn_collector.pages.clocks import span
from forewarn_collector.pages.tickets import around, told
from forewarn_collector.pages.timeline import tell
from forewarn_collector.pages.view import Clock, clock, html_of, link, render
from forewarn_collector.queries.hosts import host_number
from forewarn_collector.queries.tickets import find_ticket
from forewarn_collector.state import reports
from forewarn_collector.state.reports import ServiceReport
from forewarn_collector.state.tickets import TicketEvent

_MOST_CHARTS = 4

Version = Annotated[int | None, Query(ge=1, lt=2**31)]


@dataclass(frozen=True, slots=True)
class Raised:
    """One episode of the report with its drawing, None when there is nothing to draw any more."""

    says: Mapping[str, Any]
    title: str
    drawing: Markup | None


def get_report(
    number: Number, request: Request, asker: Asker, collector: Here, version: Version = None
) -> Response:
    """Show what was seen and done, and how long it took; the latest version unless asked."""
    values = _read(number, asker, collector, version)
    return render(request, "report.html", asker=asker, layout="base.html", **values)


def get_pdf(
    number: Number, request: Request, asker: Asker, collector: Here, version: Version = None
) -> Response:
    """Return the report as a PDF file."""
    values = _read(number, asker, collector, version)
    page = html_of("report.html", path=request.url.path, layout="paper.html", **values)
    name = f"report-{number}.pdf" if version is None else f"report-{number}-v{version}.pdf"
    return pdf_file(page, name)


def pdf_file(page: str, name: str) -> Response:
    """Return a page as a PDF file to keep.  Raises Problem 501 without the extra."""
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(pdf.make(page), media_type="application/pdf", headers=headers)


def _read(
    number: int, asker: Principal, collector: Collector, version: int | None
) -> dict[str, Any]:
    """Return what the template shows.  Raises Problem 404."""
    with collector.database.read() as connection:
        ticket = find_ticket(connection, asker, number)
        if ticket is None:
            raise missing()
        found = reports.versions(connection, ticket.id)
        known = host_number(connection, asker, ticket.host_id) if ticket.host_id else None
    report = pick_report(found, number, version)
    says = json.loads(report.document)
    here = clock(says.get("zone") or "UTC", collector.now())
    return {
        "says": says,
        "report": report,
        "raised": _raised(collector, ticket.host_id or "", known, says, here),
        "events": tuple(reversed(tell(_events(says)))),
        "clock": here,
        "moment": datetime.fromisoformat,
        "span": span,
        "titles": {one.name: one.title for one in FIELDS.values()},
        "versions": _versions(found, report, number),
        "latest": report is found[-1],
    }


def _versions(
    found: Sequence[ServiceReport], shown: ServiceReport, number: int
) -> list[tuple[int, str, bool]]:
    """Return every version with its address, and whether it is the one shown."""
    if len(found) == 1:
        return []
    path = f"/tickets/{number}/report"
    return [
        (index, link(path, version=str(index)), one is shown) for index, one in enumerate(found, 1)
    ]


def _events(says: Mapping[str, Any]) -> list[TicketEvent]:
    return [
        TicketEvent(
            at=datetime.fromisoformat(one["at"]),
            actor=one["actor"],
            kind=one["what"],
            data=one["data"],
        )
        for one in says["actions"]
    ]


def _raised(
    collector: Collector, host_id: str, number: int | None, says: Mapping[str, Any], here: Clock
) -> list[Raised]:
    """Return the episodes; the first few are drawn from the readings that are still kept."""
    found = []
    for index, one in enumerate(says["raised_by"]):
        drawn = None
        if number is not None and index < _MOST_CHARTS:
            drawn = _drawn(collector, host_id, number, one, here, f"e{index}")
        found.append(drawn or Raised(one, "", None))
    return found


def _drawn(
    collector: Collector,
    host_id: str,
    number: int,
    one: Mapping[str, Any],
    here: Clock,
    name: str,
) -> Raised | None:
    evidence = told(one)
    opened = datetime.fromisoformat(one["opened_at"])
    closed = datetime.fromisoformat(one["closed_at"]) if one["closed_at"] else None
    chart = panels.build_around(
        collector.store,
        number,
        evidence.metric,
        evidence.labels,
        panels.judged(collector.book, collector.hosts.get(host_id)),
        around(opened, closed, here.now),
        here.zone,
        shaded=((opened, closed or here.now),),
    )
    if chart is None or not chart.lines:
        return None
    return Raised(one, chart.title, draw(chart, name, WIDE))
