"""Make pages of templates: the one place where what hosts and people wrote is made inert.

Every value a template prints goes through `_inert` first, then through Jinja's escaping.  Only
`Markup`, which our own code escaped when it built it, passes as it is.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from http import HTTPStatus
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from forewarn_checks.base import Unit
from forewarn_checks.base.durations import write_duration
from forewarn_collector.api.guard import Problem
from forewarn_collector.api.principal import Principal, Role
from forewarn_collector.clock import rfc3339
from forewarn_collector.pages.assets import address
from forewarn_collector.pages.titles import check_title
from forewarn_collector.text import plain
from forewarn_collector.units import write_value

_LONGEST_TEXT = 20_000
_WORTH_PACKING = 1500  # bytes


def render(
    request: Request,
    template: str,
    *,
    asker: Principal | None = None,
    status: int = 200,
    **values: object,
) -> Response:
    """Return a page made of `template`; `asker` is whom it greets, None for nobody."""
    return _packed(request, html_of(template, path=request.url.path, asker=asker, **values), status)


def html_of(template: str, *, path: str, asker: Principal | None = None, **values: object) -> str:
    """Return the text of a page made of `template`, seen at `path`."""
    return (
        _environment()
        .get_template(template)
        .render(
            asker=asker,
            may_work=asker is not None and asker.role.reaches(Role.TECHNICIAN),
            may_audit=asker is not None and asker.role.reaches(Role.APPROVER),
            may_add=asker is not None and asker.role.reaches(Role.OPERATOR),
            here=path,
            **values,
        )
    )


def refusal(request: Request, problem: Problem) -> Response:
    """Return an error as a page, for people."""
    phrase = HTTPStatus(problem.status).phrase
    page = render(request, "refusal.html", status=problem.status, text=problem.text, phrase=phrase)
    page.headers.update(problem.headers)
    return page


def wants_page(request: Request) -> bool:
    """Say whether a person looks at the answer, rather than a program."""
    accepted = request.headers.get("accept", "")
    return "text/html" in accepted and not request.url.path.startswith("/api/")


def zone_named(name: str) -> ZoneInfo:
    """Return the time zone of this name, UTC when this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Clock:
    """Writes moments as seen from one place at one moment."""

    zone: ZoneInfo
    now: datetime

    def at(self, moment: datetime) -> Markup:
        """Return ``Sat 21 Nov 2026, 09:00 CET`` as a time element."""
        return self._element(moment, self._full(moment))

    def ago(self, moment: datetime | None) -> Markup:
        """Return ``3 min ago`` as a time element that tells the exact moment, too."""
        if moment is None:
            return Markup("never")
        return self._element(moment, f"{_rough(self.now - moment)} ago")

    def lasting(self, since: datetime, until: datetime | None) -> str:
        """Return how long something lasted, or lasts."""
        return _rough((until or self.now) - since)

    def local(self, moment: datetime) -> str:
        """Return the value of an input of type datetime-local."""
        return moment.astimezone(self.zone).strftime("%Y-%m-%dT%H:%M")

    def _full(self, moment: datetime) -> str:
        local = moment.astimezone(self.zone)
        return f"{local:%a} {local.day} {local:%b %Y, %H:%M %Z}"

    def _element(self, moment: datetime, text: str) -> Markup:
        return Markup('<time datetime="{}" title="{}">{}</time>').format(
            rfc3339(moment), self._full(moment), text
        )


def clock(zone: str, now: datetime) -> Clock:
    """Return a clock in the zone of this name."""
    return Clock(zone_named(zone), now)


def link(path: str, query: Mapping[str, str | None] | None = None, **more: str | None) -> str:
    """Return an address of ours; what is None or empty is left out."""
    wanted = {name: value for name, value in {**(query or {}), **more}.items() if value}
    return f"{path}?{urlencode(wanted)}" if wanted else path


def warm() -> None:
    """Compile every template, so that the first who asks for a page need not wait for it."""
    environment = _environment()
    for name in environment.list_templates(extensions=["html"]):
        environment.get_template(name)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("forewarn_collector.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(link=link, static=address)
    environment.filters.update(
        paragraphs=_paragraphs,
        duration=write_duration,
        amount=_amount,
        words=_words,
        check_title=check_title,
        coded=_coded,
    )
    return environment


def _inert(value: object) -> object:
    """Take controls and bidi controls out of text; each leaves a sign that something was there."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return plain(value, _LONGEST_TEXT)


def _paragraphs(text: object) -> list[str]:
    return str(text).splitlines()


def _coded(text: object) -> Markup:
    """Return a sentence of ours; what stands between backticks is shown as code."""
    parts = plain(str(text), _LONGEST_TEXT).split("`")
    signs = (Markup("{}"), Markup("<code>{}</code>"))
    return Markup("").join(signs[place % 2].format(part) for place, part in enumerate(parts))


def _amount(value: float, unit: str) -> str:
    return write_value(value, Unit(unit))


def _words(name: str) -> str:
    """Return ``in_progress`` as ``in progress``."""
    return str(name).replace("_", " ")


def _rough(span: timedelta) -> str:
    seconds = max(span.total_seconds(), 0.0)
    if seconds < 90:
        return f"{seconds:.0f} s"
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds / 60:.0f} min"


def _packed(request: Request, text: str, status: int) -> Response:
    # A lone surrogate has no bytes; nothing of it is worth an error.
    body = text.encode("utf-8", "replace")
    headers = {"vary": "accept-encoding"}
    if len(body) > _WORTH_PACKING and "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["content-encoding"] = gzip.compress(body, 5, mtime=0), "gzip"
    return HTMLResponse(body, status, headers)
