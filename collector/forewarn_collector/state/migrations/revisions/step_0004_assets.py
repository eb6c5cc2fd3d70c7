"""What is known of a machine beyond its readings."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Take the step."""
