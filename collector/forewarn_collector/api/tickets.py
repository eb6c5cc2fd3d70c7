"""Alerts and tickets, and what people do with tickets."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

from fastapi import Query

from forewarn_collector.api.guard import Asker, Collector, Here, Problem, missing
from forewarn_collector.api.paths import Cursor, Limit, Number, Select, picked
from forewarn_collector.api.principal import Principal
from forewarn_collector.api.texts import Body, Name, Note
from forewarn_collector.money import Money
from forewarn_collector.queries.alerts import AlertPage, list_alerts
from forewarn_collector.queries.scope import FIRING_STATES
from forewarn_collector.queries.tickets import TicketPage, Which, find_ticket, list_tickets
from forewarn_collector.state import tickets as state
from forewarn_collector.state import work
from forewarn_collector.state.tickets import Conflict, NotFound, Ticket


class AlertState(StrEnum):
    """Where an alert is in its life."""

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    CLEARING = "clearing"


class Assignment(Body):
    """Who is to see to it."""

    assignee: Name


class Remark(Body):
    """What there is to say."""

    text: Note


def get_alerts(
    asker: Asker,
    collector: Here,
    select: Select = "",
    state: Annotated[list[AlertState] | None, Query(max_length=4)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> AlertPage:
    """Return alerts, youngest first; without `state` those that fire."""
    with collector.database.read() as connection:
        return list_alerts(
            connection,
            asker,
            picked(select),
            states=state or FIRING_STATES,
            limit=limit,
            cursor=cursor,
        )


def get_tickets(
    asker: Asker,
    collector: Here,
    select: Select = "",
    state: Which = Which.ALL,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> TicketPage:
    """Return tickets, newest first, without their history."""
    with collector.database.read() as connection:
        return list_tickets(
            connection,
            asker,
            picked(select),
            which=state,
            limit=limit,
            cursor=cursor,
            now=collector.now(),
        )


def get_ticket(number: Number, asker: Asker, collector: Here) -> Ticket:
    """Return one ticket with its events and episodes."""
    with collector.database.read() as connection:
        ticket = find_ticket(connection, asker, number, collector.now())
    if ticket is None:
        raise missing()
    return ticket


def acknowledge_ticket(number: Number, asker: Asker, collector: Here) -> Ticket:
    """Take a ticket into work; it becomes one's own if it is nobody's."""
    return change_ticket(number, asker, collector, work.acknowledge)


def assign_ticket(number: Number, body: Assignment, asker: Asker, collector: Here) -> Ticket:
    """Give a ticket to somebody."""
    return change_ticket(number, asker, collector, work.assign, assignee=body.assignee)


def note_ticket(number: Number, body: Remark, asker: Asker, collector: Here) -> Ticket:
    """Add a note, to a closed ticket, too."""
    return change_ticket(number, asker, collector, work.note, text=body.text)


def resolve_ticket(number: Number, body: Remark, asker: Asker, collector: Here) -> Ticket:
    """Say that the work is done; the ticket closes once nothing of it fires."""
    return change_ticket(number, asker, collector, work.resolve, text=body.text)


def change_ticket(
    number: int,
    asker: Principal,
    collector: Collector,
    change: Callable[..., None],
    **said: str | int | Money | None,
) -> Ticket:
    """Do one of the changes of `state.work` in a transaction, and return the ticket after it.

    Raises Problem 404 or 409.
    """
    now = collector.now()
    with collector.database.write() as connection:
        try:
            change(
                connection,
                number,
                actor=asker.name,
                now=now,
                clients=asker.clients,
                telling=collector.telling,
                **said,
            )
        except NotFound:
            raise missing() from None
        except Conflict as conflict:
            raise Problem(409, str(conflict)) from None
        return state.get(connection, number, clients=asker.clients, now=now)
