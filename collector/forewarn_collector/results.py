"""Results of orders, out of what travels in the results lane."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import structlog

from forewarn_checks.base import FactValue
from forewarn_collector.ingest import OnFacts
from forewarn_collector.state.database import Database
from forewarn_collector.state.hosts import Hosts
from forewarn_collector.state.order_results import record_result
from forewarn_collector.state.orders import Refused

FACT: Final = "result"

log = structlog.get_logger("forewarn.orders")


def result_keeper(database: Database, hosts: Hosts) -> OnFacts:
    """Return what makes a result durable; one that is none is logged and let go.

    A host that sends rubbish must not stop its own lane for ever.
    """

    def keep(_number: int, host_id: str, said: Mapping[str, FactValue], at: datetime) -> None:
        host = hosts.get(host_id)
        if host is None:
            return
        try:
            data = joined(said)
            with database.write() as connection:
                news = record_result(connection, host, data, at)
        except Refused as refused:
            log.warning("result refused", host=host_id, reason=str(refused))
            return
        if news:
            log.info("result of an order", host=host_id, name=host.name)

    return keep


def joined(said: Mapping[str, FactValue]) -> bytes:
    """Return the envelope that a run carries in pieces.  Raises Refused."""
    pieces = said.get(FACT)
    if not isinstance(pieces, list) or not all(isinstance(piece, str) for piece in pieces):
        raise Refused("the run carries no result")
    return "".join(str(piece) for piece in pieces).encode("utf-8", "replace")
