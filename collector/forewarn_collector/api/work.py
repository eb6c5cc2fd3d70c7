"""What people do with tickets besides reading them: work, calls of their own, reports."""

from typing import Annotated

from fastapi import Response
from pydantic import Field

from forewarn_collector.api.guard import Asker, Collector, Here, Problem, missing
from forewarn_collector.api.paths import Number
from forewarn_collector.api.principal import Principal
from forewarn_collector.api.texts import Body, Name, Note
from forewarn_collector.api.tickets import Remark, change_ticket
from forewarn_collector.sla.policy import Waiting
from forewarn_collector.state import by_hand, reports, work
from forewarn_collector.state import tickets as state
from forewarn_collector.state.by_hand import Call
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.tickets import NotFound, Ticket
from forewarn_collector.ticket_config import Priority

Grade = Annotated[int, Field(ge=1, le=3, description="1 is the most, 3 the least.")]


class Wait(Body):
    """What the work waits for."""

    waiting_for: Waiting
    text: str = Field(default="", max_length=10_000)


class Choice(Body):
    """A priority that stays; null goes back to impact times urgency."""

    priority: Priority | None


class NewCall(Body):
    """Something a person reports: about a host, or about a client's site."""

    title: Name
    text: Note | None = None
    host: Annotated[str, Field(max_length=36, description="A host's id.")] = ""
    client: Annotated[str, Field(max_length=100)] = ""
    site: Annotated[str, Field(max_length=100)] = ""
    component: Annotated[str, Field(max_length=400)] = ""
    impact: Grade = 2
    urgency: Grade = 2
    priority: Priority | None = None


def start_ticket(number: Number, asker: Asker, collector: Here) -> Ticket:
    """Go on with a ticket that waited, or begin with it."""
    return change_ticket(number, asker, collector, work.start)


def wait_ticket(number: Number, body: Wait, asker: Asker, collector: Here) -> Ticket:
    """Say that the work waits for somebody or something else."""
    return change_ticket(
        number, asker, collector, work.wait, waiting_for=body.waiting_for, text=body.text
    )


def cancel_ticket(number: Number, body: Remark, asker: Asker, collector: Here) -> Ticket:
    """Say that it was a false alarm."""
    return change_ticket(number, asker, collector, work.cancel, text=body.text)


def prioritise_ticket(number: Number, body: Choice, asker: Asker, collector: Here) -> Ticket:
    """Set a priority that stays, or give it back."""
    return change_ticket(number, asker, collector, work.prioritise, priority=body.priority)


def post_ticket(body: NewCall, asker: Asker, collector: Here) -> Ticket:
    """Open a ticket by hand: same promises, routes and report as one that a rule raised."""
    host = _host(collector, asker, body.host)
    now = collector.now()
    with collector.database.write() as connection:
        try:
            client = body.client if host is None else host.client
            site = body.site if host is None else host.site
            place = by_hand.find_place(connection, client, site, allowed=asker.clients)
        except NotFound as unknown:
            raise Problem(422, str(unknown)) from None
        call = Call(
            title=body.title,
            text=body.text or "",
            place=place,
            host=host,
            component=body.component,
            impact=body.impact,
            urgency=body.urgency,
            priority=body.priority,
        )
        number = by_hand.report(
            connection, call, actor=asker.name, now=now, telling=collector.telling
        )
        return state.get(connection, number, clients=asker.clients, now=now)


def get_report(number: Number, asker: Asker, collector: Here) -> Response:
    """Return the service report of a ticket's last close, byte for byte as it was hashed."""
    with collector.database.read() as connection:
        try:
            ticket = state.row_of(connection, number, asker.clients)
        except NotFound:
            raise missing() from None
        report = reports.newest(connection, ticket["id"])
    if report is None:
        raise Problem(404, f"ticket {number} has no report yet; it is written when it closes")
    headers = {"x-content-sha256": report.sha256}
    return Response(report.document, media_type="application/json", headers=headers)


def _host(collector: Collector, asker: Principal, host_id: str) -> KnownHost | None:
    if not host_id:
        return None
    host = collector.hosts.get(host_id)
    if host is None or not asker.may_see(host.client_id):
        raise Problem(422, "there is no host of this id; leave it out, or look it up")
    return host
