"""Keyrings by command: rotated, signed by old and new, published; a lying collector is caught."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, update
from tests.collector.api.test_command import Shell, shell
from tests.collector.api.test_remote import PASSPHRASE, ann
from tests.redteam.house import ANN, BEN, EVE, RECOVERY, House, named, public

from forewarn_collector.state import tables
from forewarn_scripts.keyring import advanced, anchored
from forewarn_scripts.keys import Cost, public_text, write_key

__all__ = ["ann", "shell"]


def fwp(signing: Any) -> str:
    return public_text(public(signing))


@pytest.fixture
def safe(ann: Shell, tmp_path: Path, world: Any) -> Path:
    """Where keys and keyrings lie: Ann's first keyring is published."""
    for name, signing in (("ben", BEN), ("recovery", RECOVERY), ("eve", EVE)):
        write_key(tmp_path / f"{name}.json", name, signing, PASSPHRASE.strip(), Cost(1, 8192))
    with world.database.write() as connection:
        connection.execute(update(tables.users).values(clients=None))
    first = tmp_path / "1.json"
    house = House(tmp_path / "house")
    first.write_bytes(
        house.keyring(keys=(named(ANN, "ann"),), expires="2099-01-01T00:00:00Z").to_bytes()
    )
    sent = ann.run("keys", "publish", str(first))
    assert sent.exit_code == 0, sent.stderr
    return tmp_path


def sign(who: Shell, file: Path, key: Path | None = None) -> Any:
    more = ("--key", str(key)) if key else ()
    return who.run("keys", "sign", str(file), "--passphrase-stdin", *more, input=PASSPHRASE)


def kept(world: Any) -> list[bytes]:
    with world.database.read() as connection:
        rows = connection.execute(tables.keyrings.select().order_by(tables.keyrings.c.version))
        return [bytes(row.envelope) for row in rows]


def test_a_rotation_by_old_and_new_is_published_and_handed_on(
    world: Any, ann: Shell, safe: Path
) -> None:
    second = safe / "2.json"
    made = ann.run("keys", "rotate", "--file", str(second), "--add", f"ben={fwp(BEN)}")
    assert made.exit_code == 0, made.stderr
    assert "of the keys before 0 of 1 signed" in made.stderr
    assert ann.run("keys", "check", str(second)).exit_code == 6
    assert sign(ann, second).exit_code == 0
    checked = ann.run("keys", "check", str(second))
    assert checked.exit_code == 0, checked.stderr
    assert "version 2" in checked.stdout
    assert "ben" in checked.stdout
    sent = ann.run("keys", "publish", str(second))
    assert sent.exit_code == 0, sent.stderr
    one, two = kept(world)
    assert advanced(anchored(one), two).names.keys() == anchored(two).names.keys()
    third = safe / "3.json"
    ann.run("keys", "rotate", "--file", str(third), "--remove", "ann")
    sign(ann, third)
    lacking = ann.run("keys", "check", str(third))
    assert lacking.exit_code == 6
    assert "of its own keys 0 of 1 signed" in lacking.stderr
    sign(ann, third, safe / "ben.json")
    assert ann.run("keys", "publish", str(third)).exit_code == 0
    assert len(kept(world)) == 3


def test_the_recovery_key_replaces_a_stolen_one(world: Any, ann: Shell, safe: Path) -> None:
    second = safe / "2.json"
    words = ("--remove", "ann", "--add", f"ben={fwp(BEN)}")
    assert ann.run("keys", "rotate", "--file", str(second), *words).exit_code == 0
    sign(ann, second, safe / "ben.json")
    assert ann.run("keys", "publish", str(second)).exit_code == 6
    sign(ann, second, safe / "recovery.json")
    assert ann.run("keys", "publish", str(second)).exit_code == 0
    assert len(kept(world)) == 2


def test_what_does_not_follow_is_not_handed_on(world: Any, ann: Shell, safe: Path) -> None:
    """Asked of the collector itself: the command would refuse before."""
    program = world.program(world.key("ann"))
    house = House(safe / "other")
    for envelope, why in (
        (house.keyring(by=(EVE,), version=2), "not signed by 1"),
        (house.keyring(version=3), "does not follow"),
        (house.keyring(version=1), "does not follow"),
        (house.order(), "no keyring"),
    ):
        answer = program.post("/api/v1/keyrings", {"envelope": envelope.to_bytes().decode()})
        assert answer.status_code == 422, answer.text
        assert why in answer.json()["error"]
    assert len(kept(world)) == 1


def test_a_collector_that_goes_back_is_told_on(world: Any, ann: Shell, safe: Path) -> None:
    second = safe / "2.json"
    ann.run("keys", "rotate", "--file", str(second), "--add", f"ben={fwp(BEN)}")
    sign(ann, second)
    ann.run("keys", "publish", str(second))
    with world.database.write() as connection:
        connection.execute(delete(tables.keyrings).where(tables.keyrings.c.version == 2))
    answer = ann.run("keys", "fetch", "--file", str(safe / "now.json"))
    assert answer.exit_code == 6
    assert "somebody may want an old key to count again" in answer.stderr
    assert not (safe / "now.json").exists()


def test_a_collector_with_a_keyring_of_its_own_is_told_on(
    world: Any, ann: Shell, safe: Path
) -> None:
    forged = House(safe / "forged").keyring(by=(EVE,), version=2).to_bytes()
    with world.database.write() as connection:
        row = {"version": 2, "envelope": forged, "added_by": "ann", "added_at": world.at}
        connection.execute(insert(tables.keyrings).values(row))
    answer = ann.run("keys", "rotate", "--file", str(safe / "3.json"))
    assert answer.exit_code == 6
    assert "is not believed" in answer.stderr


def test_rotating_is_refused_plainly(ann: Shell, safe: Path) -> None:
    there = safe / "there.json"
    there.write_text("mine")
    for words in (
        ("--file", str(there)),
        ("--file", str(safe / "x"), "--remove", "nobody"),
        ("--file", str(safe / "x"), "--add", "eve=fwp_rubbish"),
        ("--file", str(safe / "x"), "--add", f"ann={fwp(ANN)}"),
        ("--file", str(safe / "x"), "--threshold", "2"),
        ("--file", str(safe / "x"), "--recovery", fwp(ANN)),
    ):
        answer = ann.run("keys", "rotate", *words)
        assert answer.exit_code == 2, words
        assert "Traceback" not in answer.stderr
    assert there.read_text() == "mine"
