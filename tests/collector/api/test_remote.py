"""The commands of remote work against a real listener: sign, approve, verify, and catch lies."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey
from sqlalchemy import insert, update
from tests.collector.api.test_command import Shell, shell
from tests.redteam.house import ANN, BEN, COLLECTOR, EVE, HOST, House, public

from forewarn_agent.helper.frames import RunRequest
from forewarn_collector.api.principal import Role
from forewarn_collector.state import hosts as known
from forewarn_collector.state import orders as state
from forewarn_collector.state import tables
from forewarn_collector.state.order_results import record_result
from forewarn_scripts.decide import Asked
from forewarn_scripts.envelope import Envelope
from forewarn_scripts.keys import Cost, key_id, write_key
from forewarn_scripts.order import Ended, Order, Result, write_moment
from forewarn_scripts.order import parse as read_document

__all__ = ["shell"]

PASSPHRASE = "open sesame please\n"


@pytest.fixture
def ann(world: Any, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Ann, operator and approver, with a key; acorp's host has a key of its own."""
    with world.database.write() as connection:
        host = tables.hosts.c.id == world.host_ids["acorp"]
        connection.execute(update(tables.hosts).where(host).values(public_key=public(HOST)))
        connection.execute(insert(tables.about).values(name="collector_id", value=COLLECTOR))
        connection.execute(update(tables.users).values(role=Role.APPROVER))
        known.touch(connection)
    world.hosts.refresh()
    write_key(tmp_path / "ann.json", "ann", ANN, PASSPHRASE.strip(), Cost(1, 8192))
    monkeypatch.setenv("FOREWARN_KEY", str(tmp_path / "ann.json"))
    assert shell.login("--ca", str(shell.ca)).exit_code == 0
    return shell


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "hello.sh"
    path.write_text('echo "hello $1"\n')
    return path


def run(who: Shell, script: Path, *more: str) -> Any:
    words = ("run", str(script), "--on", "client:acorp", "--reason", "T-1", "--as", "self")
    return who.run(*words, "--passphrase-stdin", *more, "--", "world", input=PASSPHRASE)


def newest(world: Any) -> str:
    with world.database.read() as connection:
        rows = connection.execute(tables.orders.select().order_by(tables.orders.c.created_at))
        return str(rows.all()[-1].id)


def carry_out(world: Any, place: Path, order_id: str, script: bytes) -> None:
    """Be the host: judge, run, sign, and hand the result in."""
    house = House(place / "house", wall=datetime.now(UTC))
    house.keyring_file.write_bytes(house.keyring(expires="2099-01-01T00:00:00Z").to_bytes())
    with world.database.write() as connection:
        envelope = state.envelope_of(connection, order_id)
        assert envelope is not None
        client = json.loads(envelope.payload)["client"]
        desk = house.begin(client=client)
        result = desk.run(RunRequest(Asked(envelope.to_bytes(), script)))
        host = world.hosts.get(world.host_ids["acorp"])
        record_result(connection, host, result, world.at)
    house.restart()


def test_an_order_is_shown_signed_and_its_result_verified(
    world: Any, ann: Shell, script: Path, tmp_path: Path
) -> None:
    sent = run(ann, script, "--yes", "--no-wait")
    assert sent.exit_code == 0, sent.stderr
    assert "web1" in sent.stderr
    assert key_id(public(HOST))[:23] in sent.stderr
    assert "1 without an answer" in sent.stderr
    carry_out(world, tmp_path, newest(world), script.read_bytes())
    told = ann.run("results", newest(world))
    assert told.exit_code == 0, told.stderr
    assert told.stdout == "web1  done, exit code 0\n  hello world\n"


def test_nothing_is_signed_without_a_yes(world: Any, ann: Shell, script: Path) -> None:
    before = newest(world)
    answer = ann.run("run", str(script), "--on", "client:acorp", "--reason", "T-1", input="n\n")
    assert answer.exit_code == 2
    assert "nothing was signed" in answer.stderr
    assert newest(world) == before


def test_a_wrong_passphrase_signs_nothing(world: Any, ann: Shell, script: Path) -> None:
    before = newest(world)
    words = ("run", str(script), "--on", "client:acorp", "--reason", "x", "--passphrase-stdin")
    assert ann.run(*words, "--yes", input="guess\n").exit_code == 2
    assert newest(world) == before


def test_a_second_person_sees_what_they_approve(
    world: Any, ann: Shell, script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(ann, script, "--yes", "--no-wait", "--needs", "2")
    write_key(tmp_path / "ben.json", "ben", BEN, PASSPHRASE.strip(), Cost(1, 8192))
    monkeypatch.setenv("FOREWARN_KEY", str(tmp_path / "ben.json"))
    monkeypatch.setattr("forewarn_scripts.approved.FOLDER", "approved-by-ben")  # a machine of his
    order = newest(world)
    signed = ann.run("approve", order, "--yes", "--passphrase-stdin", input=PASSPHRASE)
    assert signed.exit_code == 0, signed.stderr
    assert 'echo "hello $1"' in signed.stderr
    assert "2 of 2 signatures" in signed.stderr


def test_a_collector_that_shows_another_script_is_caught(
    world: Any, ann: Shell, script: Path
) -> None:
    run(ann, script, "--yes", "--no-wait", "--needs", "2")
    with world.database.write() as connection:
        connection.execute(update(tables.scripts).values(body=b"echo harmless"))
    words = ("approve", newest(world), "--yes", "--passphrase-stdin")
    answer = ann.run(*words, input=PASSPHRASE)
    assert answer.exit_code == 6
    assert "not the one the order names" in answer.stderr


def test_a_collector_that_puts_another_key_under_a_known_host_is_caught(
    world: Any, ann: Shell, script: Path
) -> None:
    run(ann, script, "--yes", "--no-wait")
    with world.database.write() as connection:
        host = tables.hosts.c.id == world.host_ids["acorp"]
        connection.execute(update(tables.hosts).where(host).values(public_key=public(EVE)))
        known.touch(connection)
    world.hosts.refresh()
    before = newest(world)
    answer = run(ann, script, "--yes", "--no-wait")
    assert answer.exit_code == 6
    assert "other keys than before" in answer.stderr
    assert newest(world) == before


def test_a_forged_result_is_told_as_such(world: Any, ann: Shell, script: Path) -> None:
    run(ann, script, "--yes", "--no-wait")
    order = newest(world)
    forged = Result(
        order=order,
        host=key_id(public(HOST)),
        ended=Ended.DONE,
        ended_at=write_moment(world.at),
        exit_code=0,
    )
    envelope = Envelope(Result.KIND, forged.to_bytes()).signed_by(EVE).to_bytes()
    with world.database.write() as connection:
        connection.execute(
            insert(tables.order_results).values(
                order_id=order,
                host_id=world.host_ids["acorp"],
                occurrence="",
                client_id=world.client_ids["acorp"],
                envelope=envelope,
                received_at=world.at,
            )
        )
    told = ann.run("results", order)
    assert told.exit_code == 6
    assert "is not believed" in told.stderr
    assert told.stdout == ""


def test_a_revocation_is_signed_and_the_order_withdrawn(
    world: Any, ann: Shell, script: Path
) -> None:
    run(ann, script, "--yes", "--no-wait")
    order = newest(world)
    stopped = ann.run("revoke", order, "--passphrase-stdin", input=PASSPHRASE)
    assert stopped.exit_code == 0, stopped.stderr
    listed = ann.run("orders")
    assert "cancelled" in listed.stdout
    assert "revocation" in listed.stdout


def test_a_keyring_is_written_signed_and_believed(
    ann: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forewarn_scripts.keyring import anchored
    from forewarn_scripts.keys import public_text

    file = tmp_path / "keyring.json"
    recovery = public_text(public(SigningKey(bytes([4]) * 32)))
    words = ("keys", "keyring", "--collector", COLLECTOR, "--file", str(file))
    person = f"ann={public_text(public(ANN))}"
    made = ann.run(*words, "--person", person, "--recovery", recovery)
    assert made.exit_code == 0, made.stderr
    signed = ann.run("keys", "sign", str(file), "--passphrase-stdin", input=PASSPHRASE)
    assert signed.exit_code == 0, signed.stderr
    assert anchored(file.read_bytes()).names == {key_id(public(ANN)): "ann"}


def test_orders_name_keys_and_never_selectors(world: Any, ann: Shell, script: Path) -> None:
    run(ann, script, "--yes", "--no-wait")
    with world.database.read() as connection:
        envelope = state.envelope_of(connection, newest(world))
    assert envelope is not None
    assert read_document(Order, envelope.payload).targets == (key_id(public(HOST)),)
