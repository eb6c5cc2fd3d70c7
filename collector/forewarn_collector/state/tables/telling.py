"""Telling other systems."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from forewarn_collector.state.tables.base import Moment, client_column, id_column, metadata

outbox = Table(
    "outbox",
    metadata,
    id_column(),  # UUIDv7: also the webhook-id, the same on every attempt
    Column("destination", String(100), nullable=False),
    Column("ticket_id", ForeignKey("tickets.id"), nullable=False),
    client_column(),
    Column("kind", String(20), nullable=False),  # ticket.opened ticket.updated ticket.closed
    Column("body", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("state", String(10), nullable=False, default="queued"),  # delivered dead dropped
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Moment, nullable=False),
    Column("lease_until", Moment),
    Column("last_answer", String(500), nullable=False, default=""),
    Column("settled_at", Moment),
    Index("ix_outbox_due", "state", "destination", "next_at"),
    Index("ix_outbox_order", "destination", "ticket_id", "id"),
)

destination_health = Table(
    "destination_health",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("failures", Integer, nullable=False, default=0),
    Column("failing_since", Moment),
    Column("open_until", Moment),
    Column("disabled_at", Moment),
)

external_references = Table(
    "external_references",
    metadata,
    Column("destination", String(100), primary_key=True),
    Column("ticket_id", ForeignKey("tickets.id"), primary_key=True),
    Column("reference", String(300), nullable=False),
    Column("asked_at", Moment, index=True),  # when it was last asked after
    Column("seen_progress", String(20)),  # open acknowledged resolved; null: not known yet
    Column("seen_assignee", String(100)),
)
