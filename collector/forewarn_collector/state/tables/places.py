"""Whose it is and where it is: clients, sites, hosts, and how hosts came to be known."""

from sqlalchemy import (
    JSON,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
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

clients = Table(
    "clients",
    metadata,
    id_column(),
    Column("name", String(100), nullable=False, unique=True),
    Column("created_at", Moment, nullable=False),
)

sites = Table(
    "sites",
    metadata,
    id_column(),
    client_column(),
    Column("name", String(100), nullable=False),
    Column("zone", String(64), nullable=False, default="UTC"),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("client_id", "name"),
)

hosts = Table(
    "hosts",
    metadata,
    id_column(),
    Column("number", Integer, nullable=False, unique=True),  # short key of its samples
    client_column(),
    Column("site_id", ForeignKey("sites.id"), nullable=False, index=True),
    Column("name", String(255), nullable=False),  # a label, never an identity
    Column("host_class", String(20), nullable=False, default="server"),
    Column("system", String(20), nullable=False, default=""),  # linux | windows
    json_column("tags", list),
    Column("public_key", LargeBinary(32), nullable=False, unique=True),
    Column("agent_version", String(64), nullable=False, default=""),
    Column("enrolled_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Index("ix_hosts_name_id", "name", "id"),  # a page of 100,000 hosts by name in 10 ms, not 180
)

host_facts = Table(
    "host_facts",
    metadata,
    Column("host_id", ForeignKey("hosts.id"), primary_key=True),
    Column("name", String(100), primary_key=True),
    Column("value", JSON),
    Column("since", Moment, nullable=False),
)

enrolment_tokens = Table(
    "enrolment_tokens",
    metadata,
    id_column(),
    Column("hash", String(64), nullable=False, unique=True),
    client_column(),
    Column("site_id", ForeignKey("sites.id"), nullable=False),
    Column("host_class", String(20), nullable=False, default="server"),
    json_column("tags", list),
    Column("max_uses", Integer, nullable=False, default=1),
    Column("uses", Integer, nullable=False, default=0),
    Column("created_at", Moment, nullable=False),
    Column("created_by", String(100), nullable=False, default=""),
    Column("expires_at", Moment, nullable=False),
    Column("revoked_at", Moment),
)

# Remembers which key a token enrolled, so that a lost answer can be asked for again.
enrolments = Table(
    "enrolments",
    metadata,
    Column("token_id", ForeignKey("enrolment_tokens.id"), primary_key=True),
    Column("host_id", ForeignKey("hosts.id"), primary_key=True),
    Column("at", Moment, nullable=False),
)

# Two machines found with one identity: who is listened to, and who is turned away.
host_doubles = Table(
    "host_doubles",
    metadata,
    Column("host_id", ForeignKey("hosts.id"), primary_key=True),
    json_column("kept", dict),
    json_column("copy", dict),
    Column("found_at", Moment, nullable=False),
    Column("heard_at", Moment, nullable=False),
    Column("settled_at", Moment),
)
