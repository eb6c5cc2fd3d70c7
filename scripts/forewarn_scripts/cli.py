"""The command `forewarn`: hosts and tickets, for people and their programs.

Exit codes: 0 all is well; 1 the collector was not reached or could not answer; 2 wrong usage;
3 no such host or ticket, or not for this person; 4 not logged in, or the role does not reach;
5 the ticket is not in a state that allows it;
6 an order did not end well everywhere.
"""

import json
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from forewarn_scripts import credentials, host_commands, quiet, remote, shown, ticket_commands
from forewarn_scripts.answers import Absences, HostLine, LoginKey, Me, Page, PeriodReport, Ticket
from forewarn_scripts.asking import AsJson, here, save
from forewarn_scripts.client import (
    Collector,
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
app.add_typer(host_commands.app, name="host")
app.add_typer(ticket_commands.app, name="ticket")
remote.add(app)
quiet.add(app)

Selector = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SELECTOR]",
        help="Which hosts: 'client:acme tag:db,web os:linux host:web* health:firing'. "
        "A space is AND, a comma is OR.",
    ),
]
Most = Annotated[int, typer.Option("--limit", min=1, help="Show at most so many.")]

_PAGE = 500


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


@app.command()
@tells_trouble
def report(
    client: Annotated[
        str, typer.Option(help="Of this client.", show_default="all that you may see")
    ] = "",
    first: Annotated[
        str, typer.Option("--from", metavar="DAY", help="First day, like 2026-11-01.")
    ] = "",
    last: Annotated[
        str, typer.Option("--to", metavar="DAY", help="Last day, itself included.")
    ] = "",
    pdf: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Write it as PDF.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Write it as a page.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what was done over some days: prevented, promised and kept, spent; by default 30."""
    given = {"client": client, "from": first, "to": last}
    asked = {name: value for name, value in given.items() if value}
    with here() as collector, working("counting"):
        if pdf is not None:
            save(pdf, collector.page("/report.pdf", **asked))
        if html is not None:
            save(html, collector.page("/report.html", **asked))
        body = collector.get("/report", **asked) if as_json or not (pdf or html) else None
    if body is None:
        return
    if as_json:
        print_json(json.loads(body))
    else:
        print_out(shown.period_whole(read(PeriodReport, body)))


@app.command()
@tells_trouble
def away(
    person: Annotated[
        str | None, typer.Argument(help="Who; of others only operators may say it.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Until when, like 2026-12-01T08:00:00+01:00.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="From when on.", show_default="now")] = None,
    back: Annotated[bool, typer.Option("--back", help="They are there again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say that somebody is away, so that new tickets pass them by; without options list it."""
    said = {"person": person, "since": since, "until": until}
    change = {name: value for name, value in said.items() if value}
    if back and until:
        fail("give --until or --back, not both", WRONG_USE)
    if (person or since) and not (back or until):
        fail("say until when with --until, or --back for there again", WRONG_USE)
    with here() as collector, working("asking"):
        body = collector.post("/absences", **change) if back or until else None
        body = body or collector.get("/absences")
    if as_json:
        print_json(json.loads(body))
    else:
        print_out(shown.absences_table(read(Absences, body).absences))


# -- asking --------------------------------------------------------------------------------------


class _Rows:
    """Rows of one or many pages, and the cursor of what was left out."""

    def __init__(self) -> None:
        self.rows: list[JsonValue] = []
        self.next: str | None = None


def _pages(path: str, name: str, limit: int, params: dict[str, str]) -> _Rows:
    """Return up to `limit` rows, asking for page after page.  Raises AskError."""
    found = _Rows()
    with here() as collector, working(f"asking for {name}") as tell:
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
