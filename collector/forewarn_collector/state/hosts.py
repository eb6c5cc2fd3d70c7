"""Clients, sites and hosts: who they are, and what slowly changing facts are known of them.

A host is its key.  Its name is a label that people read, never an identity.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, func, insert, select, update

from forewarn_checks.base import FactValue
from forewarn_collector.clock import uuid7
from forewarn_collector.state import assets
from forewarn_collector.state.database import Database
from forewarn_collector.state.tables import about, clients, host_facts, hosts, sites

_EDITION = "hosts_edition"  # a row of `about` that grows when a known host, site or client changes


@dataclass(frozen=True, slots=True)
class KnownHost:
    """An enrolled host.  `number` is the short key of its samples, `public_key` 32 bytes.

    `client` and `site` are names; `enrolled_at` is None only for one that is not in a database.
    """

    number: int
    id: str
    client_id: str
    site_id: str
    name: str
    public_key: bytes
    client: str = ""
    site: str = ""
    host_class: str = "server"
    system: str = ""
    tags: tuple[str, ...] = ()
    agent_version: str = ""
    revoked: bool = False
    enrolled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A client's site, by id and by name: where a host belongs."""

    client_id: str
    client: str
    site_id: str
    site: str


class Hosts:
    """Every enrolled host, in memory, so that a request is checked without touching the disk.

    Safe to share between threads.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_id: dict[str, KnownHost] = {}
        self._by_number: dict[int, KnownHost] = {}
        self._edition = -1
        self._changing = threading.Lock()
        self.refresh()

    def get(self, host_id: str) -> KnownHost | None:
        """Return the host of this id, revoked ones too, or None."""
        return self._by_id.get(host_id)

    def by_number(self, number: int) -> KnownHost | None:
        """Return the host whose samples carry this number, or None."""
        return self._by_number.get(number)

    def all(self) -> tuple[KnownHost, ...]:
        """Return every host, revoked ones too."""
        return tuple(self._by_number.values())

    def unheard(self, heard: Mapping[int, object]) -> dict[int, datetime]:
        """Return when those were enrolled, by number, that are not among `heard`."""
        missing = self._by_number.keys() - heard.keys()
        found = ((number, self._by_number[number].enrolled_at) for number in missing)
        return {number: at for number, at in found if at is not None}

    def __len__(self) -> int:
        return len(self._by_id)

    def refresh(self) -> bool:
        """Read the hosts again if any was added or changed; return whether that was so.

        Costs two small look-ups when nothing changed.
        """
        with self._changing, self._database.read() as connection:
            edition = _edition(connection)
            newest = connection.execute(select(func.max(hosts.c.number))).scalar() or 0
            if edition == self._edition and newest == max(self._by_number, default=0):
                return False
            found = _read(connection, _all_hosts())
            self._by_id = {host.id: host for host in found}
            self._by_number = {host.number: host for host in found}
            self._edition = edition
            return True

    def add(self, host: KnownHost) -> None:
        """Take in a host that was just committed, without reading all the others again."""
        with self._changing:
            self._by_id[host.id] = host
            self._by_number[host.number] = host


def place(connection: Connection, client: str, site: str, now: datetime) -> Place:
    """Return the site of this name at the client of this name, making either if it is missing."""
    client_id = connection.execute(select(clients.c.id).where(clients.c.name == client)).scalar()
    if client_id is None:
        client_id = uuid7(now)
        connection.execute(insert(clients).values(id=client_id, name=client, created_at=now))
    wanted = select(sites.c.id).where(sites.c.client_id == client_id, sites.c.name == site)
    site_id = connection.execute(wanted).scalar()
    if site_id is None:
        site_id = uuid7(now)
        row = {"id": site_id, "client_id": client_id, "name": site, "created_at": now}
        connection.execute(insert(sites).values(row))
    return Place(client_id, client, site_id, site)


def find_client(connection: Connection, name: str) -> str | None:
    """Return the id of the client of this name, or None."""
    return connection.execute(select(clients.c.id).where(clients.c.name == name)).scalar()


def find_host(connection: Connection, host_id: str) -> KnownHost | None:
    """Return the host of this id as committed, or None."""
    return next(iter(_read(connection, _all_hosts().where(hosts.c.id == host_id))), None)


def insert_host(connection: Connection, host: KnownHost, now: datetime) -> None:
    """Add a host.  Raises IntegrityError when its key, id or number is taken."""
    connection.execute(
        insert(hosts).values(
            id=host.id,
            number=host.number,
            client_id=host.client_id,
            site_id=host.site_id,
            name=host.name,
            host_class=host.host_class,
            system=host.system,
            tags=list(host.tags),
            public_key=host.public_key,
            agent_version=host.agent_version,
            enrolled_at=now,
        )
    )


def next_number(connection: Connection) -> int:
    """Return the number for the next host.  Only inside a write transaction."""
    return (connection.execute(select(func.max(hosts.c.number))).scalar() or 0) + 1


def revoke(connection: Connection, host_id: str, now: datetime) -> bool:
    """Refuse this host from now on; return whether it was not refused already."""
    done = connection.execute(
        update(hosts)
        .where(hosts.c.id == host_id, hosts.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    touch(connection)
    return done.rowcount == 1


def touch(connection: Connection) -> None:
    """Tell every `Hosts` that a known host, site or client was changed; call it in that change."""
    edition = _edition(connection) + 1
    if edition == 1:
        connection.execute(insert(about).values(name=_EDITION, value="1"))
    else:
        changed = update(about).where(about.c.name == _EDITION)
        connection.execute(changed.values(value=str(edition)))


def record_facts(
    connection: Connection, host_id: str, facts: Mapping[str, FactValue], at: datetime
) -> int:
    """Keep what a host says about itself; return how many facts changed.

    A repeat changes nothing: `since` stays the moment a fact took its present value.  What is
    older than the value held is late news and is left out.
    """
    held = {
        row.name: row
        for row in connection.execute(
            select(host_facts).where(
                host_facts.c.host_id == host_id, host_facts.c.name.in_(list(facts))
            )
        )
    }
    changed = 0
    for name, value in facts.items():
        known = held.get(name)
        if known is None:
            row = {"host_id": host_id, "name": name, "value": value, "since": at}
            connection.execute(insert(host_facts).values(row))
        elif known.value == value or at < known.since:
            continue
        else:
            same = (host_facts.c.host_id == host_id) & (host_facts.c.name == name)
            connection.execute(update(host_facts).where(same).values(value=value, since=at))
            assets.notice(connection, host_id, name, known.value, value, at)
        changed += 1
    return changed


def _edition(connection: Connection) -> int:
    held = connection.execute(select(about.c.value).where(about.c.name == _EDITION)).scalar()
    return int(held or 0)


def _all_hosts() -> Select[tuple[object, ...]]:
    return (
        select(hosts, clients.c.name.label("client"), sites.c.name.label("site"))
        .join(clients, clients.c.id == hosts.c.client_id)
        .join(sites, sites.c.id == hosts.c.site_id)
        .order_by(hosts.c.number)
    )


def _read(connection: Connection, query: Select[tuple[object, ...]]) -> list[KnownHost]:
    return [
        KnownHost(
            number=row["number"],
            id=row["id"],
            client_id=row["client_id"],
            site_id=row["site_id"],
            name=row["name"],
            public_key=bytes(row["public_key"]),
            client=row["client"],
            site=row["site"],
            host_class=row["host_class"],
            system=row["system"],
            tags=tuple(row["tags"]),
            agent_version=row["agent_version"],
            revoked=row["revoked_at"] is not None,
            enrolled_at=row["enrolled_at"],
        )
        for row in connection.execute(query).mappings()
    ]
