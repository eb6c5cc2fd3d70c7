"""What people say of hosts as assets, one or many at once, and how hosts changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field
from sqlalchemy import Connection, select

from forewarn_collector.api.guard import Asker, Here, missing
from forewarn_collector.api.paths import Cursor, Id, Limit
from forewarn_collector.api.texts import Body
from forewarn_collector.assets import FIELDS, read_value
from forewarn_collector.queries.hosts import host_number
from forewarn_collector.queries.scope import read_cursor, seen_by, write_cursor
from forewarn_collector.state import assets, audit
from forewarn_collector.state.assets import Change
from forewarn_collector.state.tables import clients, hosts

MOST_ROWS = 100


def _read(said: dict[str, str | None]) -> dict[str, str | None]:
    return {name: read_value(name, text or "") for name, text in said.items()}


Said = Annotated[
    dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=400)] | None],
    Field(max_length=len(FIELDS), description=f"Of {', '.join(FIELDS)}; null takes one away."),
    AfterValidator(_read),
]
"""Fields of a host in their one spelling."""


@dataclass(frozen=True, slots=True)
class Changes:
    """How a host changed, the newest first, and the cursor for what came before."""

    changes: Sequence[Change]
    next: str | None


class Row(Body):
    """What one line of a table says: of the host of this name or id, at this client if named."""

    line: Annotated[int, Field(ge=1, lt=2**31)]
    host: Annotated[str, Field(min_length=1, max_length=255)]
    client: Annotated[str, Field(max_length=100)] = ""
    fields: Annotated[
        dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=400)]],
        Field(max_length=len(FIELDS)),
    ]


class Table(Body):
    """Some lines of a table; without `apply` nothing is changed, only told."""

    rows: Annotated[tuple[Row, ...], Field(max_length=MOST_ROWS)]
    apply: bool = False


@dataclass(frozen=True, slots=True)
class LineChange:
    """What a line changes; null is a field that was not set, or is taken away."""

    line: int
    host_id: str
    host: str
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class LineTrouble:
    """Why a line is not taken; nothing of it is."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What the lines change, or changed, and those that are not taken."""

    applied: bool
    changes: list[LineChange] = field(default_factory=list)
    troubles: list[LineTrouble] = field(default_factory=list)


def get_changes(
    id: Id,  # noqa: A002 - as in the path
    asker: Asker,
    collector: Here,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Changes:
    """Return how a host changed: what it is made of, and what people said of it."""
    before = None if cursor is None else int(read_cursor(cursor, (int,))[0])
    with collector.database.read() as connection:
        if host_number(connection, asker, id) is None:
            raise missing()
        found, following = assets.changes_of(connection, id, limit=limit, before=before)
    return Changes(found, None if following is None else write_cursor(following))


def post_assets(body: Table, asker: Asker, collector: Here) -> Imported:
    """Say of many hosts what no agent can read; lines that are wrong are told and left out."""
    done = Imported(body.apply)
    now = collector.now()
    with collector.database.write() as connection:
        for row in body.rows:
            try:
                host_id = _meant(connection, row, asker)
                values = {name: read_value(name, text) for name, text in row.fields.items()}
            except ValueError as wrong:
                done.troubles.append(LineTrouble(row.line, str(wrong)))
                continue
            if body.apply:
                changed = set_fields(connection, host_id, values, by=asker.name, now=now)
            else:
                changed = assets.differences(assets.fields_of(connection, host_id), values)
            done.changes.extend(
                LineChange(row.line, host_id, row.host, name, before, after)
                for name, (before, after) in changed.items()
            )
    return done


def set_fields(
    connection: Connection,
    host_id: str,
    values: Mapping[str, str | None],
    *,
    by: str,
    now: datetime,
) -> dict[str, tuple[str | None, str | None]]:
    """Set fields of a host and note in the audit log what changed; return it."""
    changed = assets.change(connection, host_id, values, by=by, now=now)
    if changed:
        told = {name: after for name, (_, after) in changed.items()}
        audit.record(connection, now, by, "host.asset", host_id, told)
    return changed


def _meant(connection: Connection, row: Row, asker: Asker) -> str:
    """Return the id of the host a line is about.  Raises ValueError."""
    query = (
        select(hosts.c.id)
        .join(clients, clients.c.id == hosts.c.client_id)
        .where(seen_by(asker, hosts.c.client_id), hosts.c.revoked_at.is_(None))
        .where((hosts.c.name == row.host) | (hosts.c.id == row.host))
    )
    if row.client:
        query = query.where(clients.c.name == row.client)
    found = connection.execute(query.limit(2)).scalars().all()
    at = f" at client {row.client!r}" if row.client else ""
    if not found:
        raise ValueError(f"there is no host {row.host!r}{at}, or none that you may see")
    if len(found) > 1:
        raise ValueError(f"several hosts are called {row.host!r}{at}; name the client or the id")
    return str(found[0])
