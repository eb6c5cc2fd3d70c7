"""What people do with tickets besides reading them: work, calls of their own, reports."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query, Response
from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema, field_validator

from forewarn_collector.api.guard import Asker, Collector, Here, Problem, missing
from forewarn_collector.api.paths import Number
from forewarn_collector.api.principal import Principal
from forewarn_collector.api.texts import Body, Name, Note, Thing, Words
from forewarn_collector.api.tickets import Remark, change_ticket
from forewarn_collector.assets import read_text
from forewarn_collector.money import Money, read_money
from forewarn_collector.sla.policy import Waiting
from forewarn_collector.state import acceptance, by_hand, reports, work
from forewarn_collector.state import tickets as state
from forewarn_collector.state.by_hand import Call
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.reports import ServiceReport
from forewarn_collector.state.tickets import NotFound, Ticket
from forewarn_collector.state.work import LONGEST_PART
from forewarn_collector.ticket_config import Priority

MOST_MINUTES = 7 * 24 * 60
Grade = Annotated[int, Field(ge=1, le=3, description="1 is the most, 3 the least.")]


class Wait(Body):
    """What the work waits for."""

    waiting_for: Waiting
    text: Words = ""


class Choice(Body):
    """A priority that stays; null goes back to impact times urgency."""

    priority: Priority | None


class Labour(Body):
    """Time that was spent; negative minutes take back what was too much."""

    minutes: Annotated[int, Field(ge=-MOST_MINUTES, le=MOST_MINUTES)]
    text: Words = ""

    @field_validator("minutes")
    @classmethod
    def _some(cls, minutes: int) -> int:
        if minutes == 0:
            raise ValueError("say how many minutes it took")
        return minutes


def _money(text: object) -> Money:
    if not isinstance(text, str):
        raise ValueError("write an amount of money like 129.90 EUR")
    return read_money(text)


Cost = Annotated[
    Money,
    PlainValidator(_money),
    WithJsonSchema({"type": "string", "examples": ["129.90 EUR"], "maxLength": 20}),
]
"""What one costs."""


class Part(Body):
    """Something that was used up or built in."""

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_PART), AfterValidator(read_text)]
    quantity: Annotated[int, Field(ge=1, le=10_000)] = 1
    unit_cost: Cost | None = None


class NewCall(Body):
    """Something a person reports: about a host, or about a client's site."""

    title: Name
    text: Note | None = None
    host: Annotated[str, Field(max_length=36, description="A host's id.")] = ""
    client: Annotated[str, Field(max_length=100)] = ""
    site: Annotated[str, Field(max_length=100)] = ""
    component: Thing = ""
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


def accept_ticket(number: Number, body: Remark, asker: Asker, collector: Here) -> Ticket:
    """Accept the counters a ticket is about as they are: tell only if they grow."""
    return change_ticket(number, asker, collector, acceptance.accept, text=body.text)


def prioritise_ticket(number: Number, body: Choice, asker: Asker, collector: Here) -> Ticket:
    """Set a priority that stays, or give it back."""
    return change_ticket(number, asker, collector, work.prioritise, priority=body.priority)


def spend_on_ticket(number: Number, body: Labour, asker: Asker, collector: Here) -> Ticket:
    """Add labour to a ticket, to a closed one, too."""
    return change_ticket(number, asker, collector, work.spend, minutes=body.minutes, text=body.text)


def use_part_on_ticket(number: Number, body: Part, asker: Asker, collector: Here) -> Ticket:
    """Add a part to a ticket, to a closed one, too."""
    return change_ticket(
        number,
        asker,
        collector,
        work.use_part,
        name=body.name,
        quantity=body.quantity,
        unit_cost=body.unit_cost,
    )


def explain_ticket(number: Number, body: Remark, asker: Asker, collector: Here) -> Ticket:
    """Say what the root cause of a ticket was."""
    return change_ticket(number, asker, collector, work.explain, text=body.text)


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


def get_report(
    number: Number,
    asker: Asker,
    collector: Here,
    version: Annotated[
        int | None, Query(ge=1, lt=2**31, description="Without it, the latest.")
    ] = None,
) -> Response:
    """Return the service report of a ticket, byte for byte as it was hashed."""
    with collector.database.read() as connection:
        try:
            ticket = state.row_of(connection, number, asker.clients)
        except NotFound:
            raise missing() from None
        found = reports.versions(connection, ticket["id"])
    report = pick_report(found, number, version)
    headers = {"x-content-sha256": report.sha256}
    return Response(report.document, media_type="application/json", headers=headers)


def pick_report(found: Sequence[ServiceReport], number: int, version: int | None) -> ServiceReport:
    """Return one version of a ticket's report, the latest for None.  Raises Problem 404."""
    if not found:
        raise Problem(404, f"ticket {number} has no report yet; it is written when it closes")
    if version is None:
        return found[-1]
    if version > len(found):
        raise Problem(404, f"the report of ticket {number} has {len(found)} versions")
    return found[version - 1]


def _host(collector: Collector, asker: Principal, host_id: str) -> KnownHost | None:
    if not host_id:
        return None
    host = collector.hosts.get(host_id)
    if host is None or not asker.may_see(host.client_id):
        raise Problem(422, "there is no host of this id; leave it out, or look it up")
    return host
