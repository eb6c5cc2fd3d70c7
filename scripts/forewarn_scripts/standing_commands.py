"""The subcommands `standing`: orders for a calendar, or for a rule to bring its remedy."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.text import Text

from forewarn_checks.base.durations import parse_duration, write_duration
from forewarn_scripts import signing, signing_desk, to_run
from forewarn_scripts.answers import Kept
from forewarn_scripts.asking import AsJson, here
from forewarn_scripts.client import read
from forewarn_scripts.exits import WRONG_USE
from forewarn_scripts.keyring_commands import known_version
from forewarn_scripts.order import Calendar, Within
from forewarn_scripts.own_key import KeyFile, PassphraseStdin
from forewarn_scripts.remote_answers import StandingLine, StandingList, StandingRun, StandingWhole
from forewarn_scripts.shown import plain, when
from forewarn_scripts.signing import Yes
from forewarn_scripts.signing_desk import Standing
from forewarn_scripts.terminal import fail, note, print_json, print_out, tells_trouble
from forewarn_scripts.to_run import Wishes

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SHORTEST = timedelta(minutes=15)
"""What a run that may not be caught up still has: hosts ask, and clocks differ."""

app = typer.Typer(
    help="Scripts that run again and again: by a calendar, or when a rule asks.",
    no_args_is_help=True,
)


@app.command("new")
@tells_trouble
def standing_new(
    script: Annotated[
        str, typer.Argument(help="What to run: a name of the library, or a file (./NAME).")
    ],
    on: Annotated[str, typer.Option("--on", metavar="SELECTOR", help="On which hosts.")],
    reason: Annotated[str, typer.Option(help="Why: a ticket, a sentence.")],
    argv: Annotated[list[str] | None, typer.Argument(metavar="[-- ARGS]")] = None,
    repeat: Annotated[str, typer.Option(help="daily, or weekly sat,sun.")] = "",
    at: Annotated[str, typer.Option(metavar="HH:MM", help="When on those days.")] = "",
    zone: Annotated[str, typer.Option(help="Time zone of --at: Europe/Berlin.")] = "UTC",
    catch_up: Annotated[
        str, typer.Option(metavar="SPAN", help="How long after it a missed run may begin.")
    ] = "1h",
    skip_missed: Annotated[
        bool, typer.Option("--skip-missed", help="Leave missed runs out: within 15 min or never.")
    ] = False,
    on_rule: Annotated[
        str, typer.Option(metavar="RULE", help="Run where this rule opens, instead.")
    ] = "",
    within: Annotated[Within, typer.Option(help="In which hours.")] = Within.ANY,
    max_per_day: Annotated[
        int, typer.Option(min=1, max=24, help="Runs a day; each host counts its own.")
    ] = 1,
    valid: Annotated[str, typer.Option(help="How long it stands; 90d at most.")] = "90d",
    run_as: Annotated[
        str | None, typer.Option("--as", help="The account on the hosts; of a file, root.")
    ] = None,
    interpreter: Annotated[
        str | None, typer.Option(help="What reads the script; of a file, /bin/sh.")
    ] = None,
    timeout: Annotated[str | None, typer.Option(help="When it is ended; of a file, 10m.")] = None,
    needs: Annotated[int, typer.Option(min=1, max=16, help="Signatures it waits for.")] = 1,
    canary: Annotated[
        int, typer.Option(min=0, help="Hosts that must succeed first; of a calendar.")
    ] = 0,
    at_once: Annotated[int, typer.Option(min=0, help="Hosts at the same time; 0: all.")] = 5,
    halt_after: Annotated[
        int, typer.Option(min=0, help="Failures within a day that halt it for a day; 0: never.")
    ] = 3,
    keyring_version: Annotated[
        int | None, typer.Option(min=1, help="Hosts must know it; by default the newest known.")
    ] = None,
    key: KeyFile = None,
    passphrase_stdin: PassphraseStdin = False,
    yes: Yes = False,
) -> None:
    """Sign a standing order for the hosts a selector picks now, and send it.

    Hosts that come later are not in it.  Each host reads the calendar itself, and its policy must
    allow standing orders.

    Every night, by the clock of the site:
    forewarn standing new refresh-package-metadata --on client:acme --repeat daily --at 02:30
    --zone Europe/Berlin --within out-of-hours --reason "nightly"

    Where a disk fills:
    forewarn standing new clean-temporary-files --on client:acme --on-rule DiskAlmostFull
    --max-per-day 2 --reason "before anybody is called" -- --yes
    """
    try:
        picked = to_run.pick(script)
        called_with = to_run.arguments(picked, argv or ())
        wishes = Wishes(
            run_as,
            interpreter,
            timeout,
            parse_duration(valid),
            reason,
            keyring_version or known_version(),
        )
        missed = _SHORTEST if skip_missed else parse_duration(catch_up)
        calendar = None if on_rule else _calendar(repeat, at, zone, missed)
        if on_rule and (repeat or at):
            raise ValueError("give --repeat and --at, or --on-rule, not both")
        stands = Standing(max_per_day, within, calendar, on_rule or None)
    except ValueError as bad:
        fail(f"no standing order: {bad}", WRONG_USE)
    with here() as collector:
        collector_id, targets = signing.targets(collector, on)
        if not targets:
            fail(f"no host is picked by {on!r}", WRONG_USE)
        try:
            wanted = to_run.wanted(picked, called_with, {one.system for one in targets}, wishes)
            now = datetime.now(UTC)
            order = signing_desk.standing_for(wanted, stands, targets, collector_id, now)
        except (OSError, ValueError) as bad:
            fail(f"no standing order: {bad}", WRONG_USE)
        signing.show_before_signing(order, targets)
        signing.confirm(f"Sign this for {len(targets)} hosts?", yes=yes)
        envelope = signing.signed(order, key, stdin=passphrase_stdin)
        signing_desk.remember(signing.known_hosts(), targets)
        body = base64.b64encode(wanted.script).decode()
        collector.post("/scripts", client=order.client, name=picked.name[:100], body=body)
        sent = signing.send(
            collector,
            "/orders",
            envelope=envelope.to_bytes().decode(),
            needs=needs,
            canary=canary,
            at_once=at_once,
            halt_after=halt_after,
        )
    order_id = read(Kept, sent).id
    note(f"standing order {order_id}")
    if needs > 1:
        note(f"it waits for {needs - 1} more: forewarn approve {order_id}")


@app.command("list")
@tells_trouble
def standing_list(as_json: AsJson = False) -> None:
    """List standing orders, newest first."""
    with here() as collector:
        body = collector.get("/standing")
    if as_json:
        print_json(json.loads(body))
        return
    lines = read(StandingList, body).standing
    if not lines:
        note("there are no standing orders; sign one with: forewarn standing new")
        return
    for one in lines:
        print_out(_line(one))


@app.command("show")
@tells_trouble
def standing_show(
    order_id: Annotated[str, typer.Argument(metavar="ORDER", help="The order's id.")],
    as_json: AsJson = False,
) -> None:
    """Show a standing order with its last runs, and what came of it.

    The collector's words; `standing results` verifies what the hosts themselves signed.
    """
    with here() as collector:
        body = collector.get(f"/standing/{order_id}")
    if as_json:
        print_json(json.loads(body))
        return
    whole = read(StandingWhole, body)
    print_out(_line(whole.standing))
    for run in whole.runs[:50]:
        print_out(_run(run))


def _calendar(repeat: str, at: str, zone: str, missed: timedelta) -> Calendar:
    how, _, named = repeat.strip().lower().partition(" ")
    days = named.replace(" ", "").split(",") if named else list(_DAYS)
    if how not in ("daily", "weekly") or (how == "weekly") != bool(named) or set(days) - set(_DAYS):
        raise ValueError("write --repeat daily, or --repeat 'weekly sat,sun'; or give --on-rule")
    if not at:
        raise ValueError("say when with --at HH:MM")
    return Calendar(
        weekdays=tuple(sorted({_DAYS.index(day) + 1 for day in days})),
        at=at,
        zone=zone,
        window_minutes=int(missed.total_seconds() // 60),
    )


def _line(one: StandingLine) -> Text:
    runs, told = one.tally, [f"{one.id}  {plain(one.client)}  {plain(one.script)}"]
    told.append(f"  {plain(one.calendar) or f'each time {plain(one.trigger)} opens'}")
    state = "revoked" if one.cancelled_at else f"until {when(one.not_after)}"
    told.append(f"  {state}" + (f", next {when(one.due)}" if one.due else ""))
    counted = f"{runs.well} well, {runs.failed} not, {runs.missed} missed, {runs.running} running"
    told.append(f"  {counted}, {runs.waiting} waiting")
    if one.trigger:
        told.append(f"  the alert cleared after {runs.cleared} of {runs.well + runs.failed} runs")
    told.append(f"  {plain(one.reason)} ({plain(one.created_by)})")
    return Text("\n".join(told))


def _run(run: StandingRun) -> Text:
    told = f"  {when(run.wanted_at)}  {plain(run.name)}  {plain(run.occurrence)}  "
    if not run.ended:
        told += "running" if run.offered_at else f"waits: {plain(run.held) or 'for the host'}"
    else:
        told += plain(run.ended) + ("" if run.well or not run.offered_at else ", not well")
    if run.cleared_at and run.ended_at:
        after = max(timedelta(0), run.cleared_at - run.ended_at)
        told += f", cleared {write_duration(timedelta(seconds=round(after.total_seconds())))} after"
    return Text(told)
