"""Look an agent over: what keeps it from its work, or soon will, and what to do about it."""

import shutil
import ssl
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path

import httpx

from forewarn_agent import config, identity, paths, service_access, status
from forewarn_agent.identity import BrokenIdentity, Identity, NotEnrolled
from forewarn_agent.status import Status

_CLOCK_MOST = timedelta(minutes=2)
_LITTLE_ROOM = 64 * 2**20
_SILENT_MOST = timedelta(minutes=15)


class Mark(StrEnum):
    """How one look ended."""

    WELL = "ok"
    WARNING = "warning"
    TROUBLE = "trouble"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.  `text` says what was found and, unless all is well, what to do."""

    subject: str
    mark: Mark
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What is asked of the world; handed in, so that it can be made up."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    client: Callable[[Identity], httpx.Client] = lambda who: httpx.Client(
        verify=who.tls() if who.url.startswith("https:") else True, timeout=10, trust_env=False
    )
    is_running: Callable[[int], bool] = lambda pid: Path(f"/proc/{pid}").exists()
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
    program: Path = Path(sys.prefix)


def examine(directory: Path, outside: Outside) -> Iterator[Finding]:
    """Look at everything in turn, the most basic first.  Raises PermissionError for strangers."""
    yield _rights(directory)
    yield _program(outside.program)
    yield _settings(directory)
    yield _disk(directory, outside)
    try:
        who = identity.load(directory)
    except (NotEnrolled, BrokenIdentity) as failure:
        yield Finding("identity", Mark.TROUBLE, str(failure))
        return
    yield _well("identity", f"host {who.host_id} of {who.client}, {who.site}")
    yield from _collector(who, outside)
    yield from _running(directory, outside)


def _well(subject: str, text: str) -> Finding:
    return Finding(subject, Mark.WELL, text)


def _rights(directory: Path) -> Finding:
    open_to_others = [
        str(path)
        for path in (directory, *sorted(directory.glob("*")))
        if not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    # On Windows the folder's access list says it, not these bits.
    if others := service_access.open_to(directory):
        text = f"{directory} is open to {', '.join(others)}; run: forewarn-agent service install"
        return Finding("rights", Mark.TROUBLE, text)
    if open_to_others and paths.system_name() == "linux":
        text = f"open to others: {', '.join(open_to_others[:3])}; run: chmod -R go= {directory}"
        return Finding("rights", Mark.TROUBLE, text)
    return _well("rights", "for the agent's own user only")


def _program(program: Path) -> Finding:
    """Whoever may change the program is the agent."""
    for folder in (program, *program.parents):
        found = folder.stat()
        sticky = found.st_mode & stat.S_ISVTX
        if paths.system_name() == "linux" and found.st_mode & 0o022 and not sticky:
            text = f"{folder} can be changed by others than its owner; run: chmod go-w {folder}"
            return Finding("program", Mark.TROUBLE, text)
    if others := service_access.changed_by(program):
        text = f"{program} can be changed by {', '.join(others)}; install it below Program Files"
        return Finding("program", Mark.TROUBLE, text)
    return _well("program", f"{program}, Python {sys.version.split()[0]}")


def _settings(directory: Path) -> Finding:
    found = config.find(directory)
    try:
        settings = config.load(found)
    except (config.ConfigError, OSError) as wrong:
        return Finding("settings", Mark.TROUBLE, f"{wrong}; see forewarn-agent config check")
    return _well("settings", f"{found or 'defaults'}; checks: {', '.join(settings.enabled())}")


def _disk(directory: Path, outside: Outside) -> Finding:
    free = outside.free_bytes(directory)
    if free < _LITTLE_ROOM:
        text = f"{free / 2**20:.0f} MiB free: runs are kept in memory only; make room"
        return Finding("disk", Mark.TROUBLE, text)
    return _well("disk", f"{free / 2**30:.1f} GiB free for the spool")


def _collector(who: Identity, outside: Outside) -> Iterator[Finding]:
    try:
        with outside.client(who) as client:
            answer = client.get(f"{who.url}/v1/ca.pem")
    except (httpx.HTTPError, ssl.SSLError) as failure:
        text = f"{who.url}: {failure or type(failure).__name__}; check address, port and firewall"
        if "CERTIFICATE_VERIFY_FAILED" in str(failure):
            text = (
                f"{who.url}: {failure}; if this host's clock is right, the collector shows a"
                " certificate that its own authority did not sign"
            )
        yield Finding("collector", Mark.TROUBLE, text)
        return
    if answer.status_code != 200:
        text = f"{who.url} answered {answer.status_code}; is this the collector?"
        yield Finding("collector", Mark.TROUBLE, text)
        return
    yield _well("collector", f"{who.url} answers and shows the right certificate")
    try:
        off = outside.now() - parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError, TypeError):
        return
    if abs(off) > _CLOCK_MOST:
        text = f"differs from the collector's by {off.total_seconds():+.0f} s; set up NTP"
        yield Finding("clock", Mark.WARNING, text)
    else:
        yield _well("clock", "agrees with the collector's")


def _running(directory: Path, outside: Outside) -> Iterator[Finding]:
    try:
        told = status.read(directory)
    except ValueError as failure:
        yield Finding("agent", Mark.WARNING, f"{failure}; restart the agent")
        return
    health = status.judge(told, outside.is_running)
    if told is None or health in ("has not run yet", "is not running"):
        yield Finding("agent", Mark.TROUBLE, f"{health}; run: {paths.start_command()}")
        return
    yield _well("agent", f"version {told.version} runs since {told.started_at}")
    yield _sending(told, outside.now())
    yield _spool(told)
    for name, check in told.checks.items():
        if check.outcome in ("failed", "timed_out"):
            yield Finding(f"check {name}", Mark.WARNING, f"{check.outcome}: {check.error}")


def _sending(told: Status, now: datetime) -> Finding:
    if told.send_problem:
        text = f"{told.send_problem}; last receipt {told.received_at or 'never'}"
        return Finding("sending", Mark.TROUBLE, text)
    if told.received_at and now - datetime.fromisoformat(told.received_at) > _SILENT_MOST:
        text = f"nothing was received since {told.received_at}; restart the agent"
        return Finding("sending", Mark.TROUBLE, text)
    return _well("sending", f"last receipt {told.received_at or 'not yet'}")


def _spool(told: Status) -> Finding:
    if told.spool_problem:
        return Finding("spool", Mark.TROUBLE, told.spool_problem)
    dropped = {lane: count for lane, count in told.dropped.items() if count}
    if dropped:
        counts = ", ".join(f"{lane} {count}" for lane, count in dropped.items())
        text = f"runs were dropped: {counts}; give it more room with [spool] in agent.toml"
        return Finding("spool", Mark.WARNING, text)
    return _well("spool", f"{sum(told.waiting.values())} runs wait, none was dropped")
