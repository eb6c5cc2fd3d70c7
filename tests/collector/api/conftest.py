"""Two clients of the same shape in one collector, people of every role, and a clock to turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from nacl.signing import SigningKey
from numpy.typing import NDArray
from sqlalchemy import insert
from tests.collector.state.open_state import open_state

from forewarn_checks.base import Lane, Outcome
from forewarn_collector.api.app import operators_app
from forewarn_collector.api.people import find_person, make_key, open_session
from forewarn_collector.api.principal import Role
from forewarn_collector.clock import uuid7
from forewarn_collector.config import SecondFactor
from forewarn_collector.rules.book import RuleBook, declared
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
)
from forewarn_collector.state import orders, reports
from forewarn_collector.state.database import Database
from forewarn_collector.state.hosts import Hosts, KnownHost, insert_host, place
from forewarn_collector.state.orders import Pace
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import (
    alerts,
    episodes,
    metadata,
    ticket_events,
    tickets,
    users,
)
from forewarn_collector.ticket_config import InboundTable
from forewarn_scripts.envelope import ORDER, Envelope
from forewarn_scripts.keys import key_id
from forewarn_scripts.order import Order, script_hash, write_moment

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
PASSWORD = "correct horse battery staple"
# A real hash with weak parameters: a hash tells its own cost, so verifying it is quick, too.
_QUICK_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


SCRIPT = b"df -h\n"


def signed_order(number: int, order_id: str) -> bytes:
    """Return an order for the host of this number; who signed it is not the collector's concern."""
    order = Order(
        id=order_id,
        client={1: "acorp", 2: "globex"}[number],
        collector="0193ffff-0000-7000-8000-000000000000",
        script_sha256=script_hash(SCRIPT),
        interpreter="/bin/sh",
        targets=(key_id(bytes([number]) * 32),),
        max_hosts=1,
        not_before=write_moment(START),
        not_after=write_moment(START + timedelta(hours=1)),
        reason="T-1",
        run_as="root",
        timeout_seconds=60,
        keyring_version=1,
    )
    return Envelope(ORDER, order.to_bytes()).signed_by(SigningKey(bytes(32))).to_bytes()


class Store:
    """A sample store that knows one reading, one run and one series of every host."""

    def __init__(self) -> None:
        self.heard: dict[int, int] = {}

    def shape(self, metric: str, labels: Mapping[str, str]) -> int:
        return 0

    def shapes(self) -> Sequence[Shape]:
        return ()

    def append(self, arrivals: Sequence[Arrival]) -> None:
        raise NotImplementedError

    def mark(self, host: int, spool: str, lane: Lane) -> int:
        return -1

    def last_received(self) -> Mapping[int, int]:
        return self.heard

    def new_points(self, after: int, limit: int = 500_000) -> Points:
        raise NotImplementedError

    def newest(self, through: int) -> Newest:
        raise NotImplementedError

    def latest_of(self, hosts: Collection[int]) -> Mapping[int, Sequence[Reading]]:
        return {host: self.latest(host) for host in hosts}

    def latest(self, host: int) -> Sequence[Reading]:
        return [Reading("disk_used_ratio", {"mountpoint": f"/srv{host}"}, 0.5, 1, 2)]

    def statuses(self, host: int | None = None) -> Mapping[int, Sequence[CheckStatus]]:
        return {host or 0: [CheckStatus("disk", Outcome.OK, "", 1, 2, 0.01)]}

    def history(
        self, host: int, metric: str, since: int, until: int, steps: int = 500
    ) -> Sequence[Series]:
        value = np.array([0.5, float("nan")])
        at = np.array([since, since + 1])
        return [Series({"mountpoint": f"/srv{host}"}, at, value, value, value)]

    def histories(
        self,
        host: NDArray[np.int64],
        shape: NDArray[np.int64],
        until: NDArray[np.int64],
        span: Span,
    ) -> Histories:
        raise NotImplementedError("no route asks for the histories that forecasts read")

    def sequences(self, host: int) -> Sequence[tuple[str, Lane, int]]:
        return ()

    def forget(self, before: int) -> int:
        return 0

    def close(self) -> None:
        pass


@dataclass
class World:
    """A collector whose clock the test turns."""

    directory: Path
    database: Database
    hosts: Hosts
    store: Store = field(default_factory=Store)
    book: RuleBook = field(default_factory=lambda: RuleBook(declared()))
    telling: Telling = field(default_factory=Telling)
    inbound: Mapping[str, InboundTable] = field(default_factory=dict)
    second_factor: SecondFactor = field(default_factory=lambda: SecondFactor(required=False))
    agents_url: str = "https://monitor.example.com:8440"
    at: datetime = START
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    app: FastAPI = field(init=False)
    client_ids: dict[str, str] = field(default_factory=dict)
    host_ids: dict[str, str] = field(default_factory=dict)
    ticket_numbers: dict[str, int] = field(default_factory=dict)

    @property
    def now(self) -> Callable[[], datetime]:
        return lambda: self.at

    def wait(self, **span: float) -> None:
        self.at += timedelta(**span)

    def person(self, name: str, role: Role, *clients: str) -> None:
        """Add somebody who sees the named clients, or all when none is named."""
        ids = [self.client_ids[client] for client in clients] if clients else None
        with self.database.write() as connection:
            connection.execute(
                insert(users).values(
                    id=uuid7(self.at),
                    name=name,
                    password_hash=_QUICK_HASH,
                    role=role,
                    clients=ids,
                    created_at=self.at,
                )
            )

    def key(self, name: str, role: Role | None = None, **lasts: float) -> str:
        with self.database.write() as connection:
            person = find_person(connection, name)
            assert person is not None
            made = make_key(
                connection,
                person.principal,
                name="test",
                role=role or person.principal.role,
                lasts=timedelta(**lasts or {"days": 1}),
                now=self.at,
            )
        return made.secret

    def session(self, name: str) -> str:
        with self.database.write() as connection:
            person = find_person(connection, name)
            assert person is not None
            return open_session(connection, person, self.at)

    def browser(self, session: str = "", **headers: str) -> Client:
        """Somebody with this session, or a stranger."""
        cookie = {"cookie": f"__Host-forewarn={session}"} if session else {}
        return Client(self, cookie | headers)

    def program(self, key: str) -> Client:
        return Client(self, {"authorization": f"Bearer {key}"})


@dataclass(frozen=True)
class Client:
    """Asks the application in this process."""

    world: World
    headers: Mapping[str, str]
    address: str = "192.0.2.7"

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**self.headers, **options.pop("headers", {})}

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(
                self.world.app, raise_app_exceptions=False, client=(self.address, 1)
            )
            async with httpx.AsyncClient(
                transport=transport, base_url="https://forewarn.test", headers=headers
            ) as client:
                return await client.request(method, path, **options)

        return self.world.runner.run(ask())

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.request("GET", path, params=params)

    def post(self, path: str, json: Any = None, **headers: str) -> httpx.Response:
        return self.request("POST", path, json=json, headers=headers)

    def patch(self, path: str, json: Any) -> httpx.Response:
        return self.request("PATCH", path, json=json)


def _populate(world: World, client: str, number: int) -> None:
    with world.database.write() as connection:
        where = place(connection, client, "hq", world.at)
        host = KnownHost(
            number=number,
            id=uuid7(world.at),
            client_id=where.client_id,
            site_id=where.site_id,
            name=f"web{number}",
            public_key=bytes([number]) * 32,
            system="linux",
            tags=("web", client),
        )
        insert_host(connection, host, world.at)
        episode_id, ticket_id = uuid7(world.at), uuid7(world.at)
        common = {
            "client_id": where.client_id,
            "host_id": host.id,
            "component": "filesystem:/srv",
            "severity": "high",
        }
        connection.execute(
            insert(alerts).values(
                key=f"{number:064d}",
                rule="DiskAlmostFull",
                labels={"mountpoint": "/srv"},
                state="firing",
                value=0.97,
                since=world.at,
                seen_until=world.at,
                episode_id=episode_id,
                changed_at=world.at,
                **common,
            )
        )
        connection.execute(
            insert(tickets).values(
                id=ticket_id,
                number=number,
                key=f"{number:064d}#1"[-64:],
                subject=f"{number:064d}",
                site_id=where.site_id,
                title=f"/srv of {client} is almost full",
                state="new",
                condition="firing",
                priority="P2",
                opened_at=world.at,
                changed_at=world.at,
                **common,
            )
        )
        connection.execute(
            insert(episodes).values(
                id=episode_id,
                alert_key=f"{number:064d}",
                ticket_id=ticket_id,
                rule="DiskAlmostFull",
                opened_at=world.at,
                evidence={"value": 0.97},
                **common,
            )
        )
        connection.execute(
            insert(ticket_events).values(
                ticket_id=ticket_id,
                client_id=where.client_id,
                at=world.at,
                actor="forewarn",
                kind="opened",
                data={"title": f"/srv of {client} is almost full"},
            )
        )
        reports.write(connection, [ticket_id], world.at)  # of an earlier close
        orders.keep_script(connection, where.client_id, "df", SCRIPT, "zoe", world.at)
        order = signed_order(number, host.id)
        known = [replace(host, client=client)]
        orders.propose(connection, order, Pace(), known, "zoe", world.at)
    world.client_ids[client] = where.client_id
    world.host_ids[client] = host.id
    world.ticket_numbers[client] = number
    world.store.heard[number] = 1_700_000_000_000_000


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A collector with clients acorp and globex, each with one host, one alert and one ticket."""
    database = open_state(tmp_path)
    metadata.create_all(database.engine)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "pepper").write_bytes(bytes(32))
    world = World(directory=tmp_path, database=database, hosts=Hosts(database))
    _populate(world, "acorp", 1)
    _populate(world, "globex", 2)
    world.hosts.refresh()
    world.app = operators_app(world)
    yield world
    world.runner.close()
    database.close()
