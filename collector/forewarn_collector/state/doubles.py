"""What was found of machines that share an identity, so that a restart forgets none of it."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select

from forewarn_collector.doubles import Double, Machine
from forewarn_collector.state.tables import host_doubles


def read(connection: Connection) -> dict[str, Double]:
    """Return every finding by host id, those just settled too."""
    return {
        row["host_id"]: Double(
            host_id=row["host_id"],
            kept=Machine(**row["kept"]),
            copy=Machine(**row["copy"]),
            found_at=row["found_at"],
            heard_at=row["heard_at"],
            settled_at=row["settled_at"],
        )
        for row in connection.execute(select(host_doubles)).mappings()
    }


def keep(connection: Connection, news: Sequence[Double]) -> None:
    """Put the newest state of each in the place of the one before."""
    for double in {double.host_id: double for double in news}.values():
        connection.execute(delete(host_doubles).where(host_doubles.c.host_id == double.host_id))
        connection.execute(insert(host_doubles).values(asdict(double)))
