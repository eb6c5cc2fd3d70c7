"""What agents may send, and what hostile ones try: the right 4xx, never a 5xx, nothing lost."""

import asyncio
import base64
import gzip
import json
import resource
import zlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from forewarn_checks.base import Lane, signing
from forewarn_collector.enrolment import proof_text
from forewarn_collector.http.agents import AgentSide, agents_app
from forewarn_collector.ingest import Ingest
from forewarn_collector.samples.duck import DuckSampleStore
from forewarn_collector.state.database import Database, open_sqlite
from forewarn_collector.state.hosts import Hosts, place, record_facts, revoke
from forewarn_collector.state.migrations import migrate
from forewarn_collector.tokens import keep_token, new_token, token_hash

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
COLLECTOR = "01234567-89ab-7def-8123-456789abcdef"
PEPPER = b"p" * 32
SPOOL = "0123456789abcdef"
Json = dict[str, Any]


@dataclass
class Clock:
    """The collector's clock, moved by tests."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at


@dataclass
class Side:
    """A collector's agent side with everything real behind it."""

    database: Database
    store: DuckSampleStore
    hosts: Hosts
    clock: Clock
    client: httpx.AsyncClient

    def token(self, *, max_uses: int = 1) -> str:
        """Make a token for acme's site hq."""
        token = new_token()
        with self.database.write() as connection:
            where = place(connection, "acme", "hq", NOW)
            keep_token(connection, token_hash(PEPPER, token), where, NOW, max_uses=max_uses)
        return token

    async def agent(self) -> "Agent":
        """Enrol a new host."""
        agent = Agent(self)
        answer = await self.client.post("/v1/enrol", json=agent.introduction(self.token()))
        assert answer.status_code == 200, answer.text
        agent.host = answer.json()["host_id"]
        return agent


@dataclass
class Agent:
    """A host that does as it is told."""

    side: Side
    key: SigningKey = field(default_factory=SigningKey.generate)
    host: str = ""
    seq: int = 0

    def introduction(self, token: str, hostname: str = "web-1") -> Json:
        """Return an enrolment request."""
        public = base64.b64encode(bytes(self.key.verify_key)).decode()
        proof = self.key.sign(proof_text(token, public)).signature
        return {
            "token": token,
            "public_key": public,
            "proof": base64.b64encode(proof).decode(),
            "hostname": hostname,
            "system": "linux",
            "agent_version": "0.1.0",
        }

    def signed(self, body: bytes, encoding: str = "gzip", **other: Any) -> dict[str, str]:
        """Return the headers that sign a batch."""
        self.seq += 1
        values: Json = {
            "method": "POST",
            "path": "/v1/batches",
            "query": "",
            "body": body,
            "content_encoding": encoding,
            "collector": COLLECTOR,
            "stream": "batches",
            "seq": self.seq,
            "key_id": self.host,
            "created": 1_795_000_000,
            "key": lambda message: self.key.sign(message).signature,
        }
        return signing.sign(**(values | other))

    async def post(self, body: bytes, encoding: str = "gzip", **other: Any) -> httpx.Response:
        """Send a body, signed."""
        headers = self.signed(body, encoding, **other)
        return await self.side.client.post("/v1/batches", content=body, headers=headers)

    async def ship(self, batch: Json) -> httpx.Response:
        """Send a batch as agents do."""
        return await self.post(gzip.compress(json.dumps(batch).encode()))

    def batch(self, *sequences: int, **changes: Any) -> Json:
        """Return a batch of memory runs."""
        return {
            "schema": 1,
            "host": self.host,
            "spool": SPOOL,
            "lane": "live",
            "runs": [run(sequence) for sequence in sequences],
            "sent_at": "2026-11-21T08:00:00.000Z",
            "sent_boot": "boot-1",
            "sent_boottime_seconds": 1000.0,
            "dropped": 0,
            "agent_version": "0.1.0",
        } | changes


def run(sequence: int, **changes: Any) -> Json:
    """Return one run of memory."""
    return {
        "sequence": sequence,
        "check": "memory",
        "started_at": "2026-11-21T07:59:59.000Z",
        "boot": "boot-1",
        "boottime_seconds": 900.0 + sequence,
        "duration_seconds": 0.01,
        "outcome": "ok",
        "error": "",
        "samples": [{"metric": "memory_used_ratio", "value": 0.5, "labels": {}}],
        "facts": {},
    } | changes


Scenario = Callable[[Side], Coroutine[Any, Any, None]]
Play = Callable[[Scenario], None]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """Run a scenario against a collector's agent side."""
    path = tmp_path / "state.sqlite"
    database = open_sqlite(path)
    migrate(database, path, NOW)
    store = DuckSampleStore(tmp_path / "samples")
    hosts = Hosts(database)
    clock = Clock()

    def keep(_number: int, host_id: str, facts: Any, at: datetime) -> None:
        with database.write() as connection:
            record_facts(connection, host_id, facts, at)

    def runner(scenario: Scenario) -> None:
        ingest = Ingest(store, keep, linger_seconds=0)
        side = AgentSide(
            collector_id=COLLECTOR,
            hosts=hosts,
            database=database,
            store=store,
            ingest=ingest,
            authority=b"-----BEGIN CERTIFICATE-----\n",
            pepper=PEPPER,
            now=clock,
        )
        ingest.start()

        async def main() -> None:
            # Exceptions pass through: whatever escapes a handler fails the test.
            transport = httpx.ASGITransport(agents_app(side), client=("192.0.2.7", 1234))
            async with httpx.AsyncClient(transport=transport, base_url="http://c") as client:
                await scenario(Side(database, store, hosts, clock, client))

        try:
            asyncio.run(main())
        finally:
            ingest.close()

    yield runner
    store.close()
    database.close()


# -- what honest agents do -----------------------------------------------------------------------


def test_a_batch_is_durable_once_it_is_answered(play: Play) -> None:
    """The receipt names what is held of its lane."""

    async def scenario(side: Side) -> None:
        agent = await side.agent()
        answer = await agent.ship(agent.batch(1, 2, 3))
        assert answer.status_code == 200, answer.text
        assert answer.json()["through"] == {"live": 3}
        number = side.hosts.all()[0].number
        assert side.store.sequences(number) == [(SPOOL, Lane.LIVE, n) for n in (1, 2, 3)]

    play(scenario)


def test_the_same_batch_twice_is_held_once(play: Play) -> None:
    """Sent again, signed again or byte for byte: the answer is the same."""

    async def scenario(side: Side) -> None:
        agent = await side.agent()
        body = gzip.compress(json.dumps(agent.batch(1, 2)).encode())
        headers = agent.signed(body)
        answers = [
            await side.client.post("/v1/batches", content=body, headers=headers),
            await side.client.post("/v1/batches", content=body, headers=headers),
            await agent.post(body),
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert {answer.text for answer in answers} == {answers[0].text}
        assert len(side.store.sequences(side.hosts.all()[0].number)) == 2

    play(scenario)


def test_a_request_that_was_overtaken_changes_nothing(play: Play) -> None:
    """Its runs may have been sent again in another lane since; it is told what is held."""

    async def scenario(side: Side) -> None:
        agent = await side.agent()
        late = gzip.compress(json.dumps(agent.batch(1)).encode())
        headers = agent.signed(late)
        await agent.ship(agent.batch(1, lane="backfill"))
        answer = await side.client.post("/v1/batches", content=late, headers=headers)
        assert (answer.status_code, answer.json()["through"]) == (200, {"backfill": 1})

    play(scenario)


def test_an_agent_with_an_older_counter_is_heard_again(play: Play) -> None:
    """Restored from a copy, it is kept waiting for two minutes and no longer."""

    async def scenario(side: Side) -> None:
        agent = await side.agent()
        agent.seq = 1000
        await agent.ship(agent.batch(1))
        agent.seq = 5
        assert (await agent.ship(agent.batch(2))).json()["through"] == {"live": 1}
        side.clock.at += timedelta(minutes=2)
        assert (await agent.ship(agent.batch(2))).json()["through"] == {"live": 2}

    play(scenario)


def test_the_authority_is_given_to_anybody(play: Play) -> None:
    """It is public; the fingerprint of the enrolment string is what makes it trusted."""

    async def scenario(side: Side) -> None:
        answer = await side.client.get("/v1/ca.pem")
        assert answer.status_code == 200
        assert answer.text.startswith("-----BEGIN CERTIFICATE-----")

    play(scenario)


# -- enrolment -----------------------------------------------------------------------------------


def test_failed_enrolments_are_slowed_down_and_good_ones_are_not(play: Play) -> None:
    """Five failures a minute from one address; a whole office may still be enrolled from it."""

    async def scenario(side: Side) -> None:
        for _ in range(20):
            await side.agent()
        wrong = Agent(side).introduction(new_token())
        statuses = [(await side.client.post("/v1/enrol", json=wrong)).status_code for _ in range(7)]
        assert statuses == [403] * 5 + [429] * 2
        side.clock.at += timedelta(minutes=1)
        await side.agent()

    play(scenario)


def test_one_token_over_http_makes_one_host(play: Play) -> None:
    """200 at once."""

    async def scenario(side: Side) -> None:
        token = side.token()
        requests = [Agent(side).introduction(token) for _ in range(200)]
        answers = await asyncio.gather(
            *(side.client.post("/v1/enrol", json=request) for request in requests)
        )
        statuses = [answer.status_code for answer in answers]
        assert statuses.count(200) == 1
        assert set(statuses) <= {200, 403, 429}
        assert len(side.hosts) == 1

    play(scenario)


@pytest.mark.parametrize(
    ("what", "change", "status"),
    [
        ("a hostname of markup", {"hostname": "<script>alert(1)</script>"}, 422),
        ("a lone surrogate", {"hostname": "\ud800"}, 422),
        ("a number for a name", {"hostname": 7}, 422),
        ("a key that is none", {"public_key": "A" * 44}, 422),
        ("an unknown system", {"system": "beos"}, 422),
        ("a token of another make", {"token": "x" * 30}, 422),
        ("a huge version", {"agent_version": "1" * 100_000}, 413),
    ],
)
def test_a_wrong_enrolment_is_refused(play: Play, what: str, change: Json, status: int) -> None:
    """The status says that trying again would not help."""

    async def scenario(side: Side) -> None:
        request = Agent(side).introduction(side.token()) | change
        body = json.dumps(request).encode("utf-8", "surrogatepass")
        answer = await side.client.post("/v1/enrol", content=body)
        assert answer.status_code == status, what
        assert request["token"] not in answer.text
        assert len(side.hosts) == 0

    play(scenario)


# -- who signed ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "other", "status"),
    [
        (
            "another key",
            {"key": lambda message: SigningKey(b"x" * 32).sign(message).signature},
            401,
        ),
        ("a host nobody knows", {"key_id": COLLECTOR}, 401),
        ("another collector", {"collector": "else"}, 401),
        ("another stream", {"stream": "orders"}, 401),
        ("another path", {"path": "/v1/orders"}, 401),
        ("another method", {"method": "PUT"}, 401),
        ("a query that was not sent", {"query": "a=1"}, 401),
        ("another body", {"body": b"other"}, 400),
    ],
)
def test_what_is_not_signed_for_this_is_refused(
    play: Play, what: str, other: Json, status: int
) -> None:
    """And an honest batch after it is taken as ever."""

    async def scenario(side: Side) -> None:
        agent = await side.agent()
        body = gzip.compress(json.dumps(agent.batch(1)).encode())
        answer = await side.client.post(
            "/v1/batches",
            content=body,
            headers=agent.signed(**{"body": body, **other}),
        )
        assert answer.status_code == status, (what, answer.text)
        assert (await agent.ship(agent.batch(1))).status_code == 200

    play(scenario)


def test_a_host_is_told_its_settings_and_no_stranger_is(play: Play) -> None:
    """The version of a receipt is that of what is fetched."""

    async def scenario(side: Side) -> None:
        agent = await side.agent()
        asking = {"method": "GET", "path": "/v1/config", "stream": "config"}

        async def fetch(**other: Any) -> httpx.Response:
            headers = agent.signed(**{"body": b"", "encoding": "identity", **asking, **other})
            return await side.client.get("/v1/config", headers=headers)

        receipt = (await agent.ship(agent.batch(1))).json()
        told = await fetch()
        assert told.status_code == 200
        assert told.json() == {"version": receipt["config_version"], "checks": {}}
        assert (await side.client.get("/v1/config")).status_code == 401
        assert (await fetch(stream="batches")).status_code == 401
        assert (await fetch(key=lambda _: b"0" * 64)).status_code == 401
        assert (await fetch(body=b"x")).status_code == 400

    play(scenario)


def test_the_body_of_a_stranger_is_never_read(play: Play) -> None:
    """Who cannot sign costs us no more than the headers."""

    async def scenario(side: Side) -> None:
        agent = await side.agent()
        read = []

        async def body() -> Any:
            read.append(1)
            yield b"x"

        headers = agent.signed(b"x", key=lambda _: b"0" * 64) | {"content-length": "1"}
        answer = await side.client.post("/v1/batches", content=body(), headers=headers)
        assert (answer.status_code, read) == (401, [])

    play(scenario)


def test_a_host_speaks_for_itself_only(play: Play) -> None:
    """A batch of another host, well signed, is a conflict."""

    async def scenario(side: Side) -> None:
        one, other = await side.agent(), await side.agent()
        assert (await one.ship(one.batch(1, host=other.host))).status_code == 409
        assert side.store.sequences(2) == []

    play(scenario)


def test_a_revoked_host_is_refused_at_once(play: Play) -> None:
    """From the moment the registry knows."""

    async def scenario(side: Side) -> None:
        agent = await side.agent()
        with side.database.write() as connection:
            revoke(connection, agent.host, NOW)
        side.hosts.refresh()
        assert (await agent.ship(agent.batch(1))).status_code == 403

    play(scenario)


def test_a_host_that_storms_is_told_to_wait(play: Play) -> None:
    """120 at once, then one a second; others are not slowed down."""

    async def scenario(side: Side) -> None:
        storm, calm = await side.agent(), await side.agent()
        answers = [await storm.post(b"junk") for _ in range(130)]
        assert [answer.status_code for answer in answers].count(429) == 10
        assert answers[-1].headers["retry-after"] == "1"
        assert (await calm.ship(calm.batch(1))).status_code == 200

    play(scenario)


# -- bodies --------------------------------------------------------------------------------------

GIB = 1024 * 1024 * 1024


def _bomb() -> bytes:
    """Return gzip that unpacks to 1 GiB of spaces, from a megabyte."""
    packer = zlib.compressobj(9, wbits=31)
    block = b" " * (1 << 20)
    return b"".join(packer.compress(block) for _ in range(1024)) + packer.flush()


def _text(batch: Json) -> bytes:
    return json.dumps(batch).encode()


@pytest.mark.parametrize(
    ("what", "make", "status"),
    [
        ("random bytes", lambda a: b"\x93\x00\xff" * 30, 400),
        ("gzip of random bytes", lambda a: gzip.compress(b"\x93\x00\xff" * 30), 400),
        ("gzip cut short", lambda a: gzip.compress(_text(a.batch(1)))[:-9], 400),
        ("two gzips in one", lambda a: gzip.compress(b"{}") * 2, 400),
        ("an empty body", lambda a: b"", 400),
        ("JSON of another kind", lambda a: gzip.compress(b"[1,2]"), 422),
        ("no runs", lambda a: gzip.compress(_text(a.batch())), 422),
        ("NaN", lambda a: gzip.compress(_text(a.batch(1)).replace(b"0.5", b"NaN")), 422),
        ("infinity", lambda a: gzip.compress(_text(a.batch(1)).replace(b"0.5", b"1e999")), 422),
        ("2^63", lambda a: gzip.compress(_text(a.batch(2**63))), 422),
        ("a huge integer", lambda a: gzip.compress(_text(a.batch(10**300))), 422),
        ("a negative sequence", lambda a: gzip.compress(_text(a.batch(-1))), 422),
        (
            "a lone surrogate",
            lambda a: gzip.compress(_text(a.batch(1, spool="\ud800"))),
            400,
        ),
        ("NUL", lambda a: gzip.compress(_text(a.batch(1, spool="a\0b"))), 422),
        ("deep nesting", lambda a: gzip.compress(b'{"x":' * 100_000 + b"1" + b"}" * 100_000), 400),
        ("an unknown lane", lambda a: gzip.compress(_text(a.batch(1, lane="express"))), 422),
        (
            "an unknown outcome",
            lambda a: gzip.compress(_text(a.batch() | {"runs": [run(1, outcome="?")]})),
            422,
        ),
        ("a schema of the far future", lambda a: gzip.compress(_text(a.batch(1, schema=99))), 422),
        ("runs out of order", lambda a: gzip.compress(_text(a.batch(2, 1))), 422),
    ],
)
def test_a_bad_body_is_the_right_4xx(
    play: Play, what: str, make: Callable[[Agent], bytes], status: int
) -> None:
    """It names what is wrong, stores nothing, and the next batch is taken."""

    async def scenario(side: Side) -> None:
        agent = await side.agent()
        answer = await agent.post(make(agent))
        assert 400 <= answer.status_code < 500, (what, answer.text)
        assert answer.status_code == status, (what, answer.text)
        assert set(answer.json()) == {"error"}
        assert side.store.sequences(1) == []
        assert (await agent.ship(agent.batch(1))).json()["through"] == {"live": 1}

    play(scenario)


def test_a_bomb_of_a_gibibyte_costs_a_few_megabytes(play: Play) -> None:
    """Unpacking stops at 8 MiB."""
    bomb = _bomb()
    assert len(bomb) < 1 << 20

    async def scenario(side: Side) -> None:
        agent = await side.agent()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(5):
            assert (await agent.post(bomb)).status_code == 413
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 32 * 1024, f"{grown} KiB"

    play(scenario)


def test_a_body_over_a_mebibyte_is_413_before_it_is_read(play: Play) -> None:
    """Whatever it would unpack to."""

    async def scenario(side: Side) -> None:
        agent = await side.agent()
        assert (await agent.post(b"x" * ((1 << 20) + 1))).status_code == 413

    play(scenario)


@pytest.mark.parametrize("encoding", ["zstd", "br", "gzip,gzip", "deflate"])
def test_an_encoding_we_do_not_take_is_415(play: Play, encoding: str) -> None:
    """Gzip and identity are enough."""

    async def scenario(side: Side) -> None:
        agent = await side.agent()
        assert (await agent.post(b"{}", encoding)).status_code == 415

    play(scenario)


def test_a_length_is_asked_for(play: Play) -> None:
    """411 without, 413 for one that is no sensible number."""

    async def scenario(side: Side) -> None:
        agent = await side.agent()

        async def body() -> Any:
            yield b"{}"

        url = "/v1/batches"
        chunked = await side.client.post(url, content=body(), headers=agent.signed(b"{}"))
        assert chunked.status_code == 411
        for length in ("9" * 5000, "-1", "1e3", "٣"):
            headers = [(k.encode(), v.encode()) for k, v in agent.signed(b"{}").items()]
            stated = (b"content-length", length.encode())
            answer = await side.client.post(url, content=body(), headers=[*headers, stated])
            assert answer.status_code in (411, 413)

    play(scenario)


@pytest.mark.parametrize("path", ["/", "/v1/", "/v1/batches/", "/v1/enrol/x", "/V1/enrol", "/docs"])
def test_there_is_nothing_else(play: Play, path: str) -> None:
    """404, as JSON, for every method."""

    async def scenario(side: Side) -> None:
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            answer = await side.client.request(method, path)
            assert (answer.status_code, set(answer.json())) == (404, {"error"})

    play(scenario)


def test_wrong_methods_are_405(play: Play) -> None:
    """The paths exist, in one way each."""

    async def scenario(side: Side) -> None:
        for method, path in (("GET", "/v1/batches"), ("PUT", "/v1/enrol"), ("POST", "/v1/ca.pem")):
            assert (await side.client.request(method, path)).status_code == 405

    play(scenario)


def test_no_body_at_all_makes_a_5xx(play: Play) -> None:
    """Whatever JSON of about the right form, and whatever bytes."""

    async def scenario(side: Side) -> None:
        agent = await side.agent()
        loop = asyncio.get_running_loop()
        bodies: list[bytes] = []

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(BODIES)
        def collect(body: bytes) -> None:
            bodies.append(body)

        await loop.run_in_executor(None, collect)
        for body in bodies:
            side.clock.at += timedelta(seconds=2)
            body = body.replace(b"@HOST@", agent.host.encode())
            answer = await agent.post(gzip.compress(body))
            assert answer.status_code < 500, (body, answer.text)

    play(scenario)


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["live", "ok", "memory", "\ud800", "\0", "x" * 300, 2**63, -1]),
)
_ANY = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def _batches(draw: st.DrawFn) -> bytes:
    """Return a batch in which something is not as it should be."""
    one = run(draw(st.integers(0, 5)))
    whole: Json = {
        "schema": 1,
        "host": "@HOST@",
        "spool": SPOOL,
        "lane": "live",
        "runs": [one],
        "sent_at": "2026-11-21T08:00:00.000Z",
        "sent_boot": "boot-1",
        "sent_boottime_seconds": 1000.0,
    }
    where = draw(st.sampled_from([whole, one, one["samples"][0]]))
    where[draw(st.sampled_from(sorted(where)))] = draw(_ANY)
    return json.dumps(whole).encode("utf-8", "surrogatepass")


BODIES = st.one_of(_batches(), st.binary(max_size=60))
