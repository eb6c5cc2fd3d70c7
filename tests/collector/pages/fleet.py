"""A small fleet with a day behind it, in real stores, judged by the real engine."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from argon2 import PasswordHasher
from nacl.signing import SigningKey
from sqlalchemy import insert, update

from forewarn_checks.base import FactValue, Lane, Outcome
from forewarn_collector.api.principal import Role
from forewarn_collector.clock import uuid7
from forewarn_collector.config import SecondFactor
from forewarn_collector.engine import Engine
from forewarn_collector.queries.scope import microseconds
from forewarn_collector.rules.book import RuleBook, declared
from forewarn_collector.samples import Arrival, ArrivedRun
from forewarn_collector.samples.duck import DuckSampleStore
from forewarn_collector.state import reports, tickets, work
from forewarn_collector.state.database import Database, open_sqlite
from forewarn_collector.state.hosts import Hosts, KnownHost, insert_host, place, record_facts
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import metadata, sites, users
from forewarn_collector.ticket_config import InboundTable

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
PASSWORD = "correct horse battery staple"
QUICK_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
GIB = 1024.0**3
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

# What a host could put wherever it may put text.
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "{{7*7}}${7*7}",
    "</title></svg><svg onload=alert(1)>",
    "javascript:alert(1)",
    "evil\u202egnp.exe",
    "\x1b[31mred\x1b[0m\x07",
    "\u2066<a href='//evil.example'>x</a>\u2069",
    "&lt;b&gt;",
    "--><script>alert(2)</script>",
    "\ufeff\u200b" + "W" * 120,
)


@dataclass
class Fleet:
    """A collector with a clock the test turns; it is what the pages take for a collector."""

    directory: Path
    database: Database
    store: DuckSampleStore
    at: datetime = START
    book: RuleBook = field(default_factory=lambda: RuleBook(declared()))
    telling: Telling = field(default_factory=Telling)
    inbound: Mapping[str, InboundTable] = field(default_factory=dict)
    second_factor: SecondFactor = field(default_factory=lambda: SecondFactor(required=False))
    agents_url: str = "https://monitor.example.com:8440"
    hosts: Hosts = field(init=False)
    engine: Engine = field(init=False)
    sequences: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hosts = Hosts(self.database)

    def judge_from(self, at: datetime) -> None:
        """Start the engine as if the collector had been started then."""
        self.engine = Engine(self.database, self.store, self.hosts, self.book, self.telling)
        self.engine.start(at)

    @property
    def now(self) -> Callable[[], datetime]:
        return lambda: self.at

    def host(self, name: str, client: str = "acme", site: str = "hq", **about: str) -> KnownHost:
        """Enrol a host."""
        number = len(self.hosts) + 1
        with self.database.write() as connection:
            where = place(connection, client, site, self.at)
            host = KnownHost(
                number=number,
                id=uuid7(self.at),
                client_id=where.client_id,
                site_id=where.site_id,
                name=name,
                public_key=bytes(SigningKey(number.to_bytes(32, "big")).verify_key),
                client=client,
                site=site,
                system=about.get("system", "linux"),
                host_class=about.get("host_class", "server"),
                tags=tuple(about.get("tags", "").split()),
                agent_version="0.1.0",
            )
            insert_host(connection, host, self.at)
        self.hosts.refresh()
        return host

    def person(self, name: str, role: Role, *clients: str) -> None:
        with self.database.write() as connection:
            ids = [place(connection, client, "hq", self.at).client_id for client in clients]
            connection.execute(
                insert(users).values(
                    id=uuid7(self.at),
                    name=name,
                    password_hash=QUICK_HASH,
                    role=role,
                    clients=ids or None,
                    created_at=self.at,
                )
            )

    def read(
        self,
        host: KnownHost,
        check: str,
        runs: Sequence[tuple[datetime, Samples]],
        outcome: Outcome = Outcome.OK,
        error: str = "",
    ) -> None:
        """Take in runs of one check, each with its samples."""
        first = self.sequences.get(host.number, -1) + 1
        self.sequences[host.number] = first + len(runs) - 1
        columns: list[tuple[int, int, float]] = []
        arrived = []
        for offset, (at, samples) in enumerate(runs):
            moment = microseconds(at)
            arrived.append(ArrivedRun(first + offset, check, moment, 0.04, outcome, error))
            columns += [
                (self.store.shape(metric, dict(labels)), moment, value)
                for (metric, labels), value in samples.items()
            ]
        self.store.append(
            [
                Arrival(
                    host=host.number,
                    spool="spool",
                    lane=Lane.LIVE,
                    through=self.sequences[host.number],
                    received=microseconds(min(runs[-1][0] + timedelta(seconds=2), self.at)),
                    runs=tuple(arrived),
                    shapes=[shape for shape, _, _ in columns],
                    times=[at for _, at, _ in columns],
                    values=[value for _, _, value in columns],
                )
            ]
        )

    def facts(self, host: KnownHost, facts: Mapping[str, FactValue]) -> None:
        with self.database.write() as connection:
            record_facts(connection, host.id, facts, self.at)


def disk(
    mountpoint: str, used: float, size: float = 100 * GIB, device: str = "/dev/sda1"
) -> Samples:
    labels = (("device", device), ("fstype", "ext4"), ("mountpoint", mountpoint))
    return {
        ("disk_used_ratio", labels): used,
        ("disk_free_bytes", labels): size * (1 - used),
        ("disk_used_bytes", labels): size * used,
        ("disk_size_bytes", labels): size,
        ("disk_inodes_free_ratio", labels): 0.93,
        ("disk_read_only", labels): 0.0,
    }


def memory(used: float) -> Samples:
    return {
        ("memory_used_ratio", ()): used,
        ("memory_available_bytes", ()): 16 * GIB * (1 - used),
        ("memory_total_bytes", ()): 16 * GIB,
        ("swap_used_ratio", ()): 0.04,
        ("swap_total_bytes", ()): 4 * GIB,
        ("memory_pressure_ratio", ()): max(0.0, used - 0.6) / 4,
    }


def cpu(used: float) -> Samples:
    return {
        ("cpu_used_ratio", ()): used,
        ("cpu_load_per_thread", ()): used * 1.4,
        ("cpu_iowait_ratio", ()): used / 12,
        ("cpu_steal_ratio", ()): 0.001,
        ("cpu_pressure_ratio", ()): used / 5,
    }


def drive(
    serial: str, model: str = "SAMSUNG MZ7LH960", *, passed: bool = True, heat: float = 34
) -> Samples:
    labels = (("drive", serial), ("model", model), ("type", "ssd"))
    return {
        ("smart_passed", labels): float(passed),
        ("smart_temperature_celsius", labels): heat,
        ("smart_life_used_ratio", labels): 0.23,
        ("smart_spare_ratio", labels): 1.0,
        ("smart_reallocated_sectors", labels): 0.0 if passed else 184.0,
        ("smart_written_bytes", labels): 48.2e12,
        ("smart_power_on_seconds", labels): 21_400 * 3600.0,
    }


def patches(security: float) -> Samples:
    return {
        ("patches_missing", (("kind", "security"),)): security,
        ("patches_missing", (("kind", "other"),)): 7.0,
        ("patches_oldest_security_age_seconds", ()): 3 * 86400.0 if security else 0.0,
        ("patches_refresh_age_seconds", ()): 5 * 3600.0,
        ("patches_status_known", ()): 1.0,
        ("reboot_required", ()): 0.0,
    }


def uptime(seconds: float, *, pending: bool) -> Samples:
    return {("uptime_seconds", ()): seconds, ("uptime_reboot_pending", ()): float(pending)}


NO_SMARTCTL = (
    "smartctl not found on PATH; install smartmontools, or turn the check off: "
    "[checks.smart] enabled = false"
)
NO_RIGHT = "/proc/1/mountinfo could not be read: Permission denied; run the agent as root"

_ADDRESSES: list[dict[str, str | int | float | bool | None]] = [
    {"interface": "eth0", "family": "ipv4", "address": "192.0.2.14"}
]
_DISKS: list[dict[str, str | int | float | bool | None]] = [
    {
        "name": "sda",
        "model": "Samsung SSD 870 EVO 1TB",
        "serial": "S6PTNM0T512345",
        "size_bytes": 1_000_204_886_016,
        "rotational": False,
    }
]
FACTS: Mapping[str, FactValue] = {
    "os_name": "Debian GNU/Linux",
    "os_version": "12 (bookworm)",
    "kernel": "6.1.0-27-amd64",
    "hostname": "web01",
    "cpu_model": "AMD EPYC 7443P",
    "cpu_threads": 16,
    "memory_bytes": 16 * 1024**3,
    "package_manager": "apt",
    "addresses": _ADDRESSES,
    "disks": _DISKS,
}


def lived_in(fleet: Fleet) -> None:
    """Give the fleet a day of readings, with something of everything wrong at the end of it."""
    web = fleet.host("web01", tags="web production")
    database = fleet.host("db01", tags="db production business-critical")
    desk = fleet.host("desk-17", site="branch", system="windows", host_class="workstation")
    hostile = fleet.host(HOSTILE[0], client="globex", site=HOSTILE[1], tags=HOSTILE[2])
    silent = fleet.host("backup02", tags="backup")
    calm = [fleet.host(f"app{n:02}", client=("globex", "acme")[n % 2]) for n in range(7)]
    with fleet.database.write() as connection:
        connection.execute(update(sites).where(sites.c.name == "hq").values(zone="Europe/Berlin"))
    now = fleet.at
    end = now - timedelta(minutes=55)
    _day(fleet, web, end - timedelta(hours=25), end)
    fleet.facts(web, FACTS)
    fleet.read(silent, "memory", [(now - timedelta(minutes=40), memory(0.3))])
    fleet.read(desk, "smart", [(end, {})], Outcome.NOTHING, NO_SMARTCTL)
    _hostile(fleet, hostile, end)
    fleet.judge_from(end)
    for seconds in range(3000, -1, -50):
        fleet.at = at = now - timedelta(seconds=seconds)
        if seconds % 300 == 0:
            share = 0.952 + (3000 - seconds) / 150_000
            rooms = {**disk("/", 0.41), **disk("/srv", share, 200 * GIB, "/dev/sdb1")}
            drives = {**drive("S5GXNF0R"), **drive("S5GXNF1T", passed=False, heat=41)}
            fleet.read(web, "disk", [(at, rooms)])
            fleet.read(web, "memory", [(at, memory(0.62))])
            fleet.read(hostile, "disk", [(at, disk(HOSTILE[0] + HOSTILE[4], 0.97))])
            fleet.read(database, "smart", [(at, drives)])
            fleet.read(database, "memory", [(at, memory(0.71))])
            fleet.read(desk, "memory", [(at, memory(0.5))])
        fleet.engine.pass_(at)
    moment = now - timedelta(seconds=20)
    for n, host in enumerate(calm):
        fleet.read(host, "memory", [(moment, memory(0.4 + n / 30))])
    fleet.read(web, "patches", [(moment, patches(3))])
    fleet.read(web, "smart", [(moment, drive("S6PTNM0T512345", "Samsung SSD 870 EVO 1TB"))])
    fleet.read(desk, "disk", [(moment, {})], Outcome.FAILED, NO_RIGHT)
    fleet.engine.pass_(now)
    fleet.store.seal()


def _day(fleet: Fleet, web: KnownHost, begin: datetime, end: datetime) -> None:
    """Read web01 for a day, with two hours in which nothing was read."""
    rng = random.Random(7)
    every_minute: list[tuple[datetime, Samples]] = []
    rooms: list[tuple[datetime, Samples]] = []
    states: list[tuple[datetime, Samples]] = []
    memories: list[tuple[datetime, Samples]] = []
    for minute in range(int((end - begin) / timedelta(minutes=1))):
        at, hours = begin + timedelta(minutes=minute), minute / 60
        if 9 < hours < 11:
            continue
        busy = 0.3 + 0.2 * math.sin(hours / 24 * 2 * math.pi - 2)
        every_minute.append((at, cpu(min(1.0, busy * (0.6 + rng.random())))))
        if minute % 5 == 0:
            filling = disk("/srv", 0.86 + 0.09 * hours / 26, 200 * GIB, "/dev/sdb1")
            rooms.append((at, {**disk("/", 0.4), **filling}))
            states.append((at, uptime(40 * 86400.0 + minute * 60, pending=hours > 17)))
            memories.append((at, memory(0.5 + 0.1 * rng.random())))
    fleet.read(web, "cpu", every_minute)
    fleet.read(web, "memory", memories)
    fleet.read(web, "disk", rooms)
    fleet.read(web, "uptime", states)
    hourly = [begin + timedelta(hours=hour) for hour in range(26)]
    ssd = "S6PTNM0T512345", "Samsung SSD 870 EVO 1TB"
    drives = [(at, drive(*ssd, heat=33 + 4 * math.sin(at.hour / 4))) for at in hourly]
    fleet.read(web, "smart", drives)
    fleet.read(web, "patches", [(at, patches(1 + n // 9)) for n, at in enumerate(hourly[::6])])


def _hostile(fleet: Fleet, host: KnownHost, at: datetime) -> None:
    """Fill every field a host may fill with what would hurt a careless page."""
    rooms: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for n, text in enumerate(HOSTILE):
        rooms.update(disk(text, 0.5 + n / 100, device=text))
    fleet.read(host, "disk", [(at, rooms)])
    fleet.read(host, "smart", [(at, drive(HOSTILE[1], HOSTILE[8], heat=33))])
    fleet.read(host, "patches", [(at, {})], Outcome.FAILED, " ".join(HOSTILE))
    facts: dict[str, FactValue] = {f"fact{n}": text for n, text in enumerate(HOSTILE)}
    hostile_disks: list[dict[str, str | int | float | bool | None]] = [
        {"name": text, "model": text, "serial": text} for text in HOSTILE
    ]
    facts["disks"] = hostile_disks
    facts["addresses"] = list(HOSTILE)
    facts[HOSTILE[0]] = HOSTILE[1]
    fleet.facts(host, facts)


@contextmanager
def new_fleet(directory: Path) -> Iterator[Fleet]:
    """Make a collector without hosts; closes its stores at the end."""
    database = open_sqlite(directory / "state.sqlite")
    metadata.create_all(database.engine)
    (directory / "samples").mkdir()
    store = DuckSampleStore(directory / "samples", memory_limit_bytes=200_000_000)
    try:
        yield Fleet(directory, database, store)
    finally:
        store.close()
        database.close()


def work_on(fleet: Fleet, number: int) -> None:
    """Acknowledge a ticket and write hostile notes to it."""
    with fleet.database.write() as connection:
        common = {
            "actor": "ann",
            "now": fleet.at,
            "clients": None,
            "telling": fleet.telling,
        }
        work.acknowledge(connection, number, **common)  # type: ignore[arg-type]
        text = "Old exports under /srv/exports, 38 GiB.\nAsked sales whether they may go."
        work.note(connection, number, text=text, **common)  # type: ignore[arg-type]
        work.note(connection, number, text="\n".join(HOSTILE), **common)  # type: ignore[arg-type]
        ticket = tickets.get(connection, number, clients=None)
        reports.write(connection, [ticket.id], fleet.now())  # of an earlier close
