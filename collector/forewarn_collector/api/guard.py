"""Nobody gets past here unasked: every route states who may use it, or the program does not start.

A request is judged before its body is looked at: who asks, whether a browser was tricked into
asking, and whether their role reaches what the route needs.  Rights are read anew each time.

    Problem             an answer other than 200, with its text; the one way to say no
    UndeclaredRoute     a route was added without saying who may use it
"""

import html
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol
from urllib.parse import urlencode

from anyio import CapacityLimiter
from fastapi import Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute

from forewarn_collector.api.people import Admitted, admit_key, admit_session, touch_session
from forewarn_collector.api.principal import Principal, Role
from forewarn_collector.api.throttle import Throttle
from forewarn_collector.config import SecondFactor
from forewarn_collector.rules.book import RuleBook
from forewarn_collector.samples import SampleStore
from forewarn_collector.state.database import Database
from forewarn_collector.state.hosts import Hosts
from forewarn_collector.state.outbox import Telling
from forewarn_collector.ticket_config import InboundTable

COOKIE = "__Host-forewarn"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Open(Enum):
    """Says of a route that anybody may use it."""

    TO_ALL = "open"


OPEN: Final = Open.TO_ALL
Needs = Role | Literal[Open.TO_ALL]


class Collector(Protocol):
    """What answering operators takes of a running collector."""

    @property
    def directory(self) -> Path: ...
    @property
    def database(self) -> Database: ...
    @property
    def store(self) -> SampleStore: ...
    @property
    def hosts(self) -> Hosts: ...
    @property
    def book(self) -> RuleBook: ...
    @property
    def telling(self) -> Telling: ...
    @property
    def agents_url(self) -> str: ...
    @property
    def inbound(self) -> Mapping[str, InboundTable]: ...
    @property
    def second_factor(self) -> SecondFactor: ...
    @property
    def now(self) -> Callable[[], datetime]: ...


class Problem(Exception):
    """An answer that is an error.  `text` is for people and names no secret."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers or {}


class UndeclaredRoute(Exception):
    """A route does not say who may use it; the text names it."""


def missing() -> Problem:
    """Return the one answer for what does not exist and for what is not theirs to see."""
    return Problem(404, "there is nothing here, or nothing that you may see")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What endpoints need besides the request."""

    collector: Collector
    throttle: Throttle = field(default_factory=Throttle)
    # Argon2 takes 64 MiB and a core each time: strangers may not have more than two at once.
    verifying: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(2))


class GuardedRoute(APIRoute):
    """A route that asks who it is before anything else is done."""

    needs: Needs
    page = False  # a page sends a stranger to the login; the API answers 401

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler behind its guard."""
        handle = super().get_route_handler()
        needs, page = self.needs, self.page

        async def guarded(request: Request) -> Response:
            if needs is not OPEN:
                admitted = await admit(request)
                if admitted is None and page and request.method == "GET":
                    return _to_login(request)
                if admitted is None:
                    raise stranger()
                _role_reaches(admitted.principal, needs)
                request.state.principal = admitted.principal
            if page:
                _same_origin(request)
            else:
                _json_only(request)
            return await handle(request)

        return guarded


class Desk:
    """Adds routes to an application, each with whom it is for."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def api(
        self,
        method: str,
        path: str,
        needs: Needs,
        endpoint: Callable[..., Any],
        *,
        status: int = 200,
        in_schema: bool = True,
    ) -> None:
        """Add a route that speaks JSON."""
        self._app.router.add_api_route(
            path,
            endpoint,
            methods=[method],
            status_code=status,
            include_in_schema=in_schema,
            responses={code: {"model": Error} for code in _ERRORS},
            openapi_extra={"security": [] if needs is OPEN else [{"key": []}]},
            operation_id=getattr(endpoint, "__name__", path),
            route_class_override=_route_class(needs, page=False),
        )

    def page(self, method: str, path: str, needs: Needs, endpoint: Callable[..., Any]) -> None:
        """Add a route for browsers: its endpoint returns a Response, a form must be our own."""
        self._app.router.add_api_route(
            path,
            endpoint,
            methods=[method],
            include_in_schema=False,
            response_model=None,
            route_class_override=_route_class(needs, page=True),
        )


@dataclass(frozen=True, slots=True)
class Error:
    """What every refusal looks like."""

    error: str


_ERRORS = (400, 401, 403, 404, 405, 409, 413, 415, 422)


def _route_class(needs: Needs, *, page: bool) -> type[GuardedRoute]:
    return type("GuardedRoute", (GuardedRoute,), {"needs": needs, "page": page})


def check_declared(routes: list[BaseRoute]) -> None:
    """Raise UndeclaredRoute unless every route says whom it is for, and says it once."""
    taken: set[tuple[str, str]] = set()
    for route in routes:
        if not isinstance(route, GuardedRoute) or not hasattr(route, "needs"):
            raise UndeclaredRoute(f"{getattr(route, 'path', route)} does not say who may use it")
        for method in route.methods or ():
            if (method, route.path) in taken:
                raise UndeclaredRoute(f"{method} {route.path} is declared twice")
            taken.add((method, route.path))


# -- who asks ------------------------------------------------------------------------------------


async def admit(request: Request) -> Admitted | None:
    """Return whom the request's key or cookie lets in, None for nobody.

    A key that is sent decides alone.  Raises Problem for a cookie sent from another site.
    """
    around: Surroundings = request.app.state.surroundings
    secret = _bearer(request)
    if secret is not None:
        return await run_in_threadpool(_by_key, around.collector, secret)
    cookie = request.cookies.get(COOKIE)
    if cookie is None:
        return None
    admitted = await run_in_threadpool(_by_cookie, around.collector, cookie)
    if admitted is not None:
        _same_origin(request)
    return admitted


def stranger() -> Problem:
    """Return the answer to somebody who did not say who they are, or not rightly."""
    text = "log in first: send the header 'Authorization: Bearer fwk_…' with a key that lives"
    return Problem(401, text, {"www-authenticate": "Bearer"})


def _to_login(request: Request) -> Response:
    """Return a 401 that takes a browser to the login, and from there back."""
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    login = html.escape(f"/login?{urlencode({'next': asked})}")
    page = (
        f'<!doctype html><meta http-equiv="refresh" content="0; url={login}">'
        f'<link rel="icon" href="data:,"><title>forewarn</title><a href="{login}">Log in</a>'
    )
    return HTMLResponse(page, 401)


def _by_key(collector: Collector, secret: str) -> Admitted | None:
    with collector.database.read() as connection:
        return admit_key(connection, secret, collector.now())


def _by_cookie(collector: Collector, secret: str) -> Admitted | None:
    now = collector.now()
    with collector.database.read() as connection:
        admitted = admit_session(connection, secret, now)
    if admitted is not None and admitted.stale:
        with collector.database.write() as connection:
            touch_session(connection, secret, now)
    return admitted


def _bearer(request: Request) -> str | None:
    """Return the key sent, "" for another scheme, None when nothing was sent."""
    stated = request.headers.get("authorization")
    if stated is None:
        return None
    scheme, _, secret = stated.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _same_origin(request: Request) -> None:
    """Refuse what a browser sends on another site's behalf; SameSite=Strict is the first guard."""
    if request.method in _SAFE:
        return
    origin = request.headers.get("origin", "")
    scheme, _, authority = origin.partition("://")
    if scheme != request.url.scheme or not authority or authority != request.headers.get("host"):
        raise Problem(403, "this came from another site; open the page here and try again")


def _role_reaches(principal: Principal, needs: Role) -> None:
    if not principal.role.reaches(needs):
        raise Problem(
            403, f"this needs the role {needs}; {principal.name} comes with {principal.role}"
        )


def _json_only(request: Request) -> None:
    headers = request.headers
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method not in _SAFE and has_body and kind != "application/json":
        raise Problem(415, "send JSON, with the header 'Content-Type: application/json'")


# -- what endpoints take -------------------------------------------------------------------------


def _principal(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


def _surroundings(request: Request) -> Surroundings:
    around: Surroundings = request.app.state.surroundings
    return around


def _collector(request: Request) -> Collector:
    return _surroundings(request).collector


Asker = Annotated[Principal, Depends(_principal)]
"""An endpoint's principal; only routes that are not open have one."""

Around = Annotated[Surroundings, Depends(_surroundings)]
Here = Annotated[Collector, Depends(_collector)]
