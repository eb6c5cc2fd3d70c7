"""The subcommands of remote work: scripts, run, approve, orders, results, revoke.

Orders are signed here, with a key that never leaves this machine, after the resolved list of
hosts was shown.  What comes back is verified here, too.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from forewarn_checks.base.durations import parse_duration
from forewarn_scripts import (
    account_commands,
    approved,
    credentials,
    library,
    script_commands,
    signing,
    signing_desk,
    standing_commands,
    to_run,
)
from forewarn_scripts.answers import (
    Kept,
    OrderList,
    ResultList,
)
from forewarn_scripts.asking import AsJson, here
from forewarn_scripts.client import Collector, read
from forewarn_scripts.exits import NOT_WELL, WRONG_USE
from forewarn_scripts.following import Spread, follow
from forewarn_scripts.keyring_commands import known_version
from forewarn_scripts.keys import (
    BadKey,
    read_public,
)
from forewarn_scripts.library import LibraryScript
from forewarn_scripts.order import Ended, Result, Work
from forewarn_scripts.own_key import KeyFile, PassphraseStdin, keys_app, open_own
from forewarn_scripts.shown import plain
from forewarn_scripts.signing import Yes
from forewarn_scripts.signing_desk import NotTrue
from forewarn_scripts.terminal import fail, note, print_json, print_out, tells_trouble
from forewarn_scripts.to_run import Wishes

_DONE = (Ended.DONE, Ended.REVOKED)

OrderId = Annotated[str, typer.Argument(metavar="ORDER", help="The order's id.")]


def add(app: typer.Typer) -> None:
    """Add the subcommands."""
    app.add_typer(keys_app, name="keys")
    app.add_typer(script_commands.app, name="scripts")
    app.add_typer(standing_commands.app, name="standing")
    app.add_typer(account_commands.app, name="account")
    standing_commands.app.command("revoke")(revoke)
    standing_commands.app.command("results")(results)
    for name, command in (
        ("run", run),
        ("orders", orders),
        ("approve", approve),
        ("revoke", revoke),
        ("results", results),
    ):
        app.command(name)(command)


# -- orders --------------------------------------------------------------------------------------


@tells_trouble
def run(
    script: Annotated[
        str, typer.Argument(help="What to run: a name of the library, or a file (./NAME).")
    ],
    on: Annotated[str, typer.Option("--on", metavar="SELECTOR", help="On which hosts.")],
    reason: Annotated[str, typer.Option(help="Why: a ticket, a sentence.")],
    argv: Annotated[list[str] | None, typer.Argument(metavar="[-- ARGS]")] = None,
    run_as: Annotated[
        str | None, typer.Option("--as", help="The account on the hosts; of a file, root.")
    ] = None,
    interpreter: Annotated[
        str | None, typer.Option(help="What reads the script; of a file, /bin/sh.")
    ] = None,
    timeout: Annotated[str | None, typer.Option(help="When it is ended; of a file, 10m.")] = None,
    valid: Annotated[str, typer.Option(help="How long hosts may begin; 24h at most.")] = "1h",
    needs: Annotated[int, typer.Option(min=1, max=16, help="Signatures it waits for.")] = 1,
    canary: Annotated[int, typer.Option(min=0, help="Hosts that must succeed first.")] = 0,
    at_once: Annotated[int, typer.Option(min=0, help="Hosts at the same time; 0: all.")] = 0,
    halt_after: Annotated[int, typer.Option(min=0, help="Failures that halt it.")] = 1,
    keyring_version: Annotated[
        int | None, typer.Option(min=1, help="Hosts must know it; by default the newest known.")
    ] = None,
    key: KeyFile = None,
    passphrase_stdin: PassphraseStdin = False,
    yes: Yes = False,
    wait: Annotated[bool, typer.Option(help="Stay until every host answered.")] = True,
    as_json: AsJson = False,
) -> None:
    """Sign a script for the hosts a selector picks now, send it, and follow it.

    The hosts are shown before anything is signed.  Exit code 6: it did not end well everywhere.
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
    except ValueError as bad:
        fail(f"no order: {bad}", WRONG_USE)
    with here() as collector:
        collector_id, targets = signing.targets(collector, on)
        if not targets:
            fail(f"no host is picked by {on!r}", WRONG_USE)
        try:
            systems = {one.system for one in targets}
            wanted = to_run.wanted(picked, called_with, systems, wishes)
            order = signing_desk.order_for(wanted, targets, collector_id, datetime.now(UTC))
        except (OSError, ValueError) as bad:
            fail(f"no order: {bad}", WRONG_USE)
        signing.show_before_signing(order, targets)
        if isinstance(picked, LibraryScript):
            note(f"risk    {picked.manifest.risk}: {picked.manifest.help}")
        signing.confirm(f"Sign this for {len(targets)} hosts?", yes=yes)
        envelope = signing.signed(order, key, stdin=passphrase_stdin)
        signing_desk.remember(signing.known_hosts(), targets)
        approved.remember(_approved(), order.client, picked.name[:100], wanted.script)
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
        note(f"order {order_id}")
        if needs > 1:
            note(f"it waits for {needs - 1} more: forewarn approve {order_id}")
        if (
            wait
            and needs == 1
            and (stopped := follow(collector, order, Spread(canary, halt_after)))
        ):
            note(stopped)
        _tell_results(collector, order_id, as_json=as_json, all_must_answer=wait and needs == 1)


@tells_trouble
def orders(as_json: AsJson = False) -> None:
    """List orders, newest first."""
    with here() as collector:
        body = collector.get("/orders")
    if as_json:
        print_json(json.loads(body))
        return
    table = _table("ORDER", "CLIENT", "SCRIPT", "SIGNED", "BY", "REASON")
    for one in read(OrderList, body).orders:
        table.add_row(
            one.id,
            plain(one.client),
            one.script_sha256[:12] or one.kind.split(".")[-2],
            f"{one.signatures} of {one.needs}" + (", cancelled" if one.cancelled_at else ""),
            plain(one.created_by),
            plain(one.reason),
        )
    print_out(table)


@tells_trouble
def approve(
    order_id: OrderId,
    key: KeyFile = None,
    passphrase_stdin: PassphraseStdin = False,
    yes: Yes = False,
) -> None:
    """Look at an order somebody signed and add your signature (role approver)."""
    with here() as collector:
        whole, envelope, order, script = signing.checked(collector, order_id)
        names = {one.fingerprint: one.name for one in whole.targets}
        signing.show_order(order, names)
        name = whole.order.script_name
        _show_script(order, name, script)
        signing.confirm(f"Add your signature for {len(order.targets)} hosts?", yes=yes)
        signed = envelope.signed_by(open_own(key, stdin=passphrase_stdin))
        text = signed.to_bytes().decode()
        signing.send(collector, f"/orders/{order_id}/approve", envelope=text)
        approved.remember(_approved(), order.client, name, script)
        note(f"order {order_id}: {len(signed.signatures)} of {whole.order.needs} signatures")


@tells_trouble
def revoke(
    order_id: OrderId,
    reason: Annotated[str, typer.Option(help="Why.")] = "revoked",
    key: KeyFile = None,
    passphrase_stdin: PassphraseStdin = False,
) -> None:
    """Make every host refuse an order that has not begun there: one signature is enough."""
    with here() as collector:
        _, _, order, _ = signing.checked(collector, order_id)
        stop = signing_desk.revocation_for(order, datetime.now(UTC), reason)
        envelope = signing.signed(stop, key, stdin=passphrase_stdin)
        collector.post(f"/orders/{order_id}/cancel")
        collector.post("/orders", envelope=envelope.to_bytes().decode())
        note(f"order {order_id} is handed out no more; hosts learn of it as they ask")


@tells_trouble
def results(order_id: OrderId, as_json: AsJson = False) -> None:
    """Show what hosts answered; every signature is verified here.

    Exit code 6: not well on every host that answered, or an answer is forged.
    """
    with here() as collector:
        _tell_results(collector, order_id, as_json=as_json, all_must_answer=False)


# -- parts ---------------------------------------------------------------------------------------


def _show_script(order: Work, name: str, script: bytes) -> None:
    """Show what the script can do, and how it differs from the one signed for before."""
    own = library.of_hash(order.script_sha256)
    risk = f"{own.manifest.risk}: {own.manifest.help}" if own else "unknown: not of the library"
    note(f"risk    {risk}")
    before = approved.last(_approved(), order.client, name)
    for line in approved.compared(before, script):
        note(line)


def _approved() -> Path:
    return approved.folder(credentials.place())


def _tell_results(
    collector: Collector, order_id: str, *, as_json: bool, all_must_answer: bool
) -> None:
    whole, _, order, _ = signing.checked(collector, order_id)
    told = read(ResultList, collector.get(f"/orders/{order_id}/results")).results
    public = {one.fingerprint: _public(one.public_key) for one in whole.targets}
    names = {one.fingerprint: one.name for one in whole.targets}
    found: list[Result] = []
    forged = 0
    for one in told:
        try:
            found.append(signing_desk.checked_result(one.envelope, order, public))
        except NotTrue as lie:
            forged += 1
            note(f"a result of host {one.host} is not believed: {lie}")
    if as_json:
        shown = [json.loads(one.to_bytes()) | {"name": names[one.host]} for one in found]
        print_json({"order": order_id, "results": shown, "forged": forged})
    else:
        _print_results(found, names)
    well = [one for one in found if one.ended in _DONE and one.exit_code in (0, None)]
    silent = len(order.targets) - len({one.host for one in found})
    note(f"{len(well)} well, {len(found) - len(well)} not, {silent} without an answer")
    if forged or len(well) < len(found) or (all_must_answer and silent):
        raise typer.Exit(NOT_WELL)


def _print_results(found: list[Result], names: Mapping[str, str]) -> None:
    for one in found:
        code = "" if one.exit_code is None else f", exit code {one.exit_code}"
        reason = f": {plain(one.reason)}" if one.reason else ""
        which = f"  {plain(one.occurrence)}" if one.occurrence else ""
        head = f"{plain(names[one.host])}{which}  {one.ended}{code}{reason}"
        print_out(Text(head.replace("\n", " ")))
        for line in one.output.splitlines():
            print_out(Text(f"  {plain(line)}"))


def _public(text: str) -> bytes:
    try:
        return read_public(text)
    except BadKey:
        return b""


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
