"""Ticket systems in memory, as strict as their makers say: one engine, one small file a system.

A desk refuses what it does not know: a field, a text too long, a number where a text belongs, a
login that is wrong.  What it refuses changes nothing.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx

Rule = Any
"""What a value may be: a number for the longest text, a type, a tuple of choices, a dict of keys
(``!`` at the end when one must be there), a list of one rule."""

Answer = tuple[int, Any]
Row = dict[str, Any]


class NotTaken(Exception):
    """The request is refused with this status, and nothing is changed."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Route:
    """What one method on one path takes and does; `act` gets the path's groups and the body."""

    method: str
    path: str
    act: Callable[..., Answer]
    body: Rule = None
    query: Mapping[str, str] = field(default_factory=dict)  # patterns; ``?`` ends what may lack
    headers: Mapping[str, str] = field(default_factory=dict)
    login: bool = False  # needs no session yet


@dataclass
class Spec:
    """One system: the table that reaches it, what counts as logged in, and its routes."""

    config: dict[str, Any]
    secrets: tuple[str, ...]
    login: Mapping[str, str]
    routes: tuple[Route, ...]
    closed: Callable[[Row], bool]
    carries: Callable[[Row], str]  # where our mark is
    foreign: Row  # somebody else's ticket, as the system holds it
    mark_field: str  # the field of a row that holds the mark
    comments: bool = True
    taken: Row | None = None  # how a row is once somebody there is at it, None if it cannot say
    taken_by: str = ""  # and who, where it says it


@dataclass
class Desk:
    """One running system."""

    spec: Spec
    rows: dict[str, Row] = field(default_factory=dict)
    said: list[tuple[str, str]] = field(default_factory=list)
    seen: list[httpx.Request] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    written: int = 0
    next_number: int = 1001
    trouble: Callable[[httpx.Request], httpx.Response | Exception | None] = lambda _: None
    after: Callable[[httpx.Request], httpx.Response | Exception | None] = lambda _: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer as the system would, with `trouble` before it acts or `after` it has."""
        self.seen.append(request)
        before = self.trouble(request)
        if before is not None:
            return _given(before)
        try:
            status, told = self._act(request)
        except NotTaken as refused:
            self.refused.append(f"{request.method} {request.url.path}: {refused}")
            return httpx.Response(refused.status, json={"error": str(refused)})
        lost = self.after(request)
        if lost is not None:
            return _given(lost)
        return httpx.Response(status, json=told) if told is not None else httpx.Response(status)

    def new(self, **row: Any) -> Row:
        """Keep a new row under the next number."""
        row = {"id": self.next_number, **row}
        self.next_number += 1
        self.rows[str(row["id"])] = row
        return row

    def row(self, number: str) -> Row:
        """Return a row, or answer 404."""
        if number not in self.rows:
            raise NotTaken(404, f"there is no {number}")
        return self.rows[number]

    def find(self, mark: str, field_: str) -> list[Row]:
        """Return the rows that hold `mark`."""
        return [row for row in self.rows.values() if mark in str(row.get(field_, ""))]

    def say(self, number: str, text: str) -> None:
        """Keep a comment on a row."""
        self.row(number)
        self.said.append((number, text))

    def ours(self, mark: str) -> list[Row]:
        """Return the rows with our mark."""
        return [row for row in self.rows.values() if mark in self.spec.carries(row)]

    def _act(self, request: httpx.Request) -> Answer:
        path = request.url.path
        fits = [
            (route, found)
            for route in self.spec.routes
            if (found := re.fullmatch(route.path, path)) is not None
        ]
        if not fits:
            raise NotTaken(404, "there is no such page")
        fits = [one for one in fits if one[0].method == request.method]
        if not fits:
            raise NotTaken(405, "not by this method")
        route, found = fits[0]
        _headers(request, {} if route.login else self.spec.login, 401)
        _headers(request, route.headers, 400)
        query = _query(request, route.query)
        body = _body(request)
        check(body, route.body, "body")
        values = {**found.groupdict(), **{f"q_{key}": text for key, text in query.items()}}
        if request.method != "GET":
            self.written += 1
        return route.act(self, body, **values)


def check(value: Any, rule: Rule, where: str) -> None:
    """Refuse what a rule does not allow."""
    if rule is None:
        if value is not None:
            raise NotTaken(400, f"{where}: nothing is taken here")
    elif isinstance(rule, dict):
        _check_object(value, rule, where)
    elif isinstance(rule, list):
        if not isinstance(value, list) or not value:
            raise NotTaken(400, f"{where}: a list it must be")
        for one in value:
            check(one, rule[0], f"{where}[]")
    elif isinstance(rule, tuple):
        if not any(value == one and type(value) is type(one) for one in rule):
            raise NotTaken(422, f"{where}: {value!r} is none of {rule}")
    elif rule in (int, bool):
        if type(value) is not rule:
            raise NotTaken(422, f"{where}: {value!r} is no {rule.__name__}")
    elif not isinstance(value, str) or not value:
        raise NotTaken(422, f"{where}: {value!r} is no text")
    elif len(value) > rule:
        raise NotTaken(422, f"{where}: {len(value)} characters are more than {rule}")


def _check_object(value: Any, rule: dict[str, Rule], where: str) -> None:
    if not isinstance(value, dict):
        raise NotTaken(400, f"{where}: an object it must be")
    names = {name.removesuffix("!"): inner for name, inner in rule.items()}
    for key, one in value.items():
        if key not in names:
            raise NotTaken(400, f"{where}: {key} is not known")
        check(one, names[key], f"{where}.{key}")
    for name in rule:
        if name.endswith("!") and name[:-1] not in value:
            raise NotTaken(422, f"{where}: {name[:-1]} is missing")


def _headers(request: httpx.Request, wanted: Mapping[str, str], status: int) -> None:
    for name, pattern in wanted.items():
        if not re.fullmatch(pattern, request.headers.get(name, "")):
            raise NotTaken(status, f"{name} is not right")


def _query(request: httpx.Request, patterns: Mapping[str, str]) -> dict[str, str]:
    """Return what the patterns catch of a query; what is not asked for is refused."""
    given = dict(request.url.params)
    known = {name.removesuffix("?"): pattern for name, pattern in patterns.items()}
    caught: dict[str, str] = {}
    for name, text in given.items():
        if name not in known:
            raise NotTaken(400, f"{name}: no such parameter")
        found = re.fullmatch(known[name], text)
        if found is None:
            raise NotTaken(400, f"{name}: {text!r} is not understood")
        caught |= {key: value for key, value in found.groupdict().items() if value is not None}
    for name in patterns:
        if not name.endswith("?") and name not in given:
            raise NotTaken(400, f"{name} is missing")
    return caught


def _body(request: httpx.Request) -> Any:
    if not request.content:
        return None
    kind = request.headers.get("content-type", "")
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(request.content.decode()))
    if not kind.startswith("application/json"):
        raise NotTaken(415, f"{kind} is not taken")
    return json.loads(request.content)


def _given(answer: httpx.Response | Exception) -> httpx.Response:
    if isinstance(answer, Exception):
        raise answer
    return answer


def picked(desk: Desk, ids: str, between: str = ",", before: str = "") -> list[Row]:
    """Return the rows that a list of numbers names; what is not there is left out."""
    wanted = [one.removeprefix(before) for one in ids.split(between)]
    return [desk.rows[one] for one in wanted if one in desk.rows]


def basic(user: str, password: str) -> str:
    """Return the pattern of a login header."""
    return re.escape("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())


MARK = r"(?P<mark>fw-[0-9a-f]{16})"
NUMBER = r"(?P<number>\d+)"
