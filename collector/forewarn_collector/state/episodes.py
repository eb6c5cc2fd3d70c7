"""What episodes do to the ticket of their component.  All SQL of it is in here.

A ticket carries the episodes of one component of one host.  It closes when its last one does, a
day later where people had their hands on it; one that comes back within a day opens the same
ticket again.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from forewarn_checks.base import Severity
from forewarn_collector.priority import computed, impact_of, urgency_of
from forewarn_collector.state import opening as openings
from forewarn_collector.state import outbox
from forewarn_collector.state.history import ACTOR, Row, event, happen
from forewarn_collector.state.hosts import KnownHost, Place
from forewarn_collector.state.opening import NewTicket
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import episodes
from forewarn_collector.state.tickets import ENDED_STATES, TicketState
from forewarn_collector.ticket_body import CarriedEpisode
from forewarn_collector.tickets import Kind

REOPEN_WITHIN = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """An alert that begins to be told.  `at` is event time; `evidence` goes into messages."""

    alert_key: str
    host: KnownHost
    component: str
    rule: str
    severity: Severity
    title: str
    evidence: Mapping[str, Any]
    at: datetime


def alert_key(client_id: str, host_id: str, component: str, rule: str) -> str:
    """Return the stable name of one rule on one component."""
    return _hash(client_id, host_id, component, rule)


def subject_of(opening: Opening) -> str:
    """Return what a ticket of the opening's component is known by."""
    return _hash(opening.host.client_id, opening.host.id, opening.component)[:40]


def site_subject(opening: Opening) -> str:
    """Return what a ticket of the opening's rule at its site is known by."""
    return _hash(opening.host.client_id, opening.host.site_id, opening.rule)[:40]


def overflow_subject(client_id: str) -> str:
    """Return what the ticket of all that is past a client's budget is known by."""
    return _hash(client_id, "overflow")[:40]


def may_reopen(last: Row, now: datetime) -> bool:
    """Say whether a ticket is open, or was so recently that it is opened again."""
    return last["state"] not in ENDED_STATES or now - last["closed_at"] <= REOPEN_WITHIN


def begin(
    connection: Connection,
    episode_id: str,
    opening: Opening,
    last: Row,
    now: datetime,
    telling: Telling,
) -> Row:
    """Begin an episode on the ticket its component has; return the ticket as it is then."""
    insert_episodes(connection, [(episode_id, opening, last["id"])])
    return take_on(connection, opening, last, now, telling)


def take_on(
    connection: Connection, opening: Opening, last: Row, now: datetime, telling: Telling
) -> Row:
    """Let a ticket of a component know of an episode that is on it now."""
    data = {"rule": opening.rule, "severity": str(opening.severity), "title": opening.title}
    sets, values = weigh(connection, last, opening.host)
    values |= {"condition": "firing", "cleared_at": None}
    kind = "episode_opened"
    if last["state"] in (*ENDED_STATES, TicketState.RESOLVED):
        kind = "reopened"
        sets |= _again(last)
        values |= {"resolved_at": None, "closed_at": None}
    after = happen(connection, last, event(kind, data, sets=sets, **values), actor=ACTOR, now=now)
    # As an opening: where it was resolved in another system it must be opened again.
    told = Kind.OPENED if kind == "reopened" else Kind.UPDATED
    outbox.tell(connection, last["id"], told, now=now, telling=telling)
    return after


def begin_anew(
    connection: Connection,
    episode_id: str,
    opening: Opening,
    last: Row | None,
    now: datetime,
    telling: Telling,
) -> Row:
    """Begin an episode on a new ticket of its component, after its last one; return the ticket."""
    new = new_ticket(opening, last)
    row = openings.open_ticket(connection, new, actor=ACTOR, now=now, telling=telling)
    insert_episodes(connection, [(episode_id, opening, row["id"])])
    tell_new(connection, row, new, opening, now, telling)
    return row


def new_ticket(opening: Opening, last: Row | None) -> NewTicket:
    """Return the ticket that an opening makes, after the last one of its component."""
    host = opening.host
    return NewTicket(
        subject=subject_of(opening),
        ordinal=1 if last is None else int(last["key"].rpartition("#")[2]) + 1,
        place=Place(host.client_id, host.client, host.site_id, host.site),
        host=host,
        component=opening.component,
        title=opening.title,
        severity=str(opening.severity),
        impact=impact_of(host.host_class, host.tags),
        urgency=urgency_of(opening.severity),
        rule=opening.rule,
        data={"rule": opening.rule, "severity": str(opening.severity), "title": opening.title},
    )


def tell_new(
    connection: Connection,
    row: Mapping[str, Any],
    new: NewTicket,
    opening: Opening,
    now: datetime,
    telling: Telling,
) -> None:
    """Tell of a ticket that was opened in this transaction with one episode."""
    carried = CarriedEpisode(
        rule=opening.rule,
        severity=str(opening.severity),
        opened_at=opening.at,
        closed_at=None,
        evidence=opening.evidence,
    )
    told = openings.body(connection, row, new, (carried,), now=now, telling=telling)
    outbox.tell_new(connection, row["id"], row["client_id"], told, now=now, telling=telling)


def insert_episodes(connection: Connection, begun: Sequence[tuple[str, Opening, str]]) -> None:
    """Write episodes that begin: each is its id, what opens it, and its ticket's id."""
    rows = [
        {
            "id": episode_id,
            "alert_key": opening.alert_key,
            "ticket_id": ticket_id,
            "client_id": opening.host.client_id,
            "host_id": opening.host.id,
            "component": opening.component,
            "rule": opening.rule,
            "severity": str(opening.severity),
            "opened_at": opening.at,
            "evidence": dict(opening.evidence),
        }
        for episode_id, opening, ticket_id in begun
    ]
    if rows:
        connection.execute(insert(episodes), rows)


# -- one that lasts ------------------------------------------------------------------------------


def write_change(
    connection: Connection, episode_id: str, severity: Severity, evidence: Mapping[str, Any]
) -> RowMapping:
    """Give an episode another severity; return it as it was."""
    row = _episode(connection, episode_id)
    values = {"severity": str(severity), "evidence": dict(evidence)}
    connection.execute(_CHANGE, {"changed_id": episode_id, **values})
    return row


def write_evidence(
    connection: Connection, episode_id: str, evidence: Mapping[str, Any]
) -> RowMapping:
    """Give an episode other evidence; return it as it was."""
    row = _episode(connection, episode_id)
    connection.execute(_CHANGE, {"changed_id": episode_id, "evidence": dict(evidence)})
    return row


def changed(
    connection: Connection,
    before: Row,
    ticket: Row,
    host: KnownHost,
    severity: Severity,
    now: datetime,
    telling: Telling,
) -> None:
    """Let the ticket of a component know that an episode of it has another severity."""
    data = {"rule": before["rule"], "from": before["severity"], "to": str(severity)}
    sets, values = weigh(connection, ticket, host)
    what = event("severity_changed", data, sets=sets, **values)
    happen(connection, ticket, what, actor=ACTOR, now=now)
    if ticket["state"] not in ENDED_STATES:
        outbox.tell(connection, ticket["id"], Kind.UPDATED, now=now, telling=telling)


def flaps(connection: Connection, row: Row, ticket: Row, now: datetime, telling: Telling) -> None:
    """Say once that an episode comes and goes, and therefore lasts for longer."""
    data = {"rule": row["rule"], "title": row["evidence"]["title"]}
    happen(connection, ticket, event("flapping", data), actor=ACTOR, now=now)
    if ticket["state"] not in ENDED_STATES:
        outbox.tell(connection, ticket["id"], Kind.UPDATED, now=now, telling=telling)


# -- rows ----------------------------------------------------------------------------------------

# Values as parameters: a statement that is the same every time is half the work.
_CHANGE = update(episodes).where(episodes.c.id == bindparam("changed_id"))
_ONE = select(episodes).where(episodes.c.id == bindparam("wanted"))


def _again(row: Row) -> dict[str, str | None]:
    """Return the state of a ticket that is taken up again."""
    state = TicketState.ASSIGNED if row["assignee"] else TicketState.NEW
    return {"state": state, "waiting_for": None}


def weigh(
    connection: Connection, ticket: Row, host: KnownHost
) -> tuple[dict[str, str | None], dict[str, Any]]:
    """Return priority, and title, severity, impact and urgency, by the worst episode that lasts.

    A priority that somebody set stays.
    """
    rows = _lasting(connection, ticket["id"])
    worst = max(rows, key=lambda row: Severity(row["severity"]).rank)
    severity = Severity(worst["severity"])
    impact, urgency = impact_of(host.host_class, host.tags), urgency_of(severity)
    values = {
        "title": worst["evidence"]["title"][:300],
        "severity": str(severity),
        "impact": impact,
        "urgency": urgency,
    }
    priority = computed(impact, urgency)
    if ticket["priority_by"] is not None or priority == ticket["priority"]:
        return {}, values
    return {"priority": priority}, values


def _lasting(connection: Connection, ticket_id: str) -> list[RowMapping]:
    lasting = select(episodes).where(
        episodes.c.ticket_id == ticket_id, episodes.c.closed_at.is_(None)
    )
    return list(connection.execute(lasting.order_by(episodes.c.id)).mappings())


def _episode(connection: Connection, episode_id: str) -> RowMapping:
    return connection.execute(_ONE, {"wanted": episode_id}).mappings().one()


def _hash(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
