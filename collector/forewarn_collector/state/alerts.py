"""What the rule engine remembers between two passes.  All SQL of it is in here."""

from collections.abc import Collection, Iterable
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Connection,
    RowMapping,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from forewarn_checks.base import Severity
from forewarn_collector.rules.kind import Alert, AlertState, Data, Due, Grown, Missed
from forewarn_collector.state.tables import about, alerts, cursors, downtimes, hosts
from forewarn_collector.state.tables.base import Moment

_ENGINE = "engine"
_HEARTBEAT = "heartbeat"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """One alert with what it is about.  `key` hashes client, host, component and rule."""

    key: str
    client_id: str
    host_id: str
    host_number: int
    component: str
    rule: str
    labels: tuple[tuple[str, str], ...]
    episode_id: str | None
    alert: Alert


def load(connection: Connection, *, ended_after: datetime) -> list[AlertRow]:
    """Return every alert that is not ok, and those that became ok after `ended_after`."""
    recent = or_(alerts.c.state != AlertState.OK, alerts.c.changed_at > ended_after)
    query = select(alerts, hosts.c.number).join(hosts, hosts.c.id == alerts.c.host_id).where(recent)
    return [_read(row) for row in connection.execute(query).mappings()]


def save(
    connection: Connection, rows: Iterable[AlertRow], known: Collection[str], now: datetime
) -> None:
    """Write alerts over what was held of them.

    `known` are the keys of those of which there is a row with the same labels: of the thousands
    that fire on at every pass only what may change is written.
    """
    lasting: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    moment = _microseconds(now)
    for row in rows:
        if row.key in known:
            lasting.append(_changing(row, moment))
        else:
            others.append(_named(row) | _changing(row, moment))
    if lasting:
        connection.execute(_GO_ON, lasting)
    if others:
        # The dialects' upserts share a shape, not a type.
        dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
        new = dialect.insert(alerts).values({name: _new(name) for name in alerts.c.keys()})  # noqa: SIM118
        values = {name: new.excluded[name] for name in (_LABELS, *_CHANGING)}
        upsert = new.on_conflict_do_update(index_elements=["key"], set_=values)
        connection.execute(upsert, others)


def remove(connection: Connection, keys: Iterable[str]) -> None:
    """Forget alerts that never fired."""
    wanted = [{"gone": key} for key in keys]
    if wanted:
        connection.execute(delete(alerts).where(alerts.c.key == bindparam("gone")), wanted)


# -- the engine's place in the samples, and when it was away ---------------------------------------


def cursor(connection: Connection) -> int:
    """Return up to where the samples were judged; 0 before the first pass."""
    wanted = select(cursors.c.value).where(cursors.c.name == _ENGINE)
    return connection.execute(wanted).scalar() or 0


def move_cursor(connection: Connection, through: int) -> None:
    """Keep up to where the samples are judged."""
    changed = update(cursors).where(cursors.c.name == _ENGINE).values(value=through)
    if connection.execute(changed).rowcount == 0:
        connection.execute(insert(cursors).values(name=_ENGINE, value=through))


def heartbeat(connection: Connection) -> datetime | None:
    """Return when the collector was last known to run; None before its first start."""
    held = connection.execute(select(about.c.value).where(about.c.name == _HEARTBEAT)).scalar()
    return None if held is None else datetime.fromisoformat(held)


def beat(connection: Connection, now: datetime) -> None:
    """Keep that the collector runs."""
    text = now.astimezone(UTC).isoformat()
    changed = update(about).where(about.c.name == _HEARTBEAT).values(value=text)
    if connection.execute(changed).rowcount == 0:
        connection.execute(insert(about).values(name=_HEARTBEAT, value=text))


def add_downtime(connection: Connection, began: datetime, ended: datetime) -> None:
    """Keep that the collector was away; a repeat of the same beginning makes it longer."""
    changed = update(downtimes).where(downtimes.c.began == began).values(ended=ended)
    if connection.execute(changed).rowcount == 0:
        connection.execute(insert(downtimes).values(began=began, ended=ended))


def downtimes_since(connection: Connection, since: datetime) -> list[tuple[datetime, datetime]]:
    """Return when the collector was away, as (began, ended), of what ended after `since`."""
    query = select(downtimes).where(downtimes.c.ended > since).order_by(downtimes.c.began)
    return [(row.began, row.ended) for row in connection.execute(query)]


# -- rows ----------------------------------------------------------------------------------------


_KEPT = ("key", "client_id", "host_id", "component", "rule")
_LABELS = "labels"  # a new life begins with those of today
_CHANGING = tuple(name for name in alerts.c.keys() if name not in (*_KEPT, _LABELS))  # noqa: SIM118


def _new(name: str) -> BindParameter[Any]:
    """Return the parameter of a column; moments are given as they are stored, which is faster."""
    column = alerts.c[name]
    kind = BigInteger() if isinstance(column.type, Moment) else column.type
    return bindparam(f"new_{name}", type_=kind)


_GO_ON = (
    update(alerts)
    .where(alerts.c.key == bindparam("of"))
    .values({name: _new(name) for name in _CHANGING})
)


def _read(row: RowMapping) -> AlertRow:
    memory = row["memory"]
    told = memory.get("told")
    return AlertRow(
        key=row["key"],
        client_id=row["client_id"],
        host_id=row["host_id"],
        host_number=row["number"],
        component=row["component"],
        rule=row["rule"],
        labels=tuple(sorted(row["labels"].items())),
        episode_id=row["episode_id"],
        alert=Alert(
            state=AlertState(row["state"]),
            severity=Severity(row["severity"]),
            since=_microseconds(row["since"]),
            began=memory["began"],
            seen_until=_microseconds(row["seen_until"]),
            held=round(row["held_seconds"] * 1_000_000),
            readings=memory["readings"],
            gaps=tuple(memory["gaps"]),
            value=row["value"],
            companion=memory["companion"],
            told=None if told is None else Severity(told),
            recent=tuple((at, value) for at, value in memory["recent"]),
            due=None if memory.get("due") is None else Due(*memory["due"]),
            grown=tuple(Grown(*one) for one in memory.get("grown", ())),
            data=Data(row["data"]),
            missed=None if memory.get("missed") is None else Missed(*memory["missed"]),
            cycles=tuple(memory.get("cycles", ())),
            flapping=memory.get("flapping", False),
            flaps=memory.get("flaps", 0),
        ),
    )


def _named(row: AlertRow) -> dict[str, Any]:
    return {
        "new_key": row.key,
        "new_client_id": row.client_id,
        "new_host_id": row.host_id,
        "new_component": row.component,
        "new_rule": row.rule,
        "new_labels": dict(row.labels),
    }


def _changing(row: AlertRow, now: int) -> dict[str, Any]:
    alert = row.alert
    return {
        "of": row.key,
        "new_state": str(alert.state),
        "new_severity": str(alert.severity),
        "new_data": str(alert.data),
        "new_value": alert.value,
        "new_since": alert.since,
        "new_seen_until": alert.seen_until,
        "new_held_seconds": alert.held / 1_000_000,
        "new_memory": {
            "began": alert.began,
            "readings": alert.readings,
            "gaps": alert.gaps,
            "companion": alert.companion,
            "told": None if alert.told is None else str(alert.told),
            "recent": alert.recent,
            "due": None if alert.due is None else astuple(alert.due),
            "missed": None if alert.missed is None else astuple(alert.missed),
            "grown": [astuple(one) for one in alert.grown],
            "cycles": alert.cycles,
            "flapping": alert.flapping,
            "flaps": alert.flaps,
        },
        "new_episode_id": row.episode_id,
        "new_changed_at": now,
    }


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
