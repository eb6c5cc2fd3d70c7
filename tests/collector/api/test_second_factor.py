"""A second factor: made with a password, asked for where much is at stake, good once."""

from __future__ import annotations

import json
from typing import Any

import pyotp
import pytest
from sqlalchemy import select
from tests.collector.api.conftest import PASSWORD, SCRIPT, signed_order

from forewarn_collector.api.principal import Role
from forewarn_collector.clock import uuid7
from forewarn_collector.config import SecondFactor
from forewarn_collector.state import second_factors, tables
from forewarn_collector.state.second_factors import Checked, Locks
from forewarn_scripts import envelope as dsse
from forewarn_scripts.envelope import STANDING_ORDER, Envelope
from forewarn_scripts.keys import key_id
from forewarn_scripts.order import Revocation, StandingOrder, script_hash, write_moment

PATH = "/api/v1/account/second-factor"
HEADER = "forewarn-second-factor"
LOCKS = Locks.of(bytes(32))


@pytest.fixture
def ann(world: Any) -> Any:
    world.second_factor = SecondFactor(bulk_hosts=1)
    world.person("ann", Role.APPROVER)
    return world.program(world.key("ann"))


def enrol(who: Any) -> tuple[pyotp.TOTP, list[str]]:
    answer = who.post(PATH, {"password": PASSWORD})
    assert answer.status_code == 201, answer.text
    totp = pyotp.TOTP(answer.json()["secret"])
    confirmed = who.post(f"{PATH}/confirm", {"code": totp.at(who.world.at)})
    assert confirmed.status_code == 200, confirmed.text
    who.world.wait(seconds=30)
    return totp, confirmed.json()["codes"]


def standing(world: Any) -> dict[str, Any]:
    """Return a standing order for acorp's host, as the API takes it."""
    order = StandingOrder(
        **json.loads(dsse.parse(signed_order(1, uuid7(world.at))).payload)
        | {"targets": (key_id(bytes([1]) * 32),), "argv": (), "script_sha256": script_hash(SCRIPT)},
        max_runs_a_day=1,
        trigger="DiskAlmostFull",
    )
    return {"envelope": Envelope(STANDING_ORDER, order.to_bytes()).to_bytes().decode()}


def send(who: Any, body: dict[str, Any], code: str | None = None) -> Any:
    return who.post("/api/v1/orders", body, **({HEADER: code} if code else {}))


def test_who_has_none_is_told_to_make_one(world: Any, ann: Any) -> None:
    answer = send(ann, standing(world))
    assert (answer.status_code, answer.headers[HEADER]) == (403, "enrol")
    assert "forewarn account totp" in answer.json()["error"]


def test_a_standing_order_asks_for_a_code_and_takes_the_right_one(world: Any, ann: Any) -> None:
    totp, _ = enrol(ann)
    body = standing(world)
    asked = send(ann, body)
    assert (asked.status_code, asked.headers[HEADER]) == (403, "code")
    assert send(ann, body, "000000").status_code == 403
    assert send(ann, body, totp.at(world.at)).status_code == 201


def test_a_code_is_good_once(world: Any, ann: Any) -> None:
    totp, _ = enrol(ann)
    code = totp.at(world.at)
    assert send(ann, standing(world), code).status_code == 201
    again = send(ann, standing(world), code)
    assert again.status_code == 403
    assert "used before" in again.json()["error"]


def test_a_code_seen_before_an_older_one_was_used_does_not_count_either(
    world: Any, ann: Any
) -> None:
    totp, _ = enrol(ann)
    early = totp.at(world.at)
    world.wait(seconds=30)
    assert send(ann, standing(world), totp.at(world.at)).status_code == 201
    assert send(ann, standing(world), early).status_code == 403


@pytest.mark.parametrize(("off", "taken"), [(-60, False), (-30, True), (30, True), (60, False)])
def test_a_clock_may_be_half_a_minute_off(world: Any, ann: Any, off: int, taken: bool) -> None:
    totp, _ = enrol(ann)
    world.wait(minutes=5)
    answer = send(ann, standing(world), totp.at(world.at.timestamp() + off))
    assert (answer.status_code == 201) is taken


def test_guessing_ends_after_five_and_goes_on_once_a_quarter_of_an_hour(
    world: Any, ann: Any
) -> None:
    totp, _ = enrol(ann)
    for _ in range(5):
        assert send(ann, standing(world), "000000").status_code == 403
    blocked = send(ann, standing(world), totp.at(world.at))
    assert (blocked.status_code, blocked.headers[HEADER]) == (403, "wait")
    world.wait(minutes=15)
    assert send(ann, standing(world), "000000").headers[HEADER] == "code"
    assert send(ann, standing(world), totp.at(world.at)).headers[HEADER] == "wait"
    world.wait(minutes=15)
    assert send(ann, standing(world), totp.at(world.at)).status_code == 201


def test_a_recovery_code_counts_once_and_is_written_in_any_way(world: Any, ann: Any) -> None:
    _, codes = enrol(ann)
    assert len(set(codes)) == 10
    assert send(ann, standing(world), f" {codes[3].upper()} ").status_code == 201
    assert send(ann, standing(world), codes[3]).status_code == 403
    assert ann.get(PATH).json() == {"enrolled": True, "recovery_left": 9}


def test_an_order_for_few_needs_none_and_one_for_many_or_two_keys_does(
    world: Any, ann: Any
) -> None:
    few = {"envelope": signed_order(1, uuid7(world.at)).decode()}
    assert send(ann, few).status_code == 201
    dangerous = {"envelope": signed_order(1, uuid7(world.at)).decode(), "needs": 2}
    assert send(ann, dangerous).headers[HEADER] == "enrol"
    told = json.loads(dsse.parse(signed_order(1, uuid7(world.at))).payload)
    told |= {"targets": sorted(key_id(bytes([n]) * 32) for n in (1, 2)), "max_hosts": 2}
    payload = json.dumps(told, separators=(",", ":")).encode()
    many = {"envelope": Envelope(dsse.ORDER, payload).to_bytes().decode()}
    assert send(ann, many).headers[HEADER] == "enrol"


def test_stopping_needs_none(world: Any, ann: Any) -> None:
    stop = Revocation(
        id=uuid7(world.at),
        client="acorp",
        collector="0193ffff-0000-7000-8000-000000000000",
        everything=True,
        issued_at=write_moment(world.at),
        reason="stop",
    )
    body = {"envelope": Envelope(Revocation.KIND, stop.to_bytes()).to_bytes().decode()}
    assert send(ann, body).status_code == 201


def test_approving_asks_for_what_sending_asked(world: Any, ann: Any) -> None:
    world.second_factor = SecondFactor(required=False)
    body = {"envelope": signed_order(1, uuid7(world.at)).decode(), "needs": 2}
    order = send(ann, body).json()["id"]
    world.second_factor = SecondFactor()
    answer = ann.post(f"/api/v1/orders/{order}/approve", {"envelope": body["envelope"]})
    assert answer.headers[HEADER] == "enrol"


def test_where_it_is_not_required_only_who_has_one_is_asked(world: Any, ann: Any) -> None:
    world.second_factor = SecondFactor(required=False)
    assert send(ann, standing(world)).status_code == 201
    enrol(ann)
    assert send(ann, standing(world)).headers[HEADER] == "code"


def test_a_key_alone_brings_no_second_factor(ann: Any) -> None:
    """Who stole a key but not the password makes none of their own."""
    assert ann.post(PATH, {"password": "guess"}).status_code == 401
    assert ann.post(PATH).status_code == 422


def test_replacing_and_ending_it_need_a_code_of_the_old_one(world: Any, ann: Any) -> None:
    totp, codes = enrol(ann)
    assert ann.post(PATH, {"password": PASSWORD}).headers[HEADER] == "code"
    assert ann.request("DELETE", PATH).headers[HEADER] == "code"
    new = ann.post(PATH, {"password": PASSWORD}, **{HEADER: totp.at(world.at)})
    assert new.status_code == 201
    assert ann.get(PATH).json()["enrolled"] is False
    assert codes


def test_a_secret_counts_only_once_it_is_confirmed(world: Any, ann: Any) -> None:
    secret = ann.post(PATH, {"password": PASSWORD}).json()["secret"]
    assert send(ann, standing(world), pyotp.TOTP(secret).at(world.at)).headers[HEADER] == "enrol"
    assert ann.post(f"{PATH}/confirm", {"code": "000000"}).status_code == 403
    assert ann.get(PATH).json()["enrolled"] is False


def test_a_stolen_database_holds_neither_secret_nor_codes(world: Any, ann: Any) -> None:
    totp, codes = enrol(ann)
    with world.database.read() as connection:
        row = connection.execute(select(tables.second_factors)).one()
        dump = repr(row).encode() + bytes(row.secret)
    assert totp.secret.encode() not in dump
    assert not [code for code in codes if code.encode() in dump or _plain(code) in dump]
    with world.database.write() as connection:
        other = Locks.of(b"another pepper, of another place")
        checked = second_factors.check(connection, row.user_id, totp.at(world.at), other, world.at)
    assert checked is Checked.WRONG
    assert "pepper" not in repr(LOCKS)
    assert repr(LOCKS) == "Locks(…)"


def _plain(code: str) -> bytes:
    return code.replace("-", "").encode()


def test_every_use_and_refusal_is_in_the_audit(world: Any, ann: Any) -> None:
    enrol(ann)
    send(ann, standing(world), "000000")
    with world.database.read() as connection:
        rows = connection.execute(select(tables.audit.c.action, tables.audit.c.subject)).all()
    actions = [tuple(row) for row in rows if row.action.startswith("second-factor")]
    assert actions == [
        ("second-factor.begin", ""),
        ("second-factor.confirm", "right"),
        ("second-factor.refused", "wrong"),
    ]


@pytest.mark.parametrize("code", ["", "x" * 101, "١٢٣٤٥٦", "12345", "1234567", "-", "      "])
def test_rubbish_is_refused_plainly(world: Any, ann: Any, code: str) -> None:
    enrol(ann)
    answer = ann.post(f"{PATH}/confirm", {"code": code})
    assert answer.status_code in (409, 422)
    headers = {HEADER: code.encode()} if code.strip() else {}
    sent = ann.request("POST", "/api/v1/orders", json=standing(world), headers=headers)
    assert sent.status_code in (403, 422)
