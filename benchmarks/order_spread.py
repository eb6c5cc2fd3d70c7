"""Measure one order on 1,000 hosts: how soon they begin, how it spreads, whether it halts.

    python -m benchmarks.order_spread [--json] [--hosts 1000]

A collector of its own, over TLS on loopback; every simulated host polls, signs its requests,
judges orders with the helper's own `decide` against a policy and a keyring, and answers with a
signed result through the results lane.  Nothing is run: a host "works" for half a second.  What
the collector counts, what the hosts did and what the operator's command can verify are compared.
"""

import argparse
import asyncio
import base64
import gzip
import json
import os
import secrets
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from nacl.signing import SigningKey
from sqlalchemy import insert

from forewarn_agent import clock as agent_clock
from forewarn_agent.orders import run_of
from forewarn_checks.base import SCHEMA, Batch, Lane, signing
from forewarn_checks.base.wire import to_json
from forewarn_collector import clock, instance
from forewarn_collector.api.people import find_person, make_key
from forewarn_collector.api.principal import Principal, Role
from forewarn_collector.bench import fleet as fleets
from forewarn_collector.bench.fleet import SimulatedHost
from forewarn_collector.certificates import Files
from forewarn_collector.state.tables import users
from forewarn_scripts import policy as policies
from forewarn_scripts.decide import Allowed, Asked, Endpoint, Past, decide
from forewarn_scripts.envelope import KEYRING, RESULT, Envelope
from forewarn_scripts.keyring import Keyring, KeyringText, NamedKey, anchored
from forewarn_scripts.keys import key_id
from forewarn_scripts.order import Ended, Order, Result, script_hash, write_moment
from forewarn_scripts.signing_desk import NotTrue, checked_result, new_id

SCRIPT = b"#!/bin/sh\nexit 0\n"
WORK_SECONDS = 0.5
_SERVE = "from forewarn_collector.cli import app; app()"
_OPERATOR = SigningKey(b"b" * 32)
_POLL_SECONDS = 50


@dataclass(frozen=True)
class Scene:
    """One order: which hosts fail, how it is paced, and over how many hosts."""

    name: str
    hosts: int
    fails_every: int = 0  # every so many-th host ends with exit code 1
    canary: int = 0
    at_once: int = 0
    halt_after: int = 0
    fails_first: int = 0  # so many that begin first fail


@dataclass
class Told:
    """What came of one order.  Seconds are from the moment it was sent in."""

    scene: str
    hosts: int
    began: int = 0
    well: int = 0
    failed: int = 0
    halted: bool = False
    verified: int = 0
    forged: int = 0
    exact: bool = False  # collector, hosts and verified results agree, host by host
    first_begins_seconds: float = 0.0
    median_begins_seconds: float = 0.0
    p99_begins_seconds: float = 0.0
    last_answer_seconds: float = 0.0
    looks: list[tuple[float, int, int, int]] = field(default_factory=list)  # live progress


@dataclass
class Crowd:
    """What all hosts share: the scene, and what each did."""

    policy: policies.Policy
    keyring: Keyring
    collector: str
    fails_every: int = 0
    fails_first: int = 0
    began: dict[str, float] = field(default_factory=dict)
    ended: dict[str, bool] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def fails(self, host: SimulatedHost) -> bool:
        """Say whether a host that just began ends badly."""
        by_number = bool(self.fails_every) and host.number % self.fails_every == 0
        return by_number or len(self.began) <= self.fails_first


class Agent:
    """One host: asks, judges, answers."""

    def __init__(self, host: SimulatedHost, url: str, tls: ssl.SSLContext, crowd: Crowd) -> None:
        self._host = host
        self._crowd = crowd
        self._public = bytes(host.key.verify_key)
        self._me = Endpoint(key_id(self._public), "Bench", crowd.collector)
        self._seq = 0
        self._sequence = 0
        self._begun: dict[str, datetime] = {}
        self._http = httpx.AsyncClient(base_url=url, verify=tls, timeout=90, trust_env=False)

    async def live(self) -> None:
        """Poll for ever."""
        try:
            while True:
                try:
                    for letter in (await self._ask())["orders"]:
                        await self._carry(letter)
                except (httpx.HTTPError, ValueError):
                    await asyncio.sleep(1)
        finally:
            await self._http.aclose()

    async def _ask(self) -> Any:
        query = f"wait={_POLL_SECONDS}"
        headers = self._signed("GET", "/v1/orders", query, b"", "orders", "identity")
        answer = await self._http.get(f"/v1/orders?{query}", headers=headers)
        answer.raise_for_status()
        return answer.json()

    async def _carry(self, letter: Mapping[str, str]) -> None:
        crowd, moment = self._crowd, agent_clock.now()
        asked = Asked(letter["envelope"].encode(), base64.b64decode(letter["script"]))
        past, now = Past(started=dict(self._begun)), datetime.now().astimezone()
        verdict = decide(asked, crowd.keyring, crowd.policy, self._me, past, now)
        if not isinstance(verdict, Allowed):
            crowd.refused.append(f"{self._host.name}: {verdict}"[:300])
            return
        self._begun[verdict.key] = now
        crowd.began[self._host.id] = time.time()
        code = 1 if crowd.fails(self._host) else 0
        await asyncio.sleep(WORK_SECONDS)
        result = Result(
            order=verdict.order.id,
            host=self._me.fingerprint,
            script_sha256=verdict.order.script_sha256,
            ended=Ended.DONE,
            started_at=write_moment(now),
            ended_at=write_moment(datetime.now(UTC)),
            exit_code=code,
        )
        crowd.ended[self._host.id] = code == 0
        envelope = Envelope(RESULT, result.to_bytes()).signed_by(self._host.key)
        await self._ship(envelope.to_bytes().decode(), moment)

    async def _ship(self, result: str, began: agent_clock.Moment) -> None:
        now = agent_clock.now()
        run = run_of(result, began, now)
        batch = Batch(
            schema=SCHEMA,
            host=self._host.id,
            spool=self._host.spool,
            lane=Lane.RESULTS,
            runs=(replace(run, sequence=self._sequence),),
            sent_at=now.wall,
            sent_boot=now.boot,
            sent_boottime_seconds=now.boottime_seconds,
        )
        body = gzip.compress(json.dumps(to_json(batch)).encode())
        for _ in range(20):
            headers = self._signed("POST", "/v1/batches", "", body, "batches", "gzip")
            answer = await self._http.post("/v1/batches", content=body, headers=headers)
            if answer.status_code == httpx.codes.OK:
                self._sequence += 1
                return
            await asyncio.sleep(float(answer.headers.get("retry-after", "1")))

    def _signed(
        self, method: str, path: str, query: str, body: bytes, stream: str, encoding: str
    ) -> dict[str, str]:
        self._seq += 1
        return signing.sign(
            method=method,
            path=path,
            query=query,
            body=body,
            content_encoding=encoding,
            collector=self._crowd.collector,
            stream=stream,
            seq=self._seq,
            key_id=self._host.id,
            created=int(time.time()),
            key=lambda base: bytes(self._host.key.sign(base).signature),
        )


class Operator:
    """Signs, sends, watches and verifies, as the operator's command does."""

    def __init__(self, url: str, key: str, tls: ssl.SSLContext, collector: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=f"{url}/api/v1",
            headers={"authorization": f"Bearer {key}"},
            verify=tls,
            timeout=60,
            trust_env=False,
        )
        self._collector = collector

    async def close(self) -> None:
        """Hang up."""
        await self._http.aclose()

    async def send(self, scene: Scene, hosts: Sequence[SimulatedHost]) -> Order:
        """Sign an order for these hosts and hand it in."""
        now = datetime.now(UTC)
        prints = tuple(sorted(key_id(bytes(host.key.verify_key)) for host in hosts))
        order = Order(
            id=new_id(now),
            client="Bench",
            collector=self._collector,
            script_sha256=script_hash(SCRIPT),
            interpreter="/bin/sh",
            targets=prints,
            max_hosts=len(prints),
            not_before=write_moment(now),
            not_after=write_moment(now + timedelta(hours=1)),
            reason=scene.name,
            run_as="root",
            timeout_seconds=60,
            keyring_version=1,
        )
        body = base64.b64encode(SCRIPT).decode()
        await self._post("/scripts", {"client": "Bench", "name": "nothing.sh", "body": body})
        envelope = Envelope(Order.KIND, order.to_bytes()).signed_by(_OPERATOR).to_bytes().decode()
        pace = {name: getattr(scene, name) for name in ("canary", "at_once", "halt_after")}
        await self._post("/orders", {"envelope": envelope, **pace})
        return order

    async def look(self, order: Order) -> list[dict[str, Any]]:
        """Return how it stands on every host."""
        answer = await self._http.get(f"/orders/{order.id}")
        answer.raise_for_status()
        targets: list[dict[str, Any]] = answer.json()["targets"]
        return targets

    async def verified(
        self, order: Order, hosts: Sequence[SimulatedHost]
    ) -> tuple[dict[str, bool], int]:
        """Return how it ended by host, of results whose signatures hold, and how many do not."""
        answer = await self._http.get(f"/orders/{order.id}/results")
        keys = {key_id(bytes(one.key.verify_key)): bytes(one.key.verify_key) for one in hosts}
        ids = {key_id(bytes(one.key.verify_key)): one.id for one in hosts}
        found, forged = {}, 0
        for one in answer.json()["results"]:
            try:
                result = checked_result(one["envelope"], order, keys)
            except NotTrue:
                forged += 1
            else:
                found[ids[result.host]] = result.exit_code == 0
        return found, forged

    async def _post(self, path: str, body: Mapping[str, Any]) -> None:
        answer = await self._http.post(path, json=dict(body))
        if not answer.is_success:
            raise SystemExit(f"{path}: {answer.text}")


async def play(scene: Scene, fleet: list[SimulatedHost], operator: Operator, crowd: Crowd) -> Told:
    """Send one order and stay until it is over: all answered, or halted and nobody runs."""
    hosts = fleet[: scene.hosts]
    crowd.fails_every, crowd.fails_first = scene.fails_every, scene.fails_first
    crowd.began.clear()
    crowd.ended.clear()
    sent = time.time()
    order = await operator.send(scene, hosts)
    told = Told(scene.name, scene.hosts)
    still = 0
    while time.time() - sent < 300:
        targets = await operator.look(order)
        ended = [one for one in targets if one["ended_at"]]
        offered = sum(1 for one in targets if one["offered_at"])
        well = sum(1 for one in ended if one["well"])
        at = round(time.time() - sent, 1)
        told.looks.append((at, well, len(ended) - well, offered - len(ended)))
        told.halted = (
            len(told.looks) > 1
            and offered == len(ended) < len(targets)
            and told.looks[-1][1:] == told.looks[-2][1:]
        )
        still = still + 1 if told.halted else 0
        if len(ended) == len(targets) or still >= 4:
            break
        await asyncio.sleep(0.5)
    begins = sorted(at - sent for at in crowd.began.values())
    told.began, told.well = len(begins), sum(crowd.ended.values())
    told.failed = len(crowd.ended) - told.well
    told.first_begins_seconds = begins[0]
    told.median_begins_seconds = statistics.median(begins)
    told.p99_begins_seconds = begins[min(int(len(begins) * 0.99), len(begins) - 1)]
    told.last_answer_seconds = next(
        look[0] for look in told.looks if look[1:] == told.looks[-1][1:]
    )
    results, told.forged = await operator.verified(order, hosts)
    told.verified = len(results)
    seen = {one["host"]: one["well"] for one in targets if one["ended_at"]}
    told.exact = seen == crowd.ended == results
    return told


def scenes(hosts: int) -> list[Scene]:
    """Return what is measured: single hosts while all poll, and orders for all of them."""
    return [
        *(Scene(f"one host, {number}", 1) for number in range(1, 11)),
        Scene("all at once", hosts),
        Scene("canary of 5, 100 at once", hosts, canary=5, at_once=100),
        Scene("a canary fails", hosts, canary=5, halt_after=1, fails_first=1),
        Scene("every 20th fails, halt after 10", hosts, 20, canary=5, at_once=50, halt_after=10),
    ]


async def measure(home: Path, fleet: list[SimulatedHost], key: str, crowd: Crowd) -> list[Told]:
    """Bring the hosts up, wait until they poll, and play every scene."""
    config = instance.read_settings(home).config
    tls = ssl.create_default_context(cafile=str(Files(home).ca))
    operator = Operator(f"https://{config.operators}", key, tls, crowd.collector)
    agents = [Agent(host, f"https://{config.agents}", tls, crowd) for host in fleet]
    tasks = []
    for number, agent in enumerate(agents):
        tasks.append(asyncio.create_task(agent.live()))
        if number % 50 == 49:
            await asyncio.sleep(0.5)
    await asyncio.sleep(3)
    try:
        return [await play(scene, fleet, operator, crowd) for scene in scenes(len(fleet))]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await operator.close()


# -- setting up ----------------------------------------------------------------------------------


def prepare(home: Path, fleet: list[SimulatedHost]) -> tuple[str, str]:
    """Make a collector that knows the fleet and one operator; return its id and an API key."""
    ports = _free_ports(2)
    collector = instance.create(
        home,
        agents=f"127.0.0.1:{ports[0]}",
        operators=f"127.0.0.1:{ports[1]}",
        url=f"https://127.0.0.1:{ports[0]}",
        now=clock.now(),
    )
    with (home / "collector.toml").open("a", encoding="utf-8") as config:
        config.write("\n[second_factor]\nrequired = false\nbulk_hosts = 2000\n")
    with instance.opened_state(home) as database:
        fleets.enrol(database, fleet, clock.now())
        with database.write() as connection:
            row = {"id": clock.uuid7(clock.now()), "name": "bench", "role": str(Role.APPROVER)}
            made = {"password_hash": "!", "created_at": clock.now()}
            connection.execute(insert(users).values(**row, **made))
            person = find_person(connection, "bench")
            assert person is not None
            owner = Principal("bench", Role.APPROVER, None, person.id)
            key = make_key(
                connection,
                owner,
                name="bench",
                role=Role.APPROVER,
                lasts=timedelta(hours=2),
                now=clock.now(),
            )
    return collector, key.secret


def permission(collector: str) -> tuple[policies.Policy, Keyring]:
    """Return what the hosts' own files say: one operator may run anything as root."""
    public = bytes(_OPERATOR.verify_key)
    text = KeyringText(
        collector=collector,
        version=1,
        threshold=1,
        expires=write_moment(datetime.now(UTC) + timedelta(days=30)),
        keys=(NamedKey(name="bench", public=base64.b64encode(public).decode()),),
        recovery=base64.b64encode(bytes(SigningKey(b"r" * 32).verify_key)).decode(),
    )
    keyring = anchored(Envelope(KEYRING, text.to_bytes()).signed_by(_OPERATOR).to_bytes())
    policy = policies.parse(
        f'mode = "signed"\n[limits]\nmax_runs_per_hour = 1000\n[[class]]\nname = "bench"\n'
        f'threshold = 1\nkeys = ["{key_id(public)}"]\nrun_as = ["root"]\nmax_hosts = 2000\n'
    )
    return policy, keyring


@contextmanager
def serving(home: Path) -> Iterator[None]:
    """Run the collector for as long as the block lasts."""
    command = [sys.executable, "-c", _SERVE, "serve", "--dir", str(home)]
    with (home / "serve.log").open("wb") as log:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
    try:
        assert child.stdout is not None
        if not child.stdout.readline().startswith(b"ready"):
            raise SystemExit((home / "serve.log").read_text("utf-8", "replace")[-2000:])
        yield
    finally:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(60)


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def main() -> int:
    """Measure, print, and return 1 when anything was not exact or did not halt."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--hosts", type=int, default=1000)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=f"forewarn-orders-{secrets.token_hex(2)}") as place:
        home = Path(place) / "collector"
        fleet = fleets.make_fleet(wanted.hosts)
        collector, key = prepare(home, fleet)
        policy, keyring = permission(collector)
        crowd = Crowd(policy, keyring, collector)
        with serving(home):
            told = asyncio.run(measure(home, fleet, key, crowd))
    if wanted.json:
        print(json.dumps([asdict(one) for one in told], indent=1))
    else:
        _print(told)
    right = all(one.exact and not one.forged for one in told) and not crowd.refused
    for text in crowd.refused[:5]:
        print(text, file=sys.stderr)
    return 0 if right else 1


def _print(told: list[Told]) -> None:
    single = [one.first_begins_seconds for one in told if one.hosts == 1]
    print(f"one host of {max(one.hosts for one in told)} that poll begins after "
          f"{statistics.median(single):.2f} s (median), {max(single):.2f} s (worst)")  # fmt: skip
    print("scene | began | well | not | halted | begins median, p99 | last answer | exact")
    for one in told:
        if one.hosts > 1:
            print(
                f"{one.scene} | {one.began} | {one.well} | {one.failed} | {one.halted} | "
                f"{one.median_begins_seconds:.1f} s, {one.p99_begins_seconds:.1f} s | "
                f"{one.last_answer_seconds:.1f} s | {one.exact}"
            )


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
