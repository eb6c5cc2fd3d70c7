"""Who is let in, once, and who is not."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest
from nacl.signing import SigningKey
from sqlalchemy import func, select

from forewarn_collector.enrolment import (
    BadRequest,
    BadToken,
    Enrolled,
    EnrolRequest,
    KeyTaken,
    Refused,
    enrol,
    parse_request,
    proof_text,
)
from forewarn_collector.state.database import Database, open_sqlite
from forewarn_collector.state.hosts import Hosts, place, revoke
from forewarn_collector.state.migrations import migrate
from forewarn_collector.state.tables import enrolment_tokens, hosts
from forewarn_collector.tokens import keep_token, new_token, token_hash

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
PEPPER = b"p" * 32


@dataclass
class Door:
    """A collector's side of enrolment."""

    database: Database
    hosts: Hosts

    def token(self, *, max_uses: int = 1) -> str:
        """Make a token for acme's site hq."""
        token = new_token()
        with self.database.write() as connection:
            where = place(connection, "acme", "hq", NOW)
            keep_token(connection, token_hash(PEPPER, token), where, NOW, max_uses=max_uses)
        return token

    def enrol(self, request: EnrolRequest, now: datetime = NOW) -> Enrolled:
        """Ask to be let in."""
        return enrol(self.database, self.hosts, PEPPER, request, now)

    def count(self) -> int:
        """How many hosts there are."""
        with self.database.read() as connection:
            return connection.execute(select(func.count()).select_from(hosts)).scalar_one()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    path = tmp_path / "state.sqlite"
    database = open_sqlite(path)
    migrate(database, path, NOW)
    yield Door(database, Hosts(database))
    database.close()


def request_of(token: str, key: SigningKey, hostname: str = "web-1") -> EnrolRequest:
    """Return what an honest agent sends."""
    public = base64.b64encode(bytes(key.verify_key)).decode()
    proof = base64.b64encode(key.sign(proof_text(token, public)).signature).decode()
    return EnrolRequest(
        token=token, public_key=public, proof=proof, hostname=hostname, system="linux"
    )


def test_the_proof_is_what_agents_sign() -> None:
    """The text is public: an agent of any release must make the same."""
    hashed = hashlib.sha256(b"fwe_x").hexdigest()
    assert proof_text("fwe_x", "a2V5") == f"forewarn-enrol-v1\n{hashed}\na2V5".encode()


def test_a_good_token_makes_one_host(door: Door) -> None:
    """It belongs where the token says, and is known at once."""
    enrolled = door.enrol(request_of(door.token(), SigningKey.generate()))
    assert (enrolled.host.client, enrolled.host.site, enrolled.host.name) == ("acme", "hq", "web-1")
    assert door.hosts.get(enrolled.host.id) == enrolled.host
    assert Hosts(door.database).get(enrolled.host.id) == enrolled.host


def test_a_lost_answer_can_be_asked_for_again(door: Door) -> None:
    """Same key, same token: the same host, though the token is used up."""
    request = request_of(door.token(), SigningKey.generate())
    first, again = door.enrol(request), door.enrol(request)
    assert again == Enrolled(first.host, repeated=True)
    assert door.count() == 1


def test_200_who_come_at_once_with_one_token_make_one_host(door: Door) -> None:
    """The use of a token is one statement: there is no moment between looking and taking."""
    token = door.token()
    requests = [request_of(token, SigningKey.generate()) for _ in range(200)]
    together = Barrier(8)

    def attempt(index: int) -> str:
        if index < 8:
            together.wait()
        try:
            return type(door.enrol(requests[index])).__name__
        except Refused as refused:
            return type(refused).__name__

    with ThreadPoolExecutor(8) as pool:
        outcomes = Counter(pool.map(attempt, range(200)))
    assert outcomes == {"Enrolled": 1, "BadToken": 199}
    assert door.count() == len(door.hosts) == 1


@pytest.mark.parametrize("why", ["unknown", "used up", "expired", "revoked"])
def test_all_failures_of_a_token_read_the_same(door: Door, why: str) -> None:
    """An answer must not tell a guesser which tokens exist."""
    token, now = door.token(), NOW
    if why == "unknown":
        token = new_token()
    elif why == "used up":
        door.enrol(request_of(token, SigningKey.generate()))
    elif why == "expired":
        now = NOW + timedelta(minutes=60)
    else:
        with door.database.write() as connection:
            connection.execute(enrolment_tokens.update().values(revoked_at=NOW))
    before = door.count()
    with pytest.raises(BadToken) as refused:
        door.enrol(request_of(token, SigningKey.generate()), now)
    assert (str(refused.value), refused.value.status) == (str(BadToken()), 403)
    assert door.count() == before


def test_a_lost_answer_is_not_told_for_ever(door: Door) -> None:
    """Once the token has expired, nobody is told anything with it."""
    request = request_of(door.token(), SigningKey.generate())
    door.enrol(request)
    with pytest.raises(BadToken):
        door.enrol(request, NOW + timedelta(minutes=61))


def test_one_key_is_one_host(door: Door) -> None:
    """A second token does not make a second host of the same key, nor is it used up."""
    key, second = SigningKey.generate(), door.token()
    door.enrol(request_of(door.token(), key))
    with pytest.raises(KeyTaken):
        door.enrol(request_of(second, key))
    door.enrol(request_of(second, SigningKey.generate()))
    assert door.count() == 2


def test_a_key_must_be_held_by_who_brings_it(door: Door) -> None:
    """A proof made for another token, or by another key, opens nothing."""
    token, key = door.token(), SigningKey.generate()
    stolen = request_of(new_token(), key).model_copy(update={"token": token})
    foreign = request_of(token, SigningKey.generate()).model_copy(
        update={"public_key": request_of(token, key).public_key}
    )
    for request in (stolen, foreign):
        with pytest.raises(BadRequest, match="proof"):
            door.enrol(request)
    assert door.count() == 0


# Points of small order: with one of these as key, one signature fits every message.
LOW_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
]


@pytest.mark.parametrize("point", LOW_ORDER)
def test_low_order_keys_are_refused(door: Door, point: str) -> None:
    """They would let anybody speak for the host."""
    request = request_of(door.token(), SigningKey.generate())
    weak = base64.b64encode(bytes.fromhex(point)).decode()
    with pytest.raises(BadRequest, match="no valid Ed25519 key"):
        door.enrol(request.model_copy(update={"public_key": weak}))


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a b", "line\nbreak", "", "x" * 254, "a\u202egnp"]
)
def test_a_hostname_is_a_hostname(door: Door, name: str) -> None:
    """It is shown to people everywhere; nothing else than a name gets in."""
    with pytest.raises((BadRequest, ValueError)):
        door.enrol(request_of(door.token(), SigningKey.generate(), name))
    assert door.count() == 0


def test_a_bad_request_names_the_field_and_never_the_token() -> None:
    """What is wrong goes to logs; the token must not."""
    body = json.dumps({"token": "fwe_" + "s" * 20, "public_key": 7, "hostname": "web-1"})
    with pytest.raises(BadRequest, match="public_key") as refused:
        parse_request(body.encode())
    assert "ssss" not in str(refused.value)


def test_a_token_is_nowhere_kept(door: Door, tmp_path: Path) -> None:
    """The database holds a keyed hash only."""
    token = door.token()
    door.enrol(request_of(token, SigningKey.generate()))
    door.database.close()
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert token.encode() not in held
    assert hashlib.sha256(token.encode()).hexdigest().encode() not in held


def test_revoking_is_seen_by_who_refreshes(door: Door) -> None:
    """Another process revokes; the registry follows, and costs nothing when nothing changed."""
    host = door.enrol(request_of(door.token(), SigningKey.generate())).host
    assert not door.hosts.refresh()
    with door.database.write() as connection:
        assert revoke(connection, host.id, NOW)
        assert not revoke(connection, host.id, NOW)
    assert door.hosts.refresh()
    known = door.hosts.get(host.id)
    assert known is not None
    assert known.revoked
