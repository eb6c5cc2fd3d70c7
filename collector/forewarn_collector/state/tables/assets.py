"""What is known of machines beyond their readings, and how it changed."""

from sqlalchemy import JSON, Column, ForeignKey, Index, Integer, String, Table

from forewarn_collector.state.tables.base import Moment, metadata

# What people say of a host; what its agent says is in host_facts and never gets in here.
host_assets = Table(
    "host_assets",
    metadata,
    Column("host_id", ForeignKey("hosts.id"), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("value", String(200), nullable=False),
    Column("set_by", String(100), nullable=False),
    Column("set_at", Moment, nullable=False),
    Index("ix_host_assets_name_value", "name", "value"),
)

# Bounded a host: what an agent says can push out only what agents said before.
asset_changes = Table(
    "asset_changes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("host_id", ForeignKey("hosts.id"), nullable=False, index=True),
    Column("at", Moment, nullable=False),
    Column("name", String(100), nullable=False),
    Column("before", JSON),
    Column("after", JSON),
    Column("by", String(100), nullable=False),  # a person's name; "" for the host itself
)

# When somebody is away, so that routes pass them by.
absences = Table(
    "absences",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("person", String(100), nullable=False, index=True),
    Column("since", Moment, nullable=False),
    Column("until", Moment, nullable=False),
    Column("set_by", String(100), nullable=False),
    Column("set_at", Moment, nullable=False),
)
