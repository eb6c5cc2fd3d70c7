"""What commands that sign share: which hosts are meant, what is shown before, the second factor."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from forewarn_scripts import credentials, signing_desk
from forewarn_scripts.answers import OrderWhole, TargetLine, TargetPage
from forewarn_scripts.client import Collector, NeedsCode, read
from forewarn_scripts.envelope import Envelope
from forewarn_scripts.exits import NOT_WELL, TROUBLE, WRONG_USE
from forewarn_scripts.order import Document, StandingOrder, Within, Work
from forewarn_scripts.own_key import open_own
from forewarn_scripts.signing_desk import NotTrue
from forewarn_scripts.terminal import fail, note, working

_MOST_PAGES = 4
_TRIES = 3
_WITHIN = {
    Within.ANY: "at any hour; for a rule, never while the host is in maintenance",
    Within.OUT_OF_HOURS: "outside the client's business hours",
    Within.MAINTENANCE: "maintenance windows of the host, and only there",
}

Yes = Annotated[bool, typer.Option("--yes", help="Sign without being asked.")]


def send(collector: Collector, path: str, **body: JsonValue) -> bytes:
    """Send what may need a second factor, and ask for its code when it does.  Raises AskError."""
    try:
        return collector.post(path, **body)
    except NeedsCode as needed:
        note(str(needed))
    for _ in range(_TRIES - 1):
        try:
            return collector.post_with_code(path, ask_code(), **body)
        except NeedsCode as wrong:
            note(str(wrong))
    return collector.post_with_code(path, ask_code(), **body)


def ask_code() -> str:
    """Return what a person reads off their authenticator."""
    code: str = typer.prompt("Code of your authenticator", err=True)
    return code


def targets(collector: Collector, select: str) -> tuple[str, list[TargetLine]]:
    """Return the id of the collector and the hosts that a selector picks now."""
    found: list[TargetLine] = []
    with working("asking which hosts are meant"):
        page = read(TargetPage, collector.get("/targets", select=select))
        found += page.targets
        for _ in range(_MOST_PAGES):
            if page.next is None:
                break
            page = read(TargetPage, collector.get("/targets", select=select, cursor=page.next))
            found += page.targets
    return page.collector, found


def show_before_signing(order: Work, targets: list[TargetLine]) -> None:
    """Show what is about to be signed.  Ends the command when a known host has another key."""
    try:
        new, suspicious = signing_desk.unfamiliar(known_hosts(), targets)
    except ValueError as bad:
        fail(str(bad), TROUBLE)
    show_order(order, {target.fingerprint: target.name for target in targets})
    if suspicious:
        for one in suspicious:
            note(f"  {one}")
        fail(
            "these hosts have other keys than before; if they were enrolled anew, take their lines"
            f" out of {known_hosts()}",
            NOT_WELL,
        )
    if new:
        note(f"{len(new)} of these hosts you never signed for before")


def show_order(order: Work, names: Mapping[str, str]) -> None:
    """Show an order; `names` are those of hosts by fingerprint, as the collector has them."""
    command = " ".join(
        (order.interpreter, f"<{order.script_sha256[:16]}…>", *map(repr, order.argv))
    )
    note(f"runs    {command}")
    note(f"as      {order.run_as}, for {order.timeout_seconds} s at most")
    if isinstance(order, StandingOrder):
        note(f"when    {when(order)}, {order.max_runs_a_day} times a day and host at most")
        note(f"within  {_WITHIN[order.within]}")
        note(f"stands  {order.not_before} to {order.not_after}")
    else:
        note(f"begins  {order.not_before} to {order.not_after}")
    note(f"reason  {order.reason}")
    note(f"client  {order.client}, {len(order.targets)} hosts:")
    for fingerprint in order.targets:
        note(f"  {names.get(fingerprint, '(no host of this key)')}  {fingerprint[:23]}…")


def when(order: StandingOrder) -> str:
    """Return in words when a standing order runs."""
    if order.calendar is not None:
        return str(order.calendar)
    return f"each time {order.trigger} opens on a host"


def signed(document: Document, key: Path | None, *, stdin: bool) -> Envelope:
    """Return a document under one's own signature, once the passphrase was given."""
    envelope = Envelope(document.KIND, document.to_bytes())
    return envelope.signed_by(open_own(key, stdin=stdin))


def known_hosts() -> Path:
    """Return where fingerprints that were signed for before are remembered."""
    return credentials.place().with_name("known_hosts.json")


def confirm(question: str, *, yes: bool) -> None:
    """Go on after a yes; end the command otherwise."""
    if not yes and not typer.confirm(question, err=True):
        fail("nothing was signed", WRONG_USE)


def checked(collector: Collector, order_id: str) -> tuple[OrderWhole, Envelope, Work, bytes]:
    """Return an order as the collector shows it, and its script; ends the command for a lie."""
    whole = read(OrderWhole, collector.get(f"/orders/{order_id}"))
    try:
        script = signing_desk.decoded_script(whole.script)
        envelope, order = signing_desk.checked_order(whole.envelope, order_id, script)
    except NotTrue as lie:
        fail(str(lie), NOT_WELL)
    return whole, envelope, order, script
