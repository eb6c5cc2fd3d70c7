"""What the running agent says of itself: one small file, for `forewarn-agent status` alone.

The agent opens no port; whoever may read its folder may know how it is.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from forewarn_agent import clock
from forewarn_agent.files import write_private
from forewarn_agent.pace import Held
from forewarn_agent.reload import Settings
from forewarn_agent.shipper import Shipped
from forewarn_agent.spool import Spool
from forewarn_checks.base import Lane, Run

NAME = "status.json"
_WRITE_EVERY_SECONDS = 5.0
_BLOCK = 4096


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
    config_problem: str  # of the newest settings; while there is one the last good are in force
    tried_at: str  # a batch was last sent off
    received_at: str  # a receipt was last had
    send_problem: str  # "" after a receipt
    spool_problem: str = ""  # why runs are kept in memory only
    waiting: Mapping[str, int] = field(default_factory=dict)  # runs in the spool, by lane
    dropped: Mapping[str, int] = field(default_factory=dict)  # since the spool was made, by lane
    checks: Mapping[str, CheckStatus] = field(default_factory=dict)


def write(directory: Path, status: Status) -> None:
    """Keep `status`, on a full disk too; where nothing can be written the older one stays."""
    text = json.dumps(asdict(status), indent=2).encode()
    # The blanks fill the last block, so that a longer text later still fits over this one.
    text = text.ljust(-(-len(text) // _BLOCK) * _BLOCK)
    try:
        write_private(directory / NAME, text, durable=False)
    except OSError:
        _write_over(directory / NAME, text)


def _write_over(path: Path, text: bytes) -> None:
    """Put `text` into the blocks that the file has: on a full disk there are no others."""
    try:
        with path.open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            if len(text) <= size:
                file.write(text.ljust(size))
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
    if told.spool_problem:
        return "keeps runs in memory only"
    if told.config_problem:
        return "the newest settings cannot be used; the last good ones are in force"
    bad = [name for name, each in told.checks.items() if each.outcome in ("failed", "timed_out")]
    return f"cannot read {', '.join(bad)}" if bad else "ok"


class StatusBook:
    """Gathers what happens and writes it down, not more often than people look."""

    def __init__(
        self,
        directory: Path,
        *,
        version: str,
        host_id: str,
        collector: str,
        spool: Spool,
        settings: Settings,
        trouble: Callable[[], str],
    ) -> None:
        """`trouble` says what is wrong with the newest settings, "" for nothing."""
        self._directory = directory
        self._spool = spool
        self._settings = settings
        self._trouble = trouble
        self._lock = threading.Lock()
        self._changed_at = self._written_at = float("-inf")
        self._seen = False
        self._problem = trouble()
        self._checks: dict[str, CheckStatus] = {}
        self._status = Status(
            version=version,
            pid=os.getpid(),
            started_at=clock.now().wall,
            written_at="",
            host_id=host_id,
            collector=collector,
            config_file="",
            config_problem="",
            tried_at="",
            received_at="",
            send_problem="",
        )

    def ran(self, run: Run) -> None:
        """Take note of a run."""
        seen = CheckStatus(
            at=run.started_at,
            outcome=run.outcome,
            error=run.error,
            duration_seconds=run.duration_seconds,
        )
        with self._lock:
            self._checks[run.check] = seen
            self._changed_at = time.monotonic()

    def sent(self, shipped: Shipped) -> None:
        """Take note of a batch that was tried."""
        at = clock.now().wall
        with self._lock:
            if shipped.answer is None:
                return
            if isinstance(shipped.answer, Held):
                told = replace(self._status, tried_at=at, received_at=at, send_problem="")
            else:
                told = replace(self._status, tried_at=at, send_problem=shipped.answer.text)
            if bool(told.send_problem) != bool(self._status.send_problem) or not self._seen:
                self._written_at = float("-inf")  # somebody may be waiting to see just this
            self._seen = True
            self._status = told
            self._changed_at = time.monotonic()

    def write_if_due(self) -> None:
        """Write when there is news and the last writing is a while ago."""
        if self._trouble() != self._problem:
            self._problem = self._trouble()
            self.write()
        elif self._changed_at > self._written_at < time.monotonic() - _WRITE_EVERY_SECONDS:
            self.write()

    def write(self) -> None:
        """Write now."""
        with self._lock:
            self._written_at = time.monotonic()
            checks = dict(self._checks)
            told = self._status
        told = replace(
            told,
            written_at=clock.now().wall,
            config_file=str(self._settings.path or ""),
            config_problem=self._trouble(),
            waiting={lane.value: self._spool.waiting(lane) for lane in Lane},
            dropped={lane.value: self._spool.dropped(lane) for lane in Lane},
            spool_problem=self._spool.degraded,
            checks=checks,
        )
        write(self._directory, told)
