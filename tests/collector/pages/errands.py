"""Orders of a fleet: one under way with every kind of answer, and one not yet signed by all."""

from __future__ import annotations

from datetime import timedelta

from nacl.signing import SigningKey
from sqlalchemy import insert, update
from tests.collector.pages.fleet import HOSTILE, Fleet

from forewarn_collector.state import audit, orders, tables
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.orders import Pace
from forewarn_scripts.envelope import Envelope
from forewarn_scripts.keys import key_id
from forewarn_scripts.order import Ended, Order, Result, script_hash, write_moment

OPERATOR = SigningKey(b"o" * 32)
# The second line holds what a reader would not see.
SCRIPT = f"#!/bin/sh\necho 'a\u202eb' # {HOSTILE[0]} \x1b[2J\ndf -h \"$1\"\n".encode()
ALL_AT_ONCE = Pace()
UNSIGNED = "0193dddd-0000-7000-8000-000000000001"
HOSTILE_OUTPUT = "\n".join((*HOSTILE, "=cmd|' /C calc'!A0", "\x1b]0;title\x07", "last line"))


def key_of(host: KnownHost) -> SigningKey:
    """Return the key that `Fleet.host` gave a host."""
    return SigningKey(host.number.to_bytes(32, "big"))


def order_for(fleet: Fleet, hosts: list[KnownHost], order_id: str, **changes: object) -> Order:
    """Return an order for hosts of one client."""
    prints = tuple(sorted(key_id(host.public_key) for host in hosts))
    values: dict[str, object] = {
        "id": order_id,
        "client": hosts[0].client,
        "collector": "01234567-89ab-7def-8123-456789abcdef",
        "script_sha256": script_hash(SCRIPT),
        "interpreter": "/bin/sh",
        "argv": ("/var", '"><img src=x onerror=alert(1)>'),
        "targets": prints,
        "max_hosts": len(prints),
        "not_before": write_moment(fleet.at),
        "not_after": write_moment(fleet.at + timedelta(hours=1)),
        "reason": "#1 look at </td><script>alert(3)</script>",
        "run_as": "root",
        "timeout_seconds": 60,
        "keyring_version": 1,
    }
    return Order.model_validate(values | changes)


def propose(fleet: Fleet, order: Order, pace: Pace = ALL_AT_ONCE) -> None:
    """Hand an order in as an operator's command does."""
    with fleet.database.write() as connection:
        known = fleet.hosts.all()
        client = next(host for host in known if host.client == order.client).client_id
        name = "look <b>around</b>.sh"
        orders.keep_script(connection, client, name, SCRIPT, "ann", fleet.at)
        envelope = Envelope(Order.KIND, order.to_bytes()).signed_by(OPERATOR)
        orders.propose(connection, envelope.to_bytes(), pace, known, "ann", fleet.at)
        audit.record(connection, fleet.at, "ann", "order.propose", order.id)


def offered(fleet: Fleet, order: Order, host: KnownHost) -> None:
    """Note that a host was handed an order."""
    _mark(fleet, order, host, {"offered_at": fleet.at})


def answered(fleet: Fleet, order: Order, host: KnownHost, **said: object) -> bytes:
    """Keep what a host said of an order, signed with its key; return the envelope."""
    values: dict[str, object] = {
        "order": order.id,
        "host": key_id(host.public_key),
        "script_sha256": order.script_sha256,
        "ended": Ended.DONE,
        "ended_at": write_moment(fleet.at),
        "exit_code": 0,
    }
    result = Result.model_validate(values | said)
    envelope = Envelope(Result.KIND, result.to_bytes()).signed_by(key_of(host)).to_bytes()
    row = {
        "order_id": order.id,
        "host_id": host.id,
        "occurrence": "",
        "client_id": host.client_id,
        "envelope": envelope,
        "received_at": fleet.at,
    }
    with fleet.database.write() as connection:
        connection.execute(insert(tables.order_results).values(row))
    well = result.ended is Ended.DONE and result.exit_code == 0
    how = {"ended": str(result.ended), "well": well}
    _mark(fleet, order, host, how | {"offered_at": fleet.at, "ended_at": fleet.at})
    return envelope


def _mark(fleet: Fleet, order: Order, host: KnownHost, changes: dict[str, object]) -> None:
    same = (tables.order_targets.c.order_id == order.id) & (
        tables.order_targets.c.host_id == host.id
    )
    with fleet.database.write() as connection:
        connection.execute(update(tables.order_targets).where(same).values(changes))


def ordered(fleet: Fleet) -> None:
    """Two orders for acme.  The first has the id of web01, for tests that know one id alone."""
    of_acme = [host for host in fleet.hosts.all() if host.client == "acme"]
    web = next(host for host in of_acme if host.name == "web01")
    others = [host for host in of_acme if host.id != web.id]
    order = order_for(fleet, of_acme, web.id)
    propose(fleet, order, Pace(canary=1, halt_after=3))
    output = HOSTILE_OUTPUT
    answered(fleet, order, web, output=output, output_bytes=len(output.encode()))
    if others:
        reason = f"not-signed: {HOSTILE[1]}"
        answered(fleet, order, others[0], ended=Ended.REFUSED, exit_code=None, reason=reason)
    for host in others[1:2]:
        offered(fleet, order, host)
    unsigned = order_for(fleet, of_acme[:2], UNSIGNED, reason="CHG-7")
    propose(fleet, unsigned, Pace(needs=2))
