"""What the kernel marks itself with."""

import pytest

from forewarn_checks.base import Sample
from forewarn_checks.kernel import CHECK, readings


@pytest.mark.parametrize(
    ("fact", "tainted", "faults"),
    [
        ("a new kernel", 0, set()),
        ("foreign modules and a warning are no fault", 1 | 1 << 12 | 1 << 9, set()),
        ("an oops, with the modules", 1 << 7 | 1 << 12, {"oops"}),
        ("a soft lockup", 1 << 14, {"lockup"}),
        ("hardware", 1 << 4 | 1 << 5, {"machine_check", "bad_page"}),
        ("bits of a newer kernel than we know", 1 << 40, set()),
    ],
)
def test_only_marks_of_harm_are_faults(fact: str, tainted: int, faults: set[str]) -> None:
    """Each fault has a series of its own, 0 or 1."""
    samples = list(readings(tainted, None))
    assert {sample.labels["fault"] for sample in samples if sample.value == 1} == faults, fact
    assert len(samples) == 4


def test_hung_tasks_are_told_where_they_are_counted() -> None:
    """Older kernels only write of them in their log."""
    assert Sample("kernel_hung_tasks", 3.0, {"fault": "hung_task"}) in list(readings(0, 3))


def test_this_host_has_a_kernel() -> None:
    """The reader itself, on whatever the tests run on."""
    assert CHECK.read_linux is not None
    assert len([each for each in CHECK.read_linux({}) if isinstance(each, Sample)]) >= 4
