"""Make a PDF of one of our own pages, with the extra `[pdf]`.

Nothing is fetched: the sheet is ours, and an address in a page, whoever put it there, is not
followed.
"""

import re
from functools import cache
from importlib.resources import files
from threading import Lock

from forewarn_collector.api.guard import Problem

_PAPER = (
    "@page { size: A4; margin: 16mm 15mm 18mm; @bottom-right { content: counter(page) ' / '"
    " counter(pages); font-size: 8pt; color: #555; } }"
)
_DRAWING = re.compile(r"<svg\b[^>]*>")
_ONE_AT_A_TIME = Lock()  # each takes a core for a second: whoever asks for many waits
MISSING = (
    "this collector cannot make PDF files: the extra is not installed; on the collector install"
    " forewarn[pdf], or print the page from the browser"
)


def make(page: str) -> bytes:
    """Return the PDF of a page's HTML.  Raises Problem 501 without the extra."""
    try:
        from weasyprint import CSS, HTML  # type: ignore[import-untyped, unused-ignore]
        from weasyprint.urls import URLFetcher  # type: ignore[import-untyped, unused-ignore]
    except (ImportError, OSError):  # OSError: Pango is not on this machine
        raise Problem(501, MISSING) from None
    # A sheet of the page does not reach into its drawings.
    styled = _DRAWING.sub(lambda found: f"{found[0]}<style>{_sheet('drawing.css')}</style>", page)
    with _ONE_AT_A_TIME:
        document = HTML(string=styled, url_fetcher=URLFetcher(allowed_protocols=()), base_url="")
        sheet = CSS(string=_sheet("paper.css") + _PAPER)
        made: bytes | None = document.write_pdf(stylesheets=[sheet])
    assert made is not None
    return made


def with_sheet(page: str) -> str:
    """Return a page that stands alone, with the sheet for paper inside."""
    return page.replace("</head>", f"<style>{_sheet('paper.css')}</style>\n</head>", 1)


@cache
def _sheet(name: str) -> str:
    return (files("forewarn_collector.pages") / "static" / name).read_text("utf-8")
