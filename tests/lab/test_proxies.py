"""The examples for proxies, in real ones: an agent enrols and sends through them.

Needs no root, but nginx and Caddy: each is looked for on PATH, Caddy also as FOREWARN_LAB_CADDY.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
PROXIES = {
    "nginx": shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"),
    "caddy": os.environ.get("FOREWARN_LAB_CADDY") or shutil.which("caddy"),
}

pytestmark = pytest.mark.lab


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def said(*argv: str, **options: object) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return str(done.stdout)


@contextmanager
def running(argv: Sequence[str], log: Path, **more: str) -> Iterator[None]:
    with log.open("wb") as file:
        process = subprocess.Popen(argv, stdout=file, stderr=file, env={**os.environ, **more})
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def wait(what: str, is_so: Sequence[str], wanted: str, log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        done = subprocess.run(is_so, capture_output=True, text=True, check=False)
        if wanted in done.stdout:
            return done.stdout
        time.sleep(0.5)
    raise AssertionError(f"{what}: {log.read_text('utf-8', 'replace')[-2000:]}")


def command(proxy: str, home: Path, ports: dict[str, str]) -> list[str]:
    """Return what starts the proxy with its example, but for ports, paths and no root."""
    program = PROXIES[proxy]
    assert program is not None
    name = {"nginx": "nginx.conf", "caddy": "Caddyfile"}[proxy]
    text = (ROOT / "docs" / "examples" / name).read_text("utf-8")
    text = re.sub(r"\b(18440|18441|8440|8441)\b", lambda port: ports[port[1]], text)
    text = text.replace("/var/lib/forewarn", str(home))
    file = home.parent / name
    if proxy == "caddy":
        file.write_text(text, "utf-8")
        return [program, "run", "--config", str(file), "--adapter", "caddyfile"]
    temporary = " ".join(
        f"{kind}_temp_path {home.parent / kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = re.sub(r"\blisten \[::\].*\n", "\n", text)
    file.write_text(
        f"daemon off; pid {home.parent / 'pid'}; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{text}\n}}\n",
        "utf-8",
    )
    return [program, "-c", str(file), "-p", str(home.parent)]


@pytest.mark.parametrize("proxy", PROXIES)
def test_an_agent_enrols_and_sends_through_the_example(proxy: str, tmp_path: Path) -> None:
    """TLS ends at the proxy, and a client cannot name itself another address."""
    if PROXIES[proxy] is None:
        pytest.skip(f"needs {proxy}")
    names = ("18440", "18441", "8440", "8441")
    ports = dict(zip(names, map(str, free_ports(4)), strict=True))
    home, agent = tmp_path / "house", tmp_path / "agent"
    url = f"https://localhost:{ports['8440']}"
    collector = [str(BIN / "forewarn-collector")]
    places = ["--agents", f"127.0.0.1:{ports['18440']}", "--operators"]
    places.append(f"127.0.0.1:{ports['18441']}")
    said(*collector, "init", "--dir", str(home), *places, "--url", url)
    with (home / "collector.toml").open("a", encoding="utf-8") as file:
        file.write('\n[proxy]\naddresses = ["127.0.0.1"]\nplain_http = true\n')
    logs = {name: tmp_path / f"{name}.log" for name in ("collector", "proxy", "agent")}
    with ExitStack() as stack:
        serve = [*collector, "serve", "--dir", str(home)]
        stack.enter_context(running(serve, logs["collector"]))
        stack.enter_context(running(command(proxy, home, ports), logs["proxy"], HOME=str(tmp_path)))
        ready = f"https://localhost:{ports['8441']}/readyz"
        ask = ["curl", "-fsS", "--cacert", str(home / "ca.pem"), ready]
        wait("the pages through the proxy", ask, "{", logs["proxy"])
        told = json.loads(said(*collector, "token", "create", "--json", "--dir", str(home)))
        said(str(BIN / "forewarn-agent"), "enrol", told["enrolment"], "--dir", str(agent))
        stack.enter_context(
            running([str(BIN / "forewarn-agent"), "run", "--dir", str(agent)], logs["agent"])
        )
        status = [str(BIN / "forewarn-agent"), "status", "--json", "--dir", str(agent)]
        wait("a receipt", status, '"received_at": "2', logs["agent"])
        claim = ["curl", "-sSk", "-o", "/dev/null", "--interface", "127.0.0.5"]
        claim += ["-H", "X-Forwarded-For: 6.6.6.6", "-d", "{}", f"{url}/v1/enrol"]
        said(*claim)
        shown = ["cat", str(logs["collector"])]
        log = wait("the refusal in the log", shown, "127.0.0.5", logs["collector"])
        assert "6.6.6.6" not in log
