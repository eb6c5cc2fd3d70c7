"""The report over a period as a page and as PDF, for whoever pays for the service."""

from fastapi import Request, Response
from starlette.responses import HTMLResponse

from forewarn_collector.api.guard import Asker, Collector, Here
from forewarn_collector.api.period import Client, First, Last, read_period
from forewarn_collector.pages.clocks import span
from forewarn_collector.pages.pdf import with_sheet
from forewarn_collector.pages.report import pdf_file
from forewarn_collector.pages.view import clock, html_of, link, render
from forewarn_collector.queries.period import PeriodReport
from forewarn_collector.queries.places import list_clients


def get_period(
    request: Request,
    asker: Asker,
    collector: Here,
    client: Client = "",
    first: First = None,
    last: Last = None,
) -> Response:
    """Show what was done for a client over some days."""
    says = read_period(asker, collector, client, first, last)
    with collector.database.read() as connection:
        names = [one.name for one in list_clients(connection, asker)]
    return render(
        request,
        "period.html",
        asker=asker,
        layout="base.html",
        says=says,
        clients=names,
        clock=clock(says.zone, collector.now()),
        span=span,
        pdf=link("/report.pdf", _query(says)),
    )


def get_pdf(
    request: Request,
    asker: Asker,
    collector: Here,
    client: Client = "",
    first: First = None,
    last: Last = None,
) -> Response:
    """Return the report over a period as a PDF file."""
    says = read_period(asker, collector, client, first, last)
    page = _alone(request, collector, says)
    return pdf_file(page, f"report-{says.first}-{says.last}.pdf")


def get_file(
    request: Request,
    asker: Asker,
    collector: Here,
    client: Client = "",
    first: First = None,
    last: Last = None,
) -> Response:
    """Return the report over a period as one HTML file, to send or to keep."""
    says = read_period(asker, collector, client, first, last)
    name = f"report-{says.first}-{says.last}.html"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return HTMLResponse(with_sheet(_alone(request, collector, says)), headers=headers)


def _alone(request: Request, collector: Collector, says: PeriodReport) -> str:
    """Return the page without what surrounds it on the collector."""
    return html_of(
        "period.html",
        path=request.url.path,
        layout="paper.html",
        says=says,
        clients=[],
        clock=clock(says.zone, collector.now()),
        span=span,
        pdf="",
    )


def _query(says: PeriodReport) -> dict[str, str | None]:
    return {"client": says.client, "from": str(says.first), "to": str(says.last)}
