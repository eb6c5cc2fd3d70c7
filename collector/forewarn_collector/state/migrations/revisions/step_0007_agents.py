"""How agents are configured."""

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Take the step."""
