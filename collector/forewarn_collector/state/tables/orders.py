"""Remote work.  What is signed lies here as opaque bytes: routed and shown, never made."""

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Integer, LargeBinary, String, Table

from forewarn_collector.state.tables.base import Moment, client_column, id_column, metadata

scripts = Table(
    "scripts",
    metadata,
    Column("client_id", ForeignKey("clients.id"), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("created_at", Moment, nullable=False),
)

orders = Table(
    "orders",
    metadata,
    id_column(),
    client_column(),
    Column("kind", String(100), nullable=False),  # the DSSE payload type
    Column("payload", LargeBinary, nullable=False),
    Column("script_sha256", String(64), nullable=False, default=""),
    Column("reason", String(1000), nullable=False, default=""),
    Column("not_before", Moment, nullable=False),
    Column("not_after", Moment, nullable=False),
    Column("needs", Integer, nullable=False, default=1),  # signatures before it is handed out
    Column("canary", Integer, nullable=False, default=0),  # hosts that must succeed first
    Column("at_once", Integer, nullable=False, default=0),  # 0: as many as there are
    Column("halt_after", Integer, nullable=False, default=0),  # failures; 0: never
    Column("created_by", String(100), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("cancelled_at", Moment),
)

order_signatures = Table(
    "order_signatures",
    metadata,
    Column("order_id", ForeignKey("orders.id"), primary_key=True),
    Column("key_id", String(80), primary_key=True),
    Column("value", LargeBinary(64), nullable=False),
    Column("by", String(100), nullable=False),
    Column("at", Moment, nullable=False),
)

order_targets = Table(
    "order_targets",
    metadata,
    Column("order_id", ForeignKey("orders.id"), primary_key=True),
    Column("host_id", ForeignKey("hosts.id"), primary_key=True, index=True),
    Column("offered_at", Moment),
    Column("ended_at", Moment),
    Column("ended", String(20), nullable=False, default=""),  # as the host says
    Column("well", Boolean, nullable=False, default=False),
)

order_results = Table(
    "order_results",
    metadata,
    Column("order_id", ForeignKey("orders.id"), primary_key=True),
    Column("host_id", ForeignKey("hosts.id"), primary_key=True),
    Column("occurrence", String(100), primary_key=True),
    client_column(),
    Column("envelope", LargeBinary, nullable=False),
    Column("received_at", Moment, nullable=False),
)

keyrings = Table(
    "keyrings",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("envelope", LargeBinary, nullable=False),
    Column("added_by", String(100), nullable=False),
    Column("added_at", Moment, nullable=False),
)

standing_orders = Table(
    "standing_orders",
    metadata,
    Column("order_id", ForeignKey("orders.id"), primary_key=True),
    Column("trigger", String(60), index=True),  # the rule; null where a calendar says when
    Column("calendar", JSON),
    Column("within", String(20), nullable=False),
    Column("timeout_seconds", Integer, nullable=False),
)

standing_runs = Table(
    "standing_runs",
    metadata,
    Column("order_id", ForeignKey("standing_orders.order_id"), primary_key=True),
    Column("host_id", ForeignKey("hosts.id"), primary_key=True, index=True),
    Column("occurrence", String(100), primary_key=True),
    client_column(),
    Column("wanted_at", Moment, nullable=False),
    Column("until", Moment, nullable=False),  # later it is missed
    Column("again_at", Moment, nullable=False),  # not handed over before
    Column("held", String(200), nullable=False, default=""),  # why it was not, last time
    Column("offered_at", Moment),
    Column("ended_at", Moment, index=True),
    Column("ended", String(20), nullable=False, default=""),  # as the host says, or why none does
    Column("well", Boolean, nullable=False, default=False),
    Column("episode_id", ForeignKey("episodes.id"), index=True),  # what asked for it
    Column("cleared_at", Moment),  # when that episode ended
)
