"""What is wrong, and what was forecast."""

from sqlalchemy import Column, Float, ForeignKey, Index, String, Table

from forewarn_collector.state.tables.base import (
    Moment,
    client_column,
    id_column,
    json_column,
    metadata,
)

alerts = Table(
    "alerts",
    metadata,
    Column("key", String(64), primary_key=True),  # sha256 of client | host | component | rule
    client_column(),
    Column("host_id", ForeignKey("hosts.id"), nullable=False, index=True),
    Column("component", String(400), nullable=False),
    Column("rule", String(100), nullable=False),
    json_column("labels", dict),
    Column("state", String(10), nullable=False, index=True),  # ok pending firing clearing
    Column("severity", String(10), nullable=False),
    Column("data", String(10), nullable=False, default="fresh"),  # fresh stale error
    Column("value", Float),
    Column("since", Moment, nullable=False),  # when this state began, in event time
    Column("seen_until", Moment, nullable=False),  # newest event time judged
    Column("held_seconds", Float, nullable=False, default=0.0),
    json_column("memory", dict),  # what the rule kind needs besides: baselines, tiers, flaps
    Column("episode_id", String(36)),
    Column("changed_at", Moment, nullable=False),
)

# Every date that was forecast, so that it can be held against what came.
forecasts = Table(
    "forecasts",
    metadata,
    id_column(),
    client_column(),
    Column("host_id", ForeignKey("hosts.id"), nullable=False, index=True),
    Column("component", String(400), nullable=False),
    Column("rule", String(100), nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("tier", String(10), nullable=False),
    Column("value", Float, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("earliest", Moment, nullable=False),
    Column("latest", Moment, nullable=False),
    Column("outcome", String(10)),  # inside early late ended; null while it waits
    Column("reached_at", Moment),
    Column("scored_at", Moment),
    Index("ix_forecasts_waiting", "outcome", "host_id", "rule"),
)
