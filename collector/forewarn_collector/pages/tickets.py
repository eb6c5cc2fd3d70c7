"""Tickets: the list, one with its evidence and history, and the forms to work on it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Form, Query, Request, Response
from markupsafe import Markup
from pydantic import TypeAdapter, ValidationError
from starlette.responses import RedirectResponse

from forewarn_collector.api.guard import Asker, Collector, Here, Problem, missing
from forewarn_collector.api.paths import Number
from forewarn_collector.api.principal import Principal
from forewarn_collector.api.texts import Note
from forewarn_collector.api.tickets import change_ticket
from forewarn_collector.pages import panels
from forewarn_collector.pages.charts import WIDE, draw
from forewarn_collector.pages.hosts import Cursor, Text, asked
from forewarn_collector.pages.spans import Span
from forewarn_collector.pages.timeline import tell
from forewarn_collector.pages.view import Clock, clock, link, render
from forewarn_collector.queries.hosts import host_number
from forewarn_collector.queries.places import zone_of
from forewarn_collector.queries.tickets import (
    TicketPage,
    Which,
    count_tickets,
    find_ticket,
    list_tickets,
)
from forewarn_collector.state import tickets as state
from forewarn_collector.state import work
from forewarn_collector.state.tickets import OPEN_STATES, Episode, Ticket

TICKETS = 50
PRIORITIES = ("P1", "P2", "P3", "P4", "P5")

_MOST_CHARTS = 4
_AROUND_LEAST, _AROUND_MOST = timedelta(hours=6), timedelta(days=3)
_NOTE: TypeAdapter[str] = TypeAdapter(Note)

Remark = Annotated[str, Form(alias="text", max_length=state.LONGEST_NOTE)]


def get_tickets(
    request: Request,
    asker: Asker,
    collector: Here,
    which: Annotated[Which, Query(alias="state")] = Which.OPEN,
    priority: Annotated[str, Query(pattern="^(P[1-5])?$")] = "",
    select: Text = "",
    cursor: Cursor = None,
) -> Response:
    """Show tickets, the newest first; those that are open unless asked otherwise."""
    wanted = asked(select)
    with collector.database.read() as connection:
        counts = count_tickets(connection, asker)
        page = TicketPage((), None)
        if not wanted.trouble:
            page = list_tickets(
                connection,
                asker,
                wanted.selector,
                which=which,
                priorities=(priority,) if priority else None,
                limit=TICKETS,
                cursor=cursor,
            )
    query = {"state": str(which), "priority": priority, "select": wanted.text}
    return render(
        request,
        "tickets.html",
        asker=asker,
        status=422 if wanted.trouble else 200,
        clock=clock("UTC", collector.now()),
        wanted=wanted,
        which=which,
        priority=priority,
        priorities=PRIORITIES,
        tickets=page.tickets,
        cursor=cursor,
        next_page=link("/tickets", query, cursor=page.next) if page.next else "",
        states=[(one, link("/tickets", query, state=one), _count(counts, one)) for one in _OFFERED],
        any_at_all=bool(counts),
    )


_OFFERED = (
    Which.OPEN,
    Which.NEW,
    Which.ASSIGNED,
    Which.IN_PROGRESS,
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
        labels={str(k): str(v) for k, v in _mapping(evidence, "labels").items()},
    )


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
        ticket = find_ticket(connection, asker, number)
    if ticket is None:
        raise missing()
    return _show(request, asker, collector, ticket)


def post_acknowledge(number: Number, request: Request, asker: Asker, collector: Here) -> Response:
    """Take the ticket into work."""
    return _change(request, number, asker, collector, work.acknowledge)


def post_assign(number: Number, request: Request, asker: Asker, collector: Here) -> Response:
    """Make the ticket one's own."""
    return _change(request, number, asker, collector, work.assign, assignee=asker.name)


def post_note(
    number: Number, request: Request, asker: Asker, collector: Here, text: Remark = ""
) -> Response:
    """Add a note."""
    return _say(request, number, asker, collector, work.note, text)


def post_resolve(
    number: Number, request: Request, asker: Asker, collector: Here, text: Remark = ""
) -> Response:
    """Say that the work is done."""
    return _say(request, number, asker, collector, work.resolve, text)


def _say(
    request: Request,
    number: int,
    asker: Principal,
    collector: Collector,
    change: Callable[..., None],
    text: str,
) -> Response:
    try:
        said = _NOTE.validate_python(text)
    except ValidationError:
        problem = Problem(422, "Write what was done or found, in plain text.")
        return _refused(request, number, asker, collector, problem, text)
    return _change(request, number, asker, collector, change, text=said)


def _change(
    request: Request,
    number: int,
    asker: Principal,
    collector: Collector,
    change: Callable[..., None],
    **said: str,
) -> Response:
    try:
        change_ticket(number, asker, collector, change, **said)
    except Problem as problem:
        if problem.status != 409:
            raise
        return _refused(request, number, asker, collector, problem, said.get("text", ""))
    return RedirectResponse(f"/tickets/{number}", 303)


def _refused(
    request: Request,
    number: int,
    asker: Principal,
    collector: Collector,
    problem: Problem,
    text: str,
) -> Response:
    """Show the ticket again with what is wrong, and what was written."""
    with collector.database.read() as connection:
        ticket = find_ticket(connection, asker, number)
    if ticket is None:
        raise missing()
    return _show(request, asker, collector, ticket, problem=problem, text=text)


def _show(
    request: Request,
    asker: Principal,
    collector: Collector,
    ticket: Ticket,
    problem: Problem | None = None,
    text: str = "",
) -> Response:
    now = collector.now()
    with collector.database.read() as connection:
        zone = zone_of(connection, ticket.client_id, ticket.site)
        known = host_number(connection, asker, ticket.host_id) if ticket.host_id else None
    here = clock(zone, now)
    return render(
        request,
        "ticket.html",
        asker=asker,
        status=problem.status if problem else 200,
        clock=here,
        ticket=ticket,
        is_open=ticket.state in OPEN_STATES,
        is_undone=ticket.state in OPEN_STATES and ticket.state is not state.TicketState.RESOLVED,
        episodes=_episodes(collector, ticket, known, here),
        events=tell(ticket.events),
        problem=problem.text if problem else "",
        text=text,
    )


def _episodes(
    collector: Collector, ticket: Ticket, number: int | None, here: Clock
) -> Sequence[Shown]:
    """Return the episodes, those that last first, with drawings for the newest few."""
    newest = sorted(ticket.episodes, key=lambda one: (one.closed_at is None, one.opened_at))[::-1]
    shown = []
    for index, episode in enumerate(newest):
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
