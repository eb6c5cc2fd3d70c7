"""Files that never change under their name: the name carries what is in them, or the release."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import distribution, version
from importlib.resources import files
from pathlib import Path

from fastapi import Request, Response

from forewarn_collector.api.guard import missing

PREFIX = "/static/"
_FOREVER = "public, max-age=31536000, immutable"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    name: str
    kind: str
    packed: bytes = field(repr=False)

    @property
    def content(self) -> bytes:
        """The file itself."""
        return gzip.decompress(self.packed)


def address(name: str) -> str:
    """Return where a file of ours is found: ``style.css`` or ``plotly.min.js``."""
    return PREFIX + _names()[name]


def get_static(name: str, request: Request) -> Response:
    """Return a file.  Raises Problem 404 for any other name."""
    if name not in _names().values():
        raise missing()
    asset = _asset(name)
    headers = {"cache-control": _FOREVER, "vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        return Response(asset.packed, headers=headers, media_type=asset.kind)
    return Response(asset.content, headers=headers, media_type=asset.kind)


@cache
def _names() -> Mapping[str, str]:
    """Return the name under which each file is sent."""
    named = {"plotly.min.js": f"plotly-{version('plotly')}.min.js"}
    for file in (files("forewarn_collector.pages") / "static").iterdir():
        stem, _, ending = file.name.rpartition(".")
        if ending in _TYPES:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
            named[file.name] = f"{stem}-{digest}.{ending}"
    return named


@cache
def _asset(sent: str) -> Asset:
    name = next(own for own, other in _names().items() if other == sent)
    content = _plotly() if name == "plotly.min.js" else _own(name)
    return Asset(sent, _TYPES[name.rpartition(".")[2]], gzip.compress(content, 6, mtime=0))


def _own(name: str) -> bytes:
    return (files("forewarn_collector.pages") / "static" / name).read_bytes()


def _plotly() -> bytes:
    # Found without importing the package: nothing else of it is needed.
    found = distribution("plotly").locate_file("plotly/package_data/plotly.min.js")
    return Path(str(found)).read_bytes()
