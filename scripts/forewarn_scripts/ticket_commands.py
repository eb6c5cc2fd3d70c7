"""The commands about one ticket: see it, work on it, say what it took."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from forewarn_scripts import shown
from forewarn_scripts.answers import Ticket
from forewarn_scripts.asking import AsJson, Number, Text, given, here, host_id, save
from forewarn_scripts.client import read
from forewarn_scripts.exits import WRONG_USE
from forewarn_scripts.terminal import fail, print_json, print_out, tells_trouble, working

app = typer.Typer(help="One ticket.", no_args_is_help=True)


class WaitingFor(StrEnum):
    """What a ticket can wait for."""

    CUSTOMER = "customer"
    VENDOR = "vendor"
    MAINTENANCE = "maintenance"
    PARTS = "parts"


@app.command("show")
@tells_trouble
def ticket_show(number: Number, as_json: AsJson = False) -> None:
    """Show one ticket with its history."""
    with here() as collector, working("asking for the ticket"):
        body = collector.get(f"/tickets/{number}")
    _show_ticket(body, as_json=as_json)


@app.command("ack")
@tells_trouble
def ticket_ack(number: Number, as_json: AsJson = False) -> None:
    """Take a ticket into work; it becomes yours if it is nobody's."""
    _change_ticket(number, "acknowledge", as_json=as_json)


@app.command("assign")
@tells_trouble
def ticket_assign(
    number: Number,
    assignee: Annotated[str, typer.Argument(help="Whose it becomes.")],
    as_json: AsJson = False,
) -> None:
    """Give a ticket to somebody."""
    _change_ticket(number, "assign", as_json=as_json, assignee=assignee)


@app.command("note")
@tells_trouble
def ticket_note(number: Number, text: Text, as_json: AsJson = False) -> None:
    """Add a note to a ticket."""
    _change_ticket(number, "note", as_json=as_json, text=given(text))


@app.command("resolve")
@tells_trouble
def ticket_resolve(
    number: Number,
    text: Annotated[str, typer.Argument(help="What was done; - reads it from standard input.")],
    as_json: AsJson = False,
) -> None:
    """Say that the work is done; the ticket closes once nothing of it fires."""
    _change_ticket(number, "resolve", as_json=as_json, text=given(text))


@app.command("start")
@tells_trouble
def ticket_start(number: Number, as_json: AsJson = False) -> None:
    """Go on with a ticket that waited, or begin with it."""
    _change_ticket(number, "start", as_json=as_json)


@app.command("wait")
@tells_trouble
def ticket_wait(
    number: Number,
    waiting_for: Annotated[WaitingFor, typer.Option("--for", help="Who or what is waited for.")],
    text: Annotated[str, typer.Argument(help="Why; - reads it from standard input.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say that the work waits; the resolution clock may stand still meanwhile."""
    said = given(text)
    _change_ticket(number, "wait", as_json=as_json, waiting_for=str(waiting_for), text=said)


@app.command("cancel")
@tells_trouble
def ticket_cancel(
    number: Number,
    text: Annotated[str, typer.Argument(help="Why; - reads it from standard input.")],
    as_json: AsJson = False,
) -> None:
    """Say that it was a false alarm."""
    _change_ticket(number, "cancel", as_json=as_json, text=given(text))


@app.command("accept")
@tells_trouble
def ticket_accept(
    number: Number,
    reason: Annotated[str, typer.Argument(help="Why; - reads it from standard input.")],
    as_json: AsJson = False,
) -> None:
    """Accept the counters a ticket is about as they are: tell only if they grow."""
    _change_ticket(number, "accept", as_json=as_json, text=given(reason))


@app.command("priority")
@tells_trouble
def ticket_priority(
    number: Number,
    priority: Annotated[str, typer.Argument(help="P1 to P5, or auto: impact times urgency.")],
    as_json: AsJson = False,
) -> None:
    """Set a priority that stays, or give it back to the rules."""
    chosen = None if priority.lower() == "auto" else priority.upper()
    _change_ticket(number, "priority", as_json=as_json, priority=chosen)


@app.command("open")
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
    more = {"text": said} if (said := given(text).strip()) else {}
    with here() as collector, working("opening the ticket"):
        about = {"host": host_id(collector, host)} if host else {"client": client, "site": site}
        body = collector.post(
            "/tickets", title=title, impact=impact, urgency=urgency, **about, **more
        )
    _show_ticket(body, as_json=as_json)


@app.command("labour")
@tells_trouble
def ticket_labour(
    number: Number,
    minutes: Annotated[
        int, typer.Argument(help="How many; after -- negative ones take back what was too much.")
    ],
    text: Annotated[str, typer.Argument(help="For what; - reads it from standard input.")] = "",
    as_json: AsJson = False,
) -> None:
    """Add labour; after a close it makes a new version of the report."""
    _change_ticket(number, "labour", as_json=as_json, minutes=minutes, text=given(text))


@app.command("part")
@tells_trouble
def ticket_part(
    number: Number,
    name: Annotated[str, typer.Argument(help="What was used up or built in.")],
    cost: Annotated[
        str | None, typer.Option(help="Of one, like '129.90 EUR'; left out when unknown.")
    ] = None,
    quantity: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Add a part; after a close it makes a new version of the report."""
    said = {"name": name, "unit_cost": cost}
    _change_ticket(number, "parts", as_json=as_json, quantity=quantity, **said)


@app.command("cause")
@tells_trouble
def ticket_cause(number: Number, text: Text, as_json: AsJson = False) -> None:
    """Say what the root cause was; the last word holds."""
    _change_ticket(number, "root-cause", as_json=as_json, text=given(text))


@app.command("report")
@tells_trouble
def ticket_report(
    number: Number,
    version: Annotated[
        int | None, typer.Option(min=1, help="Which one.", show_default="the latest")
    ] = None,
    pdf: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Write it as PDF instead.")
    ] = None,
) -> None:
    """Print the service report of a closed ticket, as JSON."""
    asked = {} if version is None else {"version": version}
    with here() as collector, working("asking for the report"):
        if pdf is None:
            print_json(json.loads(collector.get(f"/tickets/{number}/report", **asked)))
        else:
            save(pdf, collector.page(f"/tickets/{number}/report.pdf", **asked))


def _change_ticket(number: int, action: str, *, as_json: bool, **said: str | int | None) -> None:
    with here() as collector, working("changing the ticket"):
        body = collector.post(f"/tickets/{number}/{action}", **said)
    _show_ticket(body, as_json=as_json)


def _show_ticket(body: bytes, *, as_json: bool) -> None:
    if as_json:
        print_json(json.loads(body))
    else:
        print_out(shown.ticket_whole(read(Ticket, body)))
