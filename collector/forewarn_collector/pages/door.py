"""The way in and out: a form that begins a session, and a button that ends it."""

from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import Form, Query, Request, Response
from pydantic import TypeAdapter, ValidationError
from starlette.responses import RedirectResponse

from forewarn_collector.api.guard import COOKIE, Around, Asker, Here, Problem
from forewarn_collector.api.login import caller, sign_in, start_session
from forewarn_collector.api.people import LONGEST_PASSWORD, close_session
from forewarn_collector.api.texts import Name
from forewarn_collector.pages.view import render
from forewarn_collector.state import audit

_NAME: TypeAdapter[str] = TypeAdapter(Name)
_LONGEST_ADDRESS = 4000

Wanted = Annotated[str, Query(alias="next", max_length=_LONGEST_ADDRESS)]


def get_login(request: Request, wanted: Wanted = "/") -> Response:
    """Show the form."""
    return render(request, "login.html", wanted=_ours(wanted), name="", trouble="")


async def post_login(
    request: Request,
    around: Around,
    name: Annotated[str, Form(max_length=1000)] = "",
    password: Annotated[str, Form(max_length=LONGEST_PASSWORD)] = "",
    wanted: Annotated[str, Form(alias="next", max_length=_LONGEST_ADDRESS)] = "/",
) -> Response:
    """Begin a session and go where the person wanted to, or show the form again."""
    try:
        person = await sign_in(around, _NAME.validate_python(name), password, caller(request))
    except (Problem, ValidationError) as refused:
        trouble = refused.text if isinstance(refused, Problem) else "write a name and a password"
        return render(
            request, "login.html", status=401, wanted=_ours(wanted), name=name, trouble=trouble
        )
    answer = RedirectResponse(_ours(wanted), 303)
    await run_sync(start_session, around, person, answer)
    return answer


def post_logout(request: Request, asker: Asker, collector: Here) -> Response:
    """End the session."""
    with collector.database.write() as connection:
        close_session(connection, request.cookies.get(COOKIE, ""))
        audit.record(connection, collector.now(), asker.name, "session.close")
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    return answer


def _ours(wanted: str) -> str:
    """Return the address if it is a path of ours, else the first page.

    Browsers take ``//host`` and ``/\\host`` for other sites, and drop tabs and line breaks.
    """
    printable = wanted.isascii() and wanted.isprintable()
    if not printable or not wanted.startswith("/") or wanted[1:2] in ("/", "\\"):
        return "/"
    return wanted
