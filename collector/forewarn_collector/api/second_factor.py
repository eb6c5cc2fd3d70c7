"""One's own second factor, and asking for it where much is at stake.

A code travels in the header ``Forewarn-Second-Factor`` of the call that needs it.  A refusal for
want of it says so in the same header: ``code`` to send one, ``enrol`` to have one first, ``wait``
after too many wrong ones.
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Header, Request
from pydantic import Field, SecretStr

from forewarn_collector.api.guard import Around, Asker, Collector, Desk, Here, Problem
from forewarn_collector.api.login import caller, sign_in
from forewarn_collector.api.people import LONGEST_PASSWORD
from forewarn_collector.api.principal import Principal, Role
from forewarn_collector.api.texts import Body
from forewarn_collector.instance import InstanceError, read_pepper
from forewarn_collector.state import audit
from forewarn_collector.state import second_factors as state
from forewarn_collector.state.second_factors import Checked, Locks

HEADER = "forewarn-second-factor"
_PATH = "/api/v1/account/second-factor"

Code = Annotated[str | None, Header(alias=HEADER, max_length=100)]


class Password(Body):
    """One's password, again: a key alone brings no second factor."""

    password: Annotated[SecretStr, Field(min_length=1, max_length=LONGEST_PASSWORD)]


class FirstCode(Body):
    """The first code that the authenticator shows."""

    code: Annotated[str, Field(min_length=1, max_length=100)]


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether one has a second factor that counts, and recovery codes that are left."""

    enrolled: bool
    recovery_left: int


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A secret for the authenticator, shown this once; `uri` is what its QR code says."""

    secret: str
    uri: str


@dataclass(frozen=True, slots=True)
class Recovery:
    """Codes for when the authenticator is lost, each good once, shown this once."""

    codes: tuple[str, ...]


def add(desk: Desk) -> None:
    """Add the routes."""
    desk.api("GET", _PATH, Role.VIEWER, get_second_factor)
    desk.api("POST", _PATH, Role.VIEWER, post_second_factor, status=201)
    desk.api("POST", f"{_PATH}/confirm", Role.VIEWER, confirm_second_factor)
    desk.api("DELETE", _PATH, Role.VIEWER, delete_second_factor, status=204)


def get_second_factor(asker: Asker, collector: Here) -> Standing:
    """Return whether one has a second factor."""
    with collector.database.read() as connection:
        held = state.factor_of(connection, asker.user_id)
    if held is None or not held.confirmed:
        return Standing(enrolled=False, recovery_left=0)
    return Standing(enrolled=True, recovery_left=held.recovery)


async def post_second_factor(
    body: Password, request: Request, asker: Asker, around: Around, code: Code = None
) -> NewSecret:
    """Make a secret for one's authenticator; it counts once its first code is confirmed.

    Who has a second factor already replaces it with a code of the old one.
    """
    await sign_in(around, asker.name, body.password.get_secret_value(), caller(request))
    collector, now = around.collector, around.collector.now()
    with collector.database.read() as connection:
        held = state.factor_of(connection, asker.user_id)
    if held is not None and held.confirmed:
        _demand(collector, asker, code, "to replace your second factor")
    locks = _locks(collector)
    with collector.database.write() as connection:
        secret = state.begin(connection, asker.user_id, locks, now)
        audit.record(connection, now, asker.name, "second-factor.begin")
    return NewSecret(secret, state.provisioning_uri(secret, asker.name))


def confirm_second_factor(body: FirstCode, asker: Asker, collector: Here) -> Recovery:
    """Confirm a new secret by its first code."""
    now, locks = collector.now(), _locks(collector)
    with collector.database.write() as connection:
        checked, codes = state.confirm(connection, asker.user_id, body.code, locks, now)
        audit.record(connection, now, asker.name, "second-factor.confirm", str(checked))
    if checked is Checked.NONE:
        raise Problem(409, "there is no new secret to confirm; begin with one")
    if checked is not Checked.RIGHT:
        raise _refused(checked)
    return Recovery(codes)


def delete_second_factor(asker: Asker, collector: Here, code: Code = None) -> None:
    """Take one's second factor away; that needs a code of it."""
    _demand(collector, asker, code, "to take your second factor away")
    now = collector.now()
    with collector.database.write() as connection:
        state.end(connection, asker.user_id)
        audit.record(connection, now, asker.name, "second-factor.end")


# -- asking for it -------------------------------------------------------------------------------


def demand(collector: Collector, asker: Principal, code: str | None, what: str) -> None:
    """Raise Problem 403 unless a code sent with this call is right; `what` says what it is for.

    Where none is required of everybody, only those who have one are asked.
    """
    with collector.database.read() as connection:
        held = state.factor_of(connection, asker.user_id)
    if held is None or not held.confirmed:
        if not collector.second_factor.required:
            return
        raise Problem(
            403, f"{what} needs a second factor; make one: forewarn account totp", {HEADER: "enrol"}
        )
    _demand(collector, asker, code, what)


def _demand(collector: Collector, asker: Principal, code: str | None, what: str) -> None:
    if not code:
        raise Problem(403, f"{what} needs a code of your authenticator", {HEADER: "code"})
    now, locks = collector.now(), _locks(collector)
    with collector.database.write() as connection:
        checked = state.check(connection, asker.user_id, code, locks, now)
        if checked is not Checked.RIGHT:
            audit.record(connection, now, asker.name, "second-factor.refused", str(checked))
    if checked is not Checked.RIGHT:
        raise _refused(checked)


def _refused(checked: Checked) -> Problem:
    if checked is Checked.TOO_MANY:
        return Problem(
            403, "too many wrong codes; wait a quarter of an hour for the next", {HEADER: "wait"}
        )
    return Problem(
        403, "this code is wrong, or was used before; wait for the next", {HEADER: "code"}
    )


def _locks(collector: Collector) -> Locks:
    try:
        return Locks.of(read_pepper(collector.directory))
    except InstanceError as gone:
        raise Problem(409, f"no second factor can be read: {gone}") from None
