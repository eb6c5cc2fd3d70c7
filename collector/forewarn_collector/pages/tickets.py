"""Tickets: the list, and one with its clocks, evidence and history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, assert_never

from fastapi import Query, Request, Response
from markupsafe import Markup
from sqlalchemy import ColumnElement, Connection

from forewarn_collector.api.guard import Asker, Collector, Here, Problem, missing
from forewarn_collector.api.paths import Number
from forewarn_collector.api.principal import Principal
from forewarn_collector.money import recall_money, totals
from forewarn_collector.pages import panels
from forewarn_collector.pages.charts import WIDE, draw
from forewarn_collector.pages.clocks import clocks_of, pressing_clock
from forewarn_collector.pages.hosts import Cursor, Text, asked
from forewarn_collector.pages.spans import Span
from forewarn_collector.pages.timeline import tell
from forewarn_collector.pages.view import Clock, clock, link, render
from forewarn_collector.queries.hosts import host_number
from forewarn_collector.queries.orders import orders_of_ticket
from forewarn_collector.queries.places import list_clients, zone_of
from forewarn_collector.queries.tickets import (
    TicketPage,
    Which,
    assigned_to,
    count_tickets,
    find_ticket,
    list_tickets,
    of_client,
    of_teams,
    overdue,
)
from forewarn_collector.sla.policy import Waiting
from forewarn_collector.state import tickets as state
from forewarn_collector.state.people import workers
from forewarn_collector.state.tickets import OPEN_STATES, Episode, Ticket

TICKETS = 50
PRIORITIES = ("P1", "P2", "P3", "P4", "P5")

_MOST_SHOWN = 50  # of a storm nobody reads more
_MOST_CHARTS = 4
_AROUND_LEAST, _AROUND_MOST = timedelta(hours=6), timedelta(days=3)


class View(StrEnum):
    """Whose tickets a list holds, or which of them."""

    ALL = ""
    MINE = "mine"
    TEAM = "team"
    NOBODYS = "nobodys"
    OVERDUE = "overdue"


_VIEWS = (
    (View.ALL, "everybody's"),
    (View.MINE, "mine"),
    (View.TEAM, "my team's"),
    (View.NOBODYS, "nobody's"),
    (View.OVERDUE, "overdue"),
)


def get_tickets(
    request: Request,
    asker: Asker,
    collector: Here,
    which: Annotated[Which, Query(alias="state")] = Which.OPEN,
    priority: Annotated[str, Query(pattern="^(P[1-5])?$")] = "",
    view: View = View.ALL,
    client: Annotated[str, Query(max_length=100)] = "",
    select: Text = "",
    cursor: Cursor = None,
) -> Response:
    """Show tickets, the newest first; those that are open unless asked otherwise."""
    wanted = asked(select)
    now = collector.now()
    narrowed = _narrowed(view, client, asker, collector)
    with collector.database.read() as connection:
        counts = count_tickets(connection, asker, narrowed)
        names = [one.name for one in list_clients(connection, asker)]
        page = TicketPage((), None)
        if not wanted.trouble:
            page = list_tickets(
                connection,
                asker,
                wanted.selector,
                which=which,
                priorities=(priority,) if priority else None,
                wanted=narrowed,
                limit=TICKETS,
                cursor=cursor,
                now=now,
            )
    query = {
        "state": str(which),
        "priority": priority,
        "view": str(view),
        "client": client,
        "select": wanted.text,
    }
    return render(
        request,
        "tickets.html",
        asker=asker,
        status=422 if wanted.trouble else 200,
        clock=clock("UTC", now),
        wanted=wanted,
        which=which,
        priority=priority,
        query=query,
        priorities=PRIORITIES,
        views=[(one, word, link("/tickets", query, view=str(one))) for one, word in _VIEWS],
        view=view,
        client=client,
        clients=names,
        tickets=[(one, pressing_clock(one)) for one in page.tickets],
        cursor=cursor,
        next_page=link("/tickets", query, cursor=page.next) if page.next else "",
        states=[(one, link("/tickets", query, state=one), _count(counts, one)) for one in _OFFERED],
        any_at_all=bool(counts),
    )


def _narrowed(
    view: View, client: str, asker: Principal, collector: Collector
) -> list[ColumnElement[bool]]:
    """Return what else is asked of the tickets of a list."""
    found = [of_client(client)] if client else []
    match view:
        case View.ALL:
            pass
        case View.MINE:
            found.append(assigned_to(asker.name))
        case View.TEAM:
            teams = collector.telling.routing.teams.values()
            found.append(of_teams({one.name for one in teams if asker.name in one.members}))
        case View.NOBODYS:
            found.append(assigned_to(""))
        case View.OVERDUE:
            found.append(overdue(collector.now()))
        case _:
            assert_never(view)
    return found


_OFFERED = (
    Which.OPEN,
    Which.NEW,
    Which.ASSIGNED,
    Which.IN_PROGRESS,
    Which.WAITING,
    Which.RESOLVED,
    Which.CLOSED,
    Which.ALL,
)


def _count(counts: Mapping[str, int], which: Which) -> int:
    if which is Which.ALL:
        return sum(counts.values())
    if which is Which.OPEN:
        return sum(counts.get(str(one), 0) for one in OPEN_STATES)
    return counts.get(str(which), 0)


# -- one -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What evidence says, as texts; "" for what it does not say."""

    metric: str = ""
    shown: str = ""
    raises: str = ""
    advice: str = ""
    cleared: str = ""
    also: str = ""
    also_metric: str = ""
    held: str = ""
    flapping: str = ""
    labels: Mapping[str, str]


def told(evidence: Mapping[str, Any]) -> Told:
    """Return what there is to tell of the evidence of any release."""
    names = ("metric", "shown", "raises", "advice")
    also, cleared = _mapping(evidence, "with"), _mapping(evidence, "cleared")
    return Told(
        **{name: str(evidence.get(name, "")) for name in names},
        cleared=str(cleared.get("shown", "")),
        also=str(also.get("shown", "")),
        also_metric=str(also.get("metric", "")),
        held=_held(_mapping(evidence, "held")),
        flapping=_flapping(_mapping(evidence, "flapping")),
        labels={str(k): str(v) for k, v in _mapping(evidence, "labels").items()},
    )


def _flapping(flapping: Mapping[str, Any]) -> str:
    """Return how often it was over and began again, "" for what does not come and go."""
    times = flapping.get("held")
    if not isinstance(times, int):
        return ""
    if flapping.get("now"):
        return f"it was over and began again {times} times more; it lasts until it stays over"
    return f"it was over and began again {times} times"


def _held(held: Mapping[str, Any]) -> str:
    """Return why and since when nobody was told, "" when nothing was held."""
    if not held:
        return ""
    others = [str(one) for one in held.get("with") or ()]
    text = f"held by {held.get('by', '')} ({held.get('reason', '')}) since {held.get('since', '')}"
    return text + (f"; held with it: {'; '.join(others)}" if others else "")


def _mapping(evidence: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = evidence.get(name)
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Shown:
    """One episode with the drawing of what it is about, None when there is nothing to draw."""

    episode: Episode
    told: Told
    drawing: Markup | None = None
    title: str = ""
    address: str = ""


def get_ticket(number: Number, request: Request, asker: Asker, collector: Here) -> Response:
    """Show one ticket."""
    with collector.database.read() as connection:
        ticket = find_ticket(connection, asker, number, collector.now())
    if ticket is None:
        raise missing()
    return show(request, asker, collector, ticket)


def show(
    request: Request,
    asker: Principal,
    collector: Collector,
    ticket: Ticket,
    problem: Problem | None = None,
    text: str = "",
) -> Response:
    """Return a ticket's page, with what is wrong with what was asked for, and what was written."""
    now = collector.now()
    with collector.database.read() as connection:
        zone = zone_of(connection, ticket.client_id, ticket.site)
        known = host_number(connection, asker, ticket.host_id) if ticket.host_id else None
        people = _people(connection, collector, ticket)
        ordered = orders_of_ticket(connection, asker, ticket.client_id, ticket.number)
    here = clock(zone, now)
    return render(
        request,
        "ticket.html",
        asker=asker,
        status=problem.status if problem else 200,
        clock=here,
        ticket=ticket,
        is_open=ticket.state in OPEN_STATES,
        clocks=clocks_of(ticket.sla),
        policy="" if ticket.sla is None else ticket.sla.policy,
        waits=[str(one) for one in Waiting],
        priorities=PRIORITIES,
        people=people,
        outlay=outlay_of(ticket),
        orders=[(one, one.stage(now)) for one in ordered],
        is_undone=ticket.state in OPEN_STATES and ticket.state is not state.TicketState.RESOLVED,
        episodes=_episodes(collector, ticket, known, here),
        events=tell(ticket.events),
        problem=problem.text if problem else "",
        text=text,
    )


def _people(connection: Connection, collector: Collector, ticket: Ticket) -> list[str]:
    """Return whom a ticket can be given to: members of teams, and who may see its client."""
    names = {one for team in collector.telling.routing.teams.values() for one in team.members}
    return sorted(names | set(workers(connection, ticket.client_id)))


@dataclass(frozen=True, slots=True)
class Outlay:
    """What people wrote down that a ticket took."""

    minutes: int
    parts: Sequence[str]
    cost: str
    cause: str


def outlay_of(ticket: Ticket) -> Outlay:
    """Return what a ticket took so far."""
    said = [(event.kind, event.data) for event in ticket.events]
    parts = [data for kind, data in said if kind == "part"]
    prices = [recall_money(str(data["cost"])) for data in parts if data.get("cost")]
    causes = [str(data.get("root_cause") or "") for kind, data in said if kind == "root_cause"]
    return Outlay(
        minutes=sum(int(data.get("minutes") or 0) for kind, data in said if kind == "labour"),
        parts=[f"{data.get('quantity')} × {data.get('name')}" for data in parts],
        cost=" and ".join(str(one) for one in totals(prices)),
        cause=causes[-1] if causes else "",
    )


def _episodes(
    collector: Collector, ticket: Ticket, number: int | None, here: Clock
) -> Sequence[Shown]:
    """Return the episodes, those that last first, with drawings for the newest few."""
    newest = sorted(ticket.episodes, key=lambda one: (one.closed_at is None, one.opened_at))[::-1]
    shown = []
    for index, episode in enumerate(newest[:_MOST_SHOWN]):
        plain = Shown(episode, told(episode.evidence))
        drawable = number is not None and ticket.host_id is not None and index < _MOST_CHARTS
        shown.append(
            _drawn(collector, ticket.host_id or "", number or 0, plain, here, f"e{index}")
            if drawable
            else plain
        )
    return shown


def _drawn(
    collector: Collector, host_id: str, number: int, plain: Shown, here: Clock, name: str
) -> Shown:
    """Return the episode with its drawing, if what it is about can be drawn."""
    episode, evidence = plain.episode, plain.told
    span = around(episode.opened_at, episode.closed_at, here.now)
    chart = panels.build_around(
        collector.store,
        number,
        evidence.metric,
        evidence.labels,
        panels.judged(collector.book, collector.hosts.get(host_id)),
        span,
        here.zone,
        shaded=((episode.opened_at, episode.closed_at or here.now),),
    )
    if chart is None:
        return plain
    address = link(f"/hosts/{host_id}/chart", {"metric": evidence.metric}, **span.query)
    return replace(plain, drawing=draw(chart, name, WIDE), title=chart.title, address=address)


def around(opened: datetime, closed: datetime | None, now: datetime) -> Span:
    """Return a span that shows an episode with what came before it and after."""
    end = closed or now
    margin = min(max((end - opened) / 2, _AROUND_LEAST), _AROUND_MOST)
    return Span(opened - margin, max(min(end + margin, now), opened + timedelta(minutes=1)), "")
