"""What other systems answered."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Take the step."""
    with op.batch_alter_table("external_references") as table:
        table.add_column(sa.Column("asked_at", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("seen_progress", sa.String(length=20), nullable=True))
        table.add_column(sa.Column("seen_assignee", sa.String(length=100), nullable=True))
        table.create_index(op.f("ix_external_references_asked_at"), ["asked_at"])
