"""Less noise for the same facts."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Take the step."""
    op.add_column("tickets", sa.Column("kind", sa.String(length=20), nullable=True))
    op.add_column("tickets", sa.Column("rule", sa.String(length=100), nullable=True))
    op.create_index("ix_tickets_recent", "tickets", ["client_id", "opened_at"])
    _links()
    _fixes()
    _acceptances()
    _inherited()


def _links() -> None:
    op.create_table(
        "ticket_links",
        sa.Column("ticket_id", sa.String(length=36), nullable=False),
        sa.Column("other_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["tickets.id"], name=op.f("fk_ticket_links_ticket_id")
        ),
        sa.ForeignKeyConstraint(
            ["other_id"], ["tickets.id"], name=op.f("fk_ticket_links_other_id")
        ),
        sa.PrimaryKeyConstraint("ticket_id", "other_id", name=op.f("pk_ticket_links")),
    )
    op.create_index(op.f("ix_ticket_links_other_id"), "ticket_links", ["other_id"])


def _fixes() -> None:
    op.create_table(
        "fixes",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("ticket_id", sa.String(length=36), nullable=False),
        sa.Column("client_id", sa.String(length=36), nullable=False),
        sa.Column("sameness", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_fixes_ticket_id")),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_fixes_client_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fixes")),
    )
    op.create_index(op.f("ix_fixes_client_id"), "fixes", ["client_id"])
    op.create_index("ix_fixes_same", "fixes", ["sameness", "at"])


def _acceptances() -> None:
    op.create_table(
        "acceptances",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("client_id", sa.String(length=36), nullable=False),
        sa.Column("host_id", sa.String(length=36), nullable=False),
        sa.Column("host_number", sa.Integer(), nullable=False),
        sa.Column("component", sa.String(length=400), nullable=False),
        sa.Column("counters", sa.JSON(), nullable=False),
        sa.Column("author", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("ticket_id", sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(
            ["client_id"], ["clients.id"], name=op.f("fk_acceptances_client_id")
        ),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name=op.f("fk_acceptances_host_id")),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["tickets.id"], name=op.f("fk_acceptances_ticket_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acceptances")),
    )
    op.create_index(op.f("ix_acceptances_client_id"), "acceptances", ["client_id"])
    op.create_index(op.f("ix_acceptances_host_id"), "acceptances", ["host_id"])


def _inherited() -> None:
    op.create_table(
        "inherited",
        sa.Column("host_id", sa.String(length=36), nullable=False),
        sa.Column("component", sa.String(length=400), nullable=False),
        sa.Column("metric", sa.String(length=100), nullable=False),
        sa.Column("client_id", sa.String(length=36), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name=op.f("fk_inherited_host_id")),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_inherited_client_id")),
        sa.PrimaryKeyConstraint("host_id", "component", "metric", name=op.f("pk_inherited")),
    )
    op.create_index(op.f("ix_inherited_client_id"), "inherited", ["client_id"])
