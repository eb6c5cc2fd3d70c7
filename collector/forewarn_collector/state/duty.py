"""Choose whose a ticket becomes: routes decide, teams share.  All SQL of it is in here."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from forewarn_collector.routing import Asked, Routing, Strategy, Team, rank
from forewarn_collector.state import absences
from forewarn_collector.state.history import Event, event
from forewarn_collector.state.tables import team_turns, tickets
from forewarn_collector.state.tickets import OPEN_STATES, TicketState


def route(
    connection: Connection, routing: Routing, asked: Asked, *, subject: str, host_id: str | None
) -> Event | None:
    """Return the event that gives a new ticket to somebody, and why; None without routes."""
    routed = routing.route(asked, absences.away(connection, asked.at))
    if routed is None:
        return None
    data: dict[str, Any] = {"route": routed.route.name, "reason": routed.reason}
    to: str | None = routed.route.to
    if routed.route.team is None:
        data["to"] = to
    else:
        to, why = whom(connection, routed.route.team, subject=subject, host_id=host_id, at=asked.at)
        data |= {"team": routed.route.team.name, "to": to, "because": why}
    sets: dict[str, str | None] = {"assignee": to}
    if routed.route.team is not None:
        sets["team"] = routed.route.team.name
    if to is not None:
        sets["state"] = TicketState.ASSIGNED
    return event("routed", data, sets=sets)


def whom(
    connection: Connection, team: Team, *, subject: str, host_id: str | None, at: datetime
) -> tuple[str | None, str]:
    """Return the member of a team who is next, and why; it is then the turn of the one after.

    Those who are away at this moment are passed by.
    """
    last_one = None
    if team.strategy is Strategy.STICKY:
        last_one = _last_one(connection, team, subject, host_id)
    turn = select(team_turns.c.member).where(team_turns.c.team == team.name)
    last_turn = connection.execute(turn).scalar()
    counts = {} if team.strategy is Strategy.ROUND_ROBIN else _open_tickets(connection, team)
    chosen = rank(team, last_one, counts, last_turn, absences.away(connection, at))
    if chosen is None:
        nobody = "all of the team are away" if team.members else "the team has no members"
        return None, f"{nobody}; whoever takes it"
    if chosen[0] != last_one:
        _keep_turn(connection, team.name, chosen[0])
    return chosen


def _last_one(connection: Connection, team: Team, subject: str, host_id: str | None) -> str | None:
    """Return the member who had the last ticket about the same thing, else of the same host."""
    mine = tickets.c.assignee.in_(team.members)
    for same in (tickets.c.subject == subject, tickets.c.host_id == (host_id or "")):
        query = select(tickets.c.assignee).where(mine, same).order_by(tickets.c.number.desc())
        found: str | None = connection.execute(query.limit(1)).scalar()
        if found is not None:
            return found
    return None


def _open_tickets(connection: Connection, team: Team) -> dict[str, int]:
    query = (
        select(tickets.c.assignee, func.count())
        .where(
            tickets.c.assignee.in_(team.members),
            tickets.c.state.in_([str(state) for state in OPEN_STATES]),
        )
        .group_by(tickets.c.assignee)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def _keep_turn(connection: Connection, team: str, member: str) -> None:
    changed = update(team_turns).where(team_turns.c.team == team).values(member=member)
    if connection.execute(changed).rowcount == 0:
        connection.execute(insert(team_turns).values(team=team, member=member))
