"""What holds back opening and telling: maintenance, silences, and what was held."""

from sqlalchemy import (
    JSON,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
)

from forewarn_collector.state.tables.base import (
    Moment,
    client_column,
    id_column,
    json_column,
    metadata,
)

maintenance_windows = Table(
    "maintenance_windows",
    metadata,
    id_column(),
    Column("clients", JSON(none_as_null=True)),  # ids of clients, null for all
    Column("selector", String(1000), nullable=False, default=""),
    Column("group_name", String(100), nullable=False, default=""),
    Column("reason", String(500), nullable=False),
    Column("author", String(100), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("starts_at", Moment, nullable=False),
    Column("ends_at", Moment),  # of a repeating one: none begins after it; null is never
    Column("repeats", String(100), nullable=False, default=""),
    Column("local_time", String(5), nullable=False, default=""),  # local time, of a repeating one
    Column("lasts_seconds", Integer, nullable=False, default=0),
    Column("zone", String(64), nullable=False, default="UTC"),
    Column("settle_seconds", Integer, nullable=False),
    Column("deleted_at", Moment),
    Column("deleted_by", String(100)),
)

# A window that began: what was before, what is after, what was found.
maintenance_occurrences = Table(
    "maintenance_occurrences",
    metadata,
    id_column(),
    Column("window_id", ForeignKey("maintenance_windows.id"), nullable=False),
    Column("starts_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("ended_by", String(100)),  # who ended it early
    Column("seen_at", Moment),  # when it was written down how its hosts were; null: not yet
    Column("decided_at", Moment),
    Column("hosts", Integer, nullable=False, default=0),
    Column("rebooted", Integer, nullable=False, default=0),
    Column("wrong", Integer, nullable=False, default=0),
    UniqueConstraint("window_id", "starts_at"),
    Index("ix_maintenance_occurrences_open", "decided_at", "ends_at"),
)

maintenance_hosts = Table(
    "maintenance_hosts",
    metadata,
    Column("occurrence_id", ForeignKey("maintenance_occurrences.id"), primary_key=True),
    Column("host_id", ForeignKey("hosts.id"), primary_key=True),
    client_column(),
    json_column("before", dict),
    json_column("findings", list),
    Column("rebooted", Integer),  # 1 or 0; null when it cannot be told, or not yet
    Column("ticket_id", ForeignKey("tickets.id")),
    Index("ix_maintenance_hosts_host_id", "host_id"),
)

silences = Table(
    "silences",
    metadata,
    id_column(),
    Column("clients", JSON(none_as_null=True)),
    Column("selector", String(1000), nullable=False, default=""),
    Column("group_name", String(100), nullable=False, default=""),
    Column("rule", String(100), nullable=False, default=""),
    Column("component", String(400), nullable=False, default=""),
    Column("reason", String(500), nullable=False),
    Column("author", String(100), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("ended_by", String(100)),
)

# Alerts that nobody was told of, and what became of them.  At most one without an end an alert.
held_alerts = Table(
    "held_alerts",
    metadata,
    id_column(),
    Column("alert_key", String(64), nullable=False, index=True),
    client_column(),
    Column("host_id", ForeignKey("hosts.id"), nullable=False, index=True),
    Column("component", String(400), nullable=False),
    Column("rule", String(100), nullable=False),
    Column("title", String(300), nullable=False),
    Column("cause", String(20), nullable=False),  # maintenance silence dependency
    Column("cause_id", String(36), nullable=False, default=""),
    Column("cause_start", Moment),  # which occurrence of the window
    Column("reason", String(500), nullable=False, default=""),
    Column("held_until", Moment),
    Column("since", Moment, nullable=False),  # event time
    Column("severity", String(10), nullable=False),
    Column("worst", String(10), nullable=False),
    Column("told", String(10)),  # the severity its episode was told with; null: no episode
    Column("ended_at", Moment),
    Column("outcome", String(10)),  # cleared told; null while it is held
    Index("ix_held_alerts_cause", "cause_id", "cause_start"),
    Index("ix_held_alerts_ended_at", "ended_at"),
)
