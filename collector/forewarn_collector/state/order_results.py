"""What hosts say of orders, under their own keys.  All SQL of it is in here."""

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from forewarn_collector.state import remedies, standing
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.orders import Refused, touch
from forewarn_collector.state.standing import RunKey
from forewarn_collector.state.tables import order_results, order_targets
from forewarn_scripts import envelope as dsse
from forewarn_scripts.envelope import RESULT, BadEnvelope
from forewarn_scripts.keys import key_id
from forewarn_scripts.order import BadDocument, Ended, Result, parse


def record_result(connection: Connection, host: KnownHost, data: bytes, now: datetime) -> bool:
    """Keep what a host says of an order; return whether it was news.

    A refusal gives way to what a later run of the same occurrence came to.
    Raises Refused for what this host did not sign, or what was not asked of it.
    """
    result = _signed_by(host, data)
    target = (order_targets.c.order_id == result.order) & (order_targets.c.host_id == host.id)
    run = RunKey(result.order, host.id, result.occurrence)
    stands = standing.is_known(connection, run)
    single = not result.occurrence and not stands
    there = select(order_targets.c.host_id).where(target)
    if not stands and (not single or connection.execute(there).first() is None):
        raise Refused("of an order that was not handed to this host")
    key = {"order_id": result.order, "host_id": host.id, "occurrence": result.occurrence}
    held = connection.execute(select(order_results.c.envelope).filter_by(**key)).scalar()
    if held is not None:
        if not stands or not _is_refusal(bytes(held)) or bytes(held) == data:
            return False
        connection.execute(delete(order_results).filter_by(**key))
    row = key | {"client_id": host.client_id, "envelope": data, "received_at": now}
    connection.execute(insert(order_results).values(row))
    well = result.ended is Ended.REVOKED or (result.ended is Ended.DONE and result.exit_code == 0)
    if stands:
        if standing.take(connection, run, result, now, well=well):
            remedies.ran(connection, run, result, now)
    else:
        ended = {"ended_at": now, "ended": str(result.ended), "well": well}
        connection.execute(update(order_targets).where(target).values(ended))
    touch(connection)
    return True


def _signed_by(host: KnownHost, data: bytes) -> Result:
    try:
        envelope = dsse.parse(data)
        own = {key_id(host.public_key): host.public_key}
        if envelope.payload_type != RESULT or not dsse.signers(envelope, own):
            raise Refused("not a result this host signed")
        return parse(Result, envelope.payload)
    except (BadEnvelope, BadDocument) as bad:
        raise Refused(str(bad)) from None


def _is_refusal(envelope: bytes) -> bool:
    return parse(Result, dsse.parse(envelope).payload).ended is Ended.REFUSED
