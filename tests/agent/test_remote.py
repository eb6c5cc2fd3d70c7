"""Settings of the collector: plain data, on trial first, below what the host itself says."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_agent import config
from forewarn_agent.config import ConfigError
from forewarn_agent.remote import MOST_BYTES, NAME, TRIAL_SECONDS, RemoteSettings


def document(version: str = "v1", **checks: object) -> bytes:
    return json.dumps({"version": version, "checks": checks}).encode()


def test_what_the_collector_sets_holds_over_the_defaults(tmp_path: Path) -> None:
    remote = RemoteSettings(tmp_path)
    assert remote.offer(document(disk={"every": "1m", "options": {"exclude": ["/mnt/*"]}}), 0.0)
    read = config.load(None, remote.changes)
    assert read.checks["disk"].every == timedelta(minutes=1)
    assert read.checks["disk"].options["exclude"] == ("/mnt/*",)
    assert read.checks["memory"] == config.load(None).checks["memory"]


def test_what_the_host_says_itself_holds_over_the_collector(tmp_path: Path) -> None:
    remote = RemoteSettings(tmp_path)
    remote.offer(document(disk={"every": "1m", "enabled": False}), 0.0)
    read = config.read('[checks.disk]\nevery = "7m"\nenabled = true\n', "here", remote.changes)
    assert read.checks["disk"].every == timedelta(minutes=7)
    assert read.checks["disk"].enabled


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "no JSON"),
        (b"[" * 50_000, "no JSON"),
        (b"[]", "must be a table"),
        (document(disk=[]), "must be a table"),
        (document(disk={"every": "1s"}), "the least is 10s"),
        (document(disk={"every": "3650d"}), "make it shorter"),
        (document(disk={"every": 60}), "write a duration"),
        (document(disk={"enabled": "no"}), "true or false"),
        (document(disk={"command": "rm"}), "is not known"),
        (document(smart={"options": {"smartctl": "/tmp/x"}}), "own agent.toml alone"),
        (document(own={"options": {"folder": "/tmp"}}), "own agent.toml alone"),
        (document(own={"options": {"commands": ["x = /bin/sh"]}}), "own agent.toml alone"),
        (document(http={"options": {"targets": ["http://169.254.169.254/"]}}), "alone"),
        (document(backups={"options": {"paths": ["x = /etc/shadow"]}}), "alone"),
        (document(disk={"options": {"exclude": ["/x"] * 201}}), "200"),
        (document(disk={"options": {"exclude": ["/" + "x" * 300]}}), "plain short"),
        (document(disk={"options": {"exclude": ["/\x1b[2J"]}}), "plain short"),
        (json.dumps({"version": "../x", "checks": {}}).encode(), "plain word"),
        (json.dumps({"checks": {}}).encode(), "plain word"),
        (json.dumps({"version": "v1", "sending": {}}).encode(), "is not known"),
    ],
)
def test_what_is_not_plain_data_is_refused_whole(tmp_path: Path, body: bytes, told: str) -> None:
    """The last good settings stay, the reason is kept, and the same is not asked for again."""
    remote = RemoteSettings(tmp_path)
    remote.offer(document("good", disk={"every": "1m"}), 0.0)
    remote.went_well(TRIAL_SECONDS)
    assert not remote.offer(body, 100.0)
    assert told in remote.problem
    for seen in (remote, RemoteSettings(tmp_path)):
        assert (seen.version, bool(seen.problem)) == ("good", True)
        assert seen.changes["disk"].every == timedelta(minutes=1)
        assert not seen.wants(seen.refused)


def test_what_a_newer_collector_knows_is_passed_over(tmp_path: Path) -> None:
    remote = RemoteSettings(tmp_path)
    told = document(aura={"every": "1m"}, disk={"every": "2m", "options": {"colour": 3}})
    assert remote.offer(told, 0.0)
    assert set(remote.changes) == {"disk"}


def test_settings_under_which_the_agent_died_are_refused_at_the_next_start(tmp_path: Path) -> None:
    """The last good ones are back after one restart, and the finding says what happened."""
    remote = RemoteSettings(tmp_path)
    remote.offer(document("good", disk={"every": "1m"}), 0.0)
    remote.went_well(TRIAL_SECONDS)
    remote.offer(document("bad", disk={"every": "2m"}), 100.0)
    again = RemoteSettings(tmp_path)  # nobody said good-bye
    assert again.version == "good"
    assert "did not live long" in again.problem
    assert not again.wants("bad")
    assert again.wants("better")


def test_an_agent_that_is_stopped_in_order_tries_them_again(tmp_path: Path) -> None:
    remote = RemoteSettings(tmp_path)
    remote.offer(document("new", disk={"every": "2m"}), 0.0)
    remote.let_go()
    again = RemoteSettings(tmp_path)
    assert (again.version, again.problem) == ("", "")
    assert again.wants("new")


def test_a_trial_lasts_a_minute(tmp_path: Path) -> None:
    remote = RemoteSettings(tmp_path)
    remote.offer(document("new", disk={"every": "2m"}), 0.0)
    remote.went_well(TRIAL_SECONDS - 1)
    assert "new" in json.dumps(json.loads((tmp_path / NAME).read_text())["trial"])
    remote.went_well(TRIAL_SECONDS)
    assert RemoteSettings(tmp_path).version == "new"


def test_an_agent_that_dies_with_nothing_changed_refuses_nothing(tmp_path: Path) -> None:
    """Every new agent is told that nothing is set; losing power then is no fault of that."""
    RemoteSettings(tmp_path).offer(document("none"), 0.0)
    again = RemoteSettings(tmp_path)
    assert (again.version, again.problem) == ("none", "")


def test_an_empty_document_takes_everything_back(tmp_path: Path) -> None:
    remote = RemoteSettings(tmp_path)
    remote.offer(document("one", disk={"every": "1m"}), 0.0)
    assert remote.offer(document("two"), 1.0)
    assert config.load(None, remote.changes) == config.load(None)


@pytest.mark.parametrize("kept", [b"", b"{}", b"null", b'{"good": 3, "trial": [], "refused": {}}'])
def test_a_damaged_file_is_no_reason_to_stop(tmp_path: Path, kept: bytes) -> None:
    (tmp_path / NAME).write_bytes(kept)
    remote = RemoteSettings(tmp_path)
    assert (dict(remote.changes), remote.version) == ({}, "")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)
_KEYS = st.sampled_from(["version", "checks", "disk", "every", "enabled", "options", "exclude"])


@given(st.recursive(_JSON, lambda inner: st.dictionaries(_KEYS, inner), max_leaves=30))
def test_no_document_brings_more_than_a_refusal(told: object) -> None:
    body = json.dumps(told).encode()
    assert len(body) < MOST_BYTES
    try:
        changes, _ = config.read_remote(told)
    except ConfigError as refused:
        assert refused.problems
    else:
        config.load(None, changes)
