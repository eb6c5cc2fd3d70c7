"""Orders that stand, and second factors."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Take the step."""
    op.create_table(
        "standing_orders",
        sa.Column("order_id", sa.String(length=36), nullable=False),
        sa.Column("trigger", sa.String(length=60), nullable=True),
        sa.Column("calendar", sa.JSON(), nullable=True),
        sa.Column("within", sa.String(length=20), nullable=False),
        sa.Column("timeout_seconds", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_standing_orders_order_id")
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_standing_orders")),
    )
    op.create_index(op.f("ix_standing_orders_trigger"), "standing_orders", ["trigger"])
    op.create_table(
        "standing_runs",
        sa.Column("order_id", sa.String(length=36), nullable=False),
        sa.Column("host_id", sa.String(length=36), nullable=False),
        sa.Column("occurrence", sa.String(length=100), nullable=False),
        sa.Column("client_id", sa.String(length=36), nullable=False),
        sa.Column("wanted_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("again_at", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.String(length=200), nullable=False),
        sa.Column("offered_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended", sa.String(length=20), nullable=False),
        sa.Column("well", sa.Boolean(), nullable=False),
        sa.Column("episode_id", sa.String(length=36), nullable=True),
        sa.Column("cleared_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["client_id"], ["clients.id"], name=op.f("fk_standing_runs_client_id")
        ),
        sa.ForeignKeyConstraint(
            ["episode_id"], ["episodes.id"], name=op.f("fk_standing_runs_episode_id")
        ),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name=op.f("fk_standing_runs_host_id")),
        sa.ForeignKeyConstraint(
            ["order_id"], ["standing_orders.order_id"], name=op.f("fk_standing_runs_order_id")
        ),
        sa.PrimaryKeyConstraint("order_id", "host_id", "occurrence", name=op.f("pk_standing_runs")),
    )
    for column in ("client_id", "ended_at", "episode_id", "host_id"):
        op.create_index(op.f(f"ix_standing_runs_{column}"), "standing_runs", [column])
    op.create_table(
        "second_factors",
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failed_at", sa.BigInteger(), nullable=True),
        sa.Column("recovery", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_second_factors_user_id")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_second_factors")),
    )
