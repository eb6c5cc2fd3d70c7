"""Less noise for the same facts: links between tickets, accepted values, inherited damage."""

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text

from forewarn_collector.state.tables.base import (
    Moment,
    client_column,
    json_column,
    metadata,
)

# How a ticket belongs to another: absorbed into it, or one of those it is the root cause of.
ticket_links = Table(
    "ticket_links",
    metadata,
    Column("ticket_id", ForeignKey("tickets.id"), primary_key=True),
    Column("other_id", ForeignKey("tickets.id"), primary_key=True, index=True),
    Column("kind", String(20), nullable=False),  # absorbed root_cause
    Column("at", Moment, nullable=False),
)

# What a fix was, so that the third of the same within 60 days is noticed.
fixes = Table(
    "fixes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("ticket_id", ForeignKey("tickets.id"), nullable=False),
    client_column(),
    Column("sameness", String(64), nullable=False),  # hash of what makes fixes the same
    Column("at", Moment, nullable=False),
    Index("ix_fixes_same", "sameness", "at"),
)

# "Tell me only if it grows": values of counters somebody took for what they are.
acceptances = Table(
    "acceptances",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    client_column(),
    Column("host_id", ForeignKey("hosts.id"), nullable=False, index=True),
    Column("host_number", Integer, nullable=False),
    Column("component", String(400), nullable=False),
    json_column("counters", dict),  # metric: [value, event time in microseconds]
    Column("author", String(100), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("ticket_id", ForeignKey("tickets.id")),
)

# What was counted before we first looked: told once, as an information, and never a ticket.
inherited = Table(
    "inherited",
    metadata,
    Column("host_id", ForeignKey("hosts.id"), primary_key=True),
    Column("component", String(400), primary_key=True),
    Column("metric", String(100), primary_key=True),
    client_column(),
    Column("value", Float, nullable=False),
    Column("seen_at", Moment, nullable=False),  # event time
)
