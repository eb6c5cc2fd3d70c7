"""The subcommands of `keys` that change whom hosts believe: rotate, check, publish, fetch.

The newest keyring this machine ever saw is remembered beside the credentials: a collector that
shows an older one, or one that does not follow it, is told on.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from forewarn_checks.base.durations import parse_duration
from forewarn_scripts import credentials
from forewarn_scripts import envelope as dsse
from forewarn_scripts.asking import here
from forewarn_scripts.client import Collector, read
from forewarn_scripts.credentials import NotLoggedIn
from forewarn_scripts.envelope import KEYRING, BadEnvelope, Envelope
from forewarn_scripts.exits import NOT_WELL, TROUBLE, WRONG_USE
from forewarn_scripts.keyring import (
    Keyring,
    KeyringRefused,
    KeyringText,
    NamedKey,
    advanced,
    anchored,
)
from forewarn_scripts.keys import key_id, read_public
from forewarn_scripts.order import BadDocument, parse, write_moment
from forewarn_scripts.own_key import keys_app
from forewarn_scripts.remote_answers import KeyringList
from forewarn_scripts.shown import plain
from forewarn_scripts.signing import send
from forewarn_scripts.terminal import fail, note, print_out, tells_trouble

_SOON = timedelta(days=30)

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A keyring.")]
After = Annotated[
    Path | None,
    typer.Option(
        exists=True, dir_okay=False, metavar="FILE", help="The one before; else the newest known."
    ),
]


@keys_app.command("rotate")
@tells_trouble
def keys_rotate(
    file: Annotated[Path, typer.Option(help="Where to write the new version.")],
    after: After = None,
    add: Annotated[list[str] | None, typer.Option(help="NAME=fwp_… of who joins.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="Name or id of who leaves.")] = None,
    threshold: Annotated[int | None, typer.Option(min=1, help="Keys that change it.")] = None,
    recovery: Annotated[
        str, typer.Option(help="fwp_… of another key for the safe; the old one must sign.")
    ] = "",
    expires: Annotated[str, typer.Option(help="How long it is believed.")] = "365d",
) -> None:
    """Write the version of a keyring that follows; then those it names sign it.

    It needs as many signatures of the keys before it as these demand (or the one of the recovery
    key), and as many of its own as it demands.  Then: forewarn keys publish FILE
    """
    held = _before(after)
    try:
        text = _following(held, add or (), remove or (), threshold, recovery, expires)
    except ValueError as bad:
        fail(f"no keyring: {bad}", WRONG_USE)
    try:
        with file.open("xb") as new:
            new.write(Envelope(KEYRING, text.to_bytes()).to_bytes())
    except FileExistsError:
        fail(f"{file} is there already; name another", WRONG_USE)
    except OSError as failure:
        fail(f"cannot write {file}: {failure.strerror}", TROUBLE)
    note(f"{file}: version {text.version}, signed by nobody yet")
    note(_lacks(held, Envelope(KEYRING, text.to_bytes())))
    note(f"each of them: forewarn keys sign {file}")


@keys_app.command("check")
@tells_trouble
def keys_check(file: File, after: After = None) -> None:
    """Say whether a keyring follows the one before, and who has yet to sign.

    Exit code 6: hosts would not believe it yet.
    """
    data, held = _read(file), _before(after)
    try:
        found = anchored(data) if held is None or held.source == data else advanced(held, data)
    except KeyringRefused as bad:
        note(_lacks(held, dsse.parse(data)))
        fail(f"{file}: {bad}", NOT_WELL)
    _show(found)


@keys_app.command("publish")
@tells_trouble
def keys_publish(file: File) -> None:
    """Have the collector hand a keyring on to hosts, with the orders they fetch (role approver)."""
    data, held = _read(file), _remembered()
    try:
        newer = held is not None and held.source != data
        found = advanced(held, data) if held is not None and newer else anchored(data)
    except KeyringRefused as bad:
        fail(f"{file}: {bad}", NOT_WELL)
    with here() as collector:
        send(collector, "/keyrings", envelope=data.decode())
    _remember(found)
    note(f"version {found.version} is handed on; hosts take it with their next order")


@keys_app.command("fetch")
@tells_trouble
def keys_fetch(file: Annotated[Path, typer.Option(help="Where to write it.")]) -> None:
    """Write the newest keyring the collector hands on, once it follows the one known here."""
    with here() as collector:
        found = _newest(collector)
    if found is None:
        fail("the collector hands no keyring on; make one: forewarn keys keyring", WRONG_USE)
    _remember(found)
    file.write_bytes(found.source)
    _show(found)


def known_version() -> int:
    """Return the version of the newest keyring this machine saw, 1 when it saw none."""
    held = _remembered()
    return 1 if held is None else held.version


# -- what follows --------------------------------------------------------------------------------


def _following(
    held: Keyring | None,
    add: Sequence[str],
    remove: Sequence[str],
    threshold: int | None,
    recovery: str,
    expires: str,
) -> KeyringText:
    """Return the keyring after `held`.  Raises ValueError."""
    if held is None:
        raise ValueError("there is none to follow: name it with --after, or make a first one")
    people = dict(held.names)
    for one in remove:
        gone = [key for key, name in people.items() if one in (key, name)]
        if len(gone) != 1:
            raise ValueError(f"{one!r} is {'nobody' if not gone else 'more than one'} in it")
        del people[gone[0]]
    keys = [NamedKey(name=name, public=_text(held.keys[key])) for key, name in people.items()]
    for one in add:
        name, _, public = one.rpartition("=fwp_")  # base64 ends with = itself
        keys.append(NamedKey(name=name, public=_text(read_public(f"fwp_{public}"))))
    return KeyringText(
        collector=held.collector,
        version=held.version + 1,
        threshold=threshold or held.threshold,
        expires=write_moment(datetime.now(UTC) + parse_duration(expires)),
        keys=tuple(keys),
        recovery=_text(read_public(recovery) if recovery else held.recovery),
    )


def _lacks(held: Keyring | None, envelope: Envelope) -> str:
    """Return in words whose signatures a keyring has, and what it still needs."""
    try:
        text = parse(KeyringText, envelope.payload)
    except BadDocument as bad:
        return f"it cannot be read: {bad}"
    own = {one.id: one.data for one in text.keys}
    told = [f"of its own keys {_counted(own, envelope, text.threshold)}"]
    if held is not None:
        told.append(f"of the keys before {_counted(held.keys, envelope, held.threshold)}")
        recovery = {key_id(held.recovery): held.recovery}
        if dsse.signers(envelope, recovery):
            told[-1] = "and the recovery key signed"
        elif base64.b64decode(text.recovery) != held.recovery:
            told.append("the recovery key before has to sign: another one is named")
    return "; ".join(told)


def _counted(keys: Mapping[str, bytes], envelope: Envelope, threshold: int) -> str:
    return f"{len(dsse.signers(envelope, keys))} of {threshold} signed"


def _text(public: bytes) -> str:
    return base64.b64encode(public).decode()


# -- where they come from ------------------------------------------------------------------------


def _before(after: Path | None) -> Keyring | None:
    """Return the keyring to follow: a file, else the newest that is known here or there."""
    if after is not None:
        try:
            return anchored(_read(after))
        except KeyringRefused as bad:
            fail(f"{after}: {bad}", WRONG_USE)
    try:
        with here() as collector:
            return _newest(collector)
    except NotLoggedIn:
        return _remembered()


def _newest(collector: Collector) -> Keyring | None:
    """Return the newest keyring the collector has, if it follows what is known here.

    Ends the command when the collector goes back or forks.
    """
    told = read(KeyringList, collector.get("/keyrings")).keyrings
    held = _remembered()
    chain = sorted(told, key=lambda one: one.version)
    for one in chain:
        data = one.envelope.encode()
        try:
            if held is None:
                held = anchored(data)
            elif one.version > held.version:
                held = advanced(held, data)
            elif one.version == held.version and data != held.source:
                raise KeyringRefused(f"it is another version {one.version} than the one known here")
        except KeyringRefused as bad:
            fail(f"the collector's keyring {one.version} is not believed: {bad}", NOT_WELL)
    if held is not None and chain and chain[-1].version < held.version:
        fail(
            f"the collector hands version {chain[-1].version} on, but {held.version} is known"
            " here: somebody may want an old key to count again",
            NOT_WELL,
        )
    return held


def _place() -> Path:
    return credentials.place().with_name("keyring.json")


def _remembered() -> Keyring | None:
    try:
        return anchored(_place().read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, KeyringRefused) as bad:
        fail(f"{_place()} cannot be used ({bad}); look at it, and move it away", TROUBLE)


def _remember(held: Keyring) -> None:
    path = _place()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(held.source)
    new.replace(path)


def _read(file: Path) -> bytes:
    try:
        data = file.read_bytes()
        if dsse.parse(data).payload_type != KEYRING:
            fail(f"{file} is no keyring", WRONG_USE)
    except (OSError, BadEnvelope) as bad:
        fail(f"{file}: {bad}", WRONG_USE)
    return data


def _show(held: Keyring) -> None:
    lines = [f"version {held.version}, threshold {held.threshold}, until {held.expires:%Y-%m-%d}"]
    lines += [f"  {plain(name)}  {key}" for key, name in held.names.items()]
    print_out(Text("\n".join(lines)))
    if held.expired(datetime.now(UTC) + _SOON):
        note("it expires soon, and then hosts run nothing: forewarn keys rotate")
