"""The command `forewarn`: hosts and tickets, for people and their programs.

Exit codes: 0 all is well; 1 the collector was not reached or could not answer; 2 wrong usage;
3 no such host or ticket, or not for this person; 4 not logged in, or the role does not reach;
5 the ticket is not in a state that allows it;
6 an order did not end well everywhere.
"""

import json
import re
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from forewarn_scripts import credentials, remote, shown
from forewarn_scripts.answers import Host, HostLine, HostPage, LoginKey, Me, Page, Ticket
from forewarn_scripts.client import (
    BadRequest,
    Collector,
    NotFound,
    check_address,
    fingerprint,
    offered_authority,
    read,
    system_trusts,
)
from forewarn_scripts.credentials import Credentials
from forewarn_scripts.exits import NOT_ALLOWED, TROUBLE, WRONG_USE
from forewarn_scripts.terminal import (
    fail,
    note,
    print_json,
    print_out,
    tells_trouble,
    working,
)

app = typer.Typer(
    name="forewarn",
    help="See hosts and work on tickets, from a terminal or a program.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals may hold keys
    context_settings={"help_option_names": ["-h", "--help"]},
)
host_app = typer.Typer(help="One host.", no_args_is_help=True)
ticket_app = typer.Typer(help="One ticket.", no_args_is_help=True)
app.add_typer(host_app, name="host")
app.add_typer(ticket_app, name="ticket")
remote.add(app)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
Selector = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SELECTOR]",
        help="Which hosts: 'client:acme tag:db,web os:linux host:web* health:firing'. "
        "A space is AND, a comma is OR.",
    ),
]
Most = Annotated[int, typer.Option("--limit", min=1, help="Show at most so many.")]
Which = Annotated[str, typer.Argument(metavar="NAME|ID", help="A host's name or id.")]
Number = Annotated[int, typer.Argument(min=1, max=2**31 - 1, help="The ticket's number.")]
Text = Annotated[str, typer.Argument(help="What to write; - reads it from standard input.")]

_PAGE = 500
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Order(StrEnum):
    """How hosts are sorted."""

    WORST = "worst"
    NAME = "name"


class TicketState(StrEnum):
    """Which tickets to show: those not closed, all, or those of one state."""

    OPEN = "open"
    ALL = "all"
    NEW = "new"
    ASSIGNED = "assigned"
    IN_PROGRESS = "in_progress"
    WAITING = "waiting"
    RESOLVED = "resolved"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class WaitingFor(StrEnum):
    """What a ticket can wait for."""

    CUSTOMER = "customer"
    VENDOR = "vendor"
    MAINTENANCE = "maintenance"
    PARTS = "parts"


@app.command()
@tells_trouble
def login(
    url: Annotated[str, typer.Argument(help="Where people reach the collector: https://HOST:PORT")],
    name: Annotated[str, typer.Option(help="Your name; asked for when left out.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    ca: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="The collector's certificate authority, its ca.pem.",
        ),
    ] = None,
    trust: Annotated[
        str,
        typer.Option(
            "--fingerprint",
            metavar="HEX",
            help="SHA-256 of that authority, to take it without being asked.",
        ),
    ] = "",
) -> None:
    """Log in once; the key that is kept for this user lasts 90 days.

    The collector's own authority is taken from --ca, or shown for you to compare.  Later
    connections are made with that authority alone.
    """
    try:
        address = check_address(url)
    except ValueError as wrong:
        fail(str(wrong), WRONG_USE)
    pem = _authority(address, ca, trust)
    who = name or typer.prompt("Name", err=True)
    password = sys.stdin.readline().rstrip("\n") if password_stdin else _ask_password()
    nobody = Credentials(address, who, "", datetime.now(UTC), pem)
    with Collector(nobody) as collector, working("logging in"):
        given = read(LoginKey, collector.post("/login", name=who, password=password))
    kept = Credentials(address, who, given.key, given.expires_at, pem)
    with Collector(kept) as collector:
        me = read(Me, collector.get("/me"))
    path = credentials.place()
    try:
        credentials.save(path, kept)
    except OSError as failure:
        fail(f"cannot keep the key in {path}: {failure.strerror}", TROUBLE)
    note(f"logged in as {me.name} ({me.role}) until {shown.when(given.expires_at)}; key in {path}")


@app.command()
@tells_trouble
def hosts(
    selector: Selector = None,
    order: Annotated[Order, typer.Option(help="worst health first, or by name")] = Order.WORST,
    limit: Most = 100,
    as_json: AsJson = False,
) -> None:
    """List hosts with their health at a glance."""
    pages = _pages("/hosts", "hosts", limit, {"select": _joined(selector), "order": str(order)})
    if as_json:
        print_json({"hosts": pages.rows, "next": pages.next})
        return
    lines = [HostLine.model_validate(row) for row in pages.rows]
    if not lines:
        note("no host is picked" if selector else "no hosts yet; enrol one with a token")
        return
    print_out(shown.hosts_table(lines, datetime.now(UTC)))
    if pages.next:
        note(f"there are more; show them with --limit {limit * 10}")


@host_app.command("show")
@tells_trouble
def host_show(which: Which, as_json: AsJson = False) -> None:
    """Show all there is to know of one host."""
    with _collector() as collector, working("asking for the host"):
        body = collector.get(f"/hosts/{_host_id(collector, which)}")
    _show_host(body, as_json=as_json)


@host_app.command("set")
@tells_trouble
def host_set(
    which: Which,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    host_class: Annotated[
        str | None, typer.Option("--class", help="server, workstation or roaming")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="A tag; give all of them, '' for none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change a host's name, class or tags (role operator)."""
    change: dict[str, str | list[str]] = {}
    if name is not None:
        change["name"] = name
    if host_class is not None:
        change["host_class"] = host_class
    if tag is not None:
        change["tags"] = [one for one in tag if one]
    if not change:
        fail("nothing to change: give --name, --class or --tag", WRONG_USE)
    with _collector() as collector, working("changing the host"):
        body = collector.patch(f"/hosts/{_host_id(collector, which)}", change)
    _show_host(body, as_json=as_json)


@app.command()
@tells_trouble
def tickets(
    selector: Selector = None,
    state: Annotated[
        TicketState, typer.Option(help="Which tickets.", show_default="those not closed")
    ] = TicketState.OPEN,
    limit: Most = 100,
    as_json: AsJson = False,
) -> None:
    """List tickets, newest first."""
    pages = _pages("/tickets", "tickets", limit, {"select": _joined(selector), "state": str(state)})
    if as_json:
        print_json({"tickets": pages.rows, "next": pages.next})
        return
    lines = [Ticket.model_validate(row) for row in pages.rows]
    if not lines:
        note("no such tickets")
        return
    print_out(shown.tickets_table(lines, datetime.now(UTC)))
    if pages.next:
        note(f"there are more; show them with --limit {limit * 10}")


@ticket_app.command("show")
@tells_trouble
def ticket_show(number: Number, as_json: AsJson = False) -> None:
    """Show one ticket with its history."""
    with _collector() as collector, working("asking for the ticket"):
        body = collector.get(f"/tickets/{number}")
    _show_ticket(body, as_json=as_json)


@ticket_app.command("ack")
@tells_trouble
def ticket_ack(number: Number, as_json: AsJson = False) -> None:
    """Take a ticket into work; it becomes yours if it is nobody's."""
    _change_ticket(number, "acknowledge", as_json=as_json)


@ticket_app.command("assign")
@tells_trouble
def ticket_assign(
    number: Number,
    assignee: Annotated[str, typer.Argument(help="Whose it becomes.")],
    as_json: AsJson = False,
) -> None:
    """Give a ticket to somebody."""
    _change_ticket(number, "assign", as_json=as_json, assignee=assignee)


@ticket_app.command("note")
@tells_trouble
def ticket_note(number: Number, text: Text, as_json: AsJson = False) -> None:
    """Add a note to a ticket."""
    _change_ticket(number, "note", as_json=as_json, text=_given(text))


@ticket_app.command("resolve")
@tells_trouble
def ticket_resolve(
    number: Number,
    text: Annotated[str, typer.Argument(help="What was done; - reads it from standard input.")],
    as_json: AsJson = False,
) -> None:
    """Say that the work is done; the ticket closes once nothing of it fires."""
    _change_ticket(number, "resolve", as_json=as_json, text=_given(text))


@ticket_app.command("start")
@tells_trouble
def ticket_start(number: Number, as_json: AsJson = False) -> None:
    """Go on with a ticket that waited, or begin with it."""
    _change_ticket(number, "start", as_json=as_json)


@ticket_app.command("wait")
@tells_trouble
def ticket_wait(
    number: Number,
    waiting_for: Annotated[WaitingFor, typer.Option("--for", help="Who or what is waited for.")],
    text: Annotated[str, typer.Argument(help="Why; - reads it from standard input.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say that the work waits; the resolution clock may stand still meanwhile."""
    said = _given(text)
    _change_ticket(number, "wait", as_json=as_json, waiting_for=str(waiting_for), text=said)


@ticket_app.command("cancel")
@tells_trouble
def ticket_cancel(
    number: Number,
    text: Annotated[str, typer.Argument(help="Why; - reads it from standard input.")],
    as_json: AsJson = False,
) -> None:
    """Say that it was a false alarm."""
    _change_ticket(number, "cancel", as_json=as_json, text=_given(text))


@ticket_app.command("priority")
@tells_trouble
def ticket_priority(
    number: Number,
    priority: Annotated[str, typer.Argument(help="P1 to P5, or auto: impact times urgency.")],
    as_json: AsJson = False,
) -> None:
    """Set a priority that stays, or give it back to the rules."""
    chosen = None if priority.lower() == "auto" else priority.upper()
    _change_ticket(number, "priority", as_json=as_json, priority=chosen)


@ticket_app.command("open")
@tells_trouble
def ticket_open(
    title: Annotated[str, typer.Argument(help="What it is about, in one line.")],
    text: Annotated[str, typer.Option(help="More; - reads it from standard input.")] = "",
    host: Annotated[str, typer.Option(metavar="NAME|ID", help="About this host.")] = "",
    client: Annotated[str, typer.Option(help="Or about this client.")] = "",
    site: Annotated[str, typer.Option(help="At this site; only needed if there are more.")] = "",
    impact: Annotated[int, typer.Option(min=1, max=3, help="1 is the most.")] = 2,
    urgency: Annotated[int, typer.Option(min=1, max=3, help="1 is the most.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Open a ticket that no rule raised."""
    if not host and not client:
        fail("say what it is about: give --host or --client", WRONG_USE)
    more = {"text": said} if (said := _given(text).strip()) else {}
    with _collector() as collector, working("opening the ticket"):
        about = {"host": _host_id(collector, host)} if host else {"client": client, "site": site}
        body = collector.post(
            "/tickets", title=title, impact=impact, urgency=urgency, **about, **more
        )
    _show_ticket(body, as_json=as_json)


@ticket_app.command("report")
@tells_trouble
def ticket_report(number: Number) -> None:
    """Print the service report of a closed ticket, as JSON."""
    with _collector() as collector, working("asking for the report"):
        body = collector.get(f"/tickets/{number}/report")
    print_json(json.loads(body))


# -- asking --------------------------------------------------------------------------------------


class _Rows:
    """Rows of one or many pages, and the cursor of what was left out."""

    def __init__(self) -> None:
        self.rows: list[JsonValue] = []
        self.next: str | None = None


def _pages(path: str, name: str, limit: int, params: dict[str, str]) -> _Rows:
    """Return up to `limit` rows, asking for page after page.  Raises AskError."""
    found = _Rows()
    with _collector() as collector, working(f"asking for {name}") as tell:
        while len(found.rows) < limit:
            more = {"cursor": found.next} if found.next else {}
            size = min(_PAGE, limit - len(found.rows))
            body = collector.get(path, limit=size, **params, **more)
            found.next = read(Page, body).next
            found.rows += json.loads(body)[name]
            if found.next is None:
                break
            tell(f"{len(found.rows)} {name} so far")
    return found


def _joined(words: list[str] | None) -> str:
    """Return one selector of what a shell split at its spaces."""
    return " ".join(words or ())


def _collector() -> Collector:
    return Collector(credentials.load(credentials.place()))


def _host_id(collector: Collector, which: str) -> str:
    """Return the id of the one host that is meant.  Raises NotFound or BadRequest."""
    if _UUID.fullmatch(which):
        return which
    quoted = which.replace("\\", "\\\\").replace('"', '\\"')
    page = read(HostPage, collector.get("/hosts", select=f'host:"{quoted}"', limit=10))
    if not page.hosts:
        raise NotFound(f"there is no host {which!r}, or none that you may see")
    if len(page.hosts) > 1:
        alike = "; ".join(f"{h.id} at {h.client} / {h.site}" for h in page.hosts)
        raise BadRequest(f"several hosts are called {which!r}; give the id: {alike}")
    return page.hosts[0].id


def _change_ticket(number: int, action: str, *, as_json: bool, **said: str | None) -> None:
    with _collector() as collector, working("changing the ticket"):
        body = collector.post(f"/tickets/{number}/{action}", **said)
    _show_ticket(body, as_json=as_json)


def _authority(url: str, ca: Path | None, trust: str) -> str:
    """Return the authority to believe from now on; "" for those of the system."""
    if ca is not None:
        return _checked(ca.read_text("utf-8", "replace"), trust, str(ca))
    if url.startswith("http://") or (not trust and system_trusts(url)):
        return ""
    pem = _checked(offered_authority(url), trust, url)
    if not trust:
        note(
            f"{url} is vouched for by its own authority, with the SHA-256 fingerprint\n\n"
            f"    {fingerprint(pem)}\n\n"
            "Compare it with what stands at the end of an enrolment string."
        )
        if not typer.confirm("Is it the same?", err=True):
            fail("not logged in; give the authority's file with --ca", NOT_ALLOWED)
    return pem


def _checked(pem: str, trust: str, source: str) -> str:
    try:
        found = fingerprint(pem)
    except ValueError:
        fail(f"{source}: no PEM certificate in it", WRONG_USE)
    if trust and trust.replace(":", "").lower() != found:
        fail(f"{source}: the fingerprint is {found}, not the one given", NOT_ALLOWED)
    return pem


def _ask_password() -> str:
    password: str = typer.prompt("Password", hide_input=True, err=True)
    return password


def _given(text: str) -> str:
    return sys.stdin.read() if text == "-" else text


# -- telling -------------------------------------------------------------------------------------


def _show_host(body: bytes, *, as_json: bool) -> None:
    if as_json:
        print_json(json.loads(body))
    else:
        print_out(shown.host_whole(read(Host, body), datetime.now(UTC)))


def _show_ticket(body: bytes, *, as_json: bool) -> None:
    if as_json:
        print_json(json.loads(body))
    else:
        print_out(shown.ticket_whole(read(Ticket, body)))
