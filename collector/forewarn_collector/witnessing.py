"""Show hosts the newest row of the audit log, signed with a key that is for nothing else."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from nacl.signing import SigningKey, VerifyKey

from forewarn_collector.certificates import write_private
from forewarn_collector.state import audit
from forewarn_collector.state.database import Database

EVERY: Final = timedelta(minutes=5)
"""How old what hosts are shown may be: each newer one costs every host a small write."""


def signing_key(directory: Path) -> SigningKey:
    """Return the key for checkpoints, made when it is first needed.  Raises OSError, ValueError."""
    path = _path(directory)
    try:
        return SigningKey(path.read_bytes())
    except FileNotFoundError:
        made = SigningKey.generate()
        write_private(path, bytes(made))
        return made


def verify_key(directory: Path) -> VerifyKey | None:
    """Return what checkpoints are verified with, None when none was ever signed here."""
    return signing_key(directory).verify_key if _path(directory).exists() else None


def _path(directory: Path) -> Path:
    return directory / "secrets" / "audit.key"


class Showing:
    """Holds the text that receipts carry; `look` makes it anew."""

    def __init__(self, database: Database, directory: Path) -> None:
        self._database = database
        self._key = signing_key(directory)
        self._text = ""
        self.look()

    @property
    def newest(self) -> Callable[[], str]:
        """Return what tells the newest checkpoint; it asks nobody."""
        return lambda: self._text

    def look(self) -> None:
        """Sign the newest row, if it is another than before."""
        with self._database.read() as connection:
            point = audit.checkpoint(connection)
        if point is not None and not self._text.startswith(f"{point.era}.{point.row}."):
            self._text = audit.signed(point, self._key).text()
