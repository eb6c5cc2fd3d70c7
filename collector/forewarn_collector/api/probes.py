"""For machines: is the collector alive, is it ready, whom does it trust, how much of everything."""

import shutil
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from fastapi import Response
from sqlalchemy import delete, insert
from sqlalchemy.exc import OperationalError
from starlette.responses import JSONResponse

from forewarn_collector import metrics
from forewarn_collector.api.guard import OPEN, Asker, Collector, Desk, Here, missing
from forewarn_collector.api.principal import Principal, Role
from forewarn_collector.metrics import Gauged
from forewarn_collector.queries.hosts import count_hosts
from forewarn_collector.queries.standing import outbox_standing
from forewarn_collector.queries.tickets import count_tickets
from forewarn_collector.selector import Selector
from forewarn_collector.state.tables import about

DISK_FREE_LEAST = 256 * 1024 * 1024
OVERDUE_MOST = timedelta(minutes=10)
_FRESH = timedelta(seconds=5)
_ROW: Final = "readyz"
_EVERYTHING = Principal("readyz", Role.VIEWER, None)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether each part can do its work: ``ok`` or what is wrong, in a word."""

    writer: str
    disk: str
    outbox: str

    @property
    def ready(self) -> bool:
        """True when all parts are ok."""
        return self.writer == self.disk == self.outbox == "ok"


class Prober:
    """Looks at most every five seconds: anybody may ask, and looking costs a durable write."""

    def __init__(self) -> None:
        self._looking = threading.Lock()
        self._last: tuple[datetime, Readiness] | None = None

    def readiness(self, collector: Collector) -> Readiness:
        """Return how ready the collector is, or was a moment ago."""
        now = collector.now()
        with self._looking:
            if self._last is not None and abs(now - self._last[0]) < _FRESH:
                return self._last[1]
            readiness = look(collector, now)
            self._last = now, readiness
            return readiness


def look(collector: Collector, now: datetime) -> Readiness:
    """Try a durable write, measure the disk, and see whether anybody empties the outbox."""
    return Readiness(_writer(collector, now), _disk(collector), _outbox(collector, now))


def add(desk: Desk) -> None:
    """Add the probes.  The open ones tell nothing of what is watched."""
    prober = Prober()

    def readyz(collector: Here) -> Response:
        readiness = prober.readiness(collector)
        answer = {
            "ready": readiness.ready,
            "writer": readiness.writer,
            "disk": readiness.disk,
            "outbox": readiness.outbox,
        }
        return JSONResponse(answer, 200 if readiness.ready else 503)

    desk.api("GET", "/healthz", OPEN, healthz, in_schema=False)
    desk.api("GET", "/readyz", OPEN, readyz, in_schema=False)
    desk.api("GET", "/ca.pem", OPEN, authority, in_schema=False)
    desk.api("GET", "/metrics", Role.VIEWER, scrape, in_schema=False)


async def healthz() -> Response:
    """Answer while the event loop turns."""
    return JSONResponse({"alive": True})


def authority(collector: Here) -> Response:
    """Return the collector's own certificate authority: it is public, and no proof by itself."""
    try:
        pem = (collector.directory / "ca.pem").read_bytes()
    except OSError:
        raise missing() from None
    return Response(pem, media_type="application/x-pem-file")


def scrape(asker: Asker, collector: Here) -> Response:
    """Return counts of what the key may see; the process's own only to those who see all."""
    now = collector.now()
    with collector.database.read() as connection:
        hosts = {str(h): n for h, n in count_hosts(connection, asker, Selector()).items()}
        tickets = count_tickets(connection, asker)
        outbox = outbox_standing(connection, asker, now)
    everything = asker.clients is None
    gauges = [
        Gauged("forewarn_hosts", "Hosts by health.", "health", hosts),
        Gauged("forewarn_tickets", "Tickets by state.", "state", tickets),
        Gauged("forewarn_outbox_rows", "Deliveries by state.", "state", outbox.by_state),
    ]
    if everything:
        waited = {"queued": outbox.overdue.total_seconds()}
        told = "How late the oldest due delivery is."
        gauges.append(Gauged("forewarn_outbox_overdue_seconds", told, "state", waited))
    text = metrics.write(gauges, counters=everything)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _writer(collector: Collector, now: datetime) -> str:
    try:
        with collector.database.write() as connection:
            connection.execute(delete(about).where(about.c.name == _ROW))
            connection.execute(insert(about).values(name=_ROW, value=now.isoformat()))
    except OperationalError:
        return "cannot write"
    return "ok"


def _disk(collector: Collector) -> str:
    try:
        free = shutil.disk_usage(collector.directory).free
    except OSError:
        return "cannot read"
    return "ok" if free >= DISK_FREE_LEAST else "almost full"


def _outbox(collector: Collector, now: datetime) -> str:
    try:
        with collector.database.read() as connection:
            standing = outbox_standing(connection, _EVERYTHING, now)
    except OperationalError:
        return "cannot read"
    return "ok" if standing.overdue <= OVERDUE_MOST else "not being emptied"
