"""What orders are made of: scripts that are kept, and hosts by the fingerprints of their keys."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import StringConstraints
from sqlalchemy import Connection, select

from forewarn_collector.api.guard import Asker, Desk, Here, Problem, missing
from forewarn_collector.api.paths import Cursor, Limit, Select, picked
from forewarn_collector.api.principal import Role
from forewarn_collector.api.texts import Body, Name
from forewarn_collector.queries.hosts import Order as Sorted
from forewarn_collector.queries.hosts import list_hosts
from forewarn_collector.queries.scope import seen_by
from forewarn_collector.state import audit
from forewarn_collector.state import orders as state
from forewarn_collector.state.tables import about, clients, scripts
from forewarn_scripts.keys import key_id, public_text
from forewarn_scripts.order import MOST_SCRIPT_BYTES

PREFIX = "/api/v1"
_MOST_LISTED = 200

Base64 = Annotated[str, StringConstraints(max_length=400_000)]


class NewScript(Body):
    """A script: its bytes in base64, and whose it is."""

    client: Name
    name: Name
    body: Base64


@dataclass(frozen=True, slots=True)
class TargetHost:
    """A host by the fingerprint of its key, for an order to name."""

    id: str
    name: str
    client: str
    site: str
    system: str
    fingerprint: str
    public_key: str


@dataclass(frozen=True, slots=True)
class TargetPage:
    """Some hosts, the id of this collector, and where the next ones begin."""

    collector: str
    targets: Sequence[TargetHost]
    next: str | None


@dataclass(frozen=True, slots=True)
class ScriptLine:
    """A script that is kept."""

    sha256: str
    name: str
    client: str
    size: int
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Scripts:
    """The scripts that are kept, newest first."""

    scripts: Sequence[ScriptLine]


@dataclass(frozen=True, slots=True)
class Kept:
    """The name under which something is kept."""

    id: str


def add(desk: Desk) -> None:
    """Add the routes."""
    desk.api("GET", f"{PREFIX}/targets", Role.VIEWER, get_targets)
    desk.api("GET", f"{PREFIX}/scripts", Role.VIEWER, get_scripts)
    desk.api("POST", f"{PREFIX}/scripts", Role.OPERATOR, post_script, status=201)


def get_targets(
    asker: Asker,
    collector: Here,
    select: Select = "",
    limit: Limit = 1000,
    cursor: Cursor = None,
) -> TargetPage:
    """Return hosts with the fingerprints of their keys."""
    with collector.database.read() as connection:
        page = list_hosts(
            connection,
            collector.store,
            asker,
            picked(select),
            order=Sorted.NAME,
            limit=limit,
            cursor=cursor,
        )
        collector_id = _collector_id(connection)
    found = [(line, collector.hosts.get(line.id)) for line in page.hosts]
    return TargetPage(
        collector_id,
        [
            TargetHost(
                host.id,
                host.name,
                host.client,
                host.site,
                host.system,
                key_id(host.public_key),
                public_text(host.public_key),
            )
            for _, host in found
            if host is not None and not host.revoked
        ],
        page.next,
    )


def get_scripts(asker: Asker, collector: Here) -> Scripts:
    """Return the scripts that are kept, without their bytes."""
    query = (
        select(scripts, clients.c.name.label("client"))
        .join(clients, clients.c.id == scripts.c.client_id)
        .where(seen_by(asker, scripts.c.client_id))
        .order_by(scripts.c.created_at.desc())
        .limit(_MOST_LISTED)
    )
    with collector.database.read() as connection:
        return Scripts(
            [
                ScriptLine(
                    row.sha256,
                    row.name,
                    row.client,
                    len(row.body),
                    row.created_by,
                    row.created_at,
                )
                for row in connection.execute(query)
            ]
        )


def post_script(body: NewScript, asker: Asker, collector: Here) -> Kept:
    """Keep a script; its id is the SHA-256 of its bytes."""
    try:
        data = base64.b64decode(body.body, validate=True)
    except ValueError:
        raise Problem(422, "body: the script is not base64") from None
    if not 0 < len(data) <= MOST_SCRIPT_BYTES:
        raise Problem(422, f"body: a script has 1 to {MOST_SCRIPT_BYTES} bytes")
    now = collector.now()
    with collector.database.write() as connection:
        found = select(clients.c.id).where(
            clients.c.name == body.client, seen_by(asker, clients.c.id)
        )
        client_id = connection.execute(found).scalar()
        if client_id is None:
            raise missing()
        sha256 = state.keep_script(connection, client_id, body.name, data, asker.name, now)
        audit.record(connection, now, asker.name, "script.keep", sha256, {"name": body.name})
    return Kept(sha256)


def _collector_id(connection: Connection) -> str:
    own = select(about.c.value).where(about.c.name == "collector_id")
    return connection.execute(own).scalar() or ""
