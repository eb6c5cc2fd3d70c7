"""Listen for agents and for operators: two servers in one event loop, stopped together."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import Config

from forewarn_collector.http.protocol import Gate, LimitedProtocol, Limits

DRAIN_SECONDS = 5
_BACKLOG = 4096  # a fleet that comes back together


class CannotListen(Exception):
    """An address cannot be listened on; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One address and what answers there; `tls` None only behind a proxy on this machine."""

    name: str
    socket: socket.socket
    app: ASGIApp
    tls: ssl.SSLContext | None
    limits: Limits = field(default_factory=Limits)
    trusted_proxies: Collection[str] = ()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.socket.getsockname()[1])


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that takes connections but does not answer yet.  Raises CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and host == "::":
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind((host, port))
        # From here on nobody else can take the port; who connects waits for us to be ready.
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise CannotListen(
            f"cannot listen on {host}:{port}: {error.strerror}; free the port or choose another"
            " in collector.toml"
        ) from error
    return listening


class _Server(uvicorn.Server):
    """uvicorn's server with our protocol, our TLS, and nobody's signal handlers."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(
            Config(
                listener.app,
                http=LimitedProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(listener.trusted_proxies),
                forwarded_allow_ips=list(listener.trusted_proxies),
                timeout_keep_alive=listener.limits.idle_seconds,
                timeout_graceful_shutdown=DRAIN_SECONDS,
            )
        )
        self._listener = listener
        self._gate = Gate(listener.limits, listener.trusted_proxies)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`, which stops both servers."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Begin to answer on the listener's own socket."""
        loop = asyncio.get_running_loop()
        await self.lifespan.startup()
        limits = self._listener.limits
        tls = self._listener.tls
        server = await loop.create_server(
            lambda: LimitedProtocol(
                self.config, self.server_state, self.lifespan.state, self._gate, loop
            ),
            sock=self._listener.socket,
            ssl=tls,
            ssl_handshake_timeout=limits.handshake_seconds if tls else None,
            # An agent asleep between batches does not answer our goodbye.
            ssl_shutdown_timeout=1.0 if tls else None,
            backlog=_BACKLOG,
        )
        self.servers = [server]
        self.started = True


class Servers:
    """Every listener of one collector."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._servers = [_Server(listener) for listener in listeners]

    async def run(self, ready: asyncio.Event) -> None:
        """Answer until `stop`, then drain for five seconds at most.  Sets `ready` once all do."""
        running = [asyncio.create_task(server.serve()) for server in self._servers]
        try:
            while not all(server.started for server in self._servers):
                done = [task for task in running if task.done()]
                for task in done:
                    task.result()
                await asyncio.sleep(0.01)
            ready.set()
            await asyncio.gather(*running)
        finally:
            self.stop()
            await asyncio.gather(*running, return_exceptions=True)

    def stop(self) -> None:
        """Take no more requests; `run` returns when those under way are answered."""
        for server in self._servers:
            server.should_exit = True
