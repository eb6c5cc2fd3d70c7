"""Run a collector: listen, judge, tell, keep house; and stop without losing anything."""

import asyncio
import contextlib
import resource
import signal
import sqlite3
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import structlog
import uvloop
from pydantic import JsonValue

from forewarn_checks.base import FactValue
from forewarn_collector import (
    backup,
    certificates,
    clock,
    control,
    packages,
    service_manager,
    witnessing,
)
from forewarn_collector.api.app import operators_app
from forewarn_collector.attending import ENOUGH_SECONDS, attend_all
from forewarn_collector.background import Task, stop_all
from forewarn_collector.calling import Caller
from forewarn_collector.certificates import Files
from forewarn_collector.config import CollectorConfig, ConfigError, split_address
from forewarn_collector.control import ControlError
from forewarn_collector.doubles import Doubles
from forewarn_collector.engine import Engine
from forewarn_collector.garbage import sweep_less
from forewarn_collector.gate import Gate
from forewarn_collector.http.agents import AgentSide, agents_app
from forewarn_collector.http.server import CannotListen, Listener, Servers, bind
from forewarn_collector.ingest import Ingest, Room
from forewarn_collector.instance import (
    Collector,
    Live,
    Settings,
    collector_id,
    names_of,
    only_one,
    opened_state,
    read_pepper,
    read_settings,
)
from forewarn_collector.maintaining import Maintainer
from forewarn_collector.outbox import Courier
from forewarn_collector.pages import view
from forewarn_collector.results import result_keeper
from forewarn_collector.samples.duck import DuckSampleStore
from forewarn_collector.state import alerts, audit
from forewarn_collector.state import doubles as state_of_doubles
from forewarn_collector.state.database import Database
from forewarn_collector.state.hosts import Hosts, record_facts, revoke

JUDGE_EVERY = timedelta(seconds=5)
DELIVER_EVERY = timedelta(seconds=1)
ATTEND_EVERY = timedelta(seconds=10)
MAINTAIN_EVERY = timedelta(seconds=5)
STANDING_EVERY = timedelta(seconds=5)
SEAL_EVERY = timedelta(minutes=5)
COMPACT_EVERY = timedelta(hours=1)
RENEW_EVERY = timedelta(hours=12)
WATCH_EVERY = timedelta(seconds=2)

log = structlog.get_logger("forewarn.serve")


@dataclass(slots=True, kw_only=True)
class Line:
    """Everything of a running collector, from a request to a webhook."""

    collector: Collector
    store: DuckSampleStore
    ingest: Ingest
    engine: Engine
    courier: Courier
    files: Files
    tls: ssl.SSLContext
    seen: Mapping[Path, tuple[int, int]]
    doubles: Doubles
    showing: witnessing.Showing
    tasks: Sequence[Task] = ()

    # -- settings --------------------------------------------------------------------------------

    def reload(self) -> str:
        """Take over what the files say now; return "" or why the last good settings stay."""
        self.seen = _stamps(self.collector.directory)
        before = self.collector.config
        try:
            settings = read_settings(self.collector.directory)
        except ConfigError as wrong:
            log.error("settings refused, the last good ones stay", trouble=str(wrong))
            return str(wrong)
        self.collector.live.settings = settings
        self.engine.use(settings.book, settings.telling)
        self.courier.use(settings.config.destinations, settings.telling)
        _warn(settings)
        for name in ("agents", "operators", "url"):
            if getattr(before, name) != getattr(settings.config, name):
                log.warning("takes effect after a restart", setting=name)
        with self.collector.database.write() as connection:
            now = self.collector.now()
            audit.record(connection, now, "collector", "settings.reload")
        log.info("settings taken over", destinations=len(settings.config.destinations))
        return ""

    def watch(self) -> None:
        """Reload when a file was changed."""
        if _stamps(self.collector.directory) != self.seen:
            self.reload()

    # -- housekeeping ----------------------------------------------------------------------------

    def renew(self) -> None:
        """Renew the leaf when it is due, and show it to new connections."""
        names = names_of(self.collector.config.url)
        if certificates.renew_leaf(self.files, names, self.collector.now()):
            self.tls.load_cert_chain(self.files.leaf, self.files.leaf_key)
            log.info("certificate renewed", until=str(certificates.leaf_ends(self.files)))

    # -- questions of other commands -------------------------------------------------------------

    def handlers(self) -> Mapping[str, control.Handler]:
        """Return what `control.sock` answers."""
        return {
            "status": self._status,
            "reload": self._reload,
            "revoke": self._revoke,
            "settle": self._settle,
            "spread": self._spread,
            "snapshot": self._snapshot,
        }

    def _status(self, _arguments: Mapping[str, str]) -> Mapping[str, JsonValue]:
        return {
            "collector_id": self.collector.id,
            "started_at": clock.rfc3339(self.collector.started_at),
            "hosts": len(self.collector.hosts),
            "batches_waiting": self.ingest.waiting(),
            "destinations": [entry.name for entry in self.collector.config.destinations],
            "longest_turns": {task.name: task.longest_seconds for task in self.tasks},
            "certificate_until": clock.rfc3339(certificates.leaf_ends(self.files)),
        }

    def _reload(self, _arguments: Mapping[str, str]) -> Mapping[str, JsonValue]:
        if trouble := self.reload():
            raise ControlError(trouble)
        return {"reloaded": True}

    def _snapshot(self, _arguments: Mapping[str, str]) -> Mapping[str, JsonValue]:
        try:
            backup.snapshot_running(self.collector.directory, self.store)
        except (OSError, duckdb.Error, sqlite3.Error) as trouble:
            raise ControlError(f"no snapshot: {trouble}") from trouble
        return {"snapshot": backup.STAGING}

    def _spread(self, _arguments: Mapping[str, str]) -> Mapping[str, JsonValue]:
        into = self.collector.directory / "replay" / clock.uuid7(self.collector.now())
        spread = self.store.spread(into)
        return {
            "samples": list(spread.samples),
            "runs": list(spread.runs),
            "tail": spread.tail,
            "names": spread.names,
        }

    def _settle(self, arguments: Mapping[str, str]) -> Mapping[str, JsonValue]:
        host, now = arguments.get("host", ""), self.collector.now()
        if self.collector.hosts.get(host) is None:
            raise ControlError("there is no host of this id")
        settled = self.doubles.settle(host, now)
        if settled:
            with self.collector.database.write() as connection:
                state_of_doubles.keep(connection, self.doubles.take_news())
                audit.record(connection, now, "command line", "host.settle", host)
        return {"settled": settled}

    def _revoke(self, arguments: Mapping[str, str]) -> Mapping[str, JsonValue]:
        host = self.collector.hosts.get(arguments.get("host", ""))
        if host is None:
            raise ControlError("there is no host of this id")
        now = self.collector.now()
        with self.collector.database.write() as connection:
            changed = revoke(connection, host.id, now)
            audit.record(connection, now, "command line", "host.revoke", host.id)
        self.collector.hosts.refresh()
        log.warning("host revoked", host=host.id, name=host.name)
        return {"revoked": changed}


def run(directory: Path, *, ready: Callable[[str], None], now: Callable[[], datetime]) -> None:
    """Serve the instance in `directory` until SIGTERM or SIGINT.

    `ready` is told in one line once both listeners answer.  Raises ConfigError, InstanceError,
    CannotListen, StoreInUse or StoreUnusable before anything is listened on.
    """
    with only_one(directory), ExitStack() as stack:
        settings = read_settings(directory)
        _check_plain(settings.config)
        agents = stack.enter_context(bind(*settings.config.agents_address))
        operators = stack.enter_context(bind(*settings.config.operators_address))
        _more_connections()
        sweep_less()
        line = stack.enter_context(_line(directory, settings, now))
        proxy = settings.config.proxy
        tls = None if proxy.plain_http else line.tls
        trusted = tuple(str(address) for address in proxy.addresses)
        listeners = [
            Listener("agents", agents, agents_app(_side(line)), tls, trusted_proxies=trusted),
            Listener(
                "operators", operators, operators_app(line.collector), tls, trusted_proxies=trusted
            ),
        ]
        servers = Servers(listeners)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_listen(line, servers, lambda: ready(_addresses(line, listeners))))
    log.info("stopped")


@contextmanager
def _line(directory: Path, settings: Settings, now: Callable[[], datetime]) -> Iterator[Line]:
    """Open everything, in the order in which it depends on each other; close it backwards."""
    files = Files(directory)
    certificates.renew_leaf(files, names_of(settings.config.url), now())
    with ExitStack() as stack:
        database = stack.enter_context(opened_state(directory))
        store = DuckSampleStore(directory / "samples", cursor=_cursor_of(database))
        stack.callback(store.close)
        for finding in store.findings:
            log.error("samples", finding=finding)
        collector = Collector(
            directory=directory,
            id=collector_id(database),
            database=database,
            store=store,
            hosts=Hosts(database),
            live=Live(settings),
            started_at=now(),
            now=now,
        )
        room = Room(directory=directory)
        ingest = Ingest(
            store,
            _fact_keeper(database),
            missing_bytes=room.missing,
            on_results=result_keeper(database, collector.hosts),
        )
        engine = Engine(database, store, collector.hosts, settings.book, settings.telling)
        courier = Courier(database, settings.config.destinations, telling=settings.telling)
        stack.callback(courier.close)
        line = Line(
            collector=collector,
            store=store,
            ingest=ingest,
            engine=engine,
            courier=courier,
            files=files,
            tls=certificates.server_context(files),
            seen=_stamps(directory),
            doubles=_doubles_of(database),
            showing=witnessing.Showing(database, directory),
        )
        _warn(settings)
        engine.start(now())
        courier.start()
        line.tasks = _tasks(line, store)
        for task in line.tasks:
            task.start()
        stack.callback(stop_all, line.tasks)
        ingest.start()
        stack.callback(ingest.close)
        yield line


def _tasks(line: Line, store: DuckSampleStore) -> list[Task]:
    now = line.collector.now

    def forget() -> None:
        store.compact()
        keep = line.collector.config.retention.raw
        gone = store.forget(int((now() - keep).timestamp() * 1_000_000))
        if gone:
            log.info("old readings forgotten", files=gone)

    def attend() -> bool:
        database, telling = line.collector.database, line.collector.telling
        return attend_all(database, now(), telling, enough_seconds=ENOUGH_SECONDS).left

    maintainer = Maintainer(line.collector.database, store, line.collector.hosts)

    def maintain() -> None:
        maintainer.turn(line.collector.book, line.collector.telling, now())

    caller = Caller(line.collector.database)

    return [
        Task("judge", JUDGE_EVERY, lambda: _discard(line.engine.pass_(now())), last_turn=True),
        Task("deliver", DELIVER_EVERY, lambda: _discard(line.courier.deliver_due(now()))),
        Task("attend", ATTEND_EVERY, attend),
        Task("maintain", MAINTAIN_EVERY, maintain),
        Task("call", STANDING_EVERY, lambda: caller.turn(now())),
        Task("seal", SEAL_EVERY, lambda: _discard(store.seal())),
        Task("compact", COMPACT_EVERY, forget),
        Task("renew", RENEW_EVERY, line.renew),
        Task("witness", witnessing.EVERY, line.showing.look),
        Task("watch", WATCH_EVERY, line.watch),
    ]


async def _listen(line: Line, servers: Servers, ready: Callable[[], None]) -> None:
    loop, up = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, servers.stop)
    loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, line.reload))
    async with control.listening(line.collector.directory, line.handlers()):
        serving = asyncio.create_task(servers.run(up))
        waiting = asyncio.create_task(up.wait())
        await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
        if up.is_set():
            ready()
            loop.run_in_executor(None, view.warm)
        waiting.cancel()
        pinging = asyncio.create_task(service_manager.ping_while(lambda: _all_turn(line)))
        try:
            await serving
        finally:
            pinging.cancel()
            # While this loop still turns: it is where the last answers are given.
            await asyncio.to_thread(line.ingest.close)


def _all_turn(line: Line) -> bool:
    return all(task.is_alive() for task in line.tasks)


def _side(line: Line) -> AgentSide:
    collector = line.collector
    return AgentSide(
        collector_id=collector.id,
        hosts=collector.hosts,
        database=collector.database,
        store=collector.store,
        ingest=line.ingest,
        authority=line.files.ca.read_bytes(),
        pepper=read_pepper(collector.directory),
        now=collector.now,
        offer=packages.read_offer(packages.default_folder()),
        settings=lambda host: collector.live.settings.agents.document(host),
        checkpoint=line.showing.newest,
        gate=Gate(lambda: collector.book.groups, lambda: collector.telling.policies),
        doubles=line.doubles,
    )


def _fact_keeper(
    database: Database,
) -> Callable[[int, str, Mapping[str, FactValue], datetime], None]:
    def keep(_number: int, host_id: str, facts: Mapping[str, FactValue], at: datetime) -> None:
        with database.write() as connection:
            record_facts(connection, host_id, facts, at)

    return keep


def _cursor_of(database: Database) -> Callable[[], int]:
    def cursor() -> int:
        with database.read() as connection:
            return alerts.cursor(connection)

    return cursor


def _doubles_of(database: Database) -> Doubles:
    with database.read() as connection:
        return Doubles(state_of_doubles.read(connection))


def _check_plain(config: CollectorConfig) -> None:
    """Raise CannotListen where plain HTTP would leave this machine, or nobody asked for it."""
    if not config.proxy.plain_http:
        return
    if not config.proxy.addresses:
        raise CannotListen(
            "proxy.plain_http needs proxy.addresses; write where the proxy asks from"
        )
    for name in ("agents", "operators"):
        host, _ = split_address(getattr(config, name))
        if host not in ("127.0.0.1", "::1", "localhost"):
            raise CannotListen(
                f"{name} = {host} with plain HTTP would leave this machine; listen on 127.0.0.1,"
                " or let the proxy speak TLS to us: proxy.plain_http = false"
            )


def _addresses(line: Line, listeners: list[Listener]) -> str:
    parts = [
        f"{listener.name} {'https' if listener.tls else 'http'}://"
        f"{urlsplit(f'//{stated}').netloc.rpartition(':')[0]}:{listener.port}"
        for listener, stated in zip(
            listeners, (line.collector.config.agents, line.collector.config.operators), strict=True
        )
    ]
    return f"ready: {', '.join(parts)}"


def _stamps(directory: Path) -> Mapping[Path, tuple[int, int]]:
    """Return what tells that one of the files of settings was changed."""
    stamps = {}
    for path in (directory / "collector.toml", *sorted((directory / "rules.d").glob("*.toml"))):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            stamps[path] = (status.st_mtime_ns, status.st_size)
    return stamps


def _warn(settings: Settings) -> None:
    for warning in settings.config.warnings:
        log.warning("settings", warning=warning)


def _more_connections() -> None:
    """Take as many open files as this process may: every agent keeps a connection."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _discard(_value: object) -> None:
    """Take no interest in what a call returned."""
