"""The collector is owned: its database, its keys, its network.  Nothing of it runs anything.

Each attack is what somebody with all of that could send to an endpoint that trusts Ann and Ben.
Each must start nothing and leave its reason in the endpoint's own journal.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.redteam.house import (
    ANN,
    BEN,
    CLONE,
    COLLECTOR,
    EVE,
    HOST,
    NOW,
    OTHER,
    RECOVERY,
    House,
    altered,
    named,
    order_id,
    public,
)

from forewarn_agent.helper import execution
from forewarn_agent.helper.frames import RunRequest
from forewarn_scripts import envelope as dsse
from forewarn_scripts.decide import Asked
from forewarn_scripts.envelope import Envelope, Signature
from forewarn_scripts.keyring import KeyringRefused, KeyringText, anchored
from forewarn_scripts.keys import key_id
from forewarn_scripts.order import Calendar, Ended, script_hash, triggered, write_moment

LOW_ORDER = bytes([1]) + bytes(31)
DAY = timedelta(days=1)
Attack = Callable[[House], object]


def new_order(h: House) -> object:
    return h.ask(h.order(EVE))


def unsigned(h: House) -> object:
    return h.ask(replace(h.order(), signatures=()))


def under_anns_name(h: House) -> object:
    mine = h.order(EVE)
    forged = Signature(key_id(public(ANN)), mine.signatures[0].value)
    return h.ask(replace(mine, signatures=(forged,)))


def edited_arguments(h: House) -> object:
    return h.ask(altered(h.order(), argv=["evil"]))


def edited_script(h: House) -> object:
    return h.ask(h.order(), script=b"echo evil >> " + str(h.marker).encode())


def edited_hash_and_script(h: House) -> object:
    evil = b"echo evil >> " + str(h.marker).encode()
    return h.ask(altered(h.order(), script_sha256=script_hash(evil)), script=evil)


def retargeted(h: House) -> object:
    return h.ask(h.order(targets=(key_id(public(CLONE)),)))


def retargeted_by_editing(h: House) -> object:
    away = h.order(targets=(key_id(public(CLONE)),))
    return h.ask(altered(away, targets=[key_id(public(HOST))]))


def of_another_collector(h: House) -> object:
    return h.ask(h.order(collector=OTHER))


def of_another_client(h: House) -> object:
    return h.ask(h.order(client="globex"))


def expired(h: House) -> object:
    old = h.order()
    h.wall = NOW + timedelta(hours=1)
    return h.ask(old)


def too_early(h: House) -> object:
    return h.ask(
        h.order(
            not_before=write_moment(NOW + timedelta(hours=2)),
            not_after=write_moment(NOW + timedelta(hours=3)),
        )
    )


def clock_set_back(h: House) -> object:
    """An order withheld until it expired, then the host's clock is set back."""
    withheld = h.order()
    h.wall = NOW + timedelta(days=1)
    later = {
        "not_before": write_moment(h.wall),
        "not_after": write_moment(h.wall + timedelta(hours=1)),
    }
    assert h.ask(h.order(**later)).ended is Ended.DONE
    h.marker.unlink()
    h.restart()
    h.wall = NOW
    return h.ask(withheld)


def keyring_downgraded(h: House) -> object:
    """Ann left; the keyring without her is known.  The old one is offered again."""
    second = h.keyring(by=(ANN, BEN), version=2, keys=(named(BEN, "ben"),))
    h.ask(b"{}", keyrings=(second.to_bytes(),))
    h.restart()
    return h.ask(h.order(ANN), keyrings=(h.keyring().to_bytes(),))


def keyring_forged(h: House) -> object:
    mine = h.keyring(by=(EVE,), version=2, keys=(named(EVE, "eve"),))
    return h.ask(h.order(EVE, keyring_version=2), keyrings=(mine.to_bytes(),))


def keyring_skipped(h: House) -> object:
    mine = h.keyring(by=(EVE,), version=9, keys=(named(EVE, "eve"),))
    return h.ask(h.order(EVE, keyring_version=9), keyrings=(mine.to_bytes(),))


def keyring_of_another_collector(h: House) -> object:
    theirs = h.keyring(by=(ANN, EVE), version=2, collector=OTHER, keys=(named(EVE, "eve"),))
    return h.ask(h.order(EVE, keyring_version=2), keyrings=(theirs.to_bytes(),))


def keyring_rolled_back_on_disk(h: House) -> object:
    """The version an order was signed for was never seen here."""
    return h.ask(h.order(keyring_version=3))


def keyring_expired(h: House) -> object:
    h.keyring_file.write_bytes(h.keyring(expires=write_moment(NOW)).to_bytes())
    return h.ask(h.order())


def one_key_twice(h: House) -> object:
    h.permit(threshold=2)
    once = h.order(ANN)
    return h.ask(replace(once, signatures=once.signatures * 2))


def one_key_under_two_ids(h: House) -> object:
    h.permit(threshold=2)
    once = h.order(ANN)
    again = Signature(key_id(public(BEN)), once.signatures[0].value)
    return h.ask(replace(once, signatures=(*once.signatures, again)))


def keyring_with_a_key_twice(h: House) -> object:
    told = json.loads(h.keyring().payload)
    told["keys"] = [told["keys"][0], told["keys"][0] | {"name": "again"}]
    payload = json.dumps(told, separators=(",", ":")).encode()
    h.keyring_file.write_bytes(Envelope(dsse.KEYRING, payload).signed_by(ANN).to_bytes())
    return h.ask(h.order())


def keyring_with_a_low_order_key(h: House) -> object:
    told = json.loads(h.keyring().payload)
    told["keys"][1]["public"] = base64.b64encode(LOW_ORDER).decode()
    payload = json.dumps(told, separators=(",", ":")).encode()
    h.keyring_file.write_bytes(Envelope(dsse.KEYRING, payload).signed_by(ANN).to_bytes())
    return h.ask(h.order())


def signed_by_a_low_order_key(h: House) -> object:
    free = Signature(key_id(LOW_ORDER), LOW_ORDER + bytes(32))
    return h.ask(replace(h.order(), signatures=(free,)))


def keyring_taken_for_an_order(h: House) -> object:
    """What Ann signed as one thing is sent as another."""
    return h.ask(replace(h.keyring(), payload_type=dsse.ORDER))


def order_taken_for_a_standing_one(h: House) -> object:
    return h.ask(replace(h.order(), payload_type=dsse.STANDING_ORDER))


def policy_through_the_order(h: House) -> object:
    h.permit('mode = "monitor-only"')
    return h.ask(h.order(reason='mode = "signed"'), occurrence="../policy.toml")


def monitor_only(h: House) -> object:
    h.policy_file.unlink()
    return h.ask(h.order())


def policy_with_a_key_nobody_knows(h: House) -> object:
    h.policy_file.write_text(h.policy_file.read_text() + "\n[exceptions]\nall = true\n")
    return h.ask(h.order())


def policy_that_others_can_write(h: House) -> object:
    h.policy_file.chmod(0o666)
    return h.ask(h.order())


def policy_behind_a_link(h: House) -> object:
    own = h.place / "own.toml"
    h.policy_file.rename(own)
    h.policy_file.symlink_to(own)
    return h.ask(h.order())


def too_many_hosts(h: House) -> object:
    return h.ask(h.order(max_hosts=500))


def runs_as_root(h: House) -> object:
    return h.ask(h.order(run_as="root"))


def another_interpreter(h: House) -> object:
    return h.ask(h.order(interpreter="/usr/bin/python3"))


def path_tricks_in_the_interpreter(h: House) -> object:
    return h.ask(altered(h.order(), interpreter="/bin/../tmp/sh"))


def runs_for_ever(h: House) -> object:
    return h.ask(h.order(timeout_seconds=86_400))


def script_too_large(h: House) -> object:
    large = h.script + b"#" * (256 * 1024)
    return h.ask(h.order(script_sha256=script_hash(large)), script=large)


def standing_beyond_the_policy(h: House) -> object:
    h.permit(standing=False)
    return h.ask(h.standing())


def standing_out_of_season(h: House) -> object:
    order = h.standing()
    h.wall = NOW + timedelta(hours=5)
    return h.ask(order)


def standing_with_an_invented_occurrence(h: House) -> object:
    h.wall = NOW + timedelta(hours=5)
    return h.ask(h.standing(), occurrence="2026-11-21T08:00")


def standing_for_tomorrow(h: House) -> object:
    return h.ask(h.standing(), occurrence="2026-11-22T08:00")


def standing_of_yesterday(h: House) -> object:
    return h.ask(h.standing(not_before=write_moment(NOW - DAY)), occurrence="2026-11-20T08:00")


def standing_edited_to_run_more_often(h: House) -> object:
    return h.ask(altered(h.standing(), max_runs_a_day=24))


def standing_edited_to_be_due(h: House) -> object:
    later = Calendar(weekdays=(1,), at="20:00", zone="UTC", window_minutes=60)
    now = {"weekdays": [6], "at": "08:00", "zone": "UTC", "window_minutes": 60}
    return h.ask(altered(h.standing(calendar=later), calendar=now))


def standing_moved_to_another_zone(h: House) -> object:
    later = Calendar(weekdays=(6,), at="16:00", zone="UTC", window_minutes=60)
    zone = {"weekdays": [6], "at": "16:00", "zone": "Asia/Singapore", "window_minutes": 60}
    return h.ask(altered(h.standing(calendar=later), calendar=zone))


def standing_in_a_zone_that_is_none(h: House) -> object:
    """Nobody signed it; it must not bring the helper down either."""
    zone = {"weekdays": [6], "at": "08:00", "zone": "Mars/Phobos", "window_minutes": 60}
    return h.ask(altered(h.standing(), calendar=zone))


def standing_in_a_zone_that_is_a_path(h: House) -> object:
    zone = {"weekdays": [6], "at": "08:00", "zone": "../../etc/passwd", "window_minutes": 60}
    return h.ask(altered(h.standing(), calendar=zone))


def standing_expired(h: House) -> object:
    old = h.standing(not_after=write_moment(NOW + DAY))
    h.wall = NOW + DAY
    return h.ask(old)


def standing_with_the_clock_set_back(h: House) -> object:
    """Yesterday's occurrence was withheld; the clock is set back to it."""
    withheld = h.standing()
    h.wall = NOW + timedelta(hours=26)
    later = {
        "not_before": write_moment(h.wall),
        "not_after": write_moment(h.wall + timedelta(hours=1)),
    }
    assert h.ask(h.order(**later)).ended is Ended.DONE
    h.marker.unlink()
    h.restart()
    h.wall = NOW
    return h.ask(withheld, occurrence="2026-11-21T08:00")


def standing_for_another_host(h: House) -> object:
    return h.ask(h.standing(targets=(key_id(public(CLONE)),)))


def standing_revoked(h: House) -> object:
    order = h.standing(id=order_id(78))
    assert h.ask(h.revocation(orders=(order_id(78),))).ended is Ended.REVOKED
    h.restart()
    return h.ask(order)


def standing_signed_by_a_stranger(h: House) -> object:
    return h.ask(h.standing(EVE))


def standing_with_another_script(h: House) -> object:
    return h.ask(h.standing(), script=b"echo evil >> " + str(h.marker).encode())


def standing_for_a_year(h: House) -> object:
    values = json.loads(h.standing().payload) | {"not_after": "2027-11-21T08:00:00Z"}
    payload = json.dumps(values, separators=(",", ":")).encode()
    return h.ask(Envelope(dsse.STANDING_ORDER, payload).signed_by(ANN))


def standing_by_calendar_and_trigger(h: House) -> object:
    values = json.loads(h.standing().payload) | {"trigger": "DiskAlmostFull"}
    payload = json.dumps(values, separators=(",", ":")).encode()
    return h.ask(Envelope(dsse.STANDING_ORDER, payload).signed_by(ANN))


def single_order_as_an_occurrence(h: House) -> object:
    return h.ask(h.order(), occurrence="2026-11-21T08:00")


def trigger(h: House) -> Envelope:
    return h.standing(calendar=None, trigger="DiskAlmostFull")


def trigger_of_another_rule(h: House) -> object:
    return h.ask(trigger(h), occurrence=triggered("MemoryLow", order_id(1)))


def trigger_edited_to_another_rule(h: House) -> object:
    edited = altered(trigger(h), trigger="MemoryLow")
    return h.ask(edited, occurrence=triggered("MemoryLow", order_id(1)))


def trigger_without_an_episode(h: House) -> object:
    return h.ask(trigger(h))


def trigger_by_a_date(h: House) -> object:
    return h.ask(trigger(h), occurrence="2026-11-21T08:00")


def trigger_by_an_episode_with_a_path(h: House) -> object:
    return h.ask(trigger(h), occurrence="DiskAlmostFull:../../../etc/cron.d/x")


def trigger_by_an_episode_that_ends_the_line(h: House) -> object:
    return h.ask(trigger(h), occurrence=triggered("DiskAlmostFull", order_id(1)) + "\n")


def trigger_outside_the_hours_of_the_host(h: House) -> object:
    h.permit(h.policy_file.read_text() + 'hours = "22:00-05:00"\n')
    return h.ask(trigger(h), occurrence=triggered("DiskAlmostFull", order_id(1)))


def trigger_under_a_policy_without_standing(h: House) -> object:
    h.permit(standing=False)
    return h.ask(trigger(h), occurrence=triggered("DiskAlmostFull", order_id(1)))


def duplicate_names_in_the_json(h: House) -> object:
    order = h.order()
    doubled = order.payload[:-1] + b',"argv":["evil"]}'
    return h.ask(replace(order, payload=doubled))


def signed_bytes_with_two_meanings(h: House) -> object:
    """Even Ann's own signature does not make a document with two spellings an order."""
    order = h.order()
    doubled = order.payload[:-1] + b',"argv":["evil"]}'
    return h.ask(Envelope(dsse.ORDER, doubled).signed_by(ANN))


def nested_without_end(h: House) -> object:
    return h.ask(b"[" * 100_000)


def revoked(h: House) -> object:
    order = h.order(id=order_id(77))
    assert h.ask(h.revocation(orders=(order_id(77),))).ended is Ended.REVOKED
    h.restart()
    return h.ask(order)


def revoked_with_everything(h: House) -> object:
    order = h.order()
    assert h.ask(h.revocation(BEN, everything=True)).ended is Ended.REVOKED
    return h.ask(order)


def locked_down(h: House) -> object:
    h.begin()
    (h.place / "helper" / "lockdown").write_text("by hand")
    return h.ask(h.order())


def journal_with_a_line_taken_out(h: House) -> object:
    """Ran, then the line that says so is cut out of the middle of the journal."""
    order = h.order()
    assert h.ask(order).ended is Ended.DONE
    h.ask(h.order(EVE))
    h.restart()
    h.marker.unlink()
    journal = h.place / "helper" / "journal"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[1:]))
    for result in (h.place / "helper" / "results").iterdir():
        result.unlink()
    return h.ask(order)


ATTACKS: list[tuple[Attack, str]] = [
    (new_order, "not-signed"),
    (unsigned, "not-signed"),
    (under_anns_name, "not-signed"),
    (edited_arguments, "not-signed"),
    (edited_script, "wrong-script"),
    (edited_hash_and_script, "not-signed"),
    (retargeted, "not-a-target"),
    (retargeted_by_editing, "not-signed"),
    (of_another_collector, "wrong-collector"),
    (of_another_client, "wrong-client"),
    (expired, "expired"),
    (too_early, "too-early"),
    (clock_set_back, "expired"),
    (keyring_downgraded, "not-signed"),
    (keyring_forged, "keyring-version-unknown"),
    (keyring_skipped, "keyring-version-unknown"),
    (keyring_of_another_collector, "keyring-version-unknown"),
    (keyring_rolled_back_on_disk, "keyring-version-unknown"),
    (keyring_expired, "keyring-expired"),
    (one_key_twice, "too-few-signatures"),
    (one_key_under_two_ids, "too-few-signatures"),
    (keyring_with_a_key_twice, "no-keyring"),
    (keyring_with_a_low_order_key, "no-keyring"),
    (signed_by_a_low_order_key, "not-signed"),
    (keyring_taken_for_an_order, "malformed"),
    (order_taken_for_a_standing_one, "malformed"),
    (policy_through_the_order, "monitor-only"),
    (monitor_only, "monitor-only"),
    (policy_with_a_key_nobody_knows, "policy-unusable"),
    (policy_that_others_can_write, "policy-unusable"),
    (policy_behind_a_link, "policy-unusable"),
    (too_many_hosts, "too-many-hosts"),
    (runs_as_root, "run-as-not-allowed"),
    (another_interpreter, "interpreter-not-allowed"),
    (path_tricks_in_the_interpreter, "malformed"),
    (runs_for_ever, "timeout-too-long"),
    (script_too_large, "too-large"),
    (standing_beyond_the_policy, "standing-not-allowed"),
    (standing_out_of_season, "not-due"),
    (standing_with_an_invented_occurrence, "not-due"),
    (standing_for_tomorrow, "not-due"),
    (standing_of_yesterday, "not-due"),
    (standing_edited_to_run_more_often, "not-signed"),
    (standing_edited_to_be_due, "not-signed"),
    (standing_moved_to_another_zone, "not-signed"),
    (standing_in_a_zone_that_is_none, "malformed"),
    (standing_in_a_zone_that_is_a_path, "malformed"),
    (standing_expired, "expired"),
    (standing_with_the_clock_set_back, "not-due"),
    (standing_for_another_host, "not-a-target"),
    (standing_revoked, "revoked"),
    (standing_signed_by_a_stranger, "not-signed"),
    (standing_with_another_script, "wrong-script"),
    (standing_for_a_year, "malformed"),
    (standing_by_calendar_and_trigger, "malformed"),
    (single_order_as_an_occurrence, "malformed"),
    (trigger_of_another_rule, "wrong-rule"),
    (trigger_edited_to_another_rule, "not-signed"),
    (trigger_without_an_episode, "malformed"),
    (trigger_by_a_date, "malformed"),
    (trigger_by_an_episode_with_a_path, "malformed"),
    (trigger_by_an_episode_that_ends_the_line, "malformed"),
    (trigger_outside_the_hours_of_the_host, "outside-hours"),
    (trigger_under_a_policy_without_standing, "standing-not-allowed"),
    (duplicate_names_in_the_json, "malformed"),
    (signed_bytes_with_two_meanings, "malformed"),
    (nested_without_end, "malformed"),
    (revoked, "revoked"),
    (revoked_with_everything, "revoked"),
    (locked_down, "locked-down"),
]


@pytest.mark.parametrize(("attack", "reason"), ATTACKS, ids=lambda v: getattr(v, "__name__", ""))
def test_an_attack_starts_nothing_and_is_written_down(
    house: House, attack: Attack, reason: str
) -> None:
    attack(house)
    assert house.runs() == 0
    assert house.refusals()[-1] == reason


def test_there_are_seventy_attacks_at_least() -> None:
    assert len(ATTACKS) >= 70


def test_without_an_attack_it_runs_once(house: House) -> None:
    result = house.ask(house.order())
    assert (result.ended, result.exit_code, result.output) == (Ended.DONE, 0, "ran once\n")
    assert house.runs() == 1
    assert [entry["event"] for entry in house.journal()] == ["started", "ended"]


def test_a_replay_gives_the_first_result_again(house: House) -> None:
    order = house.order()
    first = house.ask(order)
    assert house.ask(order) == first
    house.restart()
    assert house.ask(order) == first
    assert house.runs() == 1


def test_a_replay_whose_result_is_lost_is_refused(house: House) -> None:
    order = house.order()
    house.ask(order)
    house.restart()
    for path in (house.place / "helper" / "results").iterdir():
        path.unlink()
    assert house.ask(order).reason.startswith("repeated")
    assert house.runs() == 1


def test_a_replay_to_a_clone_is_refused(house: House) -> None:
    """Another host with a copy of the folder, but a key of its own."""
    order = house.order()
    desk = house.begin(CLONE)
    desk.run(RunRequest(Asked(order.to_bytes(), house.script)))
    assert house.refusals() == ["not-a-target"]
    assert house.runs() == 0


def test_a_journal_that_was_tampered_with_stops_everything(house: House) -> None:
    result = journal_with_a_line_taken_out(house)
    assert house.runs() == 0
    assert getattr(result, "reason", "").startswith("journal-unusable")


def test_two_keys_satisfy_a_threshold_of_two(house: House) -> None:
    house.permit(threshold=2)
    assert house.ask(house.order(ANN, BEN)).ended is Ended.DONE


def test_a_standing_order_runs_once_an_occurrence_and_no_more_than_its_bound(house: House) -> None:
    order = house.standing()
    assert house.ask(order).ended is Ended.DONE
    again = house.ask(order)
    assert again.occurrence == "2026-11-21T08:00"
    assert house.runs() == 1
    house.wall += timedelta(days=1)
    assert house.ask(order).occurrence == "2026-11-22T08:00"
    assert house.runs() == 2


def test_a_trigger_runs_no_more_often_than_was_signed(house: House) -> None:
    order = house.standing(calendar=None, trigger="DiskAlmostFull", max_runs_a_day=2)
    for number in range(50):
        house.ask(order, occurrence=triggered("DiskAlmostFull", order_id(number)))
    assert house.runs() == 2
    assert set(house.refusals()) == {"too-often"}


def test_made_up_episodes_run_no_more_often_than_was_signed_and_leave_their_lie(
    house: House,
) -> None:
    """The one thing a hacked collector can bring about: what a person signed for that rule, no
    more often than they signed, and with the rule it claims in the host's own signed result."""
    order = house.standing(calendar=None, trigger="DiskAlmostFull", max_runs_a_day=2)
    for day in range(3):
        for number in range(40):
            house.wall = NOW + day * DAY + timedelta(minutes=number)
            house.ask(order, occurrence=triggered("DiskAlmostFull", order_id(1000 * day + number)))
    assert house.runs() == 6
    started = [entry["key"] for entry in house.journal() if entry["event"] == "started"]
    assert all(key.split("/")[1].startswith("DiskAlmostFull:") for key in started)


def test_an_occurrence_replayed_gives_its_result_again_and_runs_nothing(house: House) -> None:
    order = house.standing(calendar=None, trigger="DiskAlmostFull", max_runs_a_day=24)
    occurrence = triggered("DiskAlmostFull", order_id(1))
    first = house.ask(order, occurrence=occurrence)
    for _ in range(5):
        house.restart()
        assert house.ask(order, occurrence=occurrence) == first
    for path in (house.place / "helper" / "results").iterdir():
        path.unlink()
    assert house.ask(order, occurrence=occurrence).reason.startswith("repeated")
    assert house.runs() == 1


@pytest.mark.parametrize(
    ("why", "day", "hours"),
    [("clocks go forward over it", (3, 29), 23), ("clocks go back over it", (10, 25), 25)],
)
def test_asked_all_through_a_day_on_which_clocks_change_it_runs_once(
    house: House, why: str, day: tuple[int, int], hours: int
) -> None:
    month, number = day
    berlin = ZoneInfo("Europe/Berlin")
    midnight = datetime(2026, month, number, tzinfo=berlin).astimezone(UTC)
    house.keyring_file.write_bytes(house.keyring(expires="2027-11-21T08:00:00Z").to_bytes())
    order = house.standing(
        not_before=write_moment(midnight - DAY),
        not_after=write_moment(midnight + 2 * DAY),
        calendar=Calendar(weekdays=(7,), at="02:30", zone="Europe/Berlin", window_minutes=60),
        max_runs_a_day=24,
    )
    for minutes in range(0, hours * 60, 5):
        house.wall = midnight + timedelta(minutes=minutes)
        house.ask(order)
    assert house.runs() == 1, why


def test_a_standing_order_cannot_be_told_to_run_more_often_by_turning_the_clock(
    house: House,
) -> None:
    """Forward and back: time only goes forward for the journal, and a day's runs are counted."""
    order = house.standing(max_runs_a_day=1)
    for hours in (0, 24, 0, 1, 24, 2, 0, 23, 24, 0):
        house.wall = NOW + timedelta(hours=hours)
        house.restart()
        house.ask(order)
    assert house.runs() == 2  # the 21st and the 22nd, each once


def test_an_hour_has_a_most(house: House) -> None:
    house.permit(per_hour=3)
    for _ in range(10):
        house.ask(house.order())
    assert house.runs() == 3


def test_an_allowlist_takes_its_bytes_and_arguments_and_nothing_else(house: House) -> None:
    """Even a stolen signing key runs only what was placed there beforehand."""
    house.permit(f'''mode = "allowlist"
[trust]
keyring = "{house.keyring_file}"
[[allow]]
name = "mark"
sha256 = "{script_hash(house.script)}"
interpreter = "/bin/sh"
run_as = "self"
args = [{{ name = "days", pattern = "[0-9]{{1,3}}" }}]
''')
    evil = b"echo evil >> " + str(house.marker).encode()
    house.ask(house.order(script_sha256=script_hash(evil)), script=evil)
    for argv in (("7; reboot",), ("7\x0b",), ("",), ("7", "8"), (), ("../7",), ("$(id)",)):
        values = house.values() | {"argv": list(argv)}
        payload = json.dumps(values, separators=(",", ":")).encode()
        house.ask(Envelope(dsse.ORDER, payload).signed_by(ANN))
    assert house.runs() == 0
    assert set(house.refusals()) == {"not-allowed", "arguments-not-allowed", "malformed"}
    assert house.ask(house.order(argv=("7",))).ended is Ended.DONE
    assert house.marker.read_text() == "7\n"


def test_arguments_reach_the_script_as_they_were_signed(house: House) -> None:
    odd = ("$(touch x)", "`id`", "; ls", "--help", "", "$HOME", "%n", "a b", "*", "ä")
    script = b'for one in "$@"; do echo "<$one>"; done'
    result = house.ask(house.order(argv=odd, script_sha256=script_hash(script)), script=script)
    assert result.output == "".join(f"<{one}>\n" for one in odd)


def test_the_script_finds_nothing_of_the_helper_in_its_surroundings(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREWARN_SECRET", "hunter2")
    script = b"env | cut -d= -f1 | sort; ls -A; cat; ls /proc/self/fd | wc -l"
    result = house.ask(house.order(script_sha256=script_hash(script)), script=script)
    names = set(result.output.split()) - {"_", "PWD", "SHLVL", "OLDPWD"}
    assert names - {"5", "4", "6"} == {"PATH", "LANG", "HOME"}


def test_oversized_output_is_bounded_and_harmless(house: House) -> None:
    script = rb"""printf '\033]0;evil\007\342\200\256abc\n'; echo password=hunter2
        head -c 50000000 /dev/zero | tr '\0' '\033'; echo; echo the end"""
    result = house.ask(house.order(script_sha256=script_hash(script)), script=script)
    assert len(result.output.encode()) < 200 * 1024
    assert result.truncated
    assert result.output_bytes > 50_000_000
    assert result.output.startswith("?]0;evil??abc\npassword=[redacted]\n")
    assert result.output.endswith("\nthe end\n")
    assert "\x1b" not in result.output


def test_the_time_limit_ends_the_whole_tree(house: House) -> None:
    script = b"(setsid sleep 4711 &) ; setsid sh -c 'sleep 4711' & sleep 4711"
    values = {"script_sha256": script_hash(script), "timeout_seconds": 1}
    execution.adopt_orphans()
    result = house.ask(house.order(**values), script=script)
    assert (result.ended, result.exit_code) == (Ended.TIMED_OUT, None)
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and _is_ours(pid)]


def _is_ours(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"sleep\x004711" in file.read()
    except OSError:
        return False


def test_a_forged_result_is_not_believed(house: House) -> None:
    """The collector writes results of its own; only the host's key makes one."""
    held = house.begin()
    real = dsse.parse(held.run(RunRequest(Asked(house.order().to_bytes(), house.script))))
    keys = {key_id(public(HOST)): public(HOST)}
    assert dsse.signers(real, keys)
    told = json.loads(real.payload) | {"exit_code": 1}
    forged = replace(real, payload=json.dumps(told, separators=(",", ":")).encode())
    assert not dsse.signers(forged, keys)
    assert not dsse.signers(Envelope(dsse.RESULT, real.payload).signed_by(EVE), keys)


def test_the_recovery_key_signs_no_orders_but_replaces_lost_keys(house: House) -> None:
    assert house.ask(house.order(RECOVERY)).ended is Ended.REFUSED
    second = house.keyring(by=(RECOVERY, EVE), version=2, keys=(named(EVE, "new"),))
    house.ask(b"{}", keyrings=(second.to_bytes(),))
    house.permit(house.policy_file.read_text().replace(key_id(public(ANN)), key_id(public(EVE))))
    assert house.ask(house.order(EVE, keyring_version=2)).ended is Ended.DONE


def test_everyday_keys_cannot_replace_the_recovery_key(house: House) -> None:
    stolen = house.keyring(by=(ANN, BEN), version=2, recovery=named(EVE, "eve").public)
    house.ask(house.order(keyring_version=2), keyrings=(stolen.to_bytes(),))
    assert house.refusals() == ["keyring-version-unknown"]


def test_a_keyring_nobody_signed_is_no_anchor(house: House) -> None:
    with pytest.raises(KeyringRefused):
        anchored(house.keyring(by=()).to_bytes())
    with pytest.raises(KeyringRefused):
        anchored(house.keyring(by=(EVE,)).to_bytes())


def test_a_keyring_may_not_list_its_recovery_key(house: House) -> None:
    with pytest.raises(ValueError, match="recovery key is also"):
        KeyringText(
            collector=COLLECTOR,
            version=1,
            threshold=1,
            expires=write_moment(NOW),
            keys=(named(ANN, "ann"),),
            recovery=named(ANN, "ann").public,
        )


def test_an_order_for_longer_than_a_day_is_none(house: House) -> None:
    with pytest.raises(ValueError, match="at most"):
        house.order(not_after=write_moment(NOW + timedelta(hours=25)))


def test_the_documents_have_one_spelling(house: House) -> None:
    order = house.order()
    spaced = json.dumps(json.loads(order.payload)).encode()
    assert house.ask(Envelope(dsse.ORDER, spaced).signed_by(ANN)).reason.startswith("malformed")
