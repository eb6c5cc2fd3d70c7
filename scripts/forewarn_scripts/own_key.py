"""The operator's own key: made here, kept here, and the keyrings it signs.  `forewarn keys …`."""

import base64
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from nacl.signing import SigningKey
from rich.text import Text

from forewarn_checks.base.durations import parse_duration
from forewarn_scripts import credentials
from forewarn_scripts import envelope as dsse
from forewarn_scripts.envelope import KEYRING, Envelope
from forewarn_scripts.exits import TROUBLE, WRONG_USE
from forewarn_scripts.keyring import KeyringText, NamedKey
from forewarn_scripts.keys import (
    BadKey,
    key_id,
    open_key,
    public_text,
    read_public,
    read_public_of,
    write_key,
)
from forewarn_scripts.order import parse, write_moment
from forewarn_scripts.shown import plain
from forewarn_scripts.terminal import fail, note, print_out, tells_trouble

KeyFile = Annotated[
    Path | None,
    typer.Option("--key", help="Your key file; $FOREWARN_KEY, or beside the credentials."),
]
PassphraseStdin = Annotated[
    bool, typer.Option("--passphrase-stdin", help="Read the passphrase from standard input.")
]
keys_app = typer.Typer(help="Your signing key, and keyrings for hosts.", no_args_is_help=True)


@keys_app.command("new")
@tells_trouble
def keys_new(
    name: Annotated[str, typer.Option(help="Whose key it is.")] = "",
    key: KeyFile = None,
    passphrase_stdin: PassphraseStdin = False,
) -> None:
    """Make a signing key, locked by a passphrase; it never leaves this machine."""
    path = _key_path(key)
    who = name or os.environ.get("USER", "operator")
    passphrase = _passphrase(stdin=passphrase_stdin, confirm=True)
    if len(passphrase) < 10:
        fail("a passphrase has ten characters at least", WRONG_USE)
    made = SigningKey.generate()
    try:
        write_key(path, who, made, passphrase)
    except FileExistsError:
        fail(f"{path} holds a key already; name another file with --key", WRONG_USE)
    except OSError as failure:
        fail(f"cannot write {path}: {failure.strerror}", TROUBLE)
    note(f"key of {who} in {path}")
    _print_key(who, bytes(made.verify_key))


@keys_app.command("show")
@tells_trouble
def keys_show(key: KeyFile = None) -> None:
    """Print the public part of your key, which keyrings and policies name."""
    try:
        _print_key(*read_public_of(_key_path(key)))
    except BadKey as bad:
        fail(str(bad), WRONG_USE)


@keys_app.command("keyring")
@tells_trouble
def keys_keyring(
    collector: Annotated[str, typer.Option(help="The collector's id.")],
    person: Annotated[list[str], typer.Option(help="NAME=fwp_…; one for each person.")],
    recovery: Annotated[str, typer.Option(help="fwp_… of the key that lies in a safe.")],
    file: Annotated[Path, typer.Option(help="Where to write it.")],
    version: Annotated[int, typer.Option(min=1)] = 1,
    threshold: Annotated[int, typer.Option(min=1, help="Keys that change it.")] = 1,
    expires: Annotated[str, typer.Option(help="How long it is believed.")] = "365d",
) -> None:
    """Write a keyring for hosts to believe; then everybody signs it: `keys sign FILE`."""
    try:
        named = [one.rpartition("=fwp_") for one in person]
        text = KeyringText(
            collector=collector,
            version=version,
            threshold=threshold,
            expires=write_moment(datetime.now(UTC) + parse_duration(expires)),
            keys=tuple(NamedKey(name=n, public=_encoded(f"fwp_{p}")) for n, _, p in named),
            recovery=_encoded(recovery),
        )
    except ValueError as bad:
        fail(f"no keyring: {bad}", WRONG_USE)
    file.write_bytes(Envelope(KEYRING, text.to_bytes()).to_bytes())
    note(f"{file}: nobody signed it yet; sign it with: forewarn keys sign {file}")


@keys_app.command("sign")
@tells_trouble
def keys_sign(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    key: KeyFile = None,
    passphrase_stdin: PassphraseStdin = False,
) -> None:
    """Add your signature to a keyring."""
    try:
        envelope = dsse.parse(file.read_bytes())
        if envelope.payload_type != KEYRING:
            fail(f"{file} is no keyring", WRONG_USE)
        text = parse(KeyringText, envelope.payload)
    except ValueError as bad:
        fail(f"{file}: {bad}", WRONG_USE)
    note(f"version {text.version}, threshold {text.threshold}, until {text.expires}")
    for one in text.keys:
        note(f"  {one.name}: {one.id}")
    file.write_bytes(envelope.signed_by(open_own(key, stdin=passphrase_stdin)).to_bytes())
    note(f"{file}: signed by {len(envelope.signatures) + 1}")


def _print_key(name: str, public: bytes) -> None:
    print_out(
        Text(f"name    {plain(name)}\npublic  {public_text(public)}\nid      {key_id(public)}")
    )


def _encoded(text: str) -> str:
    return base64.b64encode(read_public(text)).decode()


# -- opening it ----------------------------------------------------------------------------------


def open_own(key: Path | None, *, stdin: bool) -> SigningKey:
    """Return the operator's key, once its passphrase was given.  Ends the command otherwise."""
    path = _key_path(key)
    try:
        read_public_of(path)  # before anybody types a passphrase for nothing
        return open_key(path, _passphrase(stdin=stdin, confirm=False))
    except BadKey as bad:
        fail(str(bad), WRONG_USE)


def _passphrase(*, stdin: bool, confirm: bool) -> str:
    if stdin:
        return sys.stdin.readline().rstrip("\n")
    given: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
    return given


def _key_path(key: Path | None) -> Path:
    stated = os.environ.get("FOREWARN_KEY", "")
    return key or (Path(stated) if stated else credentials.place().with_name("key.json"))
