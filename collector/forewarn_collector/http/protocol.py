"""HTTP/1.1 on one connection, with the limits that uvicorn leaves out: bytes and time.

uvicorn reads headers of any size for ever and a body at any pace, and keeps whatever requests come
before the last one is answered.  Here headers end within 16 KiB and 10 seconds and a body within
30, few requests may wait on a connection, and one address holds a bounded number of connections.
"""

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may take.  Sizes are bytes, times seconds."""

    header_bytes: int = 16 * 1024
    header_count: int = 64
    header_seconds: float = 10.0
    waiting_requests: int = 8  # nobody we serve sends the next before the answer to the last
    body_seconds: float = 30.0
    idle_seconds: int = 75
    handshake_seconds: float = 10.0
    connections: int = 20_000
    connections_an_address: int = 2_000  # a whole office may sit behind one


@dataclass(slots=True)
class Gate:
    """Counts the connections of one listener, by address.  `trusted` proxies are not counted."""

    limits: Limits
    trusted: Collection[str] = ()
    _held: Counter[str] = field(default_factory=Counter)
    _total: int = 0

    def enter(self, address: str) -> bool:
        """Take a place; False when the listener or the address has no more."""
        many = address not in self.trusted and (
            self._held[address] >= self.limits.connections_an_address
        )
        if many or self._total >= self.limits.connections:
            return False
        self._held[address] += 1
        self._total += 1
        return True

    def leave(self, address: str) -> None:
        """Give a place back."""
        self._total -= 1
        self._held[address] -= 1
        if self._held[address] <= 0:
            del self._held[address]


class _Reading(Enum):
    NOTHING = auto()
    HEADERS = auto()
    BODY = auto()


class LimitedProtocol(HttpToolsProtocol):
    """One connection.  What breaks a limit is answered 431, 429 or 408 and closed."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        gate: Gate,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self._gate = gate
        self._limits = gate.limits
        self._address: str | None = None
        self._reading = _Reading.NOTHING
        self._arrived = 0  # bytes of the present headers, as they came
        self._stated = 0  # the same, as parsed
        self._refusal = HTTPStatus.BAD_REQUEST
        self._clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, or hang up at once."""
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        if not self._gate.enter(address):
            transport.abort()
            return
        self._address = address
        self._expect(self._limits.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        if self._address is not None:
            self._gate.leave(self._address)
            self._address = None
        self._expect(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and stop headers that do not end."""
        if self.transport.is_closing():
            return
        if self._reading is _Reading.NOTHING and self._clock is None:
            # Blank lines before a request begin none, yet would keep a connection for ever.
            self._expect(self._limits.header_seconds)
        # The parser tells of a header only once it has all of it, so what came is counted as well;
        # a request that begins within this data begins again at 0.
        self._arrived += len(data)
        super().data_received(data)
        if self._reading is _Reading.HEADERS and self._arrived > self._limits.header_bytes:
            self._hang_up(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Begin to count a request's headers."""
        super().on_message_begin()
        if len(self.pipeline) >= self._limits.waiting_requests:
            self._refusal = HTTPStatus.TOO_MANY_REQUESTS
            raise ValueError("too many requests wait on one connection")
        self._reading = _Reading.HEADERS
        self._arrived = self._stated = 0
        if self._clock is None:
            self._expect(self._limits.header_seconds)

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._count(len(name) + len(value) + 4)
        if len(self.headers) >= self._limits.header_count:
            self._too_large()
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Let the application see the request; its body has its own time."""
        self._reading = _Reading.BODY
        self._expect(self._limits.body_seconds)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the clock: what follows is the application's time."""
        self._reading = _Reading.NOTHING
        self._expect(None)
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Answer a request that cannot be read, with the status that says why."""
        self._hang_up(self._refusal)

    def _count(self, size: int) -> None:
        self._stated += size
        if self._stated > self._limits.header_bytes:
            self._too_large()

    def _too_large(self) -> None:
        self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        # Out of the parser, which then asks for `send_400_response`.
        raise ValueError("headers too large")

    def _expect(self, seconds: float | None) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        if seconds is not None:
            self._clock = self.loop.call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        self._clock = None
        self._hang_up(HTTPStatus.REQUEST_TIMEOUT)

    def _hang_up(self, status: HTTPStatus) -> None:
        """Close the connection, with an answer unless the application has begun its own."""
        if self.transport.is_closing():
            return
        answering = self.cycle is not None and not self.cycle.response_complete
        if not answering or not self.cycle.response_started:
            text = status.phrase.encode()
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%s"
                % (status, text, len(text), text)
            )
        self.transport.close()
