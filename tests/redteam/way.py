"""A collector, an agent and a helper of one host, with real stores between them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import httpx
from nacl.signing import SigningKey
from starlette.types import ASGIApp
from tests.redteam.house import COLLECTOR, EVE, HOST, NOW, House, public

from forewarn_agent.clock import Moment
from forewarn_agent.helper.frames import RunRequest, request_of
from forewarn_agent.helper.framing import Json
from forewarn_agent.orders import NoHelper, Orders
from forewarn_agent.shipper import ship_once
from forewarn_agent.spool import Spool
from forewarn_checks.base import Lane, Run
from forewarn_collector.gate import Gate
from forewarn_collector.http.agents import AgentSide, agents_app
from forewarn_collector.ingest import Ingest
from forewarn_collector.results import result_keeper
from forewarn_collector.samples.duck import DuckSampleStore
from forewarn_collector.state import orders as state
from forewarn_collector.state import tables
from forewarn_collector.state.database import Database, open_sqlite
from forewarn_collector.state.hosts import Hosts, KnownHost, insert_host, place
from forewarn_collector.state.migrations import migrate
from forewarn_collector.state.orders import Pace
from forewarn_scripts.envelope import Envelope

HOST_ID = "0193bbbb-0000-7000-8000-000000000001"
ONCE = Pace()
AT = Moment("2026-11-21T08:00:00.000Z", "boot-1", 1000.0)


@dataclass
class Who:
    """An enrolled host."""

    key: SigningKey = field(default_factory=lambda: HOST)
    host_id: str = HOST_ID
    collector_id: str = COLLECTOR
    url: str = "http://testserver"
    seq: int = 0

    @property
    def public(self) -> bytes:
        return public(self.key)

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message).signature

    def next_seq(self, stream: str) -> int:
        self.seq += 1
        return self.seq


class Bridge(httpx.BaseTransport):
    """Lets a client without a loop ask an application that has one."""

    def __init__(self, app: ASGIApp) -> None:
        self._inside = httpx.ASGITransport(app, client=("192.0.2.7", 1))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run_coroutine_threadsafe(self._ask(request), self._loop).result(30)

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inside.handle_async_request(request)
        return httpx.Response(
            answer.status_code, headers=answer.headers, content=await answer.aread()
        )

    def close(self) -> None:
        async def settle() -> None:
            await self._loop.shutdown_default_executor()

        asyncio.run_coroutine_threadsafe(settle(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class Clock:
    """The collector's."""

    now: datetime = NOW


@dataclass
class Way:
    """A collector, an agent and a helper, with real stores between them."""

    house: House
    database: Database
    hosts: Hosts
    client: httpx.Client
    spool: Spool
    agent: Orders
    clock: Clock
    gate: Gate
    answers: list[Run] = field(default_factory=list)
    helper_is_there: bool = True

    def turn(self, now: datetime) -> None:
        """Turn the clocks of host and collector."""
        self.clock.now = self.house.wall = now

    def propose(self, envelope: Envelope, pace: Pace = ONCE) -> str:
        with self.database.write() as connection:
            known = self.hosts.all()
            client_id = known[0].client_id
            state.keep_script(connection, client_id, "s", self.house.script, "ann", NOW)
            return state.propose(
                connection, envelope.to_bytes(), pace, known, "ann", self.clock.now
            )

    def ship(self) -> bool:
        """Send what waits; return whether the receipt says that orders wait."""
        shipped = ship_once(self.spool, self.client, Who(seq=next(_SEQ)), AT)
        assert shipped.receipt is not None, shipped.answer
        return shipped.receipt.orders_waiting

    def results(self) -> list[bytes]:
        with self.database.read() as connection:
            rows = connection.execute(tables.order_results.select())
            return [bytes(row.envelope) for row in rows]


_SEQ = iter(range(1000, 10**6, 1000))


@contextmanager
def made_way(house: House, tmp_path: Path) -> Iterator[Way]:
    """Give everything between an operator and a host."""
    clock, gate = Clock(), Gate()
    database = open_sqlite(tmp_path / "state.sqlite")
    migrate(database, tmp_path / "state.sqlite", NOW)
    with database.write() as connection:
        where = place(connection, "acme", "hq", NOW)
        for number, key in enumerate((HOST, EVE), 1):
            insert_host(connection, _host(number, where.client_id, where.site_id, key), NOW)
    hosts = Hosts(database)
    store = DuckSampleStore(tmp_path / "samples", cursor=lambda: 0)
    ingest = Ingest(store, lambda *_: None, on_results=result_keeper(database, hosts))
    ingest.start()
    side = AgentSide(
        collector_id=COLLECTOR,
        hosts=hosts,
        database=database,
        store=store,
        ingest=ingest,
        authority=b"",
        pepper=b"p" * 32,
        now=lambda: clock.now,
        gate=gate,
    )
    with httpx.Client(transport=Bridge(agents_app(side))) as client:
        spool = Spool.open(tmp_path / "spool")
        made: Way

        def keep(run: Run) -> None:
            spool.append(run, Lane.RESULTS)
            made.answers.append(run)

        def ask(told: Json, _timeout: float) -> Json:
            if not made.helper_is_there:
                raise NoHelper("not there")
            request = request_of(told)
            if isinstance(request, RunRequest):
                return {"result": house.begin().run(request).decode()}
            return {"mode": house.begin().status().mode, "locked": ""}

        agent = Orders(client, Who(), ask, keep, lambda: AT)
        made = Way(house, database, hosts, client, spool, agent, clock, gate)
        yield made
        spool.close()
    ingest.close()
    store.close()
    database.close()


def _host(number: int, client_id: str, site_id: str, key: SigningKey) -> KnownHost:
    return KnownHost(
        number=number,
        id=HOST_ID[:-1] + str(number),
        client_id=client_id,
        site_id=site_id,
        name=f"web-{number}",
        public_key=public(key),
    )
