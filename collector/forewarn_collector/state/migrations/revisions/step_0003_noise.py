"""Less noise for the same facts."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Take the step."""
