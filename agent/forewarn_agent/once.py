"""Sample every check once, now, and keep nothing: what `forewarn-agent once` prints."""

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from forewarn_agent import child, clock, runner
from forewarn_agent.config import AgentConfig
from forewarn_checks.base import Check, Outcome, Run

BAD = (Outcome.FAILED, Outcome.TIMED_OUT)


def sample(checks: Iterable[Check], config: AgentConfig) -> Iterator[Run]:
    """Yield one run of each check as it ends; all run side by side."""
    checks = tuple(checks)
    with ThreadPoolExecutor(max(len(checks), 1)) as pool:
        for done in as_completed([pool.submit(_perform, check, config) for check in checks]):
            yield done.result()


def sample_with_cost(checks: Iterable[Check], config: AgentConfig) -> Iterator[tuple[Run, float]]:
    """Yield one run of each check and the processor seconds it took; one check after another.

    Side by side they could not be told apart.  Programs a check started are counted in, but for
    Windows, which does not tell.
    """
    for check in checks:
        before = os.times()
        run = _perform(check, config)
        spent = (after - was for after, was in zip(os.times()[:4], before[:4], strict=True))
        yield run, round(sum(spent), 2)


def _perform(check: Check, config: AgentConfig) -> Run:
    options = config.checks[check.name].options
    return runner.perform(check, child.reader_for(check), options, clock.now())


def document(
    runs: Iterable[Run],
    costs: Mapping[str, float] | None = None,
    hostname: Callable[[], str] = socket.gethostname,
) -> dict[str, Any]:
    """Return the JSON document of ``once --json``; its shape is public.

    `costs` are processor seconds by check, told where they were measured.
    """
    costs = costs or {}
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
                **({"cpu_seconds": costs[run.check]} if run.check in costs else {}),
            }
            for run in runs
        ],
    }
