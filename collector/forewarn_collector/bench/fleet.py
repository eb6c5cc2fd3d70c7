"""Simulated hosts: their keys, and the signed batches they would send."""

import hashlib
import random
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime

from nacl.signing import SigningKey
from sqlalchemy import insert

from forewarn_checks.base import signing
from forewarn_collector.clock import rfc3339
from forewarn_collector.state.database import Database
from forewarn_collector.state.hosts import place
from forewarn_collector.state.tables import hosts as hosts_table

PATH = "/v1/batches"
STREAM = "batches"
RUNS = 4  # a batch
SAMPLES = 30  # a batch
FULL_RATIO = 0.995
_MOUNTS = ("/", "/var", "/home")
_BLOCK = 4096
_GIB = 1 << 30
_SITES = 100


@dataclass(slots=True)
class SimulatedHost:
    """One host: who it is, and what its next readings go on from."""

    number: int
    id: str
    key: SigningKey
    spool: str
    boot: str
    sizes: tuple[int, ...]
    used: list[int]
    sequence: int = 0
    full: bool = False  # from now on its root filesystem is

    @property
    def name(self) -> str:
        """Its name, by which tickets speak of it."""
        return f"bench-{self.number:06d}"


@dataclass(frozen=True, slots=True)
class Request:
    """One signed batch, ready to send.  `through` is the mark its receipt must name."""

    host: SimulatedHost
    body: bytes
    headers: dict[str, str]
    through: int


def make_fleet(count: int) -> list[SimulatedHost]:
    """Return hosts numbered from 1, the same each time."""
    return [_host(number) for number in range(1, count + 1)]


def enrol(database: Database, fleet: list[SimulatedHost], now: datetime) -> None:
    """Put every host into the state database, as enrolment would."""
    # So many sites that those whose disk fills are at different ones: one ticket each is timed.
    count = min(_SITES, len(fleet))
    with database.write() as connection:
        sites = [place(connection, "Bench", f"site {number}", now) for number in range(count)]
        rows = [
            {
                "id": host.id,
                "number": host.number,
                "client_id": where.client_id,
                "site_id": where.site_id,
                "name": host.name,
                "host_class": "server",
                "system": "linux",
                "tags": [],
                "public_key": bytes(host.key.verify_key),
                "agent_version": "bench",
                "enrolled_at": now,
            }
            for host in fleet
            for where in [sites[(host.number - 1) * count // len(fleet)]]
        ]
        connection.execute(insert(hosts_table), rows)


def request(host: SimulatedHost, collector: str, due: datetime, chance: random.Random) -> Request:
    """Return the batch a host sends at `due`: four runs of this very moment, 30 samples."""
    body = zlib.compress(_batch(host, due, chance).encode(), level=6, wbits=31)
    through = host.sequence + RUNS - 1
    headers = signing.sign(
        method="POST",
        path=PATH,
        query="",
        body=body,
        content_encoding="gzip",
        collector=collector,
        stream=STREAM,
        seq=host.sequence,
        key_id=host.id,
        created=int(due.timestamp()),
        key=lambda base: bytes(host.key.sign(base).signature),
    )
    host.sequence += RUNS
    return Request(host, body, headers, through)


def _host(number: int) -> SimulatedHost:
    seed = hashlib.sha256(f"bench host {number}".encode()).digest()
    digits = seed.hex()
    chance = random.Random(number)
    sizes = tuple(chance.randrange(20, 2000) * _GIB for _ in _MOUNTS)
    return SimulatedHost(
        number=number,
        id=f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}",
        key=SigningKey(seed),
        spool=digits[32:64],
        boot=f"{digits[:8]}-boot",
        sizes=sizes,
        used=[int(size * chance.uniform(0.2, 0.7)) // _BLOCK * _BLOCK for size in sizes],
    )


def _batch(host: SimulatedHost, due: datetime, chance: random.Random) -> str:
    # Written by hand: the json module would cost the generator more than the collector's share.
    wall = rfc3339(due)
    up = due.timestamp() % 10_000_000
    readings = (
        ("cpu", _cpu(chance)),
        ("memory", _memory(chance)),
        ("uptime", f"{_sample('uptime_seconds', up)},{_sample('uptime_reboot_pending', 0)}"),
        ("disk", _disk(host, chance)),
    )
    runs = ",".join(
        f'{{"sequence":{host.sequence + number},"check":"{check}","started_at":"{wall}",'
        f'"boot":"{host.boot}","boottime_seconds":{up - 2 - chance.random():.6f},'
        f'"duration_seconds":{chance.random() / 50:.6f},"outcome":"ok","error":"",'
        f'"samples":[{samples}],"facts":{{}}}}'
        for number, (check, samples) in enumerate(readings)
    )
    return (
        f'{{"schema":1,"host":"{host.id}","spool":"{host.spool}","lane":"live","runs":[{runs}],'
        f'"sent_at":"{wall}","sent_boot":"{host.boot}","sent_boottime_seconds":{up:.6f},'
        f'"dropped":0,"agent_version":"bench"}}'
    )


def _sample(metric: str, value: float, labels: str = "") -> str:
    return f'{{"metric":"{metric}","value":{value!r},"labels":{{{labels}}}}}'


def _cpu(chance: random.Random) -> str:
    ticks = 6000  # a processor counts hundredths of a second
    return ",".join(
        _sample(metric, chance.randrange(most) / ticks)
        for metric, most in (
            ("cpu_used_ratio", 2400),
            ("cpu_iowait_ratio", 60),
            ("cpu_steal_ratio", 1),
            ("cpu_pressure_ratio", 30),
        )
    )


def _memory(chance: random.Random) -> str:
    total = 16 * _GIB
    available = total // 2 + chance.randrange(50_000) * _BLOCK
    values = (
        ("memory_total_bytes", total),
        ("memory_available_bytes", available),
        ("memory_used_ratio", 1 - available / total),
        ("memory_commit_ratio", chance.randrange(400, 420) / 1000),
        ("swap_total_bytes", 4 * _GIB),
        ("swap_used_ratio", 0),
    )
    return ",".join(_sample(metric, value) for metric, value in values)


def _disk(host: SimulatedHost, chance: random.Random) -> str:
    samples = []
    for disk, mountpoint in enumerate(_MOUNTS):
        size = host.sizes[disk]
        if chance.random() < 0.5:  # half the filesystems lie still for a minute
            host.used[disk] += chance.randrange(-2000, 2100) * _BLOCK
        used = int(size * FULL_RATIO) if host.full and disk == 0 else host.used[disk]
        labels = f'"mountpoint":"{mountpoint}","device":"/dev/sda{disk + 1}","fstype":"ext4"'
        values = (
            ("disk_size_bytes", size),
            ("disk_used_bytes", used),
            ("disk_free_bytes", size - used),
            ("disk_used_ratio", used / size),
            ("disk_inodes_free_ratio", 0.9),
            ("disk_read_only", 0),
        )
        samples += [_sample(metric, value, labels) for metric, value in values]
    return ",".join(samples)


def utc(seconds: float) -> datetime:
    """Return the moment of unix seconds."""
    return datetime.fromtimestamp(seconds, UTC)
