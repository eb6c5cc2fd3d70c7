"""The tables of the state database, for SQLite and PostgreSQL alike.

Ids are UUIDv7 texts.  Moments are BIGINT microseconds of UTC behind `Moment`.  Whatever belongs
to a client carries `client_id`, so that every query can be scoped by it.
"""

from forewarn_collector.state.tables.alerts import alerts, forecasts
from forewarn_collector.state.tables.base import Moment, metadata
from forewarn_collector.state.tables.engine import about, counters, cursors, downtimes
from forewarn_collector.state.tables.orders import (
    keyrings,
    order_results,
    order_signatures,
    order_targets,
    orders,
    scripts,
)
from forewarn_collector.state.tables.people import api_keys, audit, sessions, users
from forewarn_collector.state.tables.places import (
    clients,
    enrolment_tokens,
    enrolments,
    host_facts,
    hosts,
    sites,
)
from forewarn_collector.state.tables.telling import destination_health, external_references, outbox
from forewarn_collector.state.tables.tickets import (
    episodes,
    inbound_messages,
    promises,
    service_reports,
    team_turns,
    ticket_events,
    tickets,
)

__all__ = [
    "Moment",
    "about",
    "alerts",
    "api_keys",
    "audit",
    "clients",
    "counters",
    "cursors",
    "destination_health",
    "downtimes",
    "enrolment_tokens",
    "enrolments",
    "episodes",
    "external_references",
    "forecasts",
    "host_facts",
    "hosts",
    "inbound_messages",
    "keyrings",
    "metadata",
    "order_results",
    "order_signatures",
    "order_targets",
    "orders",
    "outbox",
    "promises",
    "scripts",
    "service_reports",
    "sessions",
    "sites",
    "team_turns",
    "ticket_events",
    "tickets",
    "users",
]
