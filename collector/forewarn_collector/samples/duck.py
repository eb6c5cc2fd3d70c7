"""The embedded sample store: a durable hot table in DuckDB, sealed into Parquet.

One process at a time; DuckDB locks its file, readers included.

    StoreInUse      another process has it open
    StoreUnusable   it cannot be opened, for a reason that is not damage
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from forewarn_checks.base import Lane
from forewarn_collector.samples import (
    Arrival,
    CheckStatus,
    Histories,
    Newest,
    Points,
    Reading,
    Series,
    Shape,
    Span,
    hot,
    sealed,
)
from forewarn_collector.samples.asking import Asking, latest_statuses
from forewarn_collector.samples.compact import compact
from forewarn_collector.samples.hot import transaction
from forewarn_collector.samples.names import LANE_NUMBERS
from forewarn_collector.samples.opening import HOT, Opened, StoreInUse, StoreUnusable, open_store
from forewarn_collector.samples.spread import Spread, lay_out

__all__ = ["DuckSampleStore", "StoreInUse", "StoreUnusable"]

_NEVER_SEALED_BEFORE = 2**62


def _everything() -> int:
    return _NEVER_SEALED_BEFORE


class DuckSampleStore:
    """`SampleStore` on one machine, without a server.

    `cursor` says up to which commit the engine has judged; what is newer is not sealed.
    `findings` tells people what was wrong at the start, e.g. that damaged data was moved aside.
    """

    def __init__(
        self,
        directory: Path,
        *,
        cursor: Callable[[], int] = _everything,
        memory_limit_bytes: int = 400_000_000,
        threads: int = 2,
    ) -> None:
        self._open = partial(
            open_store,
            directory,
            cursor=cursor,
            memory_limit_bytes=memory_limit_bytes,
            threads=threads,
        )
        self._take(self._open())
        self._directory = directory
        self._cursor = cursor
        self._writing = threading.RLock()
        self._housekeeping = threading.Lock()
        self._retired: list[sealed.SealedFile] = []

    def _take(self, opened: Opened) -> None:
        self.findings = opened.findings
        self._database = opened.connection
        self._shapes = opened.shapes
        self._spools = opened.spools
        self._generation = opened.generation
        self._entry = opened.entry
        self._ledger = deque(opened.ledger)  # (commit, points) of every hot commit
        self._heard = dict(opened.heard)
        self._named = len(self._shapes), len(self._spools)
        self._broken = False

    def _mend(self) -> None:
        """Open again if DuckDB has given up on its connection, e.g. on a full disk.

        What it had committed is read again; numbers given to shapes since stay theirs.
        """
        if not self._broken:
            return
        with self._writing:
            if not self._broken:
                return
            self._database.close()
            shapes = self._shapes
            self._take(self._open())
            for shape in shapes[len(self._shapes) :]:
                self._shapes.number(shape.metric, dict(shape.labels))

    # -- names and marks -------------------------------------------------------------------------

    def shape(self, metric: str, labels: Mapping[str, str]) -> int:
        """Return the number of a shape, making one if needed; durable with the next append."""
        return self._shapes.number(metric, labels)

    def shapes(self) -> Sequence[Shape]:
        """Return every shape; the index is its number."""
        return self._shapes

    def mark(self, host: int, spool: str, lane: Lane) -> int:
        """Return the highest sequence held of this lane, -1 for none."""
        return self._spools.mark(host, spool, lane)

    def knows_spool(self, host: int, spool: str) -> bool:
        """Return whether anything of this spool was ever held."""
        return self._spools.knows(host, spool)

    def last_received(self) -> Mapping[int, int]:
        """Return when each host was last heard (receive time), by host number."""
        with self._writing:
            return dict(self._heard)

    # -- in --------------------------------------------------------------------------------------

    def append(self, arrivals: Sequence[Arrival]) -> None:
        """Make arrivals, their runs and their marks durable, all or none.

        Arrivals at or below their mark are left out.  Raises ValueError for one that reaches
        back below its mark, and duckdb.Error when it cannot be written; nothing has then changed.
        """
        with self._writing:
            self._mend()
            new = [arrival for arrival in arrivals if self._is_new(arrival)]
            if not new:
                return
            number = self._entry + 1
            rows = hot.entry_of(new, self._shapes, self._spools, number)
            try:
                self._commit(rows)
            except (duckdb.FatalException, duckdb.InternalException):
                self._broken = True
                raise
            self._entry = number
            self._ledger.append((number, rows.points))
            for arrival in new:
                self._reach(arrival)

    def _commit(self, rows: hot.Entry) -> None:
        with transaction(self._database) as connection:
            named = hot.insert_names(connection, self._shapes, self._spools, self._named)
            hot.insert_entry(connection, self._generation, rows)
        self._named = named

    def _is_new(self, arrival: Arrival) -> bool:
        mark = self.mark(arrival.host, arrival.spool, arrival.lane)
        if arrival.through <= mark:
            return False
        if not arrival.runs or arrival.runs[-1].sequence != arrival.through:
            raise ValueError(f"the last run of an arrival must be its mark, {arrival.through}")
        if arrival.runs[0].sequence <= mark:
            raise ValueError(f"an arrival reaches back to {arrival.runs[0].sequence}, mark {mark}")
        if not len(arrival.shapes) == len(arrival.times) == len(arrival.values):
            raise ValueError("shapes, times and values of an arrival differ in length")
        return True

    def _reach(self, arrival: Arrival) -> None:
        spool = self._spools.number(arrival.host, arrival.spool)
        self._spools.reach(spool, LANE_NUMBERS[arrival.lane], arrival.through)
        heard = self._heard.get(arrival.host, 0)
        self._heard[arrival.host] = max(heard, arrival.received)

    # -- out -------------------------------------------------------------------------------------

    def new_points(self, after: int, limit: int = 500_000) -> Points:
        """Return points that became durable after cursor `after`, whole commits only.

        At least one commit, at most `limit` points else.  Of sealed commits nothing is told any
        more: the cursor given at opening keeps those back that are still to be asked for.
        """
        through = after
        count = 0
        with self._writing:
            for number, points in self._ledger:
                if number <= after:
                    continue
                if count and count + points > limit:
                    break
                through, count = number, count + points
        with self._asking() as asking:
            return asking.points(after, through)

    def newest(self, through: int) -> Newest:
        """Return when the newest runs were of what became durable up to cursor `through`.

        Sealed commits are below every cursor that may still be asked from.
        """
        with self._asking() as asking:
            return asking.newest(through)

    def latest_of(self, hosts: Collection[int]) -> Mapping[int, Sequence[Reading]]:
        """Return what `latest` does of many hosts, by number, read at once."""
        with self._asking() as asking:
            return asking.latest_of(hosts)

    def latest(self, host: int) -> Sequence[Reading]:
        """Return the latest value of every series of a host.

        A series that its check has not yielded since before the last seal may be left out.
        """
        return self.latest_of([host])[host]

    def statuses(self, host: int | None = None) -> Mapping[int, Sequence[CheckStatus]]:
        """Return how the latest run of each check went, by host number, for one host or all."""
        with self._asking() as asking:
            return asking.statuses(host)

    def history(
        self, host: int, metric: str, since: int, until: int, steps: int = 500
    ) -> Sequence[Series]:
        """Return every series of `metric` on `host` in [since, until), at most `steps` points."""
        with self._asking() as asking:
            return asking.history(host, metric, since, until, steps)

    def histories(
        self,
        host: NDArray[np.int64],
        shape: NDArray[np.int64],
        until: NDArray[np.int64],
        span: Span,
    ) -> Histories:
        """Return what many series were up to and at a moment of each, thinned as `span` says."""
        with self._asking() as asking:
            return asking.histories(host, shape, until, span)

    def spread(self, into: Path) -> Spread:
        """Return where everything lies that is held; what is hot is written into a folder first."""
        with self._asking() as asking:
            return lay_out(asking.connection, self._directory, into)

    def sequences(self, host: int) -> Sequence[tuple[str, Lane, int]]:
        """Return (spool, lane, sequence) of every run held, in order; repeats would show."""
        with self._asking() as asking:
            return asking.sequences(host)

    def count_runs(self) -> tuple[int, int]:
        """Return how many runs are held in all, and how many of them twice: 0, or we are wrong."""
        with self._asking() as asking:
            return asking.count_runs()

    def files(self) -> Sequence[sealed.SealedFile]:
        """Return every sealed file that counts, oldest first."""
        with self._asking() as asking:
            return sealed.files(asking.connection)

    @contextmanager
    def _asking(self) -> Iterator[Asking]:
        self._mend()
        cursor = self._database.cursor()
        try:
            cursor.execute("BEGIN")
            yield Asking(cursor, self._directory, self._shapes, self._spools)
            cursor.execute("COMMIT")
        finally:
            cursor.close()

    # -- housekeeping ----------------------------------------------------------------------------

    def hot_points(self) -> int:
        """Return how many points wait for a seal."""
        with self._writing:
            return sum(points for _, points in self._ledger)

    def seal(self) -> Sequence[sealed.SealedFile]:
        """Move what the engine has judged from the hot tables into files; return the files.

        Appending goes on meanwhile.  Deletes files replaced by an earlier call.
        """
        with self._housekeeping:
            self._delete_retired()
            self._begin_generation()
            with self._asking() as asking:
                waiting = [n for n in hot.generations(asking.connection) if n != self._generation]
            made: list[sealed.SealedFile] = []
            for number in waiting:
                if self._last_entry_of(number) > self._cursor():
                    break
                made.extend(self._seal_generation(number))
            return made

    def _begin_generation(self) -> None:
        with self._writing:
            if not self._rows_in(self._generation):
                return
            with transaction(self._database) as connection:
                hot.begin_generation(connection, self._generation + 1, self._entry + 1)
            self._generation += 1

    def _seal_generation(self, number: int) -> list[sealed.SealedFile]:
        worker = self._database.cursor()
        try:
            sealed.keep_names(worker, self._directory)
            kinds = ((sealed.SAMPLES, f"samples_{number}"), (sealed.RUNS, f"runs_{number}"))
            written = [
                sealed.write(worker, self._directory, kind, table, str(number))
                for kind, table in kinds
            ]
            made = [file for file in written if file is not None]
            last = max((file.last_entry for file in made), default=0)
            # The long part is done beside the writer; the swap at the end takes milliseconds.
            with transaction(worker):
                worker.execute(
                    f"CREATE OR REPLACE TABLE statuses_next AS {latest_statuses([number])}"
                    " ORDER BY host"
                )
                worker.execute(f"CREATE OR REPLACE TABLE marks_next AS {hot.marks_with(number)}")
            with self._writing, transaction(worker):
                for table in ("statuses", "marks"):
                    worker.execute(f"DROP TABLE {table}")
                    worker.execute(f"ALTER TABLE {table}_next RENAME TO {table}")
                sealed.record(worker, made)
                hot.drop_generation(worker, number)
            with self._writing:
                while self._ledger and self._ledger[0][0] <= last:
                    self._ledger.popleft()
        finally:
            worker.close()
        return made

    def compact(self) -> int:
        """Merge the files of hours and days that are over; return how many files went in."""
        with self._housekeeping:
            worker = self._database.cursor()
            try:
                replaced: list[sealed.SealedFile] = []
                for made, merged in compact(worker, self._directory):
                    with self._writing, transaction(worker):
                        sealed.record(worker, made, merged)
                    replaced.extend(merged)
                self._retired.extend(replaced)
                return len(replaced)
            finally:
                worker.close()

    def forget(self, before: int) -> int:
        """Delete whole files older than `before` (microseconds); return how many went."""
        with self._housekeeping:
            worker = self._database.cursor()
            try:
                gone = sealed.files(worker, "last_moment < ?", [before])
                with self._writing, transaction(worker):
                    sealed.record(worker, (), gone)
            finally:
                worker.close()
            self._retired.extend(gone)
            return len(gone)

    def _delete_retired(self) -> None:
        # Not at once: a question that began before may still be reading them.
        sealed.remove(self._directory, self._retired)
        self._retired.clear()

    def _rows_in(self, generation: int) -> bool:
        query = f"SELECT 1 FROM runs_{generation} LIMIT 1"
        return self._database.execute(query).fetchone() is not None

    def _last_entry_of(self, generation: int) -> int:
        with self._asking() as asking:
            row = asking.connection.execute(
                f"SELECT coalesce(max(entry), 0) FROM runs_{generation}"
            ).fetchone()
        return int(row[0]) if row else 0

    def copy_to(self, target: Path) -> None:
        """Put a whole copy of the store into the new folder `target`, on the same filesystem.

        Appending goes on meanwhile.  Sealed files are linked: they are never written again.
        """
        target.mkdir(mode=0o700)
        hot_file = str(target / HOT).replace("'", "''")
        with self._housekeeping:
            worker = self._database.cursor()
            try:
                # One transaction: hot rows, marks and the list of sealed files of one moment.
                (here,) = worker.execute("SELECT current_database()").fetchone() or ("hot",)
                worker.execute(f"ATTACH '{hot_file}' AS copied")
                worker.execute(f'COPY FROM DATABASE "{here}" TO copied')
                worker.execute("DETACH copied")
                names = [file.path for file in sealed.files(worker)]
            finally:
                worker.close()
            for name in (*names, *(path.name for path in self._directory.glob("*.parquet"))):
                copy = target / name
                copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.link(self._directory / name, copy)

    def close(self) -> None:
        """Finish what is under way and close."""
        with self._housekeeping, self._writing:
            self._delete_retired()
            self._database.close()
