"""Clients and their sites."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from forewarn_collector.api.principal import Principal
from forewarn_collector.queries.scope import seen_by
from forewarn_collector.state.tables import clients, hosts, sites


@dataclass(frozen=True, slots=True)
class SiteLine:
    """Where hosts are.  `zone` is an IANA time zone."""

    id: str
    name: str
    zone: str
    hosts: int


@dataclass(frozen=True, slots=True)
class ClientLine:
    """Whose hosts they are."""

    id: str
    name: str
    sites: tuple[SiteLine, ...]


def list_clients(connection: Connection, principal: Principal) -> tuple[ClientLine, ...]:
    """Return every client with its sites, by name, with the number of hosts at each site."""
    held = (
        select(hosts.c.site_id, func.count().label("hosts"))
        .where(hosts.c.revoked_at.is_(None))
        .group_by(hosts.c.site_id)
        .subquery()
    )
    found: dict[str, list[SiteLine]] = {}
    for row in connection.execute(
        select(sites, func.coalesce(held.c.hosts, 0).label("hosts"))
        .join(held, held.c.site_id == sites.c.id, isouter=True)
        .where(seen_by(principal, sites.c.client_id))
        .order_by(sites.c.name)
    ):
        line = SiteLine(row.id, row.name, row.zone, row.hosts)
        found.setdefault(row.client_id, []).append(line)
    owners = connection.execute(
        select(clients).where(seen_by(principal, clients.c.id)).order_by(clients.c.name)
    )
    return tuple(ClientLine(row.id, row.name, tuple(found.get(row.id, ()))) for row in owners)


def zone_of(connection: Connection, client_id: str, site: str) -> str:
    """Return the IANA time zone of a client's site, UTC when there is no such site."""
    query = select(sites.c.zone).where(sites.c.client_id == client_id, sites.c.name == site)
    return connection.execute(query).scalar() or "UTC"
