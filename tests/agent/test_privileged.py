"""Drives read through the helper look as if the agent had read them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from forewarn_agent.helper.framing import Json
from forewarn_agent.orders import NoHelper
from forewarn_agent.privileged import through_helper
from forewarn_checks.base import CannotRead, Fact, NothingToRead, Sample

SAMPLE = '{"metric": "smart_passed", "value": 1.0, "labels": {"drive": "S3Z9"}}'
FACT = '{"fact": "drives", "value": ["S3Z9"]}'


def answering(**told: object) -> Callable[[Json, float], Json]:
    def ask(asked: Json, _timeout: float) -> Json:
        assert asked == {"do": "smart"}  # no wish of the agent reaches the helper
        return told

    return ask


def test_readings_come_through() -> None:
    read = through_helper(answering(lines=[SAMPLE, FACT], end="ok", error=""))
    found = list(read({"devices": ("/etc/shadow",)}))
    assert found == [Sample("smart_passed", 1.0, {"drive": "S3Z9"}), Fact("drives", ["S3Z9"])]


def test_no_drive_is_nothing() -> None:
    with pytest.raises(NothingToRead, match="no drives"):
        list(through_helper(answering(lines=[], end="nothing", error="no drives"))({}))


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ({"lines": [], "end": "failed", "error": "no smartctl"}, "no smartctl"),
        ({"error": "ask for smart, run or policy-status"}, "refused: ask"),
    ],
)
def test_trouble_is_told(told: dict[str, object], text: str) -> None:
    with pytest.raises(CannotRead, match=text):
        list(through_helper(answering(**told))({}))


def test_no_helper_is_told() -> None:
    def ask(_asked: Json, _timeout: float) -> Json:
        raise NoHelper("nobody listens")

    with pytest.raises(CannotRead, match="nobody listens"):
        list(through_helper(ask)({}))


def test_without_the_helper_every_drive_is_blind_and_the_reason_is_told() -> None:
    blind = Sample("smart_blind", 1, {"drive": "S3Z9", "reason": "no helper"})

    def ask(_asked: Json, _timeout: float) -> Json:
        raise NoHelper("nobody listens")

    found = []
    with pytest.raises(CannotRead):
        for reading in through_helper(ask, lambda reason: [blind] if reason == "no helper" else [])(
            {}
        ):
            found.append(reading)
    assert found == [blind]
