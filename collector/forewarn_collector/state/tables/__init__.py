"""The tables of the state database, for SQLite and PostgreSQL alike.

Ids are UUIDv7 texts.  Moments are BIGINT microseconds of UTC behind `Moment`.  Whatever belongs
to a client carries `client_id`, so that every query can be scoped by it.
"""

from forewarn_collector.state.tables.alerts import alerts, forecasts
from forewarn_collector.state.tables.assets import absences, asset_changes, host_assets
from forewarn_collector.state.tables.base import Moment, metadata
from forewarn_collector.state.tables.engine import about, counters, cursors, downtimes
from forewarn_collector.state.tables.noise import (
    acceptances,
    fixes,
    inherited,
    ticket_links,
)
from forewarn_collector.state.tables.orders import (
    keyrings,
    order_results,
    order_signatures,
    order_targets,
    orders,
    scripts,
    standing_orders,
    standing_runs,
)
from forewarn_collector.state.tables.people import api_keys, audit, second_factors, sessions, users
from forewarn_collector.state.tables.places import (
    clients,
    enrolment_tokens,
    enrolments,
    host_doubles,
    host_facts,
    hosts,
    sites,
)
from forewarn_collector.state.tables.suppression import (
    held_alerts,
    maintenance_hosts,
    maintenance_occurrences,
    maintenance_windows,
    silences,
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
    "absences",
    "acceptances",
    "alerts",
    "api_keys",
    "asset_changes",
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
    "fixes",
    "forecasts",
    "held_alerts",
    "host_assets",
    "host_doubles",
    "host_facts",
    "hosts",
    "inbound_messages",
    "inherited",
    "keyrings",
    "maintenance_hosts",
    "maintenance_occurrences",
    "maintenance_windows",
    "metadata",
    "order_results",
    "order_signatures",
    "order_targets",
    "orders",
    "outbox",
    "promises",
    "scripts",
    "second_factors",
    "service_reports",
    "sessions",
    "silences",
    "sites",
    "standing_orders",
    "standing_runs",
    "team_turns",
    "ticket_events",
    "ticket_links",
    "tickets",
    "users",
]
