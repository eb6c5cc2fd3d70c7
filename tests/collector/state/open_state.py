"""The state database of a test: SQLite in its folder, or one of the PostgreSQL that is named.

``FOREWARN_TEST_POSTGRES`` names a server, as SQLAlchemy does, with ``{}`` for the database.
"""

import hashlib
import os
from pathlib import Path

from sqlalchemy import create_engine, text

from forewarn_collector.state.database import Database, open_sqlite

SERVER = "FOREWARN_TEST_POSTGRES"


def open_state(directory: Path) -> Database:
    """Open the state that belongs to a folder; a new one has no tables."""
    server = os.environ.get(SERVER)
    if not server:
        return open_sqlite(directory / "state.sqlite")
    name = "t" + hashlib.sha256(str(directory).encode()).hexdigest()[:24]
    mark = directory / "state.postgresql"
    if not mark.exists():
        engine = create_engine(server.format("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        mark.touch()
    return Database(server.format(name))
