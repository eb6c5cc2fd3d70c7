"""What counts as wrong after a maintenance, and what does not."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from forewarn_collector.suppression.comparing import (
    SECOND,
    Condition,
    Finding,
    FindingKind,
    compare,
    read_condition,
    write_condition,
)

NAMES = st.frozensets(st.sampled_from("abcd"), max_size=4)
CONDITIONS = st.builds(
    Condition,
    heard=st.booleans(),
    booted=st.none() | st.integers(0, 10_000 * SECOND),
    mounts=st.none() | NAMES,
    failed_services=st.none() | NAMES,
    failing=NAMES,
    ran=st.dictionaries(st.sampled_from(["disk", "smart", "own"]), st.integers(0, 10**10)),
)
HOUR = 3600 * SECOND
WELL = Condition(
    heard=True,
    booted=-100 * HOUR,
    mounts=frozenset({"/", "/srv"}),
    failed_services=frozenset({"old"}),
    failing=frozenset({"smart"}),
    ran={"disk": 0, "smart": 0},
)


@given(CONDITIONS)
def test_what_is_as_before_is_never_wrong(condition: Condition) -> None:
    assert compare(condition, condition, 0, 0).findings == ()


@given(CONDITIONS, CONDITIONS)
def test_a_condition_is_kept_as_it_was(before: Condition, after: Condition) -> None:
    kept = read_condition(write_condition(before))
    assert kept == before
    assert compare(kept, after, 0, HOUR) == compare(before, after, 0, HOUR)


def test_a_host_that_does_not_answer_is_the_one_finding_of_it() -> None:
    gone = replace(WELL, heard=False, mounts=None)
    assert compare(WELL, gone, 0, HOUR).findings == (Finding(FindingKind.SILENT),)
    assert compare(replace(WELL, heard=False), gone, 0, HOUR).findings == ()


def test_what_cannot_be_told_is_not_called_gone() -> None:
    unknown = replace(WELL, mounts=None, failed_services=None, booted=None)
    assert compare(WELL, unknown, 0, 0).findings == ()
    assert compare(WELL, unknown, 0, HOUR).rebooted is None


def test_a_boot_is_a_restart_when_it_is_a_new_one_within_the_window() -> None:
    assert compare(WELL, replace(WELL, booted=HOUR // 2), 0, HOUR).rebooted is True
    assert compare(WELL, replace(WELL, booted=-100 * HOUR + SECOND), 0, HOUR).rebooted is False
    unread = replace(WELL, booted=None)
    assert compare(unread, replace(WELL, booted=HOUR // 2), 0, HOUR).rebooted is True
    assert compare(unread, WELL, 0, HOUR).rebooted is False


def test_a_check_that_runs_no_more_is_found_by_its_own_interval() -> None:
    """Disk is read every five minutes, SMART every hour: after one hour only disk is missing."""
    assert compare(WELL, WELL, 0, HOUR).findings == (Finding(FindingKind.CHECK_SILENT, "disk"),)
