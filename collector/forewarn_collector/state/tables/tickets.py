"""Tickets, what happened to them, and what was promised."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from forewarn_collector.state.tables.base import (
    Moment,
    client_column,
    id_column,
    json_column,
    metadata,
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
    id_column(),
    Column("number", Integer, nullable=False, unique=True),
    Column("key", String(64), nullable=False, unique=True),  # hash of what it is about, then #n
    Column("subject", String(64), nullable=False, index=True),  # the key without #n
    client_column(),
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
    json_column("clocks", list),  # as they were at changed_at; made from the events
    Column("response_due_at", Moment),
    Column("resolution_due_at", Moment),
    Column("wake_at", Moment, index=True),  # when it must be looked at again
    Column("kind", String(20)),  # site overflow root_cause; null: of one component, or by hand
    Column("rule", String(100)),  # of a site's, and of a root cause's
    Index("ix_tickets_recent", "client_id", "opened_at"),
)

episodes = Table(
    "episodes",
    metadata,
    id_column(),
    Column("alert_key", String(64), nullable=False, index=True),
    Column("ticket_id", ForeignKey("tickets.id"), nullable=False, index=True),
    client_column(),
    Column("host_id", ForeignKey("hosts.id"), nullable=False, index=True),
    Column("component", String(400), nullable=False),
    Column("rule", String(100), nullable=False),
    Column("severity", String(10), nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("closed_at", Moment),
    json_column("evidence", dict),
)

ticket_events = Table(
    "ticket_events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("ticket_id", ForeignKey("tickets.id"), nullable=False, index=True),
    client_column(),
    Column("at", Moment, nullable=False),
    Column("actor", String(100), nullable=False),  # a person's name, or "forewarn"
    Column("kind", String(40), nullable=False),
    json_column("data", dict),
    json_column("sets", dict),  # state, waiting_for, priority, assignee, team: what it made of them
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
    client_column(),
    Column("made_at", Moment, nullable=False),
    Column("document", Text, nullable=False),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("previous", String(64), nullable=False),
)
