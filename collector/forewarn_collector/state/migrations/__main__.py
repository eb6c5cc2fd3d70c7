"""Write the next step: the difference between the steps so far and `tables`."""

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.autogenerate.api import AutogenContext

from forewarn_collector.state.database import open_sqlite
from forewarn_collector.state.migrations import alembic_config, migrate, steps
from forewarn_collector.state.tables import Moment


def _plain(kind: str, item: object, _context: AutogenContext) -> str | bool:
    # A step must not follow later changes of our own types.
    return "sa.BigInteger()" if kind == "type" and isinstance(item, Moment) else False


def main(message: str) -> Path:
    """Write the next step and return its file."""
    config = alembic_config()
    number = f"{len(steps()) + 1:04d}"
    config.attributes["render_item"] = _plain
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "state.sqlite"
        database = open_sqlite(path)
        if steps():
            migrate(database, path, datetime.now(UTC))
        with database.engine.connect() as connection:
            config.attributes["connection"] = connection
            script = command.revision(config, message, autogenerate=True, rev_id=number)
        database.close()
    if script is None or isinstance(script, list):
        raise SystemExit("Alembic wrote no single step; look at its messages above")
    return Path(script.path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit('say what changes: python -m forewarn_collector.state.migrations "..."')
    sys.stdout.write(f"{main(sys.argv[1])}\n")
