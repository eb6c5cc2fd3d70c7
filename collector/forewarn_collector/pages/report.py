"""The service report of a ticket as a page that prints well."""

import json
from datetime import datetime

from fastapi import Request, Response

from forewarn_collector.api.guard import Asker, Here, Problem, missing
from forewarn_collector.api.paths import Number
from forewarn_collector.pages.timeline import tell
from forewarn_collector.pages.view import clock, render
from forewarn_collector.queries.places import zone_of
from forewarn_collector.queries.tickets import find_ticket
from forewarn_collector.state import reports
from forewarn_collector.state.tickets import TicketEvent


def get_report(number: Number, request: Request, asker: Asker, collector: Here) -> Response:
    """Show what was seen and done, and how long it took, as told when the ticket last closed."""
    with collector.database.read() as connection:
        ticket = find_ticket(connection, asker, number)
        if ticket is None:
            raise missing()
        report = reports.newest(connection, ticket.id)
        zone = zone_of(connection, ticket.client_id, ticket.site)
    if report is None:
        raise Problem(404, f"ticket {number} has no report yet; it is written when it closes")
    says = json.loads(report.document)
    actions = [
        TicketEvent(
            at=datetime.fromisoformat(one["at"]),
            actor=one["actor"],
            kind=one["what"],
            data=one["data"],
        )
        for one in says["actions"]
    ]
    return render(
        request,
        "report.html",
        asker=asker,
        says=says,
        report=report,
        events=tuple(reversed(tell(actions))),
        clock=clock(zone, collector.now()),
        moment=datetime.fromisoformat,
    )
