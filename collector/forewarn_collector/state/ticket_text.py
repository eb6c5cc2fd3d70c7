"""What is told of a ticket: read from its row, its episodes, its promise and its report.

All SQL of it is in here.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, select

from forewarn_collector.sla.shown import Sla, read_sla
from forewarn_collector.state import promises
from forewarn_collector.state.tables import (
    clients,
    episodes,
    hosts,
    service_reports,
    sites,
    tickets,
)
from forewarn_collector.ticket_body import SHARED, CarriedEpisode, Crowd, ReportLink, TicketBody

_MOST_EPISODES = 20
_MOST_NAMED = 200


def named() -> Select[Any]:
    """Return a query for tickets with the names of client, site and host (None for a site's)."""
    return (
        select(
            tickets,
            clients.c.name.label("client"),
            sites.c.name.label("site"),
            hosts.c.name.label("host"),
        )
        .join(clients, clients.c.id == tickets.c.client_id)
        .join(sites, sites.c.id == tickets.c.site_id)
        .outerjoin(hosts, hosts.c.id == tickets.c.host_id)
    )


def read(
    connection: Connection, ids: Sequence[str], ticket_url: str, now: datetime
) -> dict[str, tuple[str, TicketBody]]:
    """Return the client's id and the ticket, by the ticket's id, as they are in this transaction.

    `ticket_url` is what the address of a ticket begins with.
    """
    rows = connection.execute(named().where(tickets.c.id.in_(ids))).mappings().all()
    carried = _carried(connection, ids)
    return {
        row["id"]: (row["client_id"], _body(connection, row, carried[row["id"]], ticket_url, now))
        for row in rows
    }


def _carried(connection: Connection, ids: Sequence[str]) -> dict[str, list[CarriedEpisode]]:
    """Return the newest episodes of every ticket, at most 20 of each."""
    age = func.row_number().over(
        partition_by=episodes.c.ticket_id, order_by=episodes.c.opened_at.desc()
    )
    columns = ("ticket_id", "rule", "severity", "opened_at", "closed_at", "evidence")
    numbered = select(*(episodes.c[name] for name in columns), age.label("age"))
    newest = numbered.where(episodes.c.ticket_id.in_(ids)).subquery()
    query = select(newest).where(newest.c.age <= _MOST_EPISODES).order_by(newest.c.age)
    found: dict[str, list[CarriedEpisode]] = {ticket_id: [] for ticket_id in ids}
    for one in connection.execute(query).mappings():
        found[one["ticket_id"]].append(
            CarriedEpisode(
                rule=one["rule"],
                severity=one["severity"],
                opened_at=one["opened_at"],
                closed_at=one["closed_at"],
                evidence=one["evidence"],
            )
        )
    return found


def _body(
    connection: Connection,
    row: RowMapping,
    carried: Sequence[CarriedEpisode],
    ticket_url: str,
    now: datetime,
) -> TicketBody:
    return TicketBody(
        key=row["key"],
        number=row["number"],
        title=row["title"],
        priority=row["priority"],
        severity=row["severity"],
        state=row["state"],
        condition=row["condition"],
        client=row["client"],
        site=row["site"],
        host=row["host"] or "",
        host_id=row["host_id"] or "",
        component=row["component"],
        assignee=row["assignee"],
        url=f"{ticket_url}{row['number']}",
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        episodes=carried,
        waiting_for=row["waiting_for"],
        team=row["team"],
        description=row["description"],
        sla=sla_of(connection, row, now),
        report=_report(connection, row, ticket_url),
        crowd=_crowd(connection, row) if row["kind"] in SHARED else None,
    )


def _crowd(connection: Connection, row: RowMapping) -> Crowd:
    """Return who shares a ticket: what lasts, else what was on it, the worst and newest first."""
    mine = episodes.c.ticket_id == row["id"]
    lasting = mine & episodes.c.closed_at.is_(None)
    count = select(func.count(), func.count(episodes.c.host_id.distinct()))
    problems, many = connection.execute(count.where(lasting)).one()
    wanted = lasting if problems else mine
    if not problems:
        problems, many = connection.execute(count.where(mine)).one()
    query = (
        select(hosts.c.name, episodes.c.evidence)
        .join(hosts, hosts.c.id == episodes.c.host_id)
        .where(wanted)
        .order_by(episodes.c.id.desc())
        .limit(_MOST_NAMED)
    )
    found = connection.execute(query).all()
    return Crowd(
        rule=row["rule"] or "",
        hosts=sorted({one.name for one in found}),
        host_count=many,
        problems=[str(one.evidence.get("title", "")) for one in found],
        problem_count=problems,
    )


def sla_of(connection: Connection, row: RowMapping, now: datetime) -> Sla | None:
    """Return how the clocks of a ticket's row stand; None where nothing was promised."""
    if row["promise"] is None:
        return None
    policy = promises.kept(connection, row["promise"])
    return read_sla(row["clocks"], policy, row["priority"], now)


def _report(connection: Connection, row: RowMapping, ticket_url: str) -> ReportLink | None:
    """Return where the report of a closed ticket is."""
    if row["closed_at"] is None:
        return None
    newest = select(service_reports.c.sha256).where(service_reports.c.ticket_id == row["id"])
    sha256 = connection.execute(newest.order_by(service_reports.c.id.desc()).limit(1)).scalar()
    if sha256 is None:
        return None
    return ReportLink(f"{ticket_url}{row['number']}/report", sha256)
