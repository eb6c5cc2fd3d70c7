"""Show the whole line on this very host: collector, enrolled agent, page, and a ticket receiver.

`./install.sh try` runs it.  All of it lives in one temporary folder on free loopback ports and is
gone at the end.  It lowers `DiskAlmostFull` to just under the fullest filesystem, waits for the
ticket, puts the rule back, and waits for the close: so one ticket always opens and closes.
"""

import base64
import contextlib
import json
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar

import httpx
import typer
from rich.console import Console

from forewarn_checks.base.catalog import all_checks
from forewarn_collector.receiver import Received, Receiver

T = TypeVar("T")
Json = dict[str, object]

_READY_SECONDS = 60.0
_READINGS_SECONDS = 240.0  # apt takes seconds, smartctl behind a sleepy bridge a minute
_TICKET_SECONDS = 90.0
_RULE = "DiskAlmostFull"
_USED = "disk_used_ratio"
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Fast enough to watch; a real host is read every few minutes.
_AGENT_TOML = """\
[checks.disk]
every = "2s"
[checks.memory]
every = "10s"
[checks.cpu]
every = "10s"
[checks.uptime]
every = "30s"
"""


class Trouble(Exception):
    """The line did not hold; the text says where, and what to look at."""


@dataclass(slots=True)
class Trial:
    """The folder, the processes and the addresses of one trial."""

    home: Path
    say: Callable[[str], None]
    receiver: Receiver
    secret: str
    operators: int = field(default_factory=lambda: free_port())
    agents: int = field(default_factory=lambda: free_port())
    password: str = ""
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def instance(self) -> Path:
        """The collector's folder."""
        return self.home / "collector"

    @property
    def agent(self) -> Path:
        """The agent's folder."""
        return self.home / "agent"

    @property
    def page(self) -> str:
        """Where the operators' page is."""
        return f"https://127.0.0.1:{self.operators}"

    def call(self, *command: str, given: str = "") -> str:
        """Run one of our commands to its end and return what it printed."""
        done = subprocess.run(
            [_path_of(command[0]), *command[1:]],
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise Trouble(
                f"{' '.join(command[:2])} ended with code {done.returncode}:\n{done.stderr[-2000:]}"
            )
        return done.stdout

    def start(self, *command: str) -> None:
        """Start one of our commands in a session of its own, so that Ctrl-C is ours to handle."""
        with (self.home / f"{command[0]}.log").open("wb") as log:
            self.children[command[0]] = subprocess.Popen(
                [_path_of(command[0]), *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End what was started, the agent first, so that its last batch still finds a collector."""
        for child in reversed(self.children.values()):
            child.terminate()
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def look_alive(self) -> None:
        """Raise Trouble, with the end of its log, when a process has ended by itself."""
        for name, child in self.children.items():
            if child.poll() is not None:
                raise Trouble(f"{name} ended with code {child.returncode}:\n{self.log(name)}")

    def log(self, name: str) -> str:
        """Return the end of what a process had to say."""
        path = self.home / f"{name}.log"
        return path.read_text("utf-8", "replace")[-3000:] if path.is_file() else ""

    def wait_for(self, what: str, seconds: float, look: Callable[[], T | None]) -> T:
        """Ask `look` until it has an answer.  Raises Trouble when it has none in time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.look_alive()
            answer = look()
            if answer is not None:
                return answer
            time.sleep(0.2)
        logs = "\n".join(f"-- {name}\n{self.log(name)}" for name in self.children)
        raise Trouble(f"no {what} within {seconds:g} s\n{logs}")


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _path_of(command: str) -> str:
    return str(Path(sys.executable).parent / command)


# -- the steps, in order ---------------------------------------------------------------------------


def start_collector(trial: Trial) -> None:
    """Make an instance with our receiver as its destination, and serve it."""
    trial.call(
        "forewarn-collector",
        "init",
        *("--dir", str(trial.instance)),
        *("--agents", f"127.0.0.1:{trial.agents}"),
        *("--operators", f"127.0.0.1:{trial.operators}"),
        *("--url", f"https://127.0.0.1:{trial.agents}"),
    )
    secret_file = trial.instance / "receiver.secret"
    secret_file.touch(0o600)
    secret_file.write_text(trial.secret + "\n", "ascii")
    with (trial.instance / "collector.toml").open("a", encoding="utf-8") as config:
        config.write(
            '\n[[destinations]]\nname = "receiver"\nkind = "webhook"\n'
            f'url = "{trial.receiver.url}"\nsecret_file = "{secret_file}"\n'
            'allow_networks = ["127.0.0.0/8"]\n'
        )
    made = trial.call(
        "forewarn-collector",
        *("user", "create", "admin", "--role", "admin", "--json"),
        *("--dir", str(trial.instance)),
    )
    trial.password = str(json.loads(made)["password"])
    trial.start("forewarn-collector", "serve", "--dir", str(trial.instance))


def sign_in(trial: Trial) -> httpx.Client:
    """Return a client of the operators' API, signed in with the one-time password."""
    client = httpx.Client(
        base_url=trial.page,
        verify=ssl.create_default_context(cafile=str(trial.instance / "ca.pem")),
        trust_env=False,
        timeout=30,
    )

    def ready() -> bool | None:
        try:
            return True if client.get("/readyz").is_success else None
        except httpx.TransportError:
            return None

    trial.wait_for("answer of the collector", _READY_SECONDS, ready)
    answer = client.post("/api/v1/login", json={"name": "admin", "password": trial.password})
    if not answer.is_success:
        raise Trouble(f"signing in: status {answer.status_code}: {answer.text[:300]}")
    client.headers["authorization"] = f"Bearer {answer.json()['key']}"
    return client


def start_agent(trial: Trial) -> None:
    """Enrol an agent for this host by a one-use token, and run it."""
    trial.agent.mkdir(0o700)
    (trial.agent / "agent.toml").write_text(_AGENT_TOML, "utf-8")
    token = trial.call(
        "forewarn-collector",
        *("token", "create", "--client", "demo", "--site", "here"),
        *("--dir", str(trial.instance)),
    ).splitlines()[-1]
    # By standard input, so that the token never shows in the process list.
    trial.call("forewarn-agent", "enrol", "-", "--dir", str(trial.agent), given=token + "\n")
    trial.start("forewarn-agent", "run", "--dir", str(trial.agent))


def ask(client: httpx.Client, path: str) -> Json:
    """Return the JSON object at `path` of the API.  Raises Trouble for anything else."""
    answer = client.get(path)
    if not answer.is_success:
        raise Trouble(f"GET {path}: status {answer.status_code}: {answer.text[:300]}")
    found: Json = answer.json()
    return found


def rows(found: Json, name: str) -> list[Json]:
    """Return a list of objects inside an answer."""
    value = found.get(name)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def await_readings(trial: Trial, client: httpx.Client) -> Json:
    """Wait until every check has run and its readings are in the store; return the host."""

    def look() -> Json | None:
        hosts = rows(ask(client, "/api/v1/hosts"), "hosts")
        if not hosts:
            return None
        host = ask(client, f"/api/v1/hosts/{hosts[0]['id']}")
        run = {str(status["check"]): status["outcome"] for status in rows(host, "checks")}
        read = {str(reading["metric"]) for reading in rows(host, "readings")}
        for name, check in all_checks().items():
            if not check.has_work({}):
                continue
            if name not in run:
                return None
            if run[name] == "ok" and not any(metric.name in read for metric in check.metrics):
                return None
        return host

    return trial.wait_for("reading of every check in the store", _READINGS_SECONDS, look)


def summary(host: Json) -> dict[str, Json]:
    """Return for each check how it went and how many readings the store holds of it."""
    found: dict[str, Json] = {}
    for status in rows(host, "checks"):
        name = str(status["check"])
        if name not in all_checks():
            continue
        metrics = {metric.name for metric in all_checks()[name].metrics}
        count = sum(str(reading["metric"]) in metrics for reading in rows(host, "readings"))
        found[name] = {"outcome": status["outcome"], "sample_count": count}
        if status.get("error"):
            found[name]["error"] = status["error"]
    return found


def fullest(host: Json) -> float:
    """Return the used share of the fullest filesystem.  Raises Trouble when there is none."""
    shares = [
        float(str(reading["value"]))
        for reading in rows(host, "readings")
        if reading["metric"] == _USED
    ]
    if not shares:
        raise Trouble(
            "the disk check found no filesystem to watch; see `forewarn-agent once --check disk`"
        )
    return max(shares)


def set_rule(trial: Trial, above: float) -> None:
    """Put a threshold in force, at once and without the default's bound on free space."""
    folder = trial.instance / "rules.d"
    folder.mkdir(exist_ok=True)
    new = folder / "page.toml.new"
    new.write_text(
        f"[rules.{_RULE}]\nabove = {above:.6f}\nclear_at = {above - 0.001:.6f}\n"
        'hold_for = "2s"\nclear_for = "2s"\n'
        'and = { metric = "disk_free_bytes", below = 1e18 }\n',
        "utf-8",
    )
    new.rename(folder / "page.toml")


def await_ticket(trial: Trial, kind: str) -> Received:
    """Wait for a delivery about our rule."""

    def look() -> Received | None:
        for delivery in trial.receiver.deliveries:
            named = delivery.ticket.get("rules")
            if delivery.type == kind and isinstance(named, list) and _RULE in named:
                return delivery
        return None

    return trial.wait_for(f"{kind} for {_RULE} at the receiver", _TICKET_SECONDS, look)


def open_and_close(trial: Trial, host: Json) -> None:
    """Bring one ticket about by a lowered rule, then let it close."""
    share = fullest(host)
    set_rule(trial, share - 0.002)
    opened = await_ticket(trial, "ticket.opened")
    # A disk that really is almost full would keep a default rule firing: stay above it.
    set_rule(trial, max(0.9, share + 0.05))
    closed = await_ticket(trial, "ticket.closed")
    if opened.ticket.get("key") != closed.ticket.get("key"):
        raise Trouble("the ticket closed under another key than it opened")
    (trial.instance / "rules.d" / "page.toml").unlink()


def line_about(delivery: Received) -> str:
    """Return one line a person reads about a delivery."""
    ticket = delivery.ticket
    return (
        f"{delivery.type}  #{ticket.get('number')}  {ticket.get('severity')}"
        f"  {ticket.get('priority')}  {ticket.get('title')}"
    )


# -- the command -----------------------------------------------------------------------------------


@contextlib.contextmanager
def trial_run(say: Callable[[str], None]) -> Iterator[Trial]:
    """Give a trial that is stopped and wiped at the end, whatever happens inside."""
    home = Path(tempfile.mkdtemp(prefix="forewarn-try-"))
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    receiver = Receiver(secret, lambda delivery: say(f"  {line_about(delivery)}"))
    trial = Trial(home, say, receiver, secret)
    try:
        yield trial
    finally:
        with _undisturbed():
            trial.stop()
            receiver.close()
            shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let a second Ctrl-C not leave behind what the first one is ending."""
    before = {ending: signal.signal(ending, signal.SIG_IGN) for ending in _ENDINGS}
    try:
        yield
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)


def main(
    once: Annotated[bool, typer.Option("--once", help="Run the line once and exit.")] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="With --once: print what happened as JSON.")
    ] = False,
) -> None:
    """Watch this very host, open one ticket and close it again.

    Exits 0 only if every reading reached the store and the ticket opened, was
    received, and closed; 1 otherwise.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    # By name, for a shell that starts us in the background makes Python ignore Ctrl-C.
    for ending in _ENDINGS:
        signal.signal(ending, signal.default_int_handler)
    if json_ and not once:
        console.print("--json goes with --once")
        raise typer.Exit(2)
    try:
        with trial_run(console.print) as trial:
            report = _run(trial, console)
            if json_:
                typer.echo(json.dumps(report, indent=2))
            if not once:
                _stay(trial, console)
    except Trouble as trouble:
        console.print(f"[red]forewarn try:[/] {trouble}", markup=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("forewarn try: stopped; nothing is left running")
        raise typer.Exit(0 if not once else 130) from None


def _run(trial: Trial, console: Console) -> Json:
    with console.status("starting a collector"):
        start_collector(trial)
        client = sign_in(trial)
    with contextlib.closing(client):
        with console.status("enrolling an agent on this host"):
            start_agent(trial)
        with console.status("waiting for the first reading of every check"):
            host = await_readings(trial, client)
        checks = summary(host)
        console.print(f"{host['name']} is watched:")
        for name, found in checks.items():
            text = f"  {name:<8} {found['outcome']!s:<12} {found['sample_count']:>4} readings"
            console.print(f"{text}  {found.get('error', '')}", markup=False)
        console.print(
            f"page      {trial.page}/   certificate authority {trial.instance / 'ca.pem'}\n"
            f"sign in   admin   one-time password {trial.password}\n"
            f"tickets   lowering {_RULE} to just under the fullest filesystem, then back:",
            markup=False,
        )
        open_and_close(trial, host)
        tickets = rows(ask(client, "/api/v1/tickets"), "tickets")
    return {
        "host": host["name"],
        "checks": checks,
        "tickets": tickets,
        "deliveries": [
            {"id": delivery.id, "type": delivery.type, "ticket": delivery.ticket}
            for delivery in trial.receiver.deliveries
        ],
    }


def _stay(trial: Trial, console: Console) -> None:
    console.print("The line holds. Watching on; Ctrl-C ends everything.")
    while True:
        trial.look_alive()
        time.sleep(1)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app(prog_name="./install.sh try")
