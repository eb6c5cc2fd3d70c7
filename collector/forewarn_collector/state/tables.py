"""The tables of the state database, for SQLite and PostgreSQL alike.

Ids are UUIDv7 texts.  Moments are BIGINT microseconds of UTC behind `Moment`.  Whatever belongs
to a client carries `client_id`, so that every query can be scoped by it.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as whole microseconds since 1970 so that it sorts anywhere."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Refuse a naive datetime: nobody could say when it was."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored")
        return (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return an aware UTC datetime."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


# Constraint names are fixed, so that a migration can name them on every database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id(name: str = "id") -> Column[str]:
    return Column(name, String(36), primary_key=True)


def _client() -> Column[str]:
    return Column("client_id", ForeignKey("clients.id"), nullable=False, index=True)


def _json(name: str, default: Any) -> Column[Any]:
    return Column(name, JSON, nullable=False, default=default)


# -- whose it is and where it is -----------------------------------------------------------------

clients = Table(
    "clients",
    metadata,
    _id(),
    Column("name", String(100), nullable=False, unique=True),
    Column("created_at", Moment, nullable=False),
)

sites = Table(
    "sites",
    metadata,
    _id(),
    _client(),
    Column("name", String(100), nullable=False),
    Column("zone", String(64), nullable=False, default="UTC"),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("client_id", "name"),
)

hosts = Table(
    "hosts",
    metadata,
    _id(),
    Column("number", Integer, nullable=False, unique=True),  # short key of its samples
    _client(),
    Column("site_id", ForeignKey("sites.id"), nullable=False, index=True),
    Column("name", String(255), nullable=False),  # a label, never an identity
    Column("host_class", String(20), nullable=False, default="server"),
    Column("system", String(20), nullable=False, default=""),  # linux | windows
    _json("tags", list),
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
    _id(),
    Column("hash", String(64), nullable=False, unique=True),
    _client(),
    Column("site_id", ForeignKey("sites.id"), nullable=False),
    Column("host_class", String(20), nullable=False, default="server"),
    _json("tags", list),
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

# -- what is wrong -------------------------------------------------------------------------------

alerts = Table(
    "alerts",
    metadata,
    Column("key", String(64), primary_key=True),  # sha256 of client | host | component | rule
    _client(),
    Column("host_id", ForeignKey("hosts.id"), nullable=False, index=True),
    Column("component", String(400), nullable=False),
    Column("rule", String(100), nullable=False),
    _json("labels", dict),
    Column("state", String(10), nullable=False, index=True),  # ok pending firing clearing
    Column("severity", String(10), nullable=False),
    Column("data", String(10), nullable=False, default="fresh"),  # fresh stale error
    Column("value", Float),
    Column("since", Moment, nullable=False),  # when this state began, in event time
    Column("seen_until", Moment, nullable=False),  # newest event time judged
    Column("held_seconds", Float, nullable=False, default=0.0),
    _json("memory", dict),  # what the rule kind needs besides: baselines, tiers, flaps
    Column("episode_id", String(36)),
    Column("changed_at", Moment, nullable=False),
)

# What was promised when tickets were opened: a policy with its calendars, by a hash of them.
promises = Table(
    "promises",
    metadata,
    Column("version", String(64), primary_key=True),
    Column("content", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
)

tickets = Table(
    "tickets",
    metadata,
    _id(),
    Column("number", Integer, nullable=False, unique=True),
    Column("key", String(64), nullable=False, unique=True),  # hash of what it is about, then #n
    Column("subject", String(64), nullable=False, index=True),  # the key without #n
    _client(),
    Column("site_id", ForeignKey("sites.id"), nullable=False),
    Column("host_id", ForeignKey("hosts.id"), index=True),
    Column("component", String(400), nullable=False, default=""),
    Column("title", String(300), nullable=False),
    Column("state", String(20), nullable=False, index=True),
    Column("waiting_for", String(20)),  # customer vendor maintenance parts; null unless waiting
    Column("condition", String(10), nullable=False),  # firing cleared stale reported
    Column("severity", String(10), nullable=False),
    Column("impact", Integer, nullable=False, default=2),  # 1 to 3, 1 is the most
    Column("urgency", Integer, nullable=False, default=3),
    Column("priority", String(2), nullable=False),
    Column("priority_by", String(100)),  # who set it by hand; it then stays
    Column("assignee", String(100)),
    Column("team", String(100)),
    Column("description", Text, nullable=False, default=""),  # of tickets opened by hand
    Column("opened_at", Moment, nullable=False),
    Column("first_response_at", Moment),
    Column("cleared_at", Moment),
    Column("resolved_at", Moment),
    Column("closed_at", Moment),
    Column("changed_at", Moment, nullable=False),
    Column("promise", ForeignKey("promises.version")),
    _json("clocks", list),  # as they were at changed_at; made from the events
    Column("response_due_at", Moment),
    Column("resolution_due_at", Moment),
    Column("wake_at", Moment, index=True),  # when it must be looked at again
)

episodes = Table(
    "episodes",
    metadata,
    _id(),
    Column("alert_key", String(64), nullable=False, index=True),
    Column("ticket_id", ForeignKey("tickets.id"), nullable=False, index=True),
    _client(),
    Column("host_id", ForeignKey("hosts.id"), nullable=False, index=True),
    Column("component", String(400), nullable=False),
    Column("rule", String(100), nullable=False),
    Column("severity", String(10), nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("closed_at", Moment),
    _json("evidence", dict),
)

ticket_events = Table(
    "ticket_events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("ticket_id", ForeignKey("tickets.id"), nullable=False, index=True),
    _client(),
    Column("at", Moment, nullable=False),
    Column("actor", String(100), nullable=False),  # a person's name, or "forewarn"
    Column("kind", String(40), nullable=False),
    _json("data", dict),
    _json("sets", dict),  # state, waiting_for, priority, assignee, team: what it made of them
)

# Whose turn it is in a team.
team_turns = Table(
    "team_turns",
    metadata,
    Column("team", String(100), primary_key=True),
    Column("member", String(100), nullable=False),
)

# Calls of other tools that were taken: a repeated one finds the ticket it opened.
inbound_messages = Table(
    "inbound_messages",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("message_id", String(200), primary_key=True),
    Column("ticket_id", ForeignKey("tickets.id"), nullable=False),
    Column("received_at", Moment, nullable=False),
)

# What was seen and done, as told at a close; each names the hash of its client's one before.
service_reports = Table(
    "service_reports",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("ticket_id", ForeignKey("tickets.id"), nullable=False, index=True),
    _client(),
    Column("made_at", Moment, nullable=False),
    Column("document", Text, nullable=False),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("previous", String(64), nullable=False),
)

# Every date that was forecast, so that it can be held against what came.
forecasts = Table(
    "forecasts",
    metadata,
    _id(),
    _client(),
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

# -- telling others ------------------------------------------------------------------------------

outbox = Table(
    "outbox",
    metadata,
    _id(),  # UUIDv7: also the webhook-id, the same on every attempt
    Column("destination", String(100), nullable=False),
    Column("ticket_id", ForeignKey("tickets.id"), nullable=False),
    _client(),
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
)

# -- the engine's own ----------------------------------------------------------------------------

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
    _json("rises", list),  # [event time in microseconds, by how much], oldest first
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

# -- remote work ---------------------------------------------------------------------------------
#
# What is signed lies here as opaque bytes: it is routed and shown, and nothing here can make it.

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
    _id(),
    _client(),
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
    _client(),
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

# -- people --------------------------------------------------------------------------------------

users = Table(
    "users",
    metadata,
    _id(),
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
    _id(),
    Column("name", String(100), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("role", String(20), nullable=False),  # never more than the user's own at use
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("revoked_at", Moment),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("action", String(60), nullable=False),
    Column("subject", String(200), nullable=False, default=""),
    _json("data", dict),
    Column("hash", String(64), nullable=False),  # sha256 of the previous hash and this row
)
