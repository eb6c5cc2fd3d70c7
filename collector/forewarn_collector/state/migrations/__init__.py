"""Bring a state database to the tables of today.  Forward only; `revisions` holds the steps.

``python -m forewarn_collector.state.migrations "what changes"`` writes the next step from the
difference between the steps so far and `tables`; read it before it is committed.
"""

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from forewarn_collector.state.database import Database


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
    config = alembic_config()
    scripts = ScriptDirectory.from_config(config)
    newest = scripts.get_current_head() or ""
    before = revision(database)
    known = {script.revision for script in scripts.walk_revisions()}
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
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return Migrated(before, newest, snapshot)


def revision(database: Database) -> str:
    """Return the step a database is at, "" when it has no tables yet."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision() or ""


def alembic_config() -> Config:
    """Return Alembic's settings; no alembic.ini, the steps are part of the package."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("version_locations", str(Path(__file__).parent / "revisions"))
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
