"""Read what a service report says besides the ticket itself: machine, forecast, scripts, outlay.

All SQL of it is in here.  Everything is JSON: dicts of texts, numbers and moments in RFC 3339.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, RowMapping, select

from forewarn_collector.assets import warranty
from forewarn_collector.clock import rfc3339
from forewarn_collector.money import recall_money, totals
from forewarn_collector.state import assets, standing
from forewarn_collector.state.tables import (
    forecasts,
    host_facts,
    order_results,
    order_targets,
    orders,
    scripts,
)
from forewarn_scripts import envelope as dsse
from forewarn_scripts.envelope import STANDING_ORDER, BadEnvelope
from forewarn_scripts.order import BadDocument, Result, parse

HOW_BOUGHT = "Days from the moment the condition cleared to the date last forecast before it did."
_FORECAST_BEFORE = timedelta(hours=1)
"""A ticket opens a little after the forecast that raised it was made."""
_ORDERED_BEFORE = timedelta(days=1)
_MOST_SCRIPTS = 100
_SECONDS_A_DAY = 86_400

# Facts that tell a machine from another; lists of packages and addresses would bury them.
_FACTS = (
    *("hostname", "machine_vendor", "machine_model", "machine_serial"),
    *("os_name", "os_version", "kernel", "cpu_model", "cpu_cores", "memory_bytes"),
    *("drives", "disks"),
)


# -- the machine ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """What is asked once for the reports of many tickets.

    `facts` and `fields` are by host; `forecast` are the hosts of which anything was ever forecast,
    `ordering` the clients that ordered scripts while these tickets were open, `remedied` the
    tickets of which an episode asked for a standing order.
    """

    facts: Mapping[str, Mapping[str, Any]]
    fields: Mapping[str, Mapping[str, str]]
    forecast: Collection[str]
    ordering: Collection[str]
    remedied: Collection[str]


def known(connection: Connection, rows: Sequence[RowMapping]) -> Known:
    """Return what the reports of these tickets have in common."""
    ids = sorted({row["host_id"] for row in rows if row["host_id"] is not None})
    query = select(host_facts.c.host_id, host_facts.c.name, host_facts.c.value)
    told: dict[str, dict[str, Any]] = {host_id: {} for host_id in ids}
    some = host_facts.c.host_id.in_(ids)
    for one in connection.execute(query.where(some, host_facts.c.name.in_(_FACTS))):
        told[one.host_id][one.name] = one.value
    some = forecasts.c.host_id.in_(ids)
    foretold = connection.execute(select(forecasts.c.host_id).where(some).distinct()).scalars()
    since = min(row["opened_at"] for row in rows) - _ORDERED_BEFORE
    some = orders.c.client_id.in_({row["client_id"] for row in rows})
    ordering = select(orders.c.client_id).where(some, orders.c.created_at >= since).distinct()
    return Known(
        told,
        assets.fields_of_all(connection, ids),
        frozenset(foretold),
        frozenset(connection.execute(ordering).scalars()),
        standing.remedied(connection, [row["id"] for row in rows]),
    )


def asset(row: RowMapping, known: Known, today: date) -> dict[str, Any] | None:
    """Return the machine a ticket is about, None for a whole site.

    `fields` are people's, `facts` the agent's; `part` is the drive that the component names.
    """
    if row["host_id"] is None:
        return None
    held = known.facts[row["host_id"]]
    facts = {name: held[name] for name in _FACTS if name in held}
    fields = known.fields[row["host_id"]]
    told = [facts.get(name) for name in ("machine_vendor", "machine_model")]
    covered = warranty(fields, today)
    return {
        "host_id": row["host_id"],
        "name": row["host"],
        "class": row["host_class"],
        "system": row["system"],
        "enrolled_at": rfc3339(row["enrolled_at"]),
        "model": fields.get("model") or " ".join(one for one in told if isinstance(one, str)),
        "serial": fields.get("serial") or facts.get("machine_serial") or "",
        "age": _age(fields, row["enrolled_at"], today),
        "warranty": None
        if covered is None
        else {
            "until": covered.until.isoformat(),
            "days_left": covered.days_left,
            "valid": covered.valid,
        },
        "part": _part(row["component"], facts),
        "fields": fields,
        "facts": facts,
    }


def _age(fields: Mapping[str, str], enrolled_at: datetime, today: date) -> dict[str, Any]:
    """Return how old a machine is, or for how long it has been known."""
    bought = fields.get("purchased_at")
    since = date.fromisoformat(bought) if bought else enrolled_at.date()
    return {
        "since": since.isoformat(),
        "days": (today - since).days,
        "known_by": "purchased_at" if bought else "enrolled_at",
    }


def _part(component: str, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the drive that a component names by its serial number, None if it names none."""
    kind, _, serial = component.partition(":")
    if kind != "drive" or not serial:
        return None
    for table, key in (("drives", "drive"), ("disks", "serial")):
        for one in facts.get(table) or ():
            if isinstance(one, dict) and one.get(key) == serial:
                size = one.get("size_bytes")
                return {"model": one.get("model"), "serial": serial, "size_bytes": size}
    return {"model": None, "serial": serial, "size_bytes": None}


# -- what was forecast, and what came ------------------------------------------------------------


def forecast(
    connection: Connection, row: RowMapping, known: Known, now: datetime
) -> dict[str, Any] | None:
    """Return the first and last forecast of a ticket and what happened; None when there is none.

    `happened`: ``prevented``, it cleared before the level was reached; ``reached``; ``false
    alarm``; or ``open``, neither yet.
    """
    made = _made(connection, row, now) if row["host_id"] in known.forecast else ()
    if not made:
        return None
    ended = row["cleared_at"]
    reached = min((one.reached_at for one in made if one.reached_at is not None), default=None)
    if row["state"] == "cancelled":
        happened = "false alarm"
    elif reached is not None and (ended is None or reached <= ended):
        happened = "reached"
    else:
        happened = "open" if ended is None else "prevented"
    last = made[-1]
    return {
        "count": len(made),
        "first": _forecast(made[0]),
        "last": _forecast(last),
        "happened": happened,
        "reached_at": None if happened != "reached" or reached is None else rfc3339(reached),
        "days_bought": _bought(last, ended) if happened == "prevented" else None,
    }


def _made(connection: Connection, row: RowMapping, now: datetime) -> Sequence[Row[Any]]:
    """Return the forecasts of a ticket's component while it lasted, the oldest first."""
    query = select(forecasts).where(
        forecasts.c.host_id == row["host_id"],
        forecasts.c.component == row["component"],
        forecasts.c.made_at >= row["opened_at"] - _FORECAST_BEFORE,
        forecasts.c.made_at <= (row["cleared_at"] or now),
    )
    return connection.execute(query.order_by(forecasts.c.made_at)).all()


def _forecast(one: Row[Any]) -> dict[str, Any]:
    return {
        "rule": one.rule,
        "made_at": rfc3339(one.made_at),
        "due": rfc3339(one.due_at),
        "earliest": rfc3339(one.earliest),
        "latest": rfc3339(one.latest),
    }


def _bought(last: Row[Any], ended: datetime) -> dict[str, Any] | None:
    """Return how many days were won, with the bounds of the forecast; None when none were."""
    if last.due_at <= ended:
        return None
    days = {
        name: round(max((at - ended).total_seconds(), 0.0) / _SECONDS_A_DAY, 1)
        for name, at in (("days", last.due_at), ("least", last.earliest), ("most", last.latest))
    }
    return {**days, "how": HOW_BOUGHT}


def next_expected(
    connection: Connection, row: RowMapping, known: Known, now: datetime
) -> dict[str, Any] | None:
    """Return the newest forecast that still waits for a component, None when nothing is due."""
    if row["host_id"] not in known.forecast:
        return None
    query = select(forecasts).where(
        forecasts.c.host_id == row["host_id"],
        forecasts.c.component == row["component"],
        forecasts.c.outcome.is_(None),
        forecasts.c.due_at > now,
    )
    if row["cleared_at"] is not None:
        query = query.where(forecasts.c.made_at >= row["cleared_at"])
    one = connection.execute(query.order_by(forecasts.c.made_at.desc()).limit(1)).first()
    return None if one is None else _forecast(one)


# -- what was run --------------------------------------------------------------------------------


def names_ticket(reason: str, number: int) -> bool:
    """Say whether the reason of an order names a ticket: ``#12``, ``T-12`` or ``ticket 12``."""
    named = re.findall(r"(?<!\w)(?:#|T-|ticket[ #:-]{1,3})(\d{1,10})(?!\d)", reason, re.IGNORECASE)
    return number in {int(one) for one in named}


def runs(connection: Connection, row: RowMapping, known: Known) -> list[dict[str, Any]]:
    """Return the scripts that were ordered for a ticket, as the hosts say they ended.

    After those that people ordered come the ones that stood ready and an episode asked for.
    """
    ordered = _ordered(connection, row) if row["client_id"] in known.ordering else []
    if row["id"] not in known.remedied:
        return ordered
    return ordered + [_remedy(connection, one) for one in standing.of_ticket(connection, row["id"])]


def _ordered(connection: Connection, row: RowMapping) -> list[dict[str, Any]]:
    query = (
        select(orders, scripts.c.name.label("script"), order_targets.c.host_id)
        .join(order_targets, order_targets.c.order_id == orders.c.id)
        .outerjoin(
            scripts,
            (scripts.c.client_id == orders.c.client_id)
            & (scripts.c.sha256 == orders.c.script_sha256),
        )
        .where(
            orders.c.client_id == row["client_id"],
            orders.c.kind != STANDING_ORDER,
            orders.c.created_at >= row["opened_at"] - _ORDERED_BEFORE,
            orders.c.reason.contains(str(row["number"]), autoescape=True),
        )
        .order_by(orders.c.created_at, orders.c.id, order_targets.c.host_id)
        .limit(10 * _MOST_SCRIPTS)
    )
    if row["host_id"] is not None:
        query = query.where(order_targets.c.host_id == row["host_id"])
    found = [
        one
        for one in connection.execute(query)
        if one.script_sha256 and names_ticket(one.reason, row["number"])
    ]
    return [_run(connection, one) for one in found[:_MOST_SCRIPTS]]


def _remedy(connection: Connection, run: Row[Any]) -> dict[str, Any]:
    """Return a run that an episode asked for, and whether the alert cleared after it."""
    after = None
    if run.cleared_at is not None and run.run_ended_at is not None:
        after = max(0, round((run.cleared_at - run.run_ended_at).total_seconds()))
    effect = {"cleared": run.cleared_at is not None, "after_seconds": after}
    return _run(connection, run, run.occurrence) | {"occurrence": run.occurrence, "effect": effect}


def _run(connection: Connection, order: Row[Any], occurrence: str = "") -> dict[str, Any]:
    query = select(order_results.c.envelope).where(
        order_results.c.order_id == order.id,
        order_results.c.host_id == order.host_id,
        order_results.c.occurrence == occurrence,
    )
    told = connection.execute(query.order_by(order_results.c.received_at.desc()).limit(1)).scalar()
    result = None if told is None else _result(bytes(told))
    return {
        "order": order.id,
        "host_id": order.host_id,
        "script": order.script or "",
        "sha256": order.script_sha256,
        "reason": order.reason,
        "ordered_by": order.created_by,
        "ended": "no result yet" if result is None else str(result.ended),
        "exit_code": None if result is None else result.exit_code,
        "started_at": None if result is None else result.started_at or None,
        "ended_at": None if result is None else result.ended_at,
    }


def _result(envelope: bytes) -> Result | None:
    try:
        return parse(Result, dsse.parse(envelope).payload)
    except (BadEnvelope, BadDocument):
        return None


# -- what it took --------------------------------------------------------------------------------


def outlay(events: Sequence[RowMapping]) -> dict[str, Any]:
    """Return what people wrote down of cause, labour and parts; null or empty for nothing."""
    labour = [_said(one, "minutes", "text") for one in events if one["kind"] == "labour"]
    parts = [
        _said(one, "name", "quantity", "unit_cost", "cost")
        for one in events
        if one["kind"] == "part"
    ]
    return {
        "root_cause": _last(one["data"].get("root_cause") for one in events),
        "labour_minutes": sum(one["minutes"] for one in labour) if labour else None,
        "labour": labour,
        "parts": parts,
        "parts_cost": [str(one) for one in totals(_costs(parts))],
    }


def _costs(parts: Iterable[Mapping[str, Any]]) -> Iterable[Any]:
    return (recall_money(one["cost"]) for one in parts if one["cost"])


def _said(row: RowMapping, *names: str) -> dict[str, Any]:
    at = {"at": rfc3339(row["at"]), "by": row["actor"]}
    return at | {name: row["data"].get(name) for name in names}


def _last(values: Iterable[Any]) -> Any:
    said = [one for one in values if one]
    return said[-1] if said else None
