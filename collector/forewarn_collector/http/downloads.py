"""What a new host fetches: the script that installs the agent, and what it is made of.

Open to anybody, because whoever asks has no identity yet; nothing here is secret.  What is served
was listed when the collector started, and a request is looked up by its exact name: no path that
somebody sends is ever joined to a folder.
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from forewarn_collector.http.limits import refuse
from forewarn_collector.packages import Offer

AT_ONCE = 64
_AGAIN_SECONDS = 5
_NO_WINDOWS = "nothing is offered for Windows; see forewarn-collector packages add"
_NONE = "this collector offers no packages; see forewarn-collector packages build"


def download_routes(offer: Offer) -> list[Route]:
    """Return the routes that serve `offer`."""
    script, windows_script = offer.installer, offer.windows_installer
    under_way = _UnderWay()

    async def installer(_request: Request) -> Response:
        if not offer:
            return refuse(404, _NONE)
        return Response(script, media_type="text/x-shellscript")

    async def windows_installer(_request: Request) -> Response:
        if not windows_script:
            return refuse(404, _NO_WINDOWS)
        # Bytes as they are: the line that fetches them names their hash.
        return Response(windows_script, media_type="text/plain")

    async def package(request: Request) -> Response:
        path = offer.files.get(request.path_params["name"])
        if path is None:
            return refuse(404, "no such package" if offer else _NONE)
        if under_way.count >= AT_ONCE:
            return refuse(503, "too many downloads at once", after=_AGAIN_SECONDS)
        return _Counted(FileResponse(path), under_way)

    return [
        Route("/install.sh", installer, methods=["GET"]),
        Route("/install.ps1", windows_installer, methods=["GET"]),
        Route("/packages/{name}", package, methods=["GET"]),
    ]


class _UnderWay:
    """How many files are being sent at this moment."""

    count = 0


class _Counted(Response):
    """A response that counts for as long as it is being sent."""

    def __init__(
        self,
        inner: Callable[[Scope, Receive, Send], Awaitable[None]],
        under_way: _UnderWay,
    ) -> None:
        super().__init__()
        self._inner = inner
        self._under_way = under_way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        self._under_way.count += 1
        try:
            await self._inner(scope, receive, send)
        finally:
            self._under_way.count -= 1
