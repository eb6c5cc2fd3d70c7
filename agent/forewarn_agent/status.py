"""What the running agent says of itself: one small file, for `forewarn-agent status` alone.

The agent opens no port; whoever may read its folder may know how it is.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from forewarn_agent.files import write_private

NAME = "status.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckStatus:
    """How the latest run of one check went."""

    at: str
    outcome: str
    error: str
    duration_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The agent as it was at `written_at`.  Moments are RFC 3339; "" means never."""

    version: str
    pid: int
    started_at: str
    written_at: str
    host_id: str
    collector: str
    config_file: str
    config_problem: str  # of the newest agent.toml; while there is one the last good is in force
    tried_at: str  # a batch was last sent off
    received_at: str  # a receipt was last had
    send_problem: str  # "" after a receipt
    waiting: Mapping[str, int] = field(default_factory=dict)  # runs in the spool, by lane
    dropped: Mapping[str, int] = field(default_factory=dict)  # since the spool was made, by lane
    checks: Mapping[str, CheckStatus] = field(default_factory=dict)


def write(directory: Path, status: Status) -> None:
    """Keep `status`; a disk that is full keeps the older one."""
    try:
        write_private(
            directory / NAME, json.dumps(asdict(status), indent=2).encode(), durable=False
        )
    except OSError:
        return


def read(directory: Path) -> Status | None:
    """Return what the agent last said of itself, None when it never did.

    Raises PermissionError for whoever may not know, ValueError when the file makes no sense.
    """
    try:
        kept = json.loads((directory / NAME).read_bytes())
    except FileNotFoundError:
        return None
    try:
        checks = {name: CheckStatus(**check) for name, check in kept.pop("checks").items()}
        return Status(**kept, checks=checks)
    except (KeyError, TypeError, AttributeError) as failure:
        raise ValueError(f"{directory / NAME} was written by another version") from failure


def judge(told: Status | None, is_running: Callable[[int], bool]) -> str:
    """Return ``ok``, or in a few words the first thing that is not well."""
    if told is None:
        return "has not run yet"
    if not is_running(told.pid):
        return "is not running"
    if told.send_problem:
        return "does not reach the collector"
    if told.config_problem:
        return "agent.toml cannot be used; the last good settings are in force"
    bad = [name for name, each in told.checks.items() if each.outcome in ("failed", "timed_out")]
    return f"cannot read {', '.join(bad)}" if bad else "ok"
