"""What the engine remembers of counters."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Take the step."""
    op.create_table(
        "counters",
        sa.Column("host_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("component", sa.String(length=400), nullable=False),
        sa.Column("metric", sa.String(length=100), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("rises", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("host_number", "component", "metric", name=op.f("pk_counters")),
    )
