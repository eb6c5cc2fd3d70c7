"""Keep odd paths and large bodies away from an application, whatever the application does."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES = 1024 * 1024

# Encoded or doubled slashes, dots, semicolons and backslashes are how one path is made to look
# like another; none of our paths needs them.
_ODD = re.compile(
    rb"//|/\.{1,2}(?:/|$)|[;\\]|%(?:2[ef]|5c|00|0a|0d|25)|[^\x21-\x7e]", re.IGNORECASE
)


class Limit:
    """Hand on requests with a plain path and a body of at most `body_bytes`; refuse others.

    The body is read before the application sees the request, so that it cannot be cut off
    half-way through a handler.
    """

    def __init__(
        self,
        app: ASGIApp,
        body_bytes: int = BODY_BYTES,
        larger: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._app = app
        self._body_bytes = body_bytes
        self._larger = larger  # by path: what is known to take more

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if is_odd(scope):
            await refuse(404, "no such path")(scope, receive, send)
            return
        body = bytearray()
        most = self._larger.get(scope["path"], self._body_bytes)
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > most:
                text = f"the body is larger than {most} bytes"
                await refuse(413, text, close=True)(scope, receive, send)
                return
            if not message.get("more_body", False):
                break
        await self._app(scope, _replay(bytes(body), receive), send)


def is_odd(scope: Scope) -> bool:
    """Say whether the path of a request is written in a way that none of ours is."""
    return _ODD.search(scope.get("raw_path") or scope["path"].encode()) is not None


def refuse(
    status: int, text: str, *, close: bool = False, after: int | None = None
) -> JSONResponse:
    """Return the answer to a request that is not taken: ``{"error": text}``.

    `close` ends the connection, `after` tells when to try again, in seconds.
    """
    headers = {"connection": "close"} if close else {}
    if after is not None:
        headers["retry-after"] = str(after)
    return JSONResponse({"error": text}, status, headers)


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting = [body]

    async def again() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return again
