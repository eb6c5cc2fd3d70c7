"""The application behind the operators' listener."""

from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forewarn_collector.api import (
    keyrings,
    orders,
    probes,
    routes,
    scripts,
    second_factor,
    standing,
)
from forewarn_collector.api.guard import (
    Collector,
    Desk,
    Problem,
    Surroundings,
    admit,
    check_declared,
    missing,
    stranger,
)
from forewarn_collector.api.wording import tell_all
from forewarn_collector.http.limits import Limit
from forewarn_collector.metrics import REQUESTS
from forewarn_collector.pages import routes as pages
from forewarn_collector.pages.view import refusal, wants_page
from forewarn_collector.queries.scope import BadCursor

BODY_BYTES = 64 * 1024

# Who adds routes.  Each says for every one of its routes who may use it.
PARTS = (
    *(probes.add, routes.add, scripts.add, orders.add, standing.add),
    *(keyrings.add, second_factor.add, pages.add),
)

# The two hashes are what the chart library writes as inline style; a browser test guards them.
_CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self' "
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' "
    "'sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o='; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "content-security-policy": _CONTENT_SECURITY,
    "x-content-type-options": "nosniff",
    # Not no-referrer: browsers then send "Origin: null" with our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def operators_app(collector: Collector) -> FastAPI:
    """Return the application: API, pages, metrics and probes.

    Raises UndeclaredRoute when a route does not say who may use it.
    """
    app = FastAPI(
        title="forewarn",
        version="1",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            Problem: _problem,
            HTTPException: _http_problem,
            RequestValidationError: _invalid,
            BadCursor: _bad_cursor,
            Exception: _broken,
        },
    )
    app.state.surroundings = Surroundings(collector)
    for add in PARTS:
        add(Desk(app))
    check_declared(app.router.routes)
    app.add_middleware(Limit, body_bytes=BODY_BYTES, larger=orders.LARGE_BODIES)
    app.add_middleware(_Headers)
    return app


class _Headers:
    """Put the security headers on every answer, and keep answers out of caches."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                REQUESTS.labels(str(message["status"])).inc()
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, sending)


async def _problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    if wants_page(request):
        return refusal(request, problem)
    return JSONResponse({"error": problem.text}, problem.status, problem.headers)


async def _http_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    if problem.status_code == HTTPStatus.NOT_FOUND:
        return await _problem(request, missing())
    if problem.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return await _problem(request, await _method(request, problem))
    return await _problem(request, Problem(problem.status_code, str(problem.detail)))


async def _method(request: Request, problem: HTTPException) -> Problem:
    """Tell which methods there are to those who are in, and nothing to others."""
    try:
        if await admit(request) is None:
            return stranger()
    except Problem as refusal:
        return refusal
    return Problem(405, f"there is no {request.method[:20]} here", dict(problem.headers or {}))


async def _invalid(request: Request, invalid: Exception) -> Response:
    assert isinstance(invalid, RequestValidationError)
    return await _problem(request, Problem(422, tell_all(invalid.errors())))


async def _bad_cursor(request: Request, bad: Exception) -> Response:
    return await _problem(request, Problem(422, f"query cursor: {bad}"))


async def _broken(_request: Request, _failure: Exception) -> Response:
    """Answer for our own mistake; the server logs it."""
    return JSONResponse(
        {"error": "the collector made a mistake; its log says which"},
        500,
        SECURITY_HEADERS | {"cache-control": "no-store"},
    )
