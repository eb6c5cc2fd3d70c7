"""Orders that stand, and second factors."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Take the step."""
