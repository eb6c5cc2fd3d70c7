"""The whole line, from a reading to a webhook, in one process without network or clock."""

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from nacl.signing import SigningKey
from standardwebhooks.webhooks import Webhook

from forewarn_agent import identity as agent_identity
from forewarn_agent.clock import Moment
from forewarn_agent.runner import perform
from forewarn_agent.shipper import ship_once
from forewarn_agent.spool import Spool
from forewarn_checks.base import Lane, Options, Reading
from forewarn_checks.disk import CHECK as DISK
from forewarn_collector.engine import Engine
from forewarn_collector.http.agents import AgentSide, agents_app
from forewarn_collector.ingest import Ingest
from forewarn_collector.instance import Settings, read_settings
from forewarn_collector.outbox import Courier
from forewarn_collector.samples.duck import DuckSampleStore
from forewarn_collector.state.database import Database, open_sqlite
from forewarn_collector.state.hosts import Hosts, KnownHost, insert_host, place
from forewarn_collector.state.tables import metadata

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
COLLECTOR = "01a200bb-0000-7000-8000-000000000001"
HOST = "01a200bb-0000-7000-8000-000000000002"
GIB = 2.0**30
EVERY = timedelta(minutes=5)


@dataclass
class World:
    """An agent, a collector and a receiver, and the one moment all of them believe in."""

    folder: Path
    now: datetime = START
    used: float = 0.50
    received: list[dict[str, object]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def moment(self) -> Moment:
        seconds = (self.now - START).total_seconds() + 1000
        return Moment(self.now.isoformat().replace("+00:00", "Z"), "boot-1", seconds)

    def read(self, _options: Options) -> Iterator[Reading]:
        """Stand in for statvfs: one filesystem of 100 GiB."""
        labels = {"mountpoint": "/srv", "device": "/dev/sdb1", "fstype": "ext4"}
        values = {
            "disk_size_bytes": 100 * GIB,
            "disk_used_bytes": 100 * GIB * self.used,
            "disk_free_bytes": 100 * GIB * (1 - self.used),
            "disk_used_ratio": self.used,
            "disk_inodes_free_ratio": 0.9,
            "disk_read_only": 0,
        }
        for metric in DISK.metrics:
            yield metric.sample(values[metric.name], **labels)

    def receive(self, request: httpx.Request) -> httpx.Response:
        """Verify as a customer would, by the reference library, then keep what came."""
        received: dict[str, object] = Webhook(SECRET).verify(
            request.content.decode(), dict(request.headers)
        )
        self.received.append(received)
        return httpx.Response(204)


@contextmanager
def line(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator["Line"]:
    built = Line(world)
    # The receiver's library compares the timestamp with the wall clock; ours stands still.
    monkeypatch.setattr(Webhook, "_Webhook__verify_timestamp", lambda _self, _headers: world.now)
    try:
        yield built
    finally:
        built.close()


class Line:
    """Every part of the product, joined as `serve` and `run` join them."""

    def __init__(self, world: World) -> None:
        self.world = world
        key = SigningKey.generate()
        self.database = _database(world.folder / "state.sqlite", key)
        self.store = DuckSampleStore(world.folder / "samples")
        self.hosts = Hosts(self.database)
        self.hosts.refresh()
        self.ingest = Ingest(self.store, lambda *_: None, linger_seconds=0)
        self.ingest.start()
        self.settings = _settings(world.folder)
        self.engine = self.start_engine()
        self.courier = Courier(
            self.database,
            self.settings.config.destinations,
            client=lambda _: httpx.Client(transport=httpx.MockTransport(world.receive)),
            dice=lambda: 0.5,
        )
        self.spool = Spool.open(world.folder / "spool", disk_free=lambda: 1 << 40)
        enrolment = agent_identity.Enrolment(HOST, COLLECTOR, "acme", "hq", "http://c", "")
        (world.folder / "agent").mkdir()
        agent_identity.save(world.folder / "agent", enrolment, key)
        self.identity = agent_identity.load(world.folder / "agent")
        self.http = httpx.Client(transport=httpx.MockTransport(self._through_the_routes))

    def start_engine(self) -> Engine:
        """Start judging, as after a restart: all it knows is in the database."""
        settings = self.settings
        engine = Engine(self.database, self.store, self.hosts, settings.book, settings.telling)
        engine.start(self.world.now)
        return engine

    def close(self) -> None:
        self.http.close()
        self.spool.close()
        self.courier.close()
        self.ingest.close()
        self.store.close()
        self.database.close()

    def sample(self) -> None:
        """What the agent does every five minutes."""
        self.spool.append(perform(DISK, self.world.read, {}, self.world.moment()))

    def ship(self) -> None:
        """Send until nothing waits."""
        while self.spool.waiting(Lane.LIVE) or self.spool.waiting(Lane.BACKFILL):
            shipped = ship_once(self.spool, self.http, self.identity, self.world.moment())
            assert shipped.runs, shipped.answer

    def judge_and_tell(self) -> None:
        """What the collector does every few seconds."""
        self.engine.pass_(self.world.now)
        self.courier.deliver_due(self.world.now)

    def live(self, used: float, minutes: int) -> None:
        """Let time pass at one level of fullness, sampling on schedule."""
        self.world.used = used
        end = self.world.now + timedelta(minutes=minutes)
        while self.world.now < end:
            self.world.now += EVERY
            self.sample()
            self.ship()
            self.judge_and_tell()

    def _through_the_routes(self, request: httpx.Request) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=agents_app(self._side()))
            async with httpx.AsyncClient(transport=transport, base_url="http://c") as client:
                return await client.request(
                    request.method,
                    request.url.path,
                    content=request.content,
                    headers=request.headers,
                )

        answer = asyncio.run(ask())
        self.world.answers.append(answer.status_code)
        return httpx.Response(answer.status_code, content=answer.content)

    def _side(self) -> AgentSide:
        return AgentSide(
            collector_id=COLLECTOR,
            hosts=self.hosts,
            database=self.database,
            store=self.store,
            ingest=self.ingest,
            authority=b"",
            pepper=b"p" * 32,
            now=lambda: self.world.now,
        )


def _database(path: Path, key: SigningKey) -> Database:
    database = open_sqlite(path)
    metadata.create_all(database.engine)
    with database.write() as connection:
        where = place(connection, "acme", "hq", START)
        insert_host(
            connection,
            KnownHost(
                id=HOST,
                number=1,
                client_id=where.client_id,
                site_id=where.site_id,
                name="web1",
                public_key=bytes(key.verify_key),
            ),
            START,
        )
    return database


def _settings(folder: Path) -> Settings:
    (folder / "secret").write_text(SECRET, "ascii")
    (folder / "secret").chmod(0o600)
    (folder / "collector.toml").write_text(
        'url = "https://c:8440"\n[[destinations]]\nname = "tickets"\nkind = "webhook"\n'
        f'url = "https://tickets.example/in"\nsecret_file = "{folder / "secret"}"\n',
        "utf-8",
    )
    return read_settings(folder)


def ticket_of(message: dict[str, object]) -> dict[str, object]:
    data = message["data"]
    assert isinstance(data, dict)
    ticket: dict[str, object] = data["ticket"]
    return ticket


def kinds(world: World) -> list[object]:
    return [message["type"] for message in world.received]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_filling_disk_is_one_signed_ticket_from_open_to_close(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half full is silence; 93 % for 15 minutes opens; 99 % raises; 50 % closes, with one key."""
    with line(world, monkeypatch) as running:
        running.live(used=0.50, minutes=30)
        assert world.received == []
        running.live(used=0.93, minutes=30)
        assert kinds(world) == ["ticket.opened"]
        running.live(used=0.99, minutes=10)
        assert kinds(world) == ["ticket.opened", "ticket.updated"]
        running.live(used=0.50, minutes=30)
        assert kinds(world) == ["ticket.opened", "ticket.updated", "ticket.closed"]
    assert set(world.answers) == {200}
    tickets = [ticket_of(message) for message in world.received]
    assert len({str(ticket["key"]) for ticket in tickets}) == 1
    assert [ticket["severity"] for ticket in tickets[:2]] == ["warning", "critical"]
    assert tickets[0]["host"] == "web1"
    assert tickets[0]["component"] == "filesystem:/srv"
    assert tickets[0]["rules"] == ["DiskAlmostFull"]
    assert len(json.dumps(world.received[0])) < 20_000


def test_a_batch_sent_twice_is_held_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The receipt of the first was lost; the agent sends again; each sequence is there once."""
    with line(world, monkeypatch) as running:
        running.sample()
        lost = httpx.MockTransport(lambda request: _lose(running, request))
        with httpx.Client(transport=lost) as client:
            ship_once(running.spool, client, running.identity, world.moment())
        assert running.spool.waiting(Lane.LIVE) == 1
        world.now += timedelta(hours=1)
        running.ship()
        held = running.store.sequences(1)
    assert len(held) == len(set(held)) == 1


def _lose(running: Line, request: httpx.Request) -> httpx.Response:
    running._through_the_routes(request)
    raise httpx.ReadTimeout("the answer was lost", request=request)


def test_a_restarted_engine_opens_nothing_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with line(world, monkeypatch) as running:
        running.live(used=0.93, minutes=30)
        running.engine = running.start_engine()
        running.live(used=0.93, minutes=30)
    assert kinds(world) == ["ticket.opened"]


def test_silence_neither_closes_nor_repeats_a_ticket(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour without the host is a ticket of its own, and no news about the disk."""
    with line(world, monkeypatch) as running:
        running.live(used=0.93, minutes=30)
        # Passes far apart would be the collector's own downtime, which is nobody's silence.
        for _ in range(360):
            world.now += timedelta(seconds=10)
            running.judge_and_tell()
    assert "ticket.closed" not in kinds(world)
    named = [ticket_of(message)["rules"] for message in world.received]
    assert named == [["DiskAlmostFull"], ["HostSilent"]]
