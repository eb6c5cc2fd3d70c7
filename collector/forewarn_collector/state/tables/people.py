"""People, their sessions and keys, and what they did."""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Integer, LargeBinary, String, Table

from forewarn_collector.state.tables.base import Moment, id_column, json_column, metadata

users = Table(
    "users",
    metadata,
    id_column(),
    Column("name", String(100), nullable=False, unique=True),
    Column("password_hash", String(200), nullable=False),
    Column("role", String(20), nullable=False),
    Column("clients", JSON),  # list of client ids; null means every client
    Column("created_at", Moment, nullable=False),
    Column("disabled_at", Moment),
)

sessions = Table(
    "sessions",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("used_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    id_column(),
    Column("name", String(100), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("role", String(20), nullable=False),  # never more than the user's own at use
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("revoked_at", Moment),
)

second_factors = Table(
    "second_factors",
    metadata,
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("secret", LargeBinary, nullable=False),  # locked with what no database holds
    Column("made_at", Moment, nullable=False),
    Column("confirmed_at", Moment),  # null until a first code was right
    Column("last_step", BigInteger, nullable=False, default=0),  # no code counts twice
    Column("failures", Integer, nullable=False, default=0),
    Column("failed_at", Moment),
    json_column("recovery", list),  # hashes of the codes that are left
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("action", String(60), nullable=False),
    Column("subject", String(200), nullable=False, default=""),
    json_column("data", dict),
    Column("hash", String(64), nullable=False),  # sha256 of the previous hash and this row
)
