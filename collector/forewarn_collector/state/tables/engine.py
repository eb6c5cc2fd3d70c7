"""The engine's own memory, and what this collector is."""

from sqlalchemy import BigInteger, Column, Float, Integer, String, Table, Text

from forewarn_collector.state.tables.base import Moment, json_column, metadata

cursors = Table(
    "cursors",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

# What the engine remembers of counters.  Written when one changes; most never do.
counters = Table(
    "counters",
    metadata,
    Column("host_number", Integer, primary_key=True, autoincrement=False),
    Column("component", String(400), primary_key=True),
    Column("metric", String(100), primary_key=True),
    Column("value", Float, nullable=False),
    Column("at", Moment, nullable=False),  # event time of the newest change
    json_column("rises", list),  # [event time in microseconds, by how much], oldest first
)

# When the collector was not listening: subtracted from every deadline.
downtimes = Table(
    "downtimes",
    metadata,
    Column("began", Moment, primary_key=True),
    Column("ended", Moment, nullable=False),
)

about = Table(
    "about",
    metadata,
    Column("name", String(40), primary_key=True),  # collector_id, heartbeat, …
    Column("value", Text, nullable=False),
)
