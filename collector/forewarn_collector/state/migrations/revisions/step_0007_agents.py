"""Two machines found with one identity."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Take the step."""
    op.create_table(
        "host_doubles",
        sa.Column("host_id", sa.String(length=36), nullable=False),
        sa.Column("kept", sa.JSON(), nullable=False),
        sa.Column("copy", sa.JSON(), nullable=False),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.Column("heard_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name=op.f("fk_host_doubles_host_id")),
        sa.PrimaryKeyConstraint("host_id", name=op.f("pk_host_doubles")),
    )
