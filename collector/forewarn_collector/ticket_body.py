"""Write what destinations are told of a ticket: one JSON text under 20 kB."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from forewarn_collector.clock import rfc3339
from forewarn_collector.runbook_url import runbook_url
from forewarn_collector.sla.shown import Sla, sla_json
from forewarn_collector.text import plain
from forewarn_collector.tickets import Kind

LARGEST_EVIDENCE = 8 * 1024
LARGEST = 20_000
_WHOLE = frozenset({"runbook_url"})  # half an address leads nowhere


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedEpisode:
    """One episode as it is told; `evidence` is what was known when it opened or last changed."""

    rule: str
    severity: str
    opened_at: datetime
    closed_at: datetime | None
    evidence: Mapping[str, Any]


class Shape(StrEnum):
    """What kind of ticket one is; None is one component's, or one opened by hand."""

    SITE = "site"
    OVERFLOW = "overflow"
    ROOT_CAUSE = "root_cause"


SHARED = (Shape.SITE, Shape.OVERFLOW)
"""Those that carry the episodes of many hosts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What lasts on a ticket that many hosts share: how much, and the first names and titles."""

    rule: str
    hosts: Sequence[str]
    host_count: int
    problems: Sequence[str]
    problem_count: int


@dataclass(frozen=True, slots=True)
class ReportLink:
    """Where a ticket's service report is, and the hash of its bytes."""

    url: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketBody:
    """A ticket as it is told.  `host` is "" for a ticket about a whole site.

    `part_of` is the number of the ticket that took over what this one was about.
    """

    key: str
    number: int
    title: str
    priority: str
    severity: str
    state: str
    condition: str
    client: str
    site: str
    host: str
    host_id: str
    component: str
    assignee: str | None
    url: str
    opened_at: datetime
    closed_at: datetime | None
    episodes: Sequence[CarriedEpisode]
    waiting_for: str | None = None
    team: str | None = None
    description: str = ""
    sla: Sla | None = None
    report: ReportLink | None = None
    crowd: Crowd | None = None
    part_of: int | None = None


def write(kind: Kind, ticket: TicketBody, now: datetime) -> str:
    """Return the body of a message, the newest episodes' evidence first, cut to its bounds."""
    told = {
        "key": ticket.key,
        "number": ticket.number,
        "title": plain(ticket.title, 300),
        "priority": ticket.priority,
        "severity": ticket.severity,
        "state": ticket.state,
        "condition": ticket.condition,
        "client": plain(ticket.client),
        "site": plain(ticket.site),
        "host": plain(ticket.host),
        "host_id": ticket.host_id,
        "component": plain(ticket.component, 400),
        "assignee": None if ticket.assignee is None else plain(ticket.assignee),
        "rules": _rules(ticket.episodes),
        "evidence": _evidence(ticket),
        "opened_at": rfc3339(ticket.opened_at),
        "closed_at": None if ticket.closed_at is None else rfc3339(ticket.closed_at),
        "url": ticket.url,
        "waiting_for": ticket.waiting_for,
        "team": None if ticket.team is None else plain(ticket.team),
        "description": plain(ticket.description, 2000),
        "sla": None if ticket.sla is None else sla_json(ticket.sla),
        "report": None if ticket.report is None else asdict(ticket.report),
        "part_of": ticket.part_of,
    }
    return _json({"type": str(kind), "timestamp": rfc3339(now), "data": {"ticket": told}})


def _rules(episodes: Sequence[CarriedEpisode]) -> list[str]:
    """Return the rules that fire, or, when none does any more, those that did."""
    lasting = [episode.rule for episode in episodes if episode.closed_at is None]
    return list(dict.fromkeys(lasting or [episode.rule for episode in episodes]))[:50]


def _evidence(ticket: TicketBody) -> list[dict[str, Any]]:
    """Return the evidence that fits: all without old readings before fewer episodes.

    Who shares a ticket comes first, and stays.
    """
    order = sorted(ticket.episodes, key=lambda one: (one.closed_at is None, one.opened_at))
    first = [] if ticket.crowd is None else [_crowd(ticket, ticket.crowd)]
    room = LARGEST_EVIDENCE - (_size(first) if first else 0)
    told = [_one(episode, ticket.url) for episode in reversed(order)]
    if _size(told) > room:
        told = [{**one, "readings": one.get("readings", [])[-1:]} for one in told]
    while len(told) > 1 and _size(told) > room:
        told.pop()
    if _size(told) > room:
        told = [_shortened(one) for one in told]
    return [*first, *told]


def _crowd(ticket: TicketBody, crowd: Crowd) -> dict[str, Any]:
    """Return who shares a ticket, names and titles cut to 2 kB each."""
    return {
        "rule": crowd.rule,
        "severity": ticket.severity,
        "title": plain(ticket.title, 300),
        "hosts": _fitting(crowd.hosts),
        "host_count": crowd.host_count,
        "problems": _fitting(crowd.problems),
        "problem_count": crowd.problem_count,
        "opened_at": rfc3339(ticket.opened_at),
        "closed_at": None if ticket.closed_at is None else rfc3339(ticket.closed_at),
    }


def _fitting(texts: Sequence[str]) -> list[str]:
    """Return as many of the texts, in their order, as take 2 kB."""
    fitting: list[str] = []
    left = 2048
    for text in texts:
        short = plain(text, 200)
        left -= _size(short) + 1
        if left < 0:
            break
        fitting.append(short)
    return fitting


def _shortened(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return evidence without labels and readings, and with short texts: it always fits."""
    return {
        key: plain(value, 150) if isinstance(value, str) and key not in _WHOLE else value
        for key, value in one.items()
        if key not in ("labels", "readings")
    }


def _one(episode: CarriedEpisode, ticket_url: str) -> dict[str, Any]:
    return {
        "rule": episode.rule,
        "runbook_url": runbook_url(ticket_url, episode.rule),
        "severity": episode.severity,
        **episode.evidence,
        "opened_at": rfc3339(episode.opened_at),
        "closed_at": None if episode.closed_at is None else rfc3339(episode.closed_at),
    }


def _size(value: object) -> int:
    return len(_json(value).encode())


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
