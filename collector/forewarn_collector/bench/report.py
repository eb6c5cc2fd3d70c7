"""What a bench measured, as ``bench --json`` prints it."""

from dataclasses import asdict, dataclass

import numpy as np
from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds below which that share of the answers came."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    """One run.  Times in seconds unless named otherwise; None where nothing was to measure.

    `ack_ms` counts from the moment a batch was due, so a collector that lets its callers queue
    does not look fast.  The first minute (of more than two) warms up and is left out of it.
    """

    hosts: int
    minutes: float
    samples_per_second: float
    ack_ms: Percentiles | None
    rejected: int
    duplicates: int  # runs held twice; the bench sends one batch in a hundred twice
    rss_bytes: int  # the most that the collector's process held
    cpu_seconds_per_million_samples: float | None  # of the collector alone
    bytes_per_sample: float | None  # sealed, readings and runs together
    rule_pass_seconds: float | None  # the longest
    alert_latency_seconds: float | None  # the longest, from the reading to the receiver
    # Beyond the promised fields: what is needed to judge the numbers above.
    lost: int  # runs acknowledged and not held
    repeats_sent: int
    late: int  # batches due and not answered when the time was up
    alerts_expected: int
    alerts_received: int
    seal_seconds: float | None  # the longest
    connections: int
    connect_ms: float  # one TLS connection to the collector, mean
    generator_cpu_seconds: float
    collector_cpu_seconds: float
    processors: int
    transport: str

    def to_json(self) -> dict[str, JsonValue]:
        """Return the report as what ``json.dumps`` writes."""
        return asdict(self)


def percentiles(milliseconds: list[float]) -> Percentiles | None:
    """Return what share of the answers came within which time, None for no answers."""
    if not milliseconds:
        return None
    p50, p95, p99 = np.percentile(np.array(milliseconds), (50, 95, 99)).round(2).tolist()
    return Percentiles(p50, p95, p99)
