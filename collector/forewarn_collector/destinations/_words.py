"""Say a ticket in the words that profiles are written with."""

import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forewarn_collector.clock import rfc3339
from forewarn_collector.destinations._profile import Profile
from forewarn_collector.destinations._template import Word
from forewarn_collector.tickets import Kind, Message

_ENDLESS = 100_000
_MOST_NAMED = 50


class _Told(BaseModel):
    """As much of a message's ticket as other systems are told; what is missing is empty."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    key: str = ""
    number: int = 0
    title: str = ""
    priority: str = "P3"
    severity: str = "warning"
    state: str = "new"
    client: str = ""
    site: str = ""
    host: str = ""
    component: str = ""
    assignee: str | None = None
    rules: tuple[str, ...] = ()
    evidence: tuple[Mapping[str, Any], ...] = ()
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    url: str = ""
    part_of: int | None = None


class _Data(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    ticket: _Told = Field(default_factory=_Told)


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    data: _Data = Field(default_factory=_Data)


def tag_of(ticket_key: str) -> str:
    """Return the mark a ticket carries in other systems: short, and fit for any query."""
    return "fw-" + hashlib.sha256(ticket_key.encode()).hexdigest()[:16]


def mark_of(message_id: str) -> str:
    """Return the mark of one message, by which a comment is known to have arrived."""
    return "fwm-" + hashlib.sha256(message_id.encode()).hexdigest()[:12]


def ticket_words(profile: Profile, message: Message, at: float) -> dict[str, Word]:
    """Return what a message says, each word cut to what the other system takes."""
    ticket = _read(message)
    now = datetime.fromtimestamp(int(at), UTC)
    tag = tag_of(message.ticket_key)
    limits = profile.limits
    # The mark stays whole whatever the title is: it is what the ticket is found by.
    room = limits.get("subject", 250) - len(tag) - 3
    opened = ticket.opened_at or now
    closed = min(ticket.closed_at or now, now)
    note = cut(_note(ticket, message.kind), limits.get("note", _ENDLESS))
    text = cut(_describe(ticket, message.ticket_key), limits.get("text", _ENDLESS))
    return {
        "key": message.ticket_key,
        "tag": tag,
        "mark": mark_of(message.id),
        "message_id": message.id,
        "number": ticket.number,
        "title": cut(ticket.title, limits.get("title", 250)),
        "subject": f"{cut(ticket.title, room)} [{tag}]",
        "text": text,
        "html": _html(text),
        "note": note,
        "note_html": _html(note),
        "priority": ticket.priority,
        "severity": ticket.severity,
        "state": ticket.state,
        "client": ticket.client,
        "site": ticket.site,
        "host": ticket.host,
        "component": ticket.component,
        "rules": ", ".join(ticket.rules),
        "url": ticket.url,
        "opened_at": rfc3339(min(opened, now)),
        "closed_at": rfc3339(max(closed, min(opened, now))),
        "now": rfc3339(now),
        "until": rfc3339(now + _holds(profile)),
    }


def spoken(message: Message) -> tuple[str, str, str]:
    """Return what people are told: a title, a text, and its tone.

    The tone is failure, warning, info or success.
    """
    ticket = _read(message)
    head = {Kind.OPENED: "", Kind.UPDATED: "changed: ", Kind.CLOSED: "over: "}[message.kind]
    title = cut(f"[{ticket.priority}] {head}{ticket.title}", 200)
    if message.kind is Kind.CLOSED:
        return title, _note(ticket, message.kind), "success"
    if message.kind is Kind.UPDATED:
        return title, _note(ticket, message.kind), "info"
    grave = ticket.severity in ("critical", "high")
    text = cut(_describe(ticket, message.ticket_key), 8000)
    return title, text, "failure" if grave else "warning"


def cut(text: str, length: int) -> str:
    """Return `text` in at most `length` characters; what was cut shows."""
    return text if len(text) <= length else text[: max(length - 1, 0)].rstrip() + "…"


def _holds(profile: Profile) -> timedelta:
    return timedelta(seconds=profile.resend.holds_seconds if profile.resend else 0)


def _read(message: Message) -> _Told:
    try:
        return _Body.model_validate(json.loads(message.body)).data.ticket
    except (ValueError, ValidationError):
        # A text of an older collector: better a bare ticket than none.
        return _Told(title=message.ticket_key)


def _describe(ticket: _Told, key: str) -> str:
    """Return the text of a new ticket: what, where, how bad, what to do, where to look."""
    where = _join((ticket.client, ticket.site, ticket.host, ticket.component), ", ")
    lines = [
        ticket.title,
        "",
        *_lines((("Where", where), ("Severity", ticket.severity), ("Priority", ticket.priority))),
        *_lines((("Rules", ", ".join(ticket.rules)), ("Since", _moment(ticket.opened_at)))),
    ]
    for one in ticket.evidence:
        lines += ["", *_lines(_evidence(one))]
    return "\n".join([*lines, "", *_lines((("Ticket", ticket.url), ("Key", key)))]).strip()


def _note(ticket: _Told, kind: Kind) -> str:
    """Return what has become of a ticket, for a comment."""
    values = []
    for one in ticket.evidence:
        if "host_count" in one:
            values += _lines(_crowd(one))
        elif isinstance(one.get("rule"), str):
            values.append(f"{one['rule']}: {_shown(one)}")
    head = {
        Kind.OPENED: f"Firing again: {ticket.title}",
        Kind.UPDATED: f"{ticket.title} ({ticket.severity}, {ticket.priority}, {ticket.state})",
        Kind.CLOSED: _ending(ticket),
    }[kind]
    who = _lines((("Assigned to", ticket.assignee or ""),))
    return "\n".join([head, *values[:20], *who, *_lines((("Ticket", ticket.url),))])


def _ending(ticket: _Told) -> str:
    """Return why a ticket ended."""
    if ticket.part_of is not None:
        return f"It is part of ticket {ticket.part_of} now, and goes on there."
    if ticket.state == "cancelled":
        return "It was a false alarm."
    return "The condition has cleared." if ticket.rules else "It is done."


def _evidence(one: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    if "host_count" in one:
        return _crowd(one)
    names = ("rule", "shown", "raises", "advice", "runbook_url")
    texts = {name: str(one.get(name) or "") for name in names}
    return (
        (texts["rule"] or "Reading", texts["shown"]),
        ("Rule", texts["raises"]),
        ("What to do", texts["advice"]),
        ("Runbook", texts["runbook_url"]),
    )


def _crowd(one: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """Return who shares a ticket, and, where they share no rule, with what."""
    problems = () if one.get("rule") else (("Problems", _named(one, "problems", "problem_count")),)
    return (("Hosts", _named(one, "hosts", "host_count")), *problems)


def _named(one: Mapping[str, Any], which: str, count: str) -> str:
    names, many = one.get(which), one.get(count)
    if not isinstance(names, list) or not isinstance(many, int):
        return ""
    shown = [str(name) for name in names[:_MOST_NAMED]]
    more = f" and {many - len(shown)} more" if many > len(shown) else ""
    return ", ".join(shown) + more


def _shown(one: Mapping[str, Any]) -> str:
    cleared = one.get("cleared")
    after = cleared.get("shown") if isinstance(cleared, dict) else None
    shown = str(one.get("shown") or "")
    return shown if after is None else f"{shown}, cleared at {after}"


def _html(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")


def _lines(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{name}: {value}" for name, value in pairs if value]


def _join(parts: Sequence[str], between: str) -> str:
    return between.join(part for part in parts if part)


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else rfc3339(moment)
