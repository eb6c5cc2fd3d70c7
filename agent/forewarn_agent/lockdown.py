"""Stop remote work on this host: a file that the helper looks for before and while it runs one."""

from pathlib import Path
from typing import Final

from forewarn_agent.files import make_private, write_private

NAME: Final = "lockdown"


def begin(directory: Path, reason: str) -> bool:
    """Lock the helper of `directory`; return whether it was open.  Durable on return.

    Raises OSError.
    """
    make_private(directory)
    held = (directory / NAME).exists()
    write_private(directory / NAME, (reason.strip() or "by forewarn-agent lockdown").encode())
    return not held


def lift(directory: Path) -> bool:
    """Unlock it; return whether it was locked.  Raises OSError."""
    held = (directory / NAME).exists()
    (directory / NAME).unlink(missing_ok=True)
    return held
