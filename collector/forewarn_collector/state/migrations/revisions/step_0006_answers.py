"""What other systems answered."""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Take the step."""
