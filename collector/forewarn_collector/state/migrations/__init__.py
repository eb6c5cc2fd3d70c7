"""Bring a state database to the tables of today.  Forward only; `revisions` holds the steps.

``python -m forewarn_collector.state.migrations "what changes"`` writes the next step from the
difference between the steps so far and `tables`; read it before it is committed.
"""

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect

from forewarn_collector.state.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

_STEPS = Path(__file__).parent / "revisions"


class NewerState(Exception):
    """The database was written by a newer forewarn; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration did: from which step ("" for a new database) to which, and the copy kept."""

    before: str
    after: str
    snapshot: Path | None

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return self.before != self.after


def migrate(database: Database, path: Path, now: datetime) -> Migrated:
    """Bring the SQLite state at `path` to the newest step, all steps or none.

    A copy of what was there is kept beside it first.  Raises NewerState.
    """
    before, known = revision(database), steps()
    newest = known[-1]
    if before and before not in known:
        raise NewerState(
            f"{path} was written by a newer forewarn (step {before}, this one knows up to"
            f" {newest}); install that version again, or restore the copy made before it"
        )
    if before == newest:
        return Migrated(before, newest, None)
    snapshot = None
    if before:
        snapshot = path.with_name(f"{path.name}.before-{newest}-{now:%Y%m%dT%H%M%SZ}")
        copy_database(path, snapshot)
    _upgrade(database)
    return Migrated(before, newest, snapshot)


def revision(database: Database) -> str:
    """Return the step a database is at, "" when it has no tables yet."""
    with database.read() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return ""
        return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())


def steps() -> list[str]:
    """Return the names of all steps, the first one first: ``0001``, ``0002``, …"""
    return sorted(file.stem.split("_")[1] for file in _STEPS.glob("step_*.py"))


def _upgrade(database: Database) -> None:
    # Not above: Alembic takes a third of a second to import, and nearly every start has no step
    # to take.
    from alembic import command

    config = alembic_config()
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def alembic_config() -> "Config":
    """Return Alembic's settings; no alembic.ini, the steps are part of the package."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("version_locations", str(_STEPS))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("file_template", "step_%%(rev)s_%%(slug)s")
    return config


def copy_database(source: Path, target: Path) -> None:
    """Write a whole, compact copy of a SQLite database that may be in use."""
    target.touch(mode=0o600, exist_ok=False)
    connection = sqlite3.connect(source, timeout=10)
    try:
        connection.execute("VACUUM INTO ?", (str(target),))
    finally:
        connection.close()
