"""Add a host: make an enrolment token and show the line that installs the agent with it."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Form, Request, Response

from forewarn_collector.admission import (
    CannotLetIn,
    Pass,
    Wish,
    check,
    let_in,
    read_ttl,
)
from forewarn_collector.api.guard import Asker, Collector, Here, Problem
from forewarn_collector.api.principal import Principal
from forewarn_collector.instance import InstanceError
from forewarn_collector.pages.view import clock, render
from forewarn_collector.queries.places import list_clients
from forewarn_collector.selector import HOST_CLASSES

LASTING = (("1h", "an hour"), ("8h", "8 hours"), ("1d", "a day"), ("7d", "a week"))
_WORDS = {
    "client": "Client",
    "site": "Site",
    "class": "Kind of host",
    "tag": "Tags",
    "ttl": "Good for",
    "max_uses": "How many hosts",
}

Word = Annotated[str, Form(max_length=400)]


def get_new(request: Request, asker: Asker, collector: Here) -> Response:
    """Show the empty form."""
    return _form(request, asker, collector, {})


def post_new(
    request: Request,
    asker: Asker,
    collector: Here,
    client: Word = "",
    site: Word = "",
    host_class: Word = "server",
    tags: Word = "",
    max_uses: Word = "1",
    ttl: Word = "1h",
) -> Response:
    """Make the token and show its lines, this once; or the form again with what is wrong."""
    said = {
        "client": client,
        "site": site,
        "host_class": host_class,
        "tags": tags,
        "max_uses": max_uses,
        "ttl": ttl,
    }
    try:
        wish = _wish(said)
        _of_ones_own(asker, collector, wish.client)
        made = let_in(
            collector.directory,
            collector.database,
            collector.agents_url,
            wish,
            by=asker.name,
            now=collector.now(),
        )
    except CannotLetIn as wrong:
        word = _WORDS.get(wrong.field, "")
        text = f"{word}: {wrong}" if word else str(wrong)
        return _form(request, asker, collector, said, Problem(422, text))
    except InstanceError as trouble:
        return _form(request, asker, collector, said, Problem(409, str(trouble)))
    return _shown(request, asker, collector, wish, made)


def _wish(said: Mapping[str, str]) -> Wish:
    """Return what the form asks for.  Raises CannotLetIn."""
    uses = said["max_uses"].strip()
    if not (uses.isascii() and uses.isdigit() and len(uses) < 7):
        raise CannotLetIn("max_uses", "is a number, 1 for one host")
    wish = Wish(
        client=said["client"].strip(),
        site=said["site"].strip(),
        host_class=said["host_class"],
        tags=tuple(dict.fromkeys(said["tags"].replace(",", " ").split())),
        max_uses=int(uses),
        ttl=read_ttl(said["ttl"].strip()),
    )
    check(wish)
    return wish


def _of_ones_own(asker: Principal, collector: Collector, client: str) -> None:
    """Refuse the client of somebody else, known or not; who sees all may make a new one."""
    if asker.clients is None:
        return
    with collector.database.read() as connection:
        mine = [one.name for one in list_clients(connection, asker)]
    if client not in mine:
        raise CannotLetIn("client", f"you may add hosts of {' and '.join(mine) or 'nobody'} only")


def _shown(
    request: Request, asker: Principal, collector: Collector, wish: Wish, made: Pass
) -> Response:
    return render(
        request,
        "new_host.html",
        asker=asker,
        clock=clock("UTC", collector.now()),
        made=made,
        wish=wish,
        problem="",
        said={},
    )


def _form(
    request: Request,
    asker: Principal,
    collector: Collector,
    said: Mapping[str, str],
    problem: Problem | None = None,
) -> Response:
    with collector.database.read() as connection:
        clients = list_clients(connection, asker)
    usual = clients[0] if len(clients) == 1 else None
    empty = {
        "client": usual.name if usual else "",
        "site": usual.sites[0].name if usual and usual.sites else "",
        "host_class": "server",
        "tags": "",
        "max_uses": "1",
        "ttl": "1h",
    }
    return render(
        request,
        "new_host.html",
        asker=asker,
        status=problem.status if problem else 200,
        problem=problem.text if problem else "",
        made=None,
        said={**empty, **said},
        clients=clients,
        sites=sorted({site.name for client in clients for site in client.sites}),
        classes=HOST_CLASSES,
        lasting=LASTING,
    )
