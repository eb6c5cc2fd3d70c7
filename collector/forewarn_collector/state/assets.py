"""What people say of a host, and every change of what it is made of.  All SQL of it is in here.

What an agent says and what a person says never mix: a host that lies cannot prolong its warranty.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from forewarn_checks.base import FactValue
from forewarn_collector.state.tables import asset_changes, host_assets

KEPT = 500
"""Changes that are kept of a host: so many that it told, and so many that people made."""

# Facts that make a machine what it is.  Others come and go, and would bury these.
WATCHED = frozenset(
    {
        *("hostname", "os_name", "os_version", "kernel", "architecture"),
        *("cpu_model", "cpu_cores", "cpu_threads", "memory_bytes"),
        *("drives", "disks", "machine_vendor", "machine_model", "machine_serial"),
    }
)
_LARGE, _SAME_SHARE = 1 << 20, 0.02  # each kernel reserves a little more or less of the memory
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Change:
    """One change: `before` is None for what was not known, `by` "" for what the host told.

    Of lists only what went and what came is told.
    """

    at: datetime
    name: str
    before: JsonValue
    after: JsonValue
    by: str


def fields_of(connection: Connection, host_id: str) -> dict[str, str]:
    """Return what people said of a host, by the names of `assets.FIELDS`."""
    query = select(host_assets.c.name, host_assets.c.value).where(host_assets.c.host_id == host_id)
    return {row.name: row.value for row in connection.execute(query)}


def fields_of_all(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return what people said of some hosts, by the host's id."""
    found: dict[str, dict[str, str]] = {name: {} for name in ids}
    query = select(host_assets).where(host_assets.c.host_id.in_(list(ids)))
    for row in connection.execute(query):
        found[row.host_id][row.name] = row.value
    return found


def differences(
    before: Mapping[str, str], values: Mapping[str, str | None]
) -> dict[str, tuple[str | None, str | None]]:
    """Return the fields that `values` change, each with what it was and what it becomes."""
    return {
        name: (before.get(name), value)
        for name, value in values.items()
        if before.get(name) != value
    }


def change(
    connection: Connection,
    host_id: str,
    values: Mapping[str, str | None],
    *,
    by: str,
    now: datetime,
) -> dict[str, tuple[str | None, str | None]]:
    """Set fields of a host, None takes one away; return what changed.

    Values are as `assets.read_value` returns them.
    """
    changed = differences(fields_of(connection, host_id), values)
    for name, (before, after) in changed.items():
        same = (host_assets.c.host_id == host_id) & (host_assets.c.name == name)
        said = {"value": after, "set_by": by[:100], "set_at": now}
        if after is None:
            connection.execute(delete(host_assets).where(same))
        elif before is None:
            connection.execute(insert(host_assets).values(host_id=host_id, name=name, **said))
        else:
            connection.execute(update(host_assets).where(same).values(said))
        _keep(connection, host_id, Change(now, name, before, after, by[:100]))
    return changed


def notice(
    connection: Connection,
    host_id: str,
    name: str,
    before: JsonValue,
    after: FactValue,
    at: datetime,
) -> None:
    """Keep that a fact of a host changed, if it is one that makes the machine what it is."""
    if name not in WATCHED:
        return
    now: JsonValue = json.loads(json.dumps(after))
    if _same(before, now):
        return
    went, came = _differing(before, now)
    _keep(connection, host_id, Change(at, name, _bounded(went), _bounded(came), ""))


def changes_of(
    connection: Connection, host_id: str, *, limit: int = 100, before: int | None = None
) -> tuple[tuple[Change, ...], int | None]:
    """Return changes of a host, the newest first, and where the next ones begin, None for none."""
    query = select(asset_changes).where(asset_changes.c.host_id == host_id)
    if before is not None:
        query = query.where(asset_changes.c.id < before)
    rows = connection.execute(query.order_by(asset_changes.c.id.desc()).limit(limit + 1)).all()
    found = tuple(Change(row.at, row.name, row.before, row.after, row.by) for row in rows[:limit])
    return found, rows[limit - 1].id if len(rows) > limit else None


def _keep(connection: Connection, host_id: str, one: Change) -> None:
    connection.execute(
        insert(asset_changes).values(
            host_id=host_id, at=one.at, name=one.name, before=one.before, after=one.after, by=one.by
        )
    )
    told = _told_by_host() if one.by == "" else ~_told_by_host()
    mine = (asset_changes.c.host_id == host_id) & told
    ids = select(asset_changes.c.id).where(mine).order_by(asset_changes.c.id.desc())
    oldest = connection.execute(ids.offset(KEPT).limit(1)).scalar()
    if oldest is not None:
        connection.execute(delete(asset_changes).where(mine, asset_changes.c.id <= oldest))


def _told_by_host() -> ColumnElement[bool]:
    return asset_changes.c.by == ""


def _same(before: JsonValue, after: JsonValue) -> bool:
    if isinstance(before, int | float) and isinstance(after, int | float) and before > _LARGE:
        return abs(before - after) <= _SAME_SHARE * before
    went, came = _differing(before, after)
    return went == came


def _differing(before: JsonValue, after: JsonValue) -> tuple[JsonValue, JsonValue]:
    """Return what of two lists is in one alone; other values as they are."""
    if not isinstance(before, list) or not isinstance(after, list):
        return before, after
    old, new = _by_text(before), _by_text(after)
    went = [one for text, one in old.items() if text not in new]
    came = [one for text, one in new.items() if text not in old]
    return went, came


def _by_text(values: list[JsonValue]) -> dict[str, JsonValue]:
    return {json.dumps(one, sort_keys=True): one for one in values}


def _bounded(value: JsonValue) -> JsonValue:
    """Return a value, as a text cut short where it is long."""
    written = json.dumps(value, ensure_ascii=False)
    return value if len(written) <= _LONGEST else written[:_LONGEST] + "…"
