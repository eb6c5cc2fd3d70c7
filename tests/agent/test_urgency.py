"""A sample that comes to lie past its rule's mark sends the batch at once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from forewarn_agent.urgency import marks_passed
from forewarn_checks.base import (
    Check,
    Component,
    Metric,
    Outcome,
    Run,
    Sample,
    Severity,
    State,
    Threshold,
    Unit,
)

USED = Metric("tank_used_ratio", Unit.RATIO, "Used.", ("tank", "kind"))
FREE = Metric("tank_free_bytes", Unit.BYTES, "Free.", ("tank",))
PASSED = Metric("tank_passed", Unit.COUNT, "1 while the tank is well.", ("tank",))


def rule(name: str, metric: Metric, **marks: float) -> Threshold:
    return Threshold(
        name=name,
        metric=metric,
        severity=Severity.WARNING,
        above=marks.get("above"),
        below=marks.get("below"),
        clear_at=0.5,
        title="",
        advice="",
    )


CHECK = Check(
    name="tank",
    help="",
    every=timedelta(minutes=1),
    timeout=timedelta(seconds=1),
    metrics=(USED, FREE, PASSED),
    component=Component("tank", ("tank",)),
    read_linux=None,
    read_windows=None,
    rules=(
        replace(rule("Full", USED, above=0.9), where={"kind": "oil"}),
        rule("Low", FREE, below=10.0),
        State(
            name="Failing",
            metric=PASSED,
            severity=Severity.HIGH,
            when=0,
            title="",
            advice="",
        ),
    ),
)


def run(*samples: Sample) -> Run:
    return Run(
        sequence=0,
        check="tank",
        started_at="",
        boot="",
        boottime_seconds=0,
        duration_seconds=0,
        outcome=Outcome.OK,
        samples=samples,
    )


@pytest.mark.parametrize(
    ("says", "sample", "passed"),
    [
        ("at the mark is past it", USED.sample(0.9, tank="a", kind="oil"), {"Full"}),
        ("below the mark is not", USED.sample(0.89, tank="a", kind="oil"), set()),
        ("another kind is not meant", USED.sample(0.99, tank="a", kind="water"), set()),
        ("too little", FREE.sample(3, tank="a"), {"Low"}),
        ("enough", FREE.sample(30, tank="a"), set()),
        ("a state that matters", PASSED.sample(0, tank="a"), {"Failing"}),
        ("a state that does not", PASSED.sample(1, tank="a"), set()),
    ],
)
def test_marks(says: str, sample: Sample, passed: set[str]) -> None:
    assert {name for name, _ in marks_passed(CHECK, run(sample))} == passed, says


def test_another_tank_past_the_same_mark_is_a_change() -> None:
    one = marks_passed(CHECK, run(FREE.sample(3, tank="a")))
    two = marks_passed(CHECK, run(FREE.sample(3, tank="a"), FREE.sample(3, tank="b")))
    assert one < two
