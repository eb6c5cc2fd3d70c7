"""Sign in with a name and a password: a key for programs, a session for browsers."""

from datetime import datetime
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import Request, Response
from pydantic import Field, SecretStr

from forewarn_collector.api.guard import COOKIE, Around, Problem, Surroundings
from forewarn_collector.api.people import (
    KEY_LASTS,
    LONGEST_PASSWORD,
    SESSION_LASTS,
    Person,
    TooManyKeys,
    close_session,
    find_person,
    make_key,
    open_session,
    password_fits,
)
from forewarn_collector.api.texts import Body, Name
from forewarn_collector.metrics import LOGINS
from forewarn_collector.state import audit

# One answer for every reason, so that it tells nothing of which names there are.
_REFUSED = (
    "the name or the password is wrong, or there were too many tries; wait a minute before the next"
)


class Login(Body):
    """A name and its password."""

    name: Name
    password: Annotated[SecretStr, Field(min_length=1, max_length=LONGEST_PASSWORD)]


class LoginKey(Body):
    """A key to send as ``Authorization: Bearer …``; it is shown this once."""

    key: str
    expires_at: datetime


async def login(body: Login, request: Request, around: Around) -> LoginKey:
    """Return a new API key of the person, with their own role."""
    person = await sign_in(around, body.name, body.password.get_secret_value(), caller(request))
    return await run_sync(_new_key, around, person)


async def sign_in(around: Surroundings, name: str, password: str, address: str) -> Person:
    """Return the person of this name and password.

    Raises Problem 401, in the same words and about the same time for every reason.
    """
    now = around.collector.now()
    if not around.throttle.take(name, address, now):
        LOGINS.labels("throttled").inc()
        raise Problem(401, _REFUSED)
    person = await run_sync(_verified, around, name, password, limiter=around.verifying)
    if person is None:
        LOGINS.labels("refused").inc()
        raise Problem(401, _REFUSED)
    around.throttle.forgive(name, address)
    LOGINS.labels("ok").inc()
    return person


def start_session(around: Surroundings, person: Person, response: Response) -> None:
    """Begin a session and hand its cookie to the browser."""
    now = around.collector.now()
    with around.collector.database.write() as connection:
        secret = open_session(connection, person, now)
        audit.record(connection, now, person.name, "session.open")
    response.set_cookie(
        COOKIE,
        secret,
        max_age=int(SESSION_LASTS.total_seconds()),
        path="/",
        secure=True,
        httponly=True,
        samesite="strict",
    )


def end_session(around: Surroundings, request: Request, response: Response) -> None:
    """End the session of this request's cookie, and take the cookie back."""
    secret = request.cookies.get(COOKIE)
    if secret is not None:
        with around.collector.database.write() as connection:
            close_session(connection, secret)
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")


def caller(request: Request) -> str:
    """Return the address of the peer, as the listener made it out."""
    return request.client.host if request.client else ""


def _verified(around: Surroundings, name: str, password: str) -> Person | None:
    with around.collector.database.read() as connection:
        person = find_person(connection, name)
    fits = password_fits(password, person.password_hash if person else None)
    return person if fits else None


def _new_key(around: Surroundings, person: Person) -> LoginKey:
    now = around.collector.now()
    with around.collector.database.write() as connection:
        try:
            key = make_key(
                connection,
                person.principal,
                name="forewarn login",
                role=person.principal.role,
                lasts=KEY_LASTS,
                now=now,
            )
        except TooManyKeys as many:
            raise Problem(409, str(many)) from None
        audit.record(connection, now, person.name, "key.make", key.id)
    return LoginKey(key=key.secret, expires_at=key.expires_at)
