"""Make samples of what one part tells, leaving out what it does not."""

from collections.abc import Iterator, Mapping

from forewarn_checks.base import Metric, Sample


def series(labels: Mapping[str, str], *told: tuple[Metric, float | None]) -> Iterator[Sample]:
    """Yield a sample of each metric whose value is known, all with the same labels."""
    yield from (metric.sample(value, **labels) for metric, value in told if value is not None)
