"""Standing orders and the second factor by command, against a real listener."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
from tests.collector.api.test_command import PASSWORD, Shell, shell
from tests.collector.api.test_remote import PASSPHRASE, ann, newest, script
from tests.redteam.house import HOST, House, public

from forewarn_agent.helper.frames import RunRequest
from forewarn_collector.config import SecondFactor
from forewarn_collector.gate import Gate
from forewarn_collector.state import offering, standing
from forewarn_collector.state.order_results import record_result
from forewarn_scripts.decide import Asked
from forewarn_scripts.envelope import parse as parse_envelope
from forewarn_scripts.keys import key_id
from forewarn_scripts.order import StandingOrder, Within, parse

__all__ = ["ann", "script", "shell"]

NEW = ("--on", "client:acorp", "--reason", "nightly", "--as", "self", "--yes")


def new(who: Shell, script: Path, *more: str, typed: str = PASSPHRASE) -> Any:
    words = ("standing", "new", str(script), *NEW, "--passphrase-stdin", *more, "--", "world")
    return who.run(*words, input=typed)


def now_in(zone: str) -> tuple[str, ...]:
    return ("--repeat", "daily", "--at", f"{datetime.now(UTC):%H:%M}", "--zone", zone)


def carry_out(world: Any, place: Path, script: bytes) -> None:
    """Be the host: take what is handed over, judge, run, sign, and hand the result in."""
    house = House(place / "house", wall=datetime.now(UTC))
    house.keyring_file.write_bytes(house.keyring(expires="2099-01-01T00:00:00Z").to_bytes())
    world.at = datetime.now(UTC)
    with world.database.write() as connection:
        assert standing.make_due(connection, world.at) == 1
        host = world.hosts.get(world.host_ids["acorp"])
        found = offering.offers(connection, host, world.at, Gate())
        offered = next(one for one in found if one.occurrence)
        asked = Asked(offered.envelope, offered.script, offered.occurrence)
        desk = house.begin(client="acorp")
        record_result(connection, host, desk.run(RunRequest(asked)), world.at)
    assert offered.script == script
    house.restart()


def test_a_standing_order_is_signed_run_shown_and_its_results_verified(
    world: Any, ann: Shell, script: Path, tmp_path: Path
) -> None:
    sent = new(ann, script, *now_in("UTC"), "--catch-up", "2h", "--within", "any")
    assert sent.exit_code == 0, sent.stderr
    assert "daily" in sent.stderr
    assert "1 times a day and host at most" in sent.stderr
    carry_out(world, tmp_path, script.read_bytes())
    order = newest(world)
    shown = ann.run("standing", "show", order)
    assert shown.exit_code == 0, shown.stderr
    assert "1 well, 0 not, 0 missed" in shown.stdout
    told = ann.run("standing", "results", order)
    assert told.exit_code == 0, told.stderr
    assert "hello world" in told.stdout
    assert f"{datetime.now(UTC):%Y-%m-}" in told.stdout
    assert order in ann.run("standing", "list").stdout


def test_what_is_signed_says_when_how_often_and_within_what(
    world: Any, ann: Shell, script: Path
) -> None:
    more = ("--on-rule", "DiskAlmostFull", "--max-per-day", "2", "--within", "maintenance")
    assert new(ann, script, *more, "--valid", "30d").exit_code == 0
    whole = json.loads(ann.run("standing", "show", newest(world), "--json").stdout)
    assert (whole["standing"]["trigger"], whole["runs"]) == ("DiskAlmostFull", [])
    detail = world.program(world.key("ann")).get(f"/api/v1/orders/{newest(world)}").json()
    order = parse(StandingOrder, parse_envelope(detail["envelope"].encode()).payload)
    assert (order.trigger, order.max_runs_a_day, order.within) == (
        "DiskAlmostFull",
        2,
        Within.MAINTENANCE,
    )
    assert order.ends - order.begins == timedelta(days=30)
    assert order.targets == (key_id(public(HOST)),)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--repeat", "monthly 1", "--at", "02:00"), "--repeat daily"),
        (("--repeat", "daily"), "--at HH:MM"),
        (("--repeat", "weekly", "--at", "02:00"), "--repeat daily"),
        (("--repeat", "weekly mon,blue", "--at", "02:00"), "--repeat daily"),
        (("--repeat", "daily", "--at", "25:00"), "no standing order"),
        (("--repeat", "daily", "--at", "02:00", "--zone", "Mars/Phobos"), "no standing order"),
        (("--repeat", "daily", "--at", "02:00", "--catch-up", "2d"), "no standing order"),
        (("--on-rule", "DiskAlmostFull", "--at", "02:00"), "not both"),
        (("--on-rule", "Disk; reboot"), "no standing order"),
        (("--on-rule", "DiskAlmostFull", "--valid", "91d"), "no standing order"),
        ((), "--repeat daily"),
    ],
)
def test_what_cannot_stand_is_refused_before_anything_is_signed(
    world: Any, ann: Shell, script: Path, words: tuple[str, ...], why: str
) -> None:
    before = newest(world)
    answer = new(ann, script, *words)
    assert answer.exit_code == 2
    assert why in answer.stderr
    assert newest(world) == before


def test_a_revocation_stops_a_standing_order(world: Any, ann: Shell, script: Path) -> None:
    new(ann, script, "--on-rule", "DiskAlmostFull")
    order = newest(world)
    words = ("standing", "revoke", order, "--passphrase-stdin")
    assert ann.run(*words, input=PASSPHRASE).exit_code == 0
    assert "revoked" in ann.run("standing", "show", order).stdout


def test_a_second_factor_is_made_and_asked_for(world: Any, ann: Shell, script: Path) -> None:
    world.second_factor = SecondFactor()
    refused = new(ann, script, "--on-rule", "DiskAlmostFull")
    assert refused.exit_code == 4
    assert "forewarn account totp" in refused.stderr

    started = ann.run("account", "totp", "--password-stdin", input=f"{PASSWORD}\n000000\n1\n2\n")
    assert started.exit_code == 4
    secret = started.stdout.split()[1]
    totp = pyotp.TOTP(secret)
    assert f"secret={secret}" in started.stdout
    person = world.program(world.key("ann"))
    path = "/api/v1/account/second-factor"
    assert person.post(f"{path}/confirm", {"code": totp.at(world.at)}).status_code == 200
    world.wait(seconds=30)
    typed = f"{PASSPHRASE}000000\n{totp.at(world.at)}\n"
    sent = new(ann, script, "--on-rule", "DiskAlmostFull", typed=typed)
    assert sent.exit_code == 0, sent.stderr
    assert "needs a code of your authenticator" in sent.stderr
    assert "this code is wrong" in sent.stderr
    assert "10 recovery codes left" in ann.run("account", "show").stdout
    world.wait(seconds=30)
    gone = ann.run("account", "totp", "--remove", input=f"{totp.at(world.at)}\n")
    assert gone.exit_code == 0, gone.stderr
    assert "no second factor" in ann.run("account", "show").stdout
