"""The subcommands `maintenance` and `silence`: what nobody is to be told of, and until when."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from forewarn_scripts import credentials
from forewarn_scripts.answers import (
    Happened,
    HeldAlert,
    SilenceLine,
    SilenceList,
    WindowDetail,
    WindowLine,
    WindowList,
)
from forewarn_scripts.client import Collector, read
from forewarn_scripts.exits import WRONG_USE
from forewarn_scripts.shown import plain, when
from forewarn_scripts.terminal import fail, note, print_json, print_out, tells_trouble, working

maintenance_app = typer.Typer(
    help="Windows in which nothing opens or rises; each ends with a verdict.",
    no_args_is_help=True,
)
silence_app = typer.Typer(
    help="Rules that nobody is told of for a while.",
    no_args_is_help=True,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
Selector = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SELECTOR]", help="Which hosts: 'client:acme site:hq host:web*'."),
]
All = Annotated[bool, typer.Option("--all", help="Every host that you may see.")]
Group_ = Annotated[str, typer.Option("--group", help="The hosts of this group of the settings.")]
Reason = Annotated[str, typer.Option(help="Why: a ticket, a sentence.")]
Which = Annotated[str, typer.Argument(metavar="ID", help="As the list shows it.")]
_OUTCOMES = {"told": "told afterwards", "cleared": "cleared meanwhile"}


def add(app: typer.Typer) -> None:
    """Add the subcommands."""
    app.add_typer(maintenance_app, name="maintenance")
    app.add_typer(silence_app, name="silence")


# -- maintenance ---------------------------------------------------------------------------------


@maintenance_app.command("list")
@tells_trouble
def maintenance_list(as_json: AsJson = False) -> None:
    """List windows: what runs, what comes, and what is over."""
    with _collector() as collector, working("asking for maintenance windows"):
        body = collector.get("/maintenance")
    if as_json:
        print_json(json.loads(body))
        return
    lines = read(WindowList, body).windows
    if not lines:
        note("no maintenance is planned; make a window with: forewarn maintenance add")
        return
    table = _table("ID", "STATE", "FROM", "TO", "REPEATS", "HOSTS", "REASON", "BY")
    for one in lines:
        table.add_row(
            one.id,
            one.state,
            when(one.starts),
            when(one.ends),
            plain(_repeats(one)),
            plain(_scope(one.select, one.group)),
            plain(one.reason),
            plain(one.author),
        )
    print_out(table)


@maintenance_app.command("add")
@tells_trouble
def maintenance_add(
    reason: Reason,
    selector: Selector = None,
    every_host: All = False,
    group: Group_ = "",
    begins: Annotated[
        str, typer.Option("--from", metavar="TIME", help="When it begins; now when left out.")
    ] = "",
    ends: Annotated[str, typer.Option("--to", metavar="TIME", help="When it ends.")] = "",
    lasts: Annotated[str, typer.Option("--for", metavar="SPAN", help="Or how long: 2h.")] = "",
    repeat: Annotated[
        str,
        typer.Option(
            help="daily; weekly sat,sun; monthly 1,15; monthly last; monthly 2nd tue; "
            "monthly 2nd tue+4 (four days after it)."
        ),
    ] = "",
    at: Annotated[str, typer.Option(metavar="HH:MM", help="When on those days.")] = "",
    zone: Annotated[
        str, typer.Option(help="Time zone of --at, --from and --to: Europe/Berlin.")
    ] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="No repetition after it.")] = "",
    settle: Annotated[
        str, typer.Option(metavar="SPAN", help="How long hosts have to come back afterwards.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Make a window, once or repeating (role operator).

    Now, for two hours:
    forewarn maintenance add host:web1 --for 2h --reason "new memory"

    Once:
    forewarn maintenance add client:acme --from "2026-12-05 22:00" --for 4h --reason "new switch"

    Every month, four days after patch Tuesday, by the clock of the site:
    forewarn maintenance add tag:patched --repeat "monthly 2nd tue+4" --at 02:00 --for 3h
    --zone Europe/Berlin --reason "patch night"
    """
    said = {
        "starts": _moment(begins, zone, "--from"),
        "ends": _moment(ends, zone, "--to"),
        "until": _moment(until, zone, "--until"),
        "lasts": lasts or None,
        "settle": settle or None,
        "repeat": repeat or None,
        "at": at or None,
        "zone": (zone or "UTC") if repeat else None,
        "group": group or None,
    }
    body = {name: value for name, value in said.items() if value is not None}
    select = _selected(selector, group, every_host=every_host)
    with _collector() as collector, working("making the window"):
        made = collector.post("/maintenance", select=select, reason=reason, **body)
    _show_window(made, as_json=as_json)


@maintenance_app.command("show")
@tells_trouble
def maintenance_show(which: Which, as_json: AsJson = False) -> None:
    """Show a window: the verdict of each time it happened, and what it held."""
    with _collector() as collector, working("asking for the window"):
        body = collector.get(f"/maintenance/{which}")
    _show_window(body, as_json=as_json)


@maintenance_app.command("end")
@tells_trouble
def maintenance_end(which: Which, as_json: AsJson = False) -> None:
    """End what is under way now; it settles, then the verdict comes (role operator)."""
    with _collector() as collector, working("ending the window"):
        body = collector.post(f"/maintenance/{which}/end")
    _show_window(body, as_json=as_json)


@maintenance_app.command("delete")
@tells_trouble
def maintenance_delete(which: Which) -> None:
    """Take back what has not begun of a window (role operator)."""
    with _collector() as collector, working("deleting the window"):
        collector.delete(f"/maintenance/{which}")
    note("nothing more of this window will come")


# -- silences ------------------------------------------------------------------------------------


@silence_app.command("list")
@tells_trouble
def silence_list(as_json: AsJson = False) -> None:
    """List silences, those that hold first."""
    with _collector() as collector, working("asking for silences"):
        body = collector.get("/silences")
    if as_json:
        print_json(json.loads(body))
        return
    lines = read(SilenceList, body).silences
    if not lines:
        note("nothing is silenced")
        return
    _print_silences(lines)


@silence_app.command("add")
@tells_trouble
def silence_add(
    reason: Reason,
    selector: Selector = None,
    every_host: All = False,
    group: Group_ = "",
    rule: Annotated[str, typer.Option(help="Only this rule: DiskAlmostFull.")] = "",
    component: Annotated[str, typer.Option(help="Only this component: filesystem:/srv.")] = "",
    lasts: Annotated[str, typer.Option("--for", metavar="SPAN", help="How long: 4h, 7d.")] = "",
    ends: Annotated[str, typer.Option("--to", metavar="TIME", help="Or until when.")] = "",
    as_json: AsJson = False,
) -> None:
    """Silence rules on some hosts; it must end, within 90 days (role technician).

    One filesystem that is meant to be full:
    forewarn silence add host:backup02 --rule DiskAlmostFull --component filesystem:/srv
    --for 30d --reason "archive, grows no more"

    All of a host, over the weekend:
    forewarn silence add host:lab1 --to "2026-11-30 08:00" --reason "tests, TICKET-7"
    """
    said = {"lasts": lasts or None, "expires": _moment(ends, "", "--to"), "group": group or None}
    body = {name: value for name, value in said.items() if value is not None}
    select = _selected(selector, group, every_host=every_host)
    with _collector() as collector, working("making the silence"):
        made = collector.post(
            "/silences", select=select, reason=reason, rule=rule, component=component, **body
        )
    if as_json:
        print_json(json.loads(made))
        return
    _print_silences([read(SilenceLine, made)])


@silence_app.command("end")
@tells_trouble
def silence_end(which: Which) -> None:
    """End a silence now; what still fires is told (role technician)."""
    with _collector() as collector, working("ending the silence"):
        collector.delete(f"/silences/{which}")
    note("the silence is over; what still fires is told within seconds")


# -- parts ---------------------------------------------------------------------------------------


def _collector() -> Collector:
    return Collector(credentials.load(credentials.place()))


def _selected(words: list[str] | None, group: str, *, every_host: bool) -> str:
    """Return the selector; every host only when that was said."""
    select = " ".join(words or ())
    if every_host and select:
        fail("give a selector or --all, not both", WRONG_USE)
    if not select and not group and not every_host:
        fail("say which hosts: a selector like client:acme, --group NAME, or --all", WRONG_USE)
    return select


def _moment(text: str, zone: str, option: str) -> str | None:
    """Return a moment as the API takes it, None for ""; without an offset it is local."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None and zone:
            moment = moment.replace(tzinfo=ZoneInfo(zone))
        return moment.astimezone(UTC).isoformat()
    except (ValueError, OverflowError, KeyError, OSError) as bad:
        known = "write 2026-12-05 22:00, or with an offset 2026-12-05T22:00+01:00"
        fail(f"{option}: {text!r} is no time ({bad}); {known}", WRONG_USE)


def _scope(select: str, group: str) -> str:
    parts = [f"group {group}" if group else "", select]
    return " and ".join(part for part in parts if part) or "every host"


def _repeats(one: WindowLine) -> str:
    if not one.repeat:
        return ""
    return f"{one.repeat} at {one.at} {one.zone}"


def _print_silences(lines: Sequence[SilenceLine]) -> None:
    table = _table("ID", "STATE", "UNTIL", "HOSTS", "RULE", "COMPONENT", "REASON", "BY")
    for one in lines:
        table.add_row(
            one.id,
            one.state,
            when(one.expires_at),
            plain(_scope(one.select, one.group)),
            plain(one.rule or "every rule"),
            plain(one.component),
            plain(one.reason),
            plain(one.author),
        )
    print_out(table)


def _show_window(body: bytes, *, as_json: bool) -> None:
    if as_json:
        print_json(json.loads(body))
        return
    whole = read(WindowDetail, body)
    one = whole.window
    lines = [
        f"{one.id}  {one.state}",
        f"  {plain(_scope(one.select, one.group))}: {plain(one.reason)} ({plain(one.author)})",
    ]
    if one.starts is not None:
        lines.append(f"  {when(one.starts)} to {when(one.ends)}, settled {when(one.settled)}")
    if one.repeat:
        lines.append(f"  {plain(_repeats(one))}")
    parts: list[RenderableType] = [Text("\n".join(lines))]
    for happened in whole.happened:
        parts += ["", *_happened(happened)]
    print_out(Group(*parts))


def _happened(one: Happened) -> list[RenderableType]:
    early = f", ended by {plain(one.ended_by)}" if one.ended_by else ""
    verdict = "no verdict yet"
    if one.decided_at is not None:
        verdict = f"{one.rebooted} restarted, {one.wrong} not as before"
    head = f"{when(one.starts)} to {when(one.ends)}{early}: {one.hosts} hosts, {verdict}"
    parts: list[RenderableType] = [Text(head, style="bold")]
    for host in one.verdicts:
        ticket = f" (ticket {host.ticket})" if host.ticket else ""
        parts += [Text(f"  {plain(host.host)}: {plain(text)}{ticket}") for text in host.findings]
    if one.held:
        parts.append(Text("  held meanwhile:"))
        parts += [Text(f"    {_held(alert)}") for alert in one.held]
    return parts


def _held(one: HeldAlert) -> str:
    outcome = _OUTCOMES.get(one.outcome or "", "lasts")
    return f"{when(one.since)}  {plain(one.title)} ({plain(one.rule)}, {one.severity}): {outcome}"


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
