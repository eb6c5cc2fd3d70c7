"""What is held back, and what became of what was.  All SQL of it is in here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from forewarn_checks.base import Severity
from forewarn_collector.clock import uuid7
from forewarn_collector.state.alerts import AlertRow
from forewarn_collector.state.tables import episodes, held_alerts
from forewarn_collector.suppression.holding import Held, Outcome
from forewarn_collector.suppression.holds import Hold
from forewarn_collector.suppression.windows import Cause
from forewarn_collector.text import plain

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OTHERS = 10


@dataclass(frozen=True, slots=True)
class HeldRow:
    """One alert that is held back, with the id of its row."""

    id: str
    held: Held


def load(connection: Connection) -> dict[str, HeldRow]:
    """Return everything that is held back, by the key of its alert."""
    query = select(held_alerts).where(held_alerts.c.ended_at.is_(None))
    return {
        row["alert_key"]: HeldRow(
            row["id"],
            Held(
                hold=Hold(
                    Cause(row["cause"]),
                    row["cause_id"],
                    row["reason"],
                    row["held_until"],
                    row["cause_start"],
                ),
                since=(row["since"] - _EPOCH) // _MICROSECOND,
                severity=Severity(row["severity"]),
                worst=Severity(row["worst"]),
                told=None if row["told"] is None else Severity(row["told"]),
            ),
        )
        for row in connection.execute(query).mappings()
    }


def keep(
    connection: Connection,
    before: HeldRow | None,
    held: Held,
    alert: AlertRow,
    title: str,
    now: datetime,
) -> HeldRow:
    """Write what is held of an alert, over what was before; return it with its id."""
    values: Mapping[str, object] = {
        **_held_by(held.hold),
        "since": moment(held.since),
        "severity": str(held.severity),
        "worst": str(held.worst),
        "told": None if held.told is None else str(held.told),
        "title": title[:300],
    }
    if before is not None:
        connection.execute(update(held_alerts).where(held_alerts.c.id == before.id).values(values))
        return HeldRow(before.id, held)
    row = HeldRow(uuid7(now), held)
    connection.execute(
        insert(held_alerts).values(
            id=row.id,
            alert_key=alert.key,
            client_id=alert.client_id,
            host_id=alert.host_id,
            component=alert.component,
            rule=alert.rule,
            **values,
        )
    )
    return row


def rehold(connection: Connection, row: HeldRow, held: Held) -> HeldRow:
    """Write that something else holds an alert back by now."""
    changed = update(held_alerts).where(held_alerts.c.id == row.id)
    connection.execute(changed.values(_held_by(held.hold)))
    return HeldRow(row.id, held)


def end(connection: Connection, row: HeldRow, outcome: Outcome, now: datetime) -> None:
    """Note that something is no longer held back, and why."""
    ended = update(held_alerts).where(held_alerts.c.id == row.id)
    connection.execute(ended.values(ended_at=now, outcome=str(outcome)))


def severity_of(connection: Connection, episode_id: str) -> Severity | None:
    """Return the severity an open episode was told with, None when there is none open."""
    query = select(episodes.c.severity).where(
        episodes.c.id == episode_id, episodes.c.closed_at.is_(None)
    )
    found = connection.execute(query).scalar()
    return None if found is None else Severity(found)


def others(connection: Connection, alert: AlertRow, held: Held) -> list[str]:
    """Return what else was held on this host for the same reason, a few of it, in words."""
    columns = held_alerts.c
    query = select(columns.rule, columns.component, columns.outcome).where(
        columns.host_id == alert.host_id,
        columns.cause == str(held.hold.cause),
        columns.cause_id == held.hold.id,
        columns.cause_start.is_(None)
        if held.hold.start is None
        else columns.cause_start == held.hold.start,
        columns.alert_key != alert.key,
        columns.ended_at.is_(None) | (columns.ended_at >= moment(held.since)),
    )
    rows = connection.execute(query.order_by(columns.id).limit(_OTHERS))
    return [f"{row.rule}, {plain(row.component, 80)}: {row.outcome or 'held'}" for row in rows]


def forget(connection: Connection, before: datetime) -> int:
    """Delete what was held and ended before a moment; return how much."""
    return connection.execute(delete(held_alerts).where(held_alerts.c.ended_at < before)).rowcount


def moment(microseconds: int) -> datetime:
    """Return the moment of whole microseconds since 1970."""
    return _EPOCH + microseconds * _MICROSECOND


def _held_by(hold: Hold) -> dict[str, object]:
    return {
        "cause": str(hold.cause),
        "cause_id": hold.id,
        "cause_start": hold.start,
        "reason": hold.reason[:500],
        "held_until": hold.until,
    }
