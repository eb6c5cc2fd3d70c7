"""What is told of a ticket: read from its row, its episodes, its promise and its report.

All SQL of it is in here.
"""

from datetime import datetime

from sqlalchemy import Connection, RowMapping, select

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
from forewarn_collector.ticket_body import CarriedEpisode, ReportLink, TicketBody


def read(
    connection: Connection, ticket_id: str, ticket_url: str, now: datetime
) -> tuple[str, TicketBody]:
    """Return the client's id and a ticket as it is in this transaction.

    `ticket_url` is what the address of a ticket begins with.
    """
    row = (
        connection.execute(
            select(
                tickets,
                clients.c.name.label("client"),
                sites.c.name.label("site"),
                hosts.c.name.label("host"),
            )
            .join(clients, clients.c.id == tickets.c.client_id)
            .join(sites, sites.c.id == tickets.c.site_id)
            .outerjoin(hosts, hosts.c.id == tickets.c.host_id)
            .where(tickets.c.id == ticket_id)
        )
        .mappings()
        .one()
    )
    carried = (
        select(episodes)
        .where(episodes.c.ticket_id == ticket_id)
        .order_by(episodes.c.opened_at.desc())
        .limit(20)
    )
    return row["client_id"], TicketBody(
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
        episodes=[
            CarriedEpisode(
                rule=one["rule"],
                severity=one["severity"],
                opened_at=one["opened_at"],
                closed_at=one["closed_at"],
                evidence=one["evidence"],
            )
            for one in connection.execute(carried).mappings()
        ],
        waiting_for=row["waiting_for"],
        team=row["team"],
        description=row["description"],
        sla=sla_of(connection, row, now),
        report=_report(connection, row, ticket_url),
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
