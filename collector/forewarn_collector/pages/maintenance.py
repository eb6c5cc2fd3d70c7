"""Maintenance and silences: what is planned, what is held, and the forms to make and end them."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Form, Request, Response
from pydantic import ValidationError
from sqlalchemy import Connection
from starlette.responses import RedirectResponse

from forewarn_collector.api import suppression as made
from forewarn_collector.api.guard import Asker, Collector, Here, Problem
from forewarn_collector.api.paths import Id
from forewarn_collector.api.principal import Principal, Role
from forewarn_collector.api.suppression import NewMaintenance, NewQuiet
from forewarn_collector.api.wording import tell_form
from forewarn_collector.pages.view import Clock, clock, render, zone_named
from forewarn_collector.pages.weeks import DAYS, MOST_ROWS, Row, draw_weeks
from forewarn_collector.queries.places import list_clients
from forewarn_collector.queries.suppression import (
    WindowLine,
    list_held,
    list_silences,
    list_windows,
    planned,
)

REPEATS = (
    "daily",
    "weekly sat,sun",
    "weekly wed",
    "monthly 1",
    "monthly last",
    "monthly 2nd tue",
    "monthly 2nd tue+4",
    "monthly last fri",
)
LENGTHS = ("1h", "4h", "1d", "7d", "30d")

Word = Annotated[str, Form(max_length=1000)]
_WINDOW = dict.fromkeys(
    ("select", "group", "reason", "starts", "lasts", "repeat", "at", "zone", "until"), ""
)
_SILENCE = dict.fromkeys(("select", "group", "reason", "rule", "component", "lasts"), "")


def get_maintenance(request: Request, asker: Asker, collector: Here) -> Response:
    """Show the windows of the next weeks, and the form for another."""
    return _windows(request, asker, collector, {})


def post_maintenance(
    request: Request,
    asker: Asker,
    collector: Here,
    select: Word = "",
    everything: Word = "",
    group: Word = "",
    reason: Word = "",
    starts: Word = "",
    lasts: Word = "",
    repeat: Word = "",
    at: Word = "",
    zone: Word = "",
    until: Word = "",
) -> Response:
    """Make a window, or show the form again with what is wrong."""
    said = {
        "select": select,
        "group": group,
        "reason": reason,
        "starts": starts,
        "lasts": lasts,
        "repeat": repeat,
        "at": at,
        "zone": zone,
        "until": until,
    }
    try:
        _some_hosts(select, group, everything)
        given = {
            "select": select,
            "group": group,
            "reason": reason,
            "starts": _moment("From", starts, zone),
            "lasts": lasts.strip() or None,
            "repeat": repeat,
            "at": at if repeat else "",
            "zone": zone or "UTC",
            "until": _moment("Until", until, zone),
        }
        window = made.make_window(NewMaintenance.model_validate(given), asker, collector)
    except ValidationError as invalid:
        return _windows(request, asker, collector, said, Problem(422, tell_form(invalid)))
    except Problem as problem:
        return _windows(request, asker, collector, said, _of_form(problem))
    return RedirectResponse(f"/maintenance/{window}", 303)


def get_window(
    id: Id,  # noqa: A002 - as in the path
    request: Request,
    asker: Asker,
    collector: Here,
) -> Response:
    """Show one window: its verdicts and what it held."""
    return _window(request, asker, collector, id)


def post_end(id: Id, request: Request, asker: Asker, collector: Here) -> Response:  # noqa: A002
    """End what is under way."""
    try:
        made.end_maintenance(id, asker, collector)
    except Problem as problem:
        return _again(request, asker, collector, id, problem)
    return RedirectResponse(f"/maintenance/{id}", 303)


def post_delete(id: Id, request: Request, asker: Asker, collector: Here) -> Response:  # noqa: A002
    """Take back what has not begun."""
    try:
        made.delete_maintenance(id, asker, collector)
    except Problem as problem:
        return _again(request, asker, collector, id, problem)
    return RedirectResponse("/maintenance", 303)


# -- silences ------------------------------------------------------------------------------------


def get_silences(request: Request, asker: Asker, collector: Here) -> Response:
    """Show silences and what is held now, and the form for another silence."""
    return _silences(request, asker, collector, {})


def post_silences(
    request: Request,
    asker: Asker,
    collector: Here,
    select: Word = "",
    everything: Word = "",
    group: Word = "",
    reason: Word = "",
    rule: Word = "",
    component: Word = "",
    lasts: Word = "",
) -> Response:
    """Make a silence, or show the form again with what is wrong."""
    given = {
        "select": select,
        "group": group,
        "reason": reason,
        "rule": rule,
        "component": component.strip(),
        "lasts": lasts,
    }
    try:
        _some_hosts(select, group, everything)
        made.make_silence(NewQuiet.model_validate(given), asker, collector)
    except ValidationError as invalid:
        return _silences(request, asker, collector, given, Problem(422, tell_form(invalid)))
    except Problem as problem:
        return _silences(request, asker, collector, given, _of_form(problem))
    return RedirectResponse("/silences", 303)


def post_silence_end(
    id: Id,  # noqa: A002 - as in the path
    request: Request,
    asker: Asker,
    collector: Here,
) -> Response:
    """End a silence."""
    try:
        made.delete_silence(id, asker, collector)
    except Problem as problem:
        if problem.status != 409:
            raise
        return _silences(request, asker, collector, {}, problem)
    return RedirectResponse("/silences", 303)


# -- parts ---------------------------------------------------------------------------------------


def _windows(
    request: Request,
    asker: Principal,
    collector: Collector,
    said: dict[str, str],
    problem: Problem | None = None,
) -> Response:
    now = collector.now()
    with collector.database.read() as connection:
        lines = list_windows(connection, asker, now)
        spans = planned(connection, asker, now, now + timedelta(days=DAYS))
        zone = _zone(_zones(connection, asker))
    here = clock(zone, now)
    return render(
        request,
        "maintenance.html",
        asker=asker,
        status=problem.status if problem else 200,
        problem=problem.text if problem else "",
        clock=here,
        windows=lines,
        drawing=_drawing(lines, spans, here),
        may_plan=asker.role.reaches(Role.OPERATOR),
        said={**_WINDOW, "zone": zone, "lasts": "2h", **said},
        groups=sorted(collector.book.groups),
        repeats=REPEATS,
    )


def _silences(
    request: Request,
    asker: Principal,
    collector: Collector,
    said: dict[str, str],
    problem: Problem | None = None,
) -> Response:
    now = collector.now()
    with collector.database.read() as connection:
        lines = list_silences(connection, asker, now)
        held = list_held(connection, asker)
        zone = _zone(_zones(connection, asker))
    return render(
        request,
        "silences.html",
        asker=asker,
        status=problem.status if problem else 200,
        problem=problem.text if problem else "",
        clock=clock(zone, now),
        silences=lines,
        held=held,
        said={**_SILENCE, "lasts": "1d", **said},
        groups=sorted(collector.book.groups),
        rules=sorted(collector.book.names()),
        lengths=LENGTHS,
    )


def _window(
    request: Request,
    asker: Principal,
    collector: Collector,
    which: str,
    problem: Problem | None = None,
) -> Response:
    detail = made.get_maintenance_window(which, asker, collector)
    now = collector.now()
    zone = detail.window.zone
    if not detail.window.repeat:
        with collector.database.read() as connection:
            zone = _zone(_zones(connection, asker))
    return render(
        request,
        "window.html",
        asker=asker,
        status=problem.status if problem else 200,
        problem=problem.text if problem else "",
        clock=clock(zone, now),
        window=detail.window,
        happened=detail.happened,
        may_plan=asker.role.reaches(Role.OPERATOR),
        comes=detail.window.state in ("coming", "running", "settling")
        and (bool(detail.window.repeat) or detail.window.state == "coming"),
    )


def _again(
    request: Request, asker: Principal, collector: Collector, which: str, problem: Problem
) -> Response:
    if problem.status != 409:
        raise problem
    return _window(request, asker, collector, which, problem)


def _drawing(
    lines: tuple[WindowLine, ...], spans: list[tuple[str, datetime, datetime]], here: Clock
) -> object:
    rows = [
        Row(line.reason, [(start, end) for window, start, end in spans if window == line.id])
        for line in lines
    ]
    drawn = [row for row in rows if row.spans]
    return draw_weeks(drawn[:MOST_ROWS], here.now, here.zone) if drawn else ""


def _zones(connection: Connection, asker: Principal) -> set[str]:
    """Return the time zones of the sites this person sees."""
    return {site.zone for client in list_clients(connection, asker) for site in client.sites}


def _zone(zones: set[str]) -> str:
    """Return the zone all their sites share, else UTC."""
    return zones.pop() if len(zones) == 1 else "UTC"


def _some_hosts(select: str, group: str, everything: str) -> None:
    """Refuse an empty scope that nobody asked for."""
    if not select.strip() and not group and not everything:
        raise Problem(422, "Say which hosts, or tick that all are meant.")


def _moment(name: str, text: str, zone: str) -> datetime | None:
    """Return the moment a field of local time says.  Raises Problem."""
    if not text.strip():
        return None
    try:
        local = datetime.fromisoformat(text.strip())
        return local if local.tzinfo else local.replace(tzinfo=zone_named(zone))
    except ValueError:
        text = f"{name}: write a day and a time, like 2026-12-05T22:00."
        raise Problem(422, text) from None


def _of_form(problem: Problem) -> Problem:
    """Return a refusal of the API in the words of a form."""
    text = problem.text.removeprefix("body ").removeprefix("body: ")
    return Problem(problem.status, text)
