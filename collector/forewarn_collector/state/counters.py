"""What the engine remembers of counters between two starts.  All SQL of it is in here."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from forewarn_collector.rules.counters import Counter
from forewarn_collector.rules.tally import Remembered
from forewarn_collector.state.tables import counters

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def load(connection: Connection) -> Iterator[Remembered]:
    """Yield every counter."""
    for row in connection.execute(select(counters)):
        rises = tuple((at, by) for at, by in row.rises)
        counter = Counter(row.value, (row.at - _EPOCH) // _MICROSECOND, rises)
        yield Remembered(row.host_number, row.component, row.metric, counter)


def save(connection: Connection, rows: Iterable[Remembered]) -> None:
    """Write counters over what was held of them."""
    written = [_written(row) for row in rows]
    if not written:
        return
    # The dialects' upserts share a shape, not a type.
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(counters)
    key = ["host_number", "component", "metric"]
    values = {name: new.excluded[name] for name in ("value", "at", "rises")}
    connection.execute(new.on_conflict_do_update(index_elements=key, set_=values), written)


def _written(row: Remembered) -> dict[str, Any]:
    return {
        "host_number": row.host,
        "component": row.component,
        "metric": row.metric,
        "value": row.counter.value,
        "at": _EPOCH + row.counter.at * _MICROSECOND,
        "rises": [list(rise) for rise in row.counter.rises],
    }
