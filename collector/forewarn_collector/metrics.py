"""What the collector counts of itself, for any Prometheus-compatible scraper."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

REGISTRY = CollectorRegistry()

LOGINS = Counter(
    "forewarn_logins", "Tries to log in, by how they ended.", ["result"], registry=REGISTRY
)
REQUESTS = Counter(
    "forewarn_operator_requests",
    "Answers on the operators' listener, by status.",
    ["status"],
    registry=REGISTRY,
)


@dataclass(frozen=True, slots=True)
class Gauged:
    """One quantity at one moment, a number for each value of one label."""

    name: str
    help: str
    label: str
    values: Mapping[str, float]


AGENT_REQUESTS = Counter(
    "forewarn_agent_requests",
    "Answers on the agents' listener, by status.",
    ["status"],
    registry=REGISTRY,
)


def write(gauges: Iterable[Gauged], *, counters: bool) -> bytes:
    """Return the text of a scrape.

    `gauges` are taken at this moment; `counters` adds what the process counted since it started.
    """
    taken = CollectorRegistry()
    for gauged in gauges:
        gauge = Gauge(gauged.name, gauged.help, [gauged.label], registry=taken)
        for value, number in gauged.values.items():
            gauge.labels(value).set(number)
    return generate_latest(taken) + (generate_latest(REGISTRY) if counters else b"")
