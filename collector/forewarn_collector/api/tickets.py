"""Alerts and tickets, and what people do with tickets."""

from enum import StrEnum
from typing import Annotated

from fastapi import Query

from forewarn_collector.api.guard import Asker, Here, missing
from forewarn_collector.api.paths import Cursor, Limit, Number, Select, picked
from forewarn_collector.queries.scope import FIRING_STATES
from forewarn_collector.queries.tickets import (
    AlertPage,
    TicketDetail,
    TicketPage,
    TicketState,
    find_ticket,
    list_alerts,
    list_tickets,
)


class AlertState(StrEnum):
    """Where an alert is in its life."""

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    CLEARING = "clearing"


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
    state: TicketState = TicketState.OPEN,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> TicketPage:
    """Return tickets, newest first."""
    with collector.database.read() as connection:
        return list_tickets(
            connection,
            asker,
            picked(select),
            state=state,
            limit=limit,
            cursor=cursor,
        )


def get_ticket(number: Number, asker: Asker, collector: Here) -> TicketDetail:
    """Return one ticket with its events and episodes."""
    with collector.database.read() as connection:
        ticket = find_ticket(connection, asker, number)
    if ticket is None:
        raise missing()
    return ticket
