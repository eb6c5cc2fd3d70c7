"""What is told of a ticket: read from its row, its episodes, its promise and its report.

All SQL of it is in here.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, select

from forewarn_collector.sla.shown import Sla, read_sla
from forewarn_collector.state import promises
from forewarn_collector.state.links import LinkKind
from forewarn_collector.state.tables import (
    clients,
    episodes,
    hosts,
    service_reports,
    sites,
    ticket_links,
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
    reports, owners = _reports(connection, rows), _owners(connection, rows)
    told = {}
    for row in rows:
        sha256 = reports.get(row["id"])
        link = sha256 and ReportLink(f"{ticket_url}{row['number']}/report", sha256)
        body = _body(connection, row, carried[row["id"]], link or None, ticket_url, now)
        body = replace(body, part_of=owners.get(row["id"]))
        told[row["id"]] = row["client_id"], body
    return told


def _carried(connection: Connection, ids: Sequence[str]) -> dict[str, list[CarriedEpisode]]:
    """Return the newest episodes of every ticket, at most 20 of each."""
    age = func.row_number().over(
        partition_by=episodes.c.ticket_id, order_by=episodes.c.opened_at.desc()
    )
    # Evidence is large: only that of the newest is read.
    numbered = select(episodes.c.id, age.label("age")).where(episodes.c.ticket_id.in_(ids))
    newest = numbered.subquery()
    query = select(episodes).join(newest, newest.c.id == episodes.c.id)
    query = query.where(newest.c.age <= _MOST_EPISODES).order_by(newest.c.age)
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
    report: ReportLink | None,
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
        report=report,
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


def _owners(connection: Connection, rows: Sequence[RowMapping]) -> dict[str, int]:
    """Return the numbers of the tickets that took over closed ones, by those that they took."""
    closed = [row["id"] for row in rows if row["closed_at"] is not None]
    if not closed:
        return {}
    query = (
        select(ticket_links.c.ticket_id, tickets.c.number)
        .join(tickets, tickets.c.id == ticket_links.c.other_id)
        .where(ticket_links.c.ticket_id.in_(closed))
        .where(ticket_links.c.kind == str(LinkKind.ABSORBED))
        .where(ticket_links.c.ticket_id.not_in(_carrying(closed)))
        .order_by(ticket_links.c.at)
    )
    return {one.ticket_id: one.number for one in connection.execute(query)}


def _carrying(ids: Sequence[str]) -> Select[tuple[str]]:
    """Return a query for those that carry episodes of their own: these were not taken over."""
    return select(episodes.c.ticket_id).where(episodes.c.ticket_id.in_(ids))


def _reports(connection: Connection, rows: Sequence[RowMapping]) -> dict[str, str]:
    """Return the hash of the newest report of each closed ticket that has one."""
    closed = [row["id"] for row in rows if row["closed_at"] is not None]
    if not closed:
        return {}
    mine = service_reports.c.ticket_id.in_(closed)
    newest = select(func.max(service_reports.c.id)).where(mine)
    query = select(service_reports.c.ticket_id, service_reports.c.sha256)
    query = query.where(service_reports.c.id.in_(newest.group_by(service_reports.c.ticket_id)))
    return {one.ticket_id: one.sha256 for one in connection.execute(query)}
