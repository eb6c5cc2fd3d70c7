"""The first page: what to do first, and every host with its health at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request, Response

from forewarn_collector.api.guard import Asker, Here
from forewarn_collector.pages.view import clock, link, render
from forewarn_collector.queries.hosts import HostPage, Order, count_hosts, list_hosts
from forewarn_collector.queries.tickets import pressing_tickets
from forewarn_collector.selector import (
    HOST_CLASSES,
    LONGEST,
    SYSTEMS,
    BadSelector,
    Health,
    Key,
    Selector,
    Term,
    parse,
)

HOSTS = 100
"""Hosts on one page."""

_FIRST = 8  # tickets at the top

Text = Annotated[str, Query(max_length=LONGEST)]
Cursor = Annotated[str | None, Query(max_length=2000)]

HINTS = (
    ("host:web*", "hosts whose name begins with web"),
    ("client:acme site:hq", "both at once"),
    ("tag:db,web", "either tag"),
    (f"os:{','.join(SYSTEMS)}", "by system"),
    (f"class:{','.join(HOST_CLASSES)}", "by class"),
    ("health:firing", "whatever is not ok"),
)


@dataclass(frozen=True, slots=True)
class Count:
    """One part of the strip: how many hosts are in this health, and how to see only them."""

    health: Health
    hosts: int
    address: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A selector as somebody wrote it; `trouble` says why it is none."""

    text: str
    selector: Selector
    trouble: str = ""


def asked(text: str) -> Asked:
    """Return what `text` picks.  What is no selector is taken for part of a host's name."""
    text = text.strip()
    try:
        return Asked(text, parse(text))
    except BadSelector as bad:
        if text and not any(sign in text for sign in ' :,"*') and text.isprintable():
            return Asked(f"host:*{text}*", parse(f"host:*{text}*"))
        return Asked(text, Selector(), str(bad))


def get_hosts(
    request: Request,
    asker: Asker,
    collector: Here,
    select: Text = "",
    order: Order = Order.WORST,
    cursor: Cursor = None,
) -> Response:
    """Show the hosts that `select` picks."""
    wanted = asked(select)
    with collector.database.read() as connection:
        counts = count_hosts(connection, asker, without_health(wanted.selector))
        page = HostPage((), None)
        if not wanted.trouble:
            page = list_hosts(
                connection,
                collector.store,
                asker,
                wanted.selector,
                order=order,
                limit=HOSTS,
                cursor=cursor,
            )
        first = pressing_tickets(connection, asker, _FIRST + 1)
    return render(
        request,
        "hosts.html",
        asker=asker,
        status=422 if wanted.trouble else 200,
        clock=clock("UTC", collector.now()),
        wanted=wanted,
        order=order,
        orders=tuple(Order),
        cursor=cursor,
        hosts=page.hosts,
        next_page=link("/", select=wanted.text, order=order, cursor=page.next) if page.next else "",
        counts=_strip(counts, wanted, order),
        total=sum(counts.values()),
        first=first[:_FIRST],
        more=len(first) > _FIRST,
        hints=HINTS,
        directory=collector.directory,
    )


def _strip(counts: dict[Health, int], wanted: Asked, order: Order) -> Sequence[Count]:
    chosen = {str(p) for t in wanted.selector.terms if t.key is Key.HEALTH for p in t.patterns}
    rest = written(without_health(wanted.selector))
    return [
        Count(
            health,
            number,
            link("/", select=f"{rest} health:{health}".strip(), order=order),
            str(health) in chosen,
        )
        for health, number in counts.items()
    ]


def without_health(selector: Selector) -> Selector:
    """Return the selector without its terms on health: what the strip counts."""
    return Selector(tuple(term for term in selector.terms if term.key is not Key.HEALTH))


def written(selector: Selector) -> str:
    """Return text that parses to this selector."""
    return " ".join(_term(term) for term in selector.terms)


def _term(term: Term) -> str:
    values = ("*".join(_piece(piece) for piece in pattern.pieces) for pattern in term.patterns)
    return f"{term.key}:{','.join(values)}"


def _piece(piece: str) -> str:
    if not piece or (not any(sign in piece for sign in ' ,"*\\') and piece.isprintable()):
        return piece
    quoted = piece.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'
