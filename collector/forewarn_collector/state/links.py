"""Which ticket belongs to which.  All SQL of it is in here."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, insert, select

from forewarn_collector.state.tables import ticket_links


class LinkKind(StrEnum):
    """How a ticket belongs to another one."""

    ABSORBED = "absorbed"  # its episodes are on the other one now
    ROOT_CAUSE = "root_cause"  # the other one is about why it came back


def link(
    connection: Connection, ticket_id: str, other_id: str, kind: LinkKind, now: datetime
) -> None:
    """Note how a ticket belongs to another; a link that is there stays."""
    there = (ticket_links.c.ticket_id == ticket_id) & (ticket_links.c.other_id == other_id)
    if connection.execute(select(ticket_links.c.kind).where(there)).first() is None:
        row = {"ticket_id": ticket_id, "other_id": other_id, "kind": str(kind), "at": now}
        connection.execute(insert(ticket_links), row)
