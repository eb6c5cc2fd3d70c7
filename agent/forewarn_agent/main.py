"""Be the resident agent: sample on schedule, spool, ship, until told to stop.

    python -m forewarn_agent.main [DIRECTORY]

Started by `forewarn-agent run`.  Imports only what must stay in memory: no pydantic, no typer.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import httpx
import psutil

from forewarn_agent import child, clock, identity, logs, paths, remote
from forewarn_agent.asking import signed_get
from forewarn_agent.config import ConfigError
from forewarn_agent.exits import NOT_ENROLLED, NOT_WELL, WRONG_USE
from forewarn_agent.facts import FactMemory
from forewarn_agent.identity import BrokenIdentity, Identity, NotEnrolled
from forewarn_agent.orders import Orders, helper_at
from forewarn_agent.privileged import smart_reader
from forewarn_agent.pulse import Pulse
from forewarn_agent.reload import Settings
from forewarn_agent.remote import RemoteSettings
from forewarn_agent.runner import Runner
from forewarn_agent.schedule import Schedule
from forewarn_agent.sender import Sender, Tried
from forewarn_agent.shipper import Pace, ship_once
from forewarn_agent.spool import InUse, Limits, Spool
from forewarn_agent.status import StatusBook
from forewarn_agent.urgency import Marks, marks_passed
from forewarn_agent.witness import Witness
from forewarn_checks import agent as own
from forewarn_checks.base import Fact, Lane, Options, Outcome, Reading, Run
from forewarn_checks.base.catalog import all_checks

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
_LOOK_EVERY_TICKS = 4  # at agent.toml
_REPAIR_EVERY_TICKS = 60
_PING_EVERY_TICKS = 20
_LAST_WORDS_SECONDS = 3.5
_ASK_CONFIG_SECONDS = 30.0
_CUT_SHORT = (Outcome.FAILED, Outcome.TIMED_OUT)


class Agent:
    """The parts of the resident agent, tied together."""

    def __init__(
        self,
        directory: Path,
        settings: Settings,
        remote: RemoteSettings,
        who: Identity,
        spool: Spool,
    ) -> None:
        """Take what `main` has opened; nothing runs yet."""
        self._directory = directory
        self._settings = settings
        self._remote = remote
        self._witness = Witness(directory)
        self._asked_config = float("-inf")
        self._changed_far = threading.Event()
        self._who = who
        self._spool = spool
        self._version = version("forewarn")
        self._checks = all_checks()
        self._readers = {name: child.reader_for(check) for name, check in self._checks.items()}
        helper = helper_at(paths.helper_socket())
        self._readers["smart"] = smart_reader(self._readers["smart"], helper)
        self._readers["agent"] = self._read_itself
        self._runner = Runner()
        self._facts = FactMemory(directory / "facts.json", self._facts_owner())
        self._facts_lock = threading.Lock()
        self._latest: dict[str, tuple[Outcome, Marks]] = {}
        self._pace = Pace()
        self._pulse = Pulse()
        self._stopping = False
        self._client = self._make_client()
        self._sender = Sender(self._ship, lambda: settings.current.sending)
        self._orders = Orders(self._client, who, helper, self._answer)
        self._schedule = Schedule(who.host_id, self._fire)
        self._book = StatusBook(
            directory,
            version=self._version,
            host_id=who.host_id,
            collector=who.url,
            spool=spool,
            settings=settings,
            trouble=self._trouble,
        )

    def run(self, stop: threading.Event, reload: threading.Event) -> None:
        """Sample and ship until `stop` is set; `reload` asks for agent.toml to be read again."""
        self._schedule.apply(self._settings.current.enabled(), datetime.now(UTC))
        self._schedule.start()
        self._sender.start()
        self._orders.start()
        self._book.write()
        paths.notify_service_manager("READY=1")
        before, ticks = clock.tick(), 0
        while not stop.wait(_TICK_SECONDS):
            ticks += 1
            before = self._watch_clocks(before)
            if ticks % _LOOK_EVERY_TICKS == 0 or reload.is_set():
                asked = reload.is_set() or self._changed_far.is_set()
                reload.clear()
                self._changed_far.clear()
                self._reload(asked=asked)
            if ticks % _REPAIR_EVERY_TICKS == 0:
                self._schedule.clock_moved(timedelta(0), datetime.now(UTC))
            if ticks % _PING_EVERY_TICKS == 0 and self._is_at_work():
                paths.notify_service_manager("WATCHDOG=1")
            self._book.write_if_due()

    def finish(self) -> None:
        """Stop sampling, send once more what waits, and let go of the spool.  Within 5 s."""
        self._stopping = True
        self._orders.stop()
        self._schedule.stop()
        for reader in self._readers.values():
            if isinstance(reader, child.InChild):
                reader.kill()
        self._sender.stop(_LAST_WORDS_SECONDS)
        self._remote.let_go()
        self._book.write()
        self._spool.close()

    def _fire(self, name: str) -> None:
        """Run one check and spool what came of it.  Called by the schedule's workers."""
        check = self._checks[name]
        options = self._settings.current.checks[name].options
        run = self._runner.perform(check, self._readers[name], options, clock.now())
        if self._stopping and run.outcome in _CUT_SHORT:
            return  # it was we who ended the reader
        latest = (run.outcome, marks_passed(check, run))
        before = self._latest.get(name, latest)
        self._latest[name] = latest
        self._keep(run)
        self._book.ran(run)
        if run.outcome is not before[0]:
            log.info("%s: %s, was %s %s", name, run.outcome, before[0], run.error)
        self._sender.run_waits(urgent=latest != before)

    def _is_at_work(self) -> bool:
        return self._sender.is_alive() and self._pulse.goes_on(self._settings.current.enabled())

    def _keep(self, run: Run) -> None:
        with self._facts_lock:
            owner = self._facts_owner()
            if owner != self._facts.owner:  # the spool was renewed, or lost runs with facts
                self._facts = FactMemory(self._directory / "facts.json", owner)
            changed = self._facts.only_changed(run)
            self._spool.append(changed)
            self._facts.told(changed)
        self._pulse.beat()

    def _answer(self, run: Run) -> None:
        """Keep what became of an order until the collector holds it."""
        self._spool.append(run, Lane.RESULTS)
        self._sender.run_waits(urgent=True)

    def _facts_owner(self) -> str:
        dropped = sum(self._spool.dropped(lane) for lane in Lane)
        return f"{self._who.host_id} {self._spool.spool_id} {dropped}"

    def _ship(self) -> Tried:
        waiting = sum(self._spool.waiting(lane) for lane in Lane)
        shipped = ship_once(
            self._spool,
            self._client,
            self._who,
            clock.now(),
            self._pace,
            live_for=self._settings.current.sending.live_for,
            agent_version=self._version,
        )
        self._pace = shipped.pace
        self._book.sent(shipped)
        if shipped.receipt is not None:
            if shipped.receipt.orders_waiting:
                self._orders.waiting()
            self._witness.shown(shipped.receipt.audit_checkpoint)
            self._remote.went_well(time.monotonic())
            self._look_for_settings(shipped.receipt.config_version)
        if shipped.lane is None:
            return Tried()
        return Tried(
            sent=shipped.answer is not None,
            wait_seconds=shipped.wait_seconds,
            more=shipped.receipt is None or waiting > shipped.runs,
        )

    def _trouble(self) -> str:
        return self._settings.problem or self._remote.problem

    def _look_for_settings(self, version: str) -> None:
        """Fetch what the collector sets when that is news.  In the sender's thread."""
        now = time.monotonic()
        if not self._remote.wants(version) or now - self._asked_config < _ASK_CONFIG_SECONDS:
            return
        self._asked_config = now
        try:
            body = signed_get(
                self._client,
                self._who,
                remote.PATH,
                stream=remote.STREAM,
                timeout_seconds=self._settings.current.sending.timeout.total_seconds(),
                most_bytes=remote.MOST_BYTES,
            )
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as failure:
            log.info("settings not fetched: %s", failure)
            return
        if self._remote.offer(body, time.monotonic()):
            self._changed_far.set()

    def _read_itself(self, _options: Options) -> Iterator[Reading]:
        """Be the reader of the check `agent`."""
        problem = self._trouble()
        yield own.WAITING.sample(sum(self._spool.waiting(lane) for lane in Lane))
        yield own.DROPPED.sample(sum(self._spool.dropped(lane) for lane in Lane))
        yield own.MEMORY.sample(psutil.Process().memory_info().rss)
        yield own.REFUSED.sample(1 if problem else 0)
        yield Fact("config_problem", problem[:1000])
        yield own.REWOUND.sample(1 if self._witness.rewound else 0)
        yield Fact("audit_rewound", self._witness.rewound)
        if witnessed := self._witness.tell(time.time()):
            yield Fact("audit_witness", witnessed)

    def _watch_clocks(self, before: clock.Tick) -> clock.Tick:
        after = clock.tick()
        jump = clock.wall_jump(before, after)
        if jump:
            log.warning("the wall clock was set by %+.1f s; the schedule keeps its rhythm", jump)
            self._schedule.clock_moved(timedelta(seconds=jump), datetime.now(UTC))
        asleep = clock.slept(before, after)
        if asleep:
            log.info("the host slept for %.0f s; what was due runs once", asleep)
            self._schedule.woke_up()
            self._sender.woke_up()
        return after

    def _reload(self, *, asked: bool) -> None:
        if not self._settings.look(asked=asked):
            return
        current = self._settings.current
        logging.getLogger().setLevel(current.log.level.upper())
        self._client.timeout = current.sending.timeout.total_seconds()
        self._schedule.apply(current.enabled(), datetime.now(UTC))

    def _make_client(self) -> httpx.Client:
        return httpx.Client(
            verify=self._who.tls() if self._who.url.startswith("https:") else True,
            timeout=self._settings.current.sending.timeout.total_seconds(),
            # A connection is kept as long as the collector keeps it: a handshake costs it 1 ms.
            limits=httpx.Limits(max_connections=2, keepalive_expiry=None),
            headers={"user-agent": f"forewarn-agent/{self._version}"},
            trust_env=False,  # a proxy or key log named in some environment is not ours
        )


def main(arguments: list[str]) -> int:
    """Run the agent of the directory named first among `arguments`; return its exit code."""
    named = arguments[0] if arguments else os.environ.get(paths.DIRECTORY_VARIABLE, "")
    directory = Path(named) if named else paths.default_directory()
    stop, reload = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if (asks := paths.reload_signal()) is not None:
        signal.signal(asks, lambda *_: reload.set())
    return serve(directory, stop, reload, logging.StreamHandler())


def serve(
    directory: Path, stop: threading.Event, reload: threading.Event, handler: logging.Handler
) -> int:
    """Be the agent of `directory` until `stop` is set, logging to `handler`; return an exit code.

    Works in any thread: it is given events, and sets no signal.
    """
    os.environ[paths.DIRECTORY_VARIABLE] = str(directory)  # where checks keep what they remember
    logs.set_up("info", handler)
    try:
        remotely = RemoteSettings(directory)
        settings = Settings(directory, lambda: remotely.changes)
        logs.set_up(settings.current.log.level, handler)
        who = identity.load(directory)
        spool = Spool.open(directory / "spool", limits=_limits(settings))
    except (ConfigError, UnicodeError) as failure:
        log.error("%s", failure)
        return WRONG_USE
    except NotEnrolled as failure:
        log.error("%s", failure)
        return NOT_ENROLLED
    except (BrokenIdentity, InUse, OSError) as failure:
        log.error("%s", failure)
        return NOT_WELL
    agent = Agent(directory, settings, remotely, who, spool)
    log.info("agent of host %s begins; collector %s", who.host_id, who.url)
    agent.run(stop, reload)
    log.info("told to stop")
    agent.finish()
    return 0


def _limits(settings: Settings) -> Limits:
    bounds = settings.current.spool
    return Limits(
        most_bytes=bounds.megabytes * 2**20,
        keep_for=bounds.keep_for,
        leave_free_bytes=bounds.leave_free_megabytes * 2**20,
    )


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # a reader stuck in a dead mount must not keep the process
