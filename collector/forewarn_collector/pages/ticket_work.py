"""The forms by which people work on a ticket: each answers with the ticket, or what is wrong."""

from collections.abc import Callable, Mapping
from typing import Annotated, TypeVar

from fastapi import Form, Request, Response
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.responses import RedirectResponse

from forewarn_collector.api.guard import Asker, Collector, Here, Problem, missing
from forewarn_collector.api.paths import Number
from forewarn_collector.api.principal import Principal
from forewarn_collector.api.texts import Note
from forewarn_collector.api.tickets import Assignment, change_ticket
from forewarn_collector.api.wording import tell_form
from forewarn_collector.api.work import Choice, Labour, Part, Wait
from forewarn_collector.money import Money
from forewarn_collector.pages.tickets import show
from forewarn_collector.queries.tickets import find_ticket
from forewarn_collector.state import acceptance, work
from forewarn_collector.state import tickets as state

_NOTE: TypeAdapter[str] = TypeAdapter(Note)

Remark = Annotated[str, Form(alias="text", max_length=state.LONGEST_NOTE)]
Word = Annotated[str, Form(max_length=400)]
B = TypeVar("B", bound=BaseModel)


def post_acknowledge(number: Number, request: Request, asker: Asker, collector: Here) -> Response:
    """Take the ticket into work."""
    return _change(request, number, asker, collector, work.acknowledge)


def post_start(number: Number, request: Request, asker: Asker, collector: Here) -> Response:
    """Go on with the ticket."""
    return _change(request, number, asker, collector, work.start)


def post_assign(
    number: Number, request: Request, asker: Asker, collector: Here, assignee: Word = ""
) -> Response:
    """Give the ticket to somebody, to oneself when nobody is named."""
    said = _read(Assignment, {"assignee": assignee or asker.name})
    if isinstance(said, Problem):
        return _refused(request, number, asker, collector, said, "")
    return _change(request, number, asker, collector, work.assign, assignee=said.assignee)


def post_wait(
    number: Number,
    request: Request,
    asker: Asker,
    collector: Here,
    waiting_for: Word = "",
    text: Remark = "",
) -> Response:
    """Say that the work waits."""
    said = _read(Wait, {"waiting_for": waiting_for, "text": text})
    if isinstance(said, Problem):
        return _refused(request, number, asker, collector, said, text)
    values = {"waiting_for": said.waiting_for, "text": said.text}
    return _change(request, number, asker, collector, work.wait, **values)


def post_priority(
    number: Number, request: Request, asker: Asker, collector: Here, priority: Word = ""
) -> Response:
    """Set a priority that stays, or give it back for ""."""
    said = _read(Choice, {"priority": priority or None})
    if isinstance(said, Problem):
        return _refused(request, number, asker, collector, said, "")
    return _change(request, number, asker, collector, work.prioritise, priority=said.priority)


def post_labour(
    number: Number,
    request: Request,
    asker: Asker,
    collector: Here,
    minutes: Word = "",
    text: Remark = "",
) -> Response:
    """Add labour."""
    said = _read(Labour, {"minutes": minutes, "text": text})
    if isinstance(said, Problem):
        return _refused(request, number, asker, collector, said, text)
    values: Mapping[str, str | int] = {"minutes": said.minutes, "text": said.text}
    return _change(request, number, asker, collector, work.spend, **values)


def post_part(
    number: Number,
    request: Request,
    asker: Asker,
    collector: Here,
    name: Word = "",
    quantity: Word = "1",
    unit_cost: Word = "",
) -> Response:
    """Add a part."""
    given = {"name": name, "quantity": quantity, "unit_cost": unit_cost or None}
    said = _read(Part, given)
    if isinstance(said, Problem):
        return _refused(request, number, asker, collector, said, "")
    values: Mapping[str, str | int | Money | None] = {
        "name": said.name,
        "quantity": said.quantity,
        "unit_cost": said.unit_cost,
    }
    return _change(request, number, asker, collector, work.use_part, **values)


def post_note(
    number: Number, request: Request, asker: Asker, collector: Here, text: Remark = ""
) -> Response:
    """Add a note."""
    return _say(request, number, asker, collector, work.note, text)


def post_cause(
    number: Number, request: Request, asker: Asker, collector: Here, text: Remark = ""
) -> Response:
    """Say what the root cause was."""
    return _say(request, number, asker, collector, work.explain, text)


def post_resolve(
    number: Number, request: Request, asker: Asker, collector: Here, text: Remark = ""
) -> Response:
    """Say that the work is done."""
    return _say(request, number, asker, collector, work.resolve, text)


def post_cancel(
    number: Number, request: Request, asker: Asker, collector: Here, text: Remark = ""
) -> Response:
    """Say that it was a false alarm."""
    return _say(request, number, asker, collector, work.cancel, text)


def post_accept(
    number: Number, request: Request, asker: Asker, collector: Here, text: Remark = ""
) -> Response:
    """Accept what the ticket counts as it is."""
    return _say(request, number, asker, collector, acceptance.accept, text)


def _read(form: type[B], given: Mapping[str, str | None]) -> B | Problem:
    """Return what a form says, or what is wrong with it."""
    try:
        return form.model_validate(given)
    except ValidationError as invalid:
        return Problem(422, tell_form(invalid))


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
    **said: str | int | Money | None,
) -> Response:
    try:
        change_ticket(number, asker, collector, change, **said)
    except Problem as problem:
        if problem.status != 409:
            raise
        return _refused(request, number, asker, collector, problem, str(said.get("text") or ""))
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
        ticket = find_ticket(connection, asker, number, collector.now())
    if ticket is None:
        raise missing()
    return show(request, asker, collector, ticket, problem=problem, text=text)


FORMS: Mapping[str, Callable[..., Response]] = {
    "acknowledge": post_acknowledge,
    "start": post_start,
    "assign": post_assign,
    "wait": post_wait,
    "priority": post_priority,
    "labour": post_labour,
    "parts": post_part,
    "note": post_note,
    "root-cause": post_cause,
    "resolve": post_resolve,
    "accept": post_accept,
    "cancel": post_cancel,
}
"""What can be done with a ticket, by the end of the form's address."""
