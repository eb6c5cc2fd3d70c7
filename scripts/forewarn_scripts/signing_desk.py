"""What an operator's own machine does: resolve targets, sign, and check what hosts answered.

Nothing here asks the collector to be believed.  Fingerprints of hosts are remembered where they
were first seen, so that a collector cannot slip another host in under a known name later on.
"""

import base64
import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from forewarn_scripts import envelope as dsse
from forewarn_scripts.answers import TargetLine
from forewarn_scripts.envelope import RESULT, STANDING_ORDER, BadEnvelope, Envelope
from forewarn_scripts.order import (
    BadDocument,
    Calendar,
    Ended,
    Order,
    Result,
    Revocation,
    StandingOrder,
    Within,
    Work,
    parse,
    script_hash,
    triggered_by,
    write_moment,
)


class NotTrue(ValueError):
    """What the collector shows is not what was signed; the text says what."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be run, before it has targets and an id."""

    script: bytes
    argv: tuple[str, ...]
    interpreter: str
    run_as: str
    timeout: timedelta
    valid_for: timedelta
    reason: str
    keyring_version: int


def new_id(now: datetime) -> str:
    """Return a UUIDv7."""
    value = int(now.timestamp() * 1000) << 80 | 7 << 76 | secrets.randbits(12) << 64
    value |= 2 << 62 | secrets.randbits(62)
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def order_for(
    wanted: Wanted, targets: Sequence[TargetLine], collector: str, now: datetime
) -> Order:
    """Return the order that runs it on these hosts, all of one client.

    Raises ValueError, which pydantic's own is, when a part of it is not taken.
    """
    return Order.model_validate(_work(wanted, targets, collector, now))


@dataclass(frozen=True, slots=True)
class Standing:
    """When a standing order runs: by a calendar or for a rule, how often a day, within what."""

    max_runs_a_day: int
    within: Within
    calendar: Calendar | None
    trigger: str | None


def standing_for(
    wanted: Wanted, when: Standing, targets: Sequence[TargetLine], collector: str, now: datetime
) -> StandingOrder:
    """Return the standing order that runs it on these hosts, all of one client.

    Raises ValueError when a part of it is not taken.
    """
    return StandingOrder.model_validate(
        _work(wanted, targets, collector, now)
        | {
            "max_runs_a_day": when.max_runs_a_day,
            "within": when.within,
            "calendar": when.calendar,
            "trigger": when.trigger,
        }
    )


def _work(
    wanted: Wanted, targets: Sequence[TargetLine], collector: str, now: datetime
) -> dict[str, object]:
    clients = sorted({target.client for target in targets})
    if len(clients) != 1:
        raise ValueError(f"an order is for one client; these hosts are of {', '.join(clients)}")
    prints = tuple(sorted({target.fingerprint for target in targets}))
    return {
        "id": new_id(now),
        "client": clients[0],
        "collector": collector,
        "script_sha256": script_hash(wanted.script),
        "interpreter": wanted.interpreter,
        "argv": wanted.argv,
        "targets": prints,
        "max_hosts": len(prints),
        "not_before": write_moment(now),
        "not_after": write_moment(now + wanted.valid_for),
        "reason": wanted.reason,
        "run_as": wanted.run_as,
        "timeout_seconds": int(wanted.timeout.total_seconds()),
        "keyring_version": wanted.keyring_version,
    }


def revocation_for(order: Work, now: datetime, reason: str) -> Revocation:
    """Return what makes every host of this client refuse the order."""
    return Revocation(
        id=new_id(now),
        client=order.client,
        collector=order.collector,
        orders=(order.id,),
        issued_at=write_moment(now),
        reason=reason,
    )


def checked_order(text: str, order_id: str, script: bytes) -> tuple[Envelope, Work]:
    """Return an order, single or standing, that a collector shows; all its parts belong together.

    Raises NotTrue.
    """
    try:
        envelope = dsse.parse(text.encode())
        standing = envelope.payload_type == STANDING_ORDER
        order: Work = parse(StandingOrder if standing else Order, envelope.payload)
    except (BadEnvelope, BadDocument) as bad:
        raise NotTrue(f"the collector shows no order: {bad}") from None
    if envelope.payload_type != order.KIND or order.id != order_id:
        raise NotTrue("the collector shows another document than the one asked for")
    if script_hash(script) != order.script_sha256:
        raise NotTrue("the script the collector shows is not the one the order names")
    return envelope, order


def checked_result(text: str, order: Work, public_keys: Mapping[str, bytes]) -> Result:
    """Return a host's result once it is certain that one of the order's own targets signed it.

    `public_keys` are hosts' keys by fingerprint, as the collector tells them: a key that does not
    have the fingerprint the operator signed for is of no use to a forger.  Raises NotTrue.
    """
    try:
        envelope = dsse.parse(text.encode())
        result = parse(Result, envelope.payload)
    except (BadEnvelope, BadDocument) as bad:
        raise NotTrue(f"no result: {bad}") from None
    meant = {name: key for name, key in public_keys.items() if name in order.targets}
    if envelope.payload_type != RESULT or result.host not in dsse.signers(envelope, meant):
        raise NotTrue("not signed by the host it claims to be from")
    if result.order != order.id:
        raise NotTrue("of another order")
    if result.script_sha256 not in ("", order.script_sha256):
        raise NotTrue("of another script")
    if result.ended is not Ended.REFUSED and not _may_be_of(order, result.occurrence):
        raise NotTrue("of an occurrence the order does not have")
    return result


def _may_be_of(order: Work, occurrence: str) -> bool:
    if not isinstance(order, StandingOrder):
        return not occurrence
    if order.trigger is not None:
        named = triggered_by(occurrence)
        return named is not None and named[0] == order.trigger
    return bool(occurrence)


def decoded_script(text: str) -> bytes:
    """Return a script's bytes.  Raises NotTrue."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise NotTrue("the collector shows no script") from None


# -- fingerprints seen before --------------------------------------------------------------------


def unfamiliar(path: Path, targets: Iterable[TargetLine]) -> tuple[list[TargetLine], list[str]]:
    """Return the hosts never signed for before, and what is suspicious about the others."""
    known = _known(path)
    new, suspicious = [], []
    for target in targets:
        held = known.get(target.id)
        if held is None:
            new.append(target)
        elif held != target.fingerprint:
            suspicious.append(
                f"{target.name}: its key was {held[:23]}…, now it is {target.fingerprint[:23]}…"
            )
    return new, suspicious


def remember(path: Path, targets: Iterable[TargetLine]) -> None:
    """Remember whose key is whose from now on.  Raises OSError."""
    known = _known(path) | {target.id: target.fingerprint for target in targets}
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(known, file, indent=0, sort_keys=True)
    new.replace(path)


def _known(path: Path) -> dict[str, str]:
    try:
        told = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    if not isinstance(told, dict):
        raise ValueError(f"{path} is damaged; look at it, and move it away")
    return {str(host): str(seen) for host, seen in told.items()}
