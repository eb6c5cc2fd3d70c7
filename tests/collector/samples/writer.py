"""Append, seal and merge without end, telling on standard output what is acknowledged.

Killed without warning by `test_kill.py`.
"""

import sys
import threading
from pathlib import Path

from tests.collector.samples.contract import SECOND, T0, arrival, run

from forewarn_checks.base import Lane
from forewarn_collector.samples.duck import DuckSampleStore

HOSTS = (1, 2)


def main(directory: Path) -> None:
    """Append one run of each host at a time; one line says that it is durable."""
    store = DuckSampleStore(directory)
    assert store.findings == ()

    def keep_house() -> None:
        while True:
            store.seal()
            store.compact()

    threading.Thread(target=keep_house, daemon=True).start()
    sequence = store.mark(1, "spool-a", Lane.LIVE) + 1
    while True:
        # A quarter of an hour apart, so that hours and days end often and are merged.
        moment = T0 + sequence * 900 * SECOND
        store.append([arrival(store, run(sequence, moment), host=host) for host in HOSTS])
        sys.stdout.write(f"{sequence}\n")
        sys.stdout.flush()
        sequence += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
