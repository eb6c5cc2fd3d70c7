"""What a hacked collector may claim besides orders: settings for agents, and results of hosts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.redteam.house import ANN, CLONE, EVE, HOST, House, order_id, public

from forewarn_agent.remote import RemoteSettings
from forewarn_scripts import envelope as dsse
from forewarn_scripts.envelope import Envelope
from forewarn_scripts.keys import key_id
from forewarn_scripts.order import Ended, Order, Result, StandingOrder, Work, parse, triggered
from forewarn_scripts.signing_desk import NotTrue, checked_result

KEYS = {key_id(public(one)): public(one) for one in (HOST, CLONE, EVE)}
OCCURRENCE = triggered("DiskAlmostFull", order_id(500))

# -- settings ------------------------------------------------------------------------------------


def option(check: str, **options: object) -> dict[str, Any]:
    return {"version": "v1", "checks": {check: {"options": options}}}


SETTINGS: list[tuple[str, object]] = [
    ("a command to run", option("own", commands=["evil = /bin/sh -c id"])),
    ("a folder of commands", option("own", folder="/tmp/evil")),
    ("a program of its own for smartctl", option("smart", smartctl="/tmp/evil")),
    ("devices to open", option("smart", devices=["/etc/shadow"])),
    ("a folder of texts to read", option("textfile", folder="/root")),
    ("paths to look at", option("backups", paths=["/root/.ssh"])),
    ("addresses to fetch", option("http", targets=["http://169.254.169.254/latest"])),
    ("ports to try", option("tcp", targets=["10.0.0.1:22"])),
    ("hosts to ping", option("ping", targets=["10.0.0.1"])),
    ("names to ask for", option("dns", names=["exfiltrate.example.com"])),
    ("expressions that take for ever", option("events", patterns=["(a+)+$"])),
    ("processes to look for", option("processes", patterns=["(a|a)*$"])),
    ("a policy", {"version": "v1", "checks": {}, "policy": {"mode": "signed"}}),
    ("a mode", {"version": "v1", "checks": {}, "mode": "signed"}),
    ("a keyring", {"version": "v1", "checks": {}, "trust": {"keyring": "/tmp/keyring.json"}}),
    ("another collector", {"version": "v1", "checks": {}, "url": "https://evil.example.com"}),
    ("a standing order", {"version": "v1", "checks": {}, "orders": [{"envelope": "…"}]}),
    ("a version that is a path", {"version": "../../../etc/forewarn/policy", "checks": {}}),
    ("a check that is a path", {"version": "v1", "checks": {"../helper": {"enabled": True}}}),
    ("control characters", option("disk", exclude=["/\x1b]0;evil\x07"])),
    ("a name of another kind", option("disk", exclude={"__class__": "os.system"})),
    ("a list without end", option("disk", exclude=["/x"] * 100_000)),
    ("a span of nothing", {"version": "v1", "checks": {"disk": {"every": "0s"}}}),
    ("a span for ever", {"version": "v1", "checks": {"disk": {"every": "9999d"}}}),
]


@pytest.mark.parametrize(("why", "told"), SETTINGS, ids=[why for why, _ in SETTINGS])
def test_settings_of_the_collector_open_nothing(house: House, why: str, told: object) -> None:
    """Neither a program, a path, an address nor a policy comes that way."""
    before = house.policy_file.read_bytes(), house.keyring_file.read_bytes()
    remote = RemoteSettings(house.place / "agent")
    (house.place / "agent").mkdir()
    changed = remote.offer(json.dumps(told).encode(), 0.0)
    options = [one.options for one in remote.changes.values()]
    assert not changed, why
    assert not any(options), why
    assert (house.policy_file.read_bytes(), house.keyring_file.read_bytes()) == before
    assert house.ask(house.order(EVE)).ended is Ended.REFUSED
    assert house.runs() == 0


# -- results -------------------------------------------------------------------------------------


def result(work: Work, **changes: Any) -> bytes:
    values: dict[str, Any] = {
        "order": work.id,
        "occurrence": OCCURRENCE if isinstance(work, StandingOrder) else "",
        "host": key_id(public(HOST)),
        "script_sha256": work.script_sha256,
        "ended": Ended.DONE,
        "ended_at": "2026-11-21T08:00:00Z",
        "exit_code": 0,
    }
    return Result(**(values | changes)).to_bytes()


FORGED: list[tuple[str, dict[str, Any], Any]] = [
    ("signed by another host", {}, CLONE),
    ("signed by a stranger", {}, EVE),
    ("for another host, signed by it", {"host": key_id(public(CLONE))}, CLONE),
    ("of another order", {"order": order_id(999)}, HOST),
    ("of another script", {"script_sha256": "0" * 64}, HOST),
    ("of an occurrence of another rule", {"occurrence": triggered("X", order_id(1))}, HOST),
    ("of a date where a rule asks", {"occurrence": "2026-11-21T08:00"}, HOST),
    ("of no occurrence", {"occurrence": ""}, HOST),
]


@pytest.mark.parametrize(("why", "changes", "by"), FORGED, ids=[why for why, _, _ in FORGED])
def test_a_result_that_is_not_the_hosts_own_is_not_believed(
    house: House, why: str, changes: dict[str, Any], by: Any
) -> None:
    envelope = house.standing(calendar=None, trigger="DiskAlmostFull")
    order = parse(StandingOrder, envelope.payload)
    true = Envelope(dsse.RESULT, result(order)).signed_by(HOST)
    assert checked_result(true.to_bytes().decode(), order, KEYS).exit_code == 0
    forged = Envelope(dsse.RESULT, result(order, **changes)).signed_by(by)
    with pytest.raises(NotTrue):
        checked_result(forged.to_bytes().decode(), order, KEYS)
    assert why


def test_a_result_edited_or_of_another_kind_is_not_believed(house: House) -> None:
    order = parse(Order, house.order().payload)
    true = Envelope(dsse.RESULT, result(order)).signed_by(HOST)
    worse = json.loads(true.payload) | {"exit_code": 1}
    edited = replace(true, payload=json.dumps(worse, separators=(",", ":")).encode())
    for lie in (edited, replace(true, payload_type=dsse.ORDER), replace(true, signatures=())):
        with pytest.raises(NotTrue):
            checked_result(lie.to_bytes().decode(), order, KEYS)


def test_a_true_result_of_one_occurrence_cannot_be_shown_as_anothers(house: House) -> None:
    """The collector repeats yesterday's success; the operator reads the date the host signed."""
    order = parse(StandingOrder, house.standing(ANN).payload)
    told = Envelope(dsse.RESULT, result(order, occurrence="2026-11-20T08:00")).signed_by(HOST)
    shown = checked_result(told.to_bytes().decode(), order, KEYS)
    assert shown.occurrence == "2026-11-20T08:00"
