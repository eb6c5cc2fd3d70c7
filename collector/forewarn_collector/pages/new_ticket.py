"""Open a ticket by hand: somebody called, or something was seen that no rule looks at."""

from typing import Annotated

from fastapi import Form, Query, Request, Response
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from forewarn_collector.api.guard import Asker, Collector, Here, Problem
from forewarn_collector.api.principal import Principal
from forewarn_collector.api.wording import tell_form
from forewarn_collector.api.work import NewCall, post_ticket
from forewarn_collector.pages.tickets import PRIORITIES
from forewarn_collector.pages.view import render
from forewarn_collector.queries.places import list_clients
from forewarn_collector.state.tickets import LONGEST_NOTE

GRADES = (("1", "high"), ("2", "medium"), ("3", "low"))

Word = Annotated[str, Form(max_length=400)]


def get_new(
    request: Request,
    asker: Asker,
    collector: Here,
    host: Annotated[str, Query(max_length=255)] = "",
) -> Response:
    """Show the empty form, with a host's name in it where one is given."""
    return _form(request, asker, collector, {"host": host})


def post_new(
    request: Request,
    asker: Asker,
    collector: Here,
    title: Word = "",
    text: Annotated[str, Form(max_length=LONGEST_NOTE)] = "",
    host: Word = "",
    place: Word = "",
    impact: Word = "2",
    urgency: Word = "2",
    priority: Word = "",
) -> Response:
    """Open the ticket and show it, or the form again with what is wrong."""
    said = {
        "title": title,
        "text": text,
        "host": host,
        "place": place,
        "impact": impact,
        "urgency": urgency,
        "priority": priority,
    }
    try:
        about = _about(asker, collector, host.strip(), place)
        given = {**said, **about, "text": text.strip() or None, "priority": priority or None}
        del given["place"]
        ticket = post_ticket(NewCall.model_validate(given), asker, collector)
    except ValidationError as invalid:
        return _form(request, asker, collector, said, Problem(422, tell_form(invalid)))
    except Problem as problem:
        return _form(request, asker, collector, said, problem)
    return RedirectResponse(f"/tickets/{ticket.number}", 303)


def _about(asker: Principal, collector: Collector, host: str, place: str) -> dict[str, str]:
    """Return what the ticket is about: a host by its name, or a site.  Raises Problem."""
    if host:
        found = [
            one.id
            for one in collector.hosts.all()
            if host in (one.name, one.id) and not one.revoked and asker.may_see(one.client_id)
        ]
        if not found:
            raise Problem(422, f"There is no host called {host!r}, or none that you may see.")
        if len(found) > 1:
            raise Problem(422, f"Several hosts are called {host!r}; write the id of one.")
        return {"host": found[0]}
    with collector.database.read() as connection:
        for client in list_clients(connection, asker):
            for site in client.sites:
                if site.id == place:
                    return {"host": "", "client": client.name, "site": site.name}
    raise Problem(422, "Say what it is about: a host, or a client's site.")


def _form(
    request: Request,
    asker: Principal,
    collector: Collector,
    said: dict[str, str],
    problem: Problem | None = None,
) -> Response:
    with collector.database.read() as connection:
        clients = list_clients(connection, asker)
    empty = {"title": "", "text": "", "host": "", "place": "", "priority": ""}
    return render(
        request,
        "new_ticket.html",
        asker=asker,
        status=problem.status if problem else 200,
        problem=problem.text if problem else "",
        said={**empty, "impact": "2", "urgency": "2", **said},
        clients=clients,
        grades=GRADES,
        priorities=PRIORITIES,
    )
