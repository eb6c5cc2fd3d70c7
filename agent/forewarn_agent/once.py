"""Sample every check once, now, and keep nothing: what `forewarn-agent once` prints."""

import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from forewarn_agent import child, clock, runner
from forewarn_agent.config import AgentConfig
from forewarn_checks.base import Check, Outcome, Run

BAD = (Outcome.FAILED, Outcome.TIMED_OUT)


def sample(checks: Iterable[Check], config: AgentConfig) -> Iterator[Run]:
    """Yield one run of each check as it ends; all run side by side."""
    checks = tuple(checks)

    def perform(check: Check) -> Run:
        options = config.checks[check.name].options
        return runner.perform(check, child.reader_for(check), options, clock.now())

    with ThreadPoolExecutor(max(len(checks), 1)) as pool:
        for done in as_completed([pool.submit(perform, check) for check in checks]):
            yield done.result()


def document(
    runs: Iterable[Run], hostname: Callable[[], str] = socket.gethostname
) -> dict[str, Any]:
    """Return the JSON document of ``once --json``; its shape is public."""
    return {
        "host": hostname(),
        "runs": [
            {
                "check": run.check,
                "outcome": run.outcome.value,
                "error": run.error,
                "duration_seconds": run.duration_seconds,
                "samples": [
                    {"metric": sample.metric, "labels": sample.labels, "value": sample.value}
                    for sample in run.samples
                ],
                "facts": run.facts,
            }
            for run in runs
        ],
    }
