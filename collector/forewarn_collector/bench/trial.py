"""One bench from an empty folder to a report."""

import asyncio
import base64
import contextlib
import os
import secrets
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import uvloop

from forewarn_collector import clock, control, instance
from forewarn_collector.bench import fleet as fleets
from forewarn_collector.bench.fleet import SimulatedHost
from forewarn_collector.bench.load import Plan, Tally, send_all
from forewarn_collector.bench.report import BenchReport, percentiles
from forewarn_collector.receiver import Received, Receiver
from forewarn_collector.samples import sealed
from forewarn_collector.samples.duck import DuckSampleStore

# The command itself, wherever it was installed to.
_SERVE = "from forewarn_collector.cli import app; app()"
RULE = "DiskAlmostFull"
_READY_SECONDS = 60.0
_STOP_SECONDS = 60.0
_SETTLE_SECONDS = 30.0  # how long the last tickets may still take
_MOST_ALERTS = 20

Progress = Callable[[str], None]


class BenchFailed(Exception):
    """The bench could not be run; the text says where it stopped and which log to read."""


@dataclass(slots=True)
class Watch:
    """Samples the collector's process until stopped."""

    process: psutil.Process
    rss: int = 0
    cpu_at_start: float = 0.0
    cpu: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look, once a second."""
        self.cpu_at_start = self._cpu()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look a last time."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def _look(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            while True:
                self.rss = max(self.rss, self.process.memory_info().rss)
                self.cpu = self._cpu() - self.cpu_at_start
                if self._stop.wait(1):
                    return

    def _cpu(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


@dataclass(slots=True)
class Alerts:
    """When each full reading was taken, and when its ticket was received."""

    taken: dict[str, float] = field(default_factory=dict)
    received: dict[str, float] = field(default_factory=dict)

    def full(self, host: SimulatedHost, at: float) -> None:
        """Note that a host's first full reading is due at unix seconds `at`."""
        self.taken[host.name] = at

    def ticket(self, received: Received) -> None:
        """Note a ticket that was opened."""
        name = str(received.ticket.get("host"))
        if received.type == "ticket.opened" and name in self.taken:
            self.received.setdefault(name, received.at)

    def latencies(self) -> list[float]:
        """Return the seconds from reading to receiver."""
        return [self.received[name] - self.taken[name] for name in self.received]


def run(hosts: int, minutes: float, directory: Path | None, progress: Progress) -> BenchReport:
    """Run `hosts` simulated hosts for `minutes` against a collector of its own; report.

    `directory` must not exist yet and is kept; None takes a temporary one.  Raises BenchFailed.
    """
    with _folder(directory) as home:
        alerts = Alerts()
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        receiver = Receiver(secret, alerts.ticket)
        try:
            progress(f"making {hosts} hosts with keys of their own")
            fleet = fleets.make_fleet(hosts)
            address, collector_id = _make_instance(home, fleet, receiver.url, secret)
            with _serving(home, progress) as process:
                watch = Watch(process)
                plan = _plan(home, address, collector_id, hosts, minutes, alerts)
                progress(f"sending for {minutes:g} minutes over {plan.connections} connections")
                watch.start()
                began = time.process_time()
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    tally = runner.run(_load(plan, fleet, progress))
                generator = time.process_time() - began
                _await_tickets(alerts)
                watch.stop()
                turns = _turns(home)
        finally:
            receiver.close()
        progress("checking what is held")
        return _report(home, plan, fleet, tally, watch, alerts, turns, generator)


@contextmanager
def _folder(directory: Path | None) -> Iterator[Path]:
    if directory is not None:
        if directory.exists() and any(directory.iterdir()):
            raise BenchFailed(f"{directory} is not empty; name a folder that does not exist yet")
        yield directory.absolute()
        return
    made = Path(tempfile.mkdtemp(prefix="forewarn-bench-"))
    try:
        yield made / "collector"
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _make_instance(
    home: Path, fleet: list[SimulatedHost], webhook: str, secret: str
) -> tuple[tuple[str, int], str]:
    """Make a collector that knows the fleet and tells one webhook; return address and id."""
    agents, operators = _free_port(), _free_port()
    collector_id = instance.create(
        home,
        agents=f"127.0.0.1:{agents}",
        operators=f"127.0.0.1:{operators}",
        url=f"https://127.0.0.1:{agents}",
        now=clock.now(),
    )
    secret_file = home / "secrets" / "bench.secret"
    secret_file.touch(0o600)
    secret_file.write_text(secret + "\n", "ascii")
    with (home / "collector.toml").open("a", encoding="utf-8") as config:
        config.write(
            f'\n[[destinations]]\nname = "bench"\nkind = "webhook"\nurl = "{webhook}"\n'
            f'secret_file = "{secret_file}"\nallow_networks = ["127.0.0.0/8"]\n'
            # The first full reading completes it, so that what is timed is the line alone.
            f'\n[rules.{RULE}]\nhold_for = "0s"\n'
            "\n[tickets]\nnew_per_hour = 100000\n"
        )
    with instance.opened_state(home) as database:
        fleets.enrol(database, fleet, clock.now())
    return ("127.0.0.1", agents), collector_id


@contextmanager
def _serving(home: Path, progress: Progress) -> Iterator[psutil.Process]:
    progress("starting the collector")
    command = [sys.executable, "-c", _SERVE, "serve", "--dir", str(home)]
    log_path = home / "serve.log"
    with log_path.open("wb") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
        )
    try:
        assert child.stdout is not None
        if not child.stdout.readline().startswith(b"ready"):
            tail = log_path.read_text("utf-8", "replace")[-1000:]
            raise BenchFailed(f"the collector did not start; {log_path} ends:\n{tail}")
        yield psutil.Process(child.pid)
        progress("stopping the collector")
        child.terminate()
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise BenchFailed(f"the collector did not stop; see {log_path}") from None
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        if child.stdout:
            child.stdout.close()


def _plan(
    home: Path,
    address: tuple[str, int],
    collector_id: str,
    hosts: int,
    minutes: float,
    alerts: Alerts,
) -> Plan:
    start = time.time() + 2
    seconds = minutes * 60
    warm_up = 60.0 if minutes > 2 else 0.0
    count = min(_MOST_ALERTS, hosts)
    # Spread over the fleet and over the time between warm-up and the last full minute.
    span = max(seconds - 60 - warm_up, 0)
    fills = {
        1 + place * hosts // count: start + warm_up + span * place / count for place in range(count)
    }
    return Plan(
        address=address,
        tls=ssl.create_default_context(cafile=str(home / "ca.pem")),
        collector_id=collector_id,
        start=start,
        seconds=seconds,
        warm_up_seconds=warm_up,
        connections=min(max(8, hosts // 200), 256),
        fills=fills,
        on_full=alerts.full,
    )


async def _load(plan: Plan, fleet: list[SimulatedHost], progress: Progress) -> Tally:
    sending = asyncio.ensure_future(send_all(plan, fleet, (fleets.RUNS, fleets.SAMPLES)))
    while not sending.done():
        await asyncio.wait((sending,), timeout=10)
        done = min(max(time.time() - plan.start, 0) / plan.seconds, 1)
        progress(f"{done:.0%} of the time")
    return sending.result()


def _await_tickets(alerts: Alerts) -> None:
    until = time.monotonic() + _SETTLE_SECONDS
    while len(alerts.received) < len(alerts.taken) and time.monotonic() < until:
        time.sleep(0.2)


def _turns(home: Path) -> dict[str, float]:
    """Return the longest turn of each task of the collector, in seconds."""
    try:
        longest = control.ask(home, "status").get("longest_turns")
    except control.ControlError:
        return {}
    if not isinstance(longest, dict):
        return {}
    return {name: value for name, value in longest.items() if isinstance(value, float)}


def _report(
    home: Path,
    plan: Plan,
    fleet: list[SimulatedHost],
    tally: Tally,
    watch: Watch,
    alerts: Alerts,
    turns: dict[str, float],
    generator: float,
) -> BenchReport:
    store = DuckSampleStore(home / "samples")
    try:
        began = time.perf_counter()
        if store.seal():
            turns["seal"] = max(turns.get("seal", 0.0), time.perf_counter() - began)
        held, twice = store.count_runs()
        files = store.files()
    finally:
        store.close()
    rows = sum(file.row_count for file in files if file.kind == sealed.SAMPLES)
    size = sum(file.bytes for file in files)
    latencies = alerts.latencies()
    # A collector that fell behind goes on answering when the time is up.
    seconds = max(plan.seconds, tally.last_answer - plan.start)
    return BenchReport(
        hosts=len(fleet),
        minutes=round(plan.seconds / 60, 2),
        samples_per_second=round(tally.samples / seconds, 1),
        ack_ms=percentiles(tally.milliseconds),
        rejected=tally.rejected,
        duplicates=twice,
        rss_bytes=watch.rss,
        cpu_seconds_per_million_samples=_ratio(watch.cpu * 1e6, tally.samples),
        bytes_per_sample=_ratio(size, rows),
        rule_pass_seconds=_rounded(turns.get("judge")),
        alert_latency_seconds=_rounded(max(latencies, default=None)),
        lost=max(tally.runs - (held - twice), 0),
        repeats_sent=tally.repeats,
        late=tally.late,
        alerts_expected=len(alerts.taken),
        alerts_received=len(alerts.received),
        seal_seconds=_rounded(turns.get("seal")),
        connections=plan.connections,
        connect_ms=round(statistics.fmean(tally.connect_seconds or [0.0]) * 1000, 2),
        generator_cpu_seconds=round(generator, 1),
        collector_cpu_seconds=round(watch.cpu, 1),
        processors=os.cpu_count() or 1,
        transport="TLS 1.3 on loopback, kept-alive connections shared by all hosts",
    )


def _ratio(amount: float, count: int) -> float | None:
    return round(amount / count, 2) if count else None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
