"""What holds back opening and telling."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Take the step."""
    op.create_table(
        "maintenance_windows",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("clients", sa.JSON(), nullable=True),
        sa.Column("selector", sa.String(length=1000), nullable=False),
        sa.Column("group_name", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("author", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=True),
        sa.Column("repeats", sa.String(length=100), nullable=False),
        sa.Column("local_time", sa.String(length=5), nullable=False),
        sa.Column("lasts_seconds", sa.Integer(), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("settle_seconds", sa.Integer(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("deleted_by", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_maintenance_windows")),
    )
    op.create_table(
        "silences",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("clients", sa.JSON(), nullable=True),
        sa.Column("selector", sa.String(length=1000), nullable=False),
        sa.Column("group_name", sa.String(length=100), nullable=False),
        sa.Column("rule", sa.String(length=100), nullable=False),
        sa.Column("component", sa.String(length=400), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("author", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_silences")),
    )
    op.create_table(
        "maintenance_occurrences",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("window_id", sa.String(length=36), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_by", sa.String(length=100), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("hosts", sa.Integer(), nullable=False),
        sa.Column("rebooted", sa.Integer(), nullable=False),
        sa.Column("wrong", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["window_id"],
            ["maintenance_windows.id"],
            name=op.f("fk_maintenance_occurrences_window_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_maintenance_occurrences")),
        sa.UniqueConstraint(
            "window_id", "starts_at", name=op.f("uq_maintenance_occurrences_window_id_starts_at")
        ),
    )
    op.create_index(
        "ix_maintenance_occurrences_open",
        "maintenance_occurrences",
        ["decided_at", "ends_at"],
        unique=False,
    )
    op.create_table(
        "held_alerts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("alert_key", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=36), nullable=False),
        sa.Column("host_id", sa.String(length=36), nullable=False),
        sa.Column("component", sa.String(length=400), nullable=False),
        sa.Column("rule", sa.String(length=100), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("cause", sa.String(length=20), nullable=False),
        sa.Column("cause_id", sa.String(length=36), nullable=False),
        sa.Column("cause_start", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("held_until", sa.BigInteger(), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("severity", sa.String(length=10), nullable=False),
        sa.Column("worst", sa.String(length=10), nullable=False),
        sa.Column("told", sa.String(length=10), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(length=10), nullable=True),
        sa.ForeignKeyConstraint(
            ["client_id"], ["clients.id"], name=op.f("fk_held_alerts_client_id")
        ),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name=op.f("fk_held_alerts_host_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_held_alerts")),
    )
    op.create_index(op.f("ix_held_alerts_alert_key"), "held_alerts", ["alert_key"], unique=False)
    op.create_index(
        "ix_held_alerts_cause", "held_alerts", ["cause_id", "cause_start"], unique=False
    )
    op.create_index(op.f("ix_held_alerts_client_id"), "held_alerts", ["client_id"], unique=False)
    op.create_index("ix_held_alerts_ended_at", "held_alerts", ["ended_at"], unique=False)
    op.create_index(op.f("ix_held_alerts_host_id"), "held_alerts", ["host_id"], unique=False)
    op.create_table(
        "maintenance_hosts",
        sa.Column("occurrence_id", sa.String(length=36), nullable=False),
        sa.Column("host_id", sa.String(length=36), nullable=False),
        sa.Column("client_id", sa.String(length=36), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("rebooted", sa.Integer(), nullable=True),
        sa.Column("ticket_id", sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(
            ["client_id"], ["clients.id"], name=op.f("fk_maintenance_hosts_client_id")
        ),
        sa.ForeignKeyConstraint(
            ["host_id"], ["hosts.id"], name=op.f("fk_maintenance_hosts_host_id")
        ),
        sa.ForeignKeyConstraint(
            ["occurrence_id"],
            ["maintenance_occurrences.id"],
            name=op.f("fk_maintenance_hosts_occurrence_id"),
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["tickets.id"], name=op.f("fk_maintenance_hosts_ticket_id")
        ),
        sa.PrimaryKeyConstraint("occurrence_id", "host_id", name=op.f("pk_maintenance_hosts")),
    )
    op.create_index(
        op.f("ix_maintenance_hosts_client_id"), "maintenance_hosts", ["client_id"], unique=False
    )
    op.create_index("ix_maintenance_hosts_host_id", "maintenance_hosts", ["host_id"], unique=False)
