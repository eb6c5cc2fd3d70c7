"""Write what destinations are told of a ticket: one JSON text under 20 kB."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from forewarn_collector.clock import rfc3339
from forewarn_collector.sla.shown import Sla, sla_json
from forewarn_collector.text import plain
from forewarn_collector.tickets import Kind

LARGEST_EVIDENCE = 8 * 1024
LARGEST = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedEpisode:
    """One episode as it is told; `evidence` is what was known when it opened or last changed."""

    rule: str
    severity: str
    opened_at: datetime
    closed_at: datetime | None
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReportLink:
    """Where a ticket's service report is, and the hash of its bytes."""

    url: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketBody:
    """A ticket as it is told.  `host` is "" for a ticket about a whole site."""

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
        "evidence": _evidence(ticket.episodes),
        "opened_at": rfc3339(ticket.opened_at),
        "closed_at": None if ticket.closed_at is None else rfc3339(ticket.closed_at),
        "url": ticket.url,
        "waiting_for": ticket.waiting_for,
        "team": None if ticket.team is None else plain(ticket.team),
        "description": plain(ticket.description, 2000),
        "sla": None if ticket.sla is None else sla_json(ticket.sla),
        "report": None if ticket.report is None else asdict(ticket.report),
    }
    return _json({"type": str(kind), "timestamp": rfc3339(now), "data": {"ticket": told}})


def _rules(episodes: Sequence[CarriedEpisode]) -> list[str]:
    """Return the rules that fire, or, when none does any more, those that did."""
    lasting = [episode.rule for episode in episodes if episode.closed_at is None]
    return list(dict.fromkeys(lasting or [episode.rule for episode in episodes]))[:50]


def _evidence(episodes: Sequence[CarriedEpisode]) -> list[dict[str, Any]]:
    """Return the evidence that fits: all without old readings before fewer episodes."""
    newest = sorted(episodes, key=lambda episode: (episode.closed_at is None, episode.opened_at))
    told = [_one(episode) for episode in reversed(newest)]
    if _size(told) > LARGEST_EVIDENCE:
        told = [{**one, "readings": one.get("readings", [])[-1:]} for one in told]
    while len(told) > 1 and _size(told) > LARGEST_EVIDENCE:
        told.pop()
    if _size(told) > LARGEST_EVIDENCE:
        told = [_shortened(one) for one in told]
    return told


def _shortened(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return evidence without labels and readings, and with short texts: it always fits."""
    return {
        key: plain(value, 150) if isinstance(value, str) else value
        for key, value in one.items()
        if key not in ("labels", "readings")
    }


def _one(episode: CarriedEpisode) -> dict[str, Any]:
    return {
        "rule": episode.rule,
        "severity": episode.severity,
        **episode.evidence,
        "opened_at": rfc3339(episode.opened_at),
        "closed_at": None if episode.closed_at is None else rfc3339(episode.closed_at),
    }


def _size(value: object) -> int:
    return len(_json(value).encode())


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
