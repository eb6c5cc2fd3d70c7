"""The subcommands `account`: one's own second factor."""

import json
import sys
from typing import Annotated

import typer
from rich.text import Text

from forewarn_scripts.asking import AsJson, here
from forewarn_scripts.client import Collector, NeedsCode, read
from forewarn_scripts.remote_answers import NewSecret, RecoveryCodes, SecondFactor
from forewarn_scripts.shown import plain
from forewarn_scripts.signing import ask_code, send
from forewarn_scripts.terminal import note, print_json, print_out, tells_trouble

_PATH = "/account/second-factor"

app = typer.Typer(help="Your own second factor.", no_args_is_help=True)


@app.command("show")
@tells_trouble
def account_show(as_json: AsJson = False) -> None:
    """Say whether you have a second factor."""
    with here() as collector:
        body = collector.get(_PATH)
    if as_json:
        print_json(json.loads(body))
        return
    held = read(SecondFactor, body)
    print_out(
        Text(f"a second factor, {held.recovery_left} recovery codes left")
        if held.enrolled
        else Text("no second factor; make one: forewarn account totp")
    )


@app.command("totp")
@tells_trouble
def account_totp(
    remove: Annotated[bool, typer.Option("--remove", help="Take it away instead.")] = False,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Make a second factor: codes of an authenticator, asked for where much is at stake.

    Orders for many hosts, dangerous and standing ones, and new keyrings ask for it.  Who has one
    replaces it.  Recovery codes are printed once: keep them on paper.
    """
    with here() as collector:
        if remove:
            collector.delete(_PATH, code=ask_code())
            note("your second factor is gone")
            return
        password = sys.stdin.readline().rstrip("\n") if password_stdin else _ask_password()
        made = read(NewSecret, send(collector, _PATH, password=password))
        print_out(Text(f"secret   {plain(made.secret)}\naddress  {plain(made.uri)}"))
        note("put the secret into your authenticator, or the address as a QR code")
        codes = _confirmed(collector)
    note("your second factor counts from now on; if the authenticator is lost, these do, each once")
    for code in codes:
        print_out(Text(plain(code)))


def _confirmed(collector: Collector) -> tuple[str, ...]:
    """Return the recovery codes, once a first code was right.  Raises AskError."""
    for _ in range(2):
        try:
            body = collector.post(f"{_PATH}/confirm", code=ask_code())
        except NeedsCode as wrong:
            note(str(wrong))
        else:
            return read(RecoveryCodes, body).codes
    return read(RecoveryCodes, collector.post(f"{_PATH}/confirm", code=ask_code())).codes


def _ask_password() -> str:
    password: str = typer.prompt("Password", hide_input=True, err=True)
    return password
