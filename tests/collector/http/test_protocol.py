"""Limits of one connection, on a real listener: nothing a stranger does holds or fills it."""

import asyncio
import contextlib
import resource
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection

import pytest
from starlette.types import Receive, Scope, Send

from forewarn_collector.http.limits import Limit
from forewarn_collector.http.protocol import Gate, Limits
from forewarn_collector.http.server import CannotListen, Listener, Servers, bind

QUICK = Limits(
    header_seconds=0.3,
    body_seconds=0.5,
    idle_seconds=1,
    connections=12,
    connections_an_address=10,
)


async def echo_length(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer how long the body was."""
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = str(length).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Running:
    """A listener in a thread of its own."""

    port: int

    def connect(self) -> socket.socket:
        """Return a new connection."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(self, request: bytes) -> bytes:
        """Return everything that is answered until the other side closes."""
        with self.connect() as connection:
            with contextlib.suppress(OSError):  # refused half-way, as it should be
                connection.sendall(request)
            return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    """Return what comes until the connection is closed."""
    answer = b""
    try:
        while part := connection.recv(65536):
            answer += part
    except ConnectionResetError:
        pass
    return answer


def drip(connection: socket.socket, more: bytes) -> bytes:
    """Send a little again and again until the other side closes; return what it said."""
    answer = b""
    for _ in range(100):
        try:
            part = connection.recv(4096)
            if not part:
                return answer
            answer += part
        except TimeoutError:
            with contextlib.suppress(OSError):
                connection.sendall(more)
        except ConnectionResetError:
            return answer
    return answer


@pytest.fixture
def running() -> Iterator[Running]:
    listener = Listener("test", bind("127.0.0.1", 0), Limit(echo_length), None, QUICK)
    with answering(listener) as found:
        yield found


@contextlib.contextmanager
def answering(listener: Listener) -> Iterator[Running]:
    """Answer in a thread for as long as the block runs."""
    servers = Servers([listener])
    ready, loop = threading.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        up = asyncio.Event()
        task = asyncio.create_task(servers.run(up))
        await up.wait()
        ready.set()
        await task

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield Running(listener.port)
    loop.call_soon_threadsafe(servers.stop)
    thread.join(10)
    loop.close()
    assert not thread.is_alive()


def test_a_plain_request_is_answered(running: Running) -> None:
    """And says neither what serves it nor in which version."""
    answer = running.ask(
        b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
    )
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n5")
    assert b"server:" not in answer.lower()


@pytest.mark.parametrize(
    ("what", "request_"),
    [
        ("one header of 17 KiB", b"GET / HTTP/1.1\r\nx: " + b"a" * 17 * 1024 + b"\r\n\r\n"),
        ("a request line of 17 KiB", b"GET /" + b"a" * 17 * 1024 + b" HTTP/1.1\r\n\r\n"),
        ("a header name of 17 KiB", b"GET / HTTP/1.1\r\n" + b"n" * 17 * 1024 + b": 1\r\n\r\n"),
        ("65 headers", b"GET / HTTP/1.1\r\n" + b"x: 1\r\n" * 65 + b"\r\n"),
        ("10,000 headers", b"GET / HTTP/1.1\r\n" + b"x: 1\r\n" * 10_000 + b"\r\n"),
        ("a header that never ends", b"GET / HTTP/1.1\r\nx: " + b"a" * 40 * 1024 * 1024),
    ],
)
def test_large_headers_are_431(running: Running, what: str, request_: bytes) -> None:
    """However they are made large, and in however many pieces they come."""
    answer = running.ask(request_)
    # A sender that goes on after the refusal may lose it to a reset; it is closed all the same.
    assert answer.startswith(b"HTTP/1.1 431") or (len(request_) > 10**6 and answer == b""), what


def test_endless_headers_do_not_grow_the_process(running: Running) -> None:
    """64 connections that send headers without end cost less than 32 MiB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(64):
        running.ask(b"GET / HTTP/1.1\r\nx: " + b"a" * 4 * 1024 * 1024)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


@pytest.mark.parametrize(
    ("what", "begin"),
    [
        ("nothing at all", b""),
        ("half a header", b"GET / HTTP/1.1\r\nhost: a"),
        ("blank lines", b"\r\n\r\n\r\n"),
    ],
)
def test_headers_that_do_not_come_are_given_up(running: Running, what: str, begin: bytes) -> None:
    """Whatever trickles in, the time runs from the first byte."""
    began = time.monotonic()
    more = b"\r\n" if what == "blank lines" else b"x"[: len(begin)]
    with running.connect() as connection:
        connection.sendall(begin)
        connection.settimeout(0.05)
        answer = drip(connection, more)
    assert answer.startswith(b"HTTP/1.1 408") or answer == b""
    assert time.monotonic() - began < 3


def test_a_body_that_does_not_come_is_given_up(running: Running) -> None:
    """408, in the time of a body."""
    answer = running.ask(b"POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\nhal")
    assert answer.startswith(b"HTTP/1.1 408")


def test_a_large_body_is_413(running: Running) -> None:
    """Chunked, so that only counting can tell."""
    chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
    answer = running.ask(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + chunk * 40)
    assert answer.startswith(b"HTTP/1.1 413") or answer == b""


def test_an_idle_connection_is_closed(running: Running) -> None:
    """Without a word: there is no request to answer."""
    answer = running.ask(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert answer.count(b"HTTP/1.1") == 1


def test_many_requests_on_one_connection(running: Running) -> None:
    """Limits are of one request: the thousandth is as welcome as the first."""
    with contextlib.closing(HTTPConnection("127.0.0.1", running.port, timeout=10)) as connection:
        for _ in range(300):
            connection.request("POST", "/", b"abc", {"x": "y" * 1000})
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"3")


def test_a_few_requests_may_be_sent_ahead(running: Running) -> None:
    """They are answered in their order."""
    one = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"
    answer = running.ask(one * 5 + one.replace(b"host: a", b"connection: close"))
    assert answer.count(b"HTTP/1.1 200") == 6


def test_requests_sent_ahead_without_end_are_429_and_cost_no_memory(running: Running) -> None:
    """A request costs its sender 30 bytes and us 2 kB while it waits, so few may."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = running.ask(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * 100_000)
    assert b"HTTP/1.1 429" in answer or answer == b""
    assert answer.count(b"HTTP/1.1 200") < 100
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024


def test_random_bytes_are_400(running: Running) -> None:
    """Also those of a TLS client that came to the wrong door."""
    for nonsense in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 100,
        b"GET\r\n\r\n",
    ):
        assert running.ask(nonsense).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "path",
    ["//x", "/v1//x", "/../x", "/x/..", "/x/./y", "/%2e%2e/x", "/a%2fb", "/a%5cb", "/a;b", "/%00"],
)
def test_odd_paths_are_404(running: Running, path: str) -> None:
    """No path may be written in two ways."""
    request = f"GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    assert running.ask(request.encode()).startswith(b"HTTP/1.1 404")


def test_one_address_has_a_bounded_number_of_connections(running: Running) -> None:
    """The eleventh is hung up on; when one leaves, there is a place again."""
    held = [running.connect() for _ in range(10)]
    request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    for connection in held:
        connection.sendall(request[:20])
    time_out = time.monotonic() + 5
    while running.ask(request) != b"" and time.monotonic() < time_out:
        pass
    assert running.ask(request) == b""
    for connection in held:
        connection.close()
    while not (answer := running.ask(request)) and time.monotonic() < time_out:
        pass
    assert answer.startswith(b"HTTP/1.1 200")


async def who_asks(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer whom the application takes for the client."""
    body = str(scope["client"][0]).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize(
    ("trusted", "client"), [((), b"127.0.0.1"), (("127.0.0.1",), b"203.0.113.9")]
)
def test_only_a_proxy_is_believed_about_addresses(trusted: tuple[str, ...], client: bytes) -> None:
    """Anybody can write X-Forwarded-For; the limits of an address go by who is believed."""
    listener = Listener(
        "test", bind("127.0.0.1", 0), who_asks, None, QUICK, trusted_proxies=trusted
    )
    with answering(listener) as running:
        answer = running.ask(
            b"GET / HTTP/1.1\r\nx-forwarded-for: 203.0.113.9\r\nconnection: close\r\n\r\n"
        )
    assert answer.endswith(b"\r\n\r\n" + client)


def test_the_gate_forgets_who_left() -> None:
    """Addresses of the past take no memory."""
    gate = Gate(Limits(connections_an_address=1), trusted={"10.0.0.1"})
    assert gate.enter("10.0.0.2")
    assert not gate.enter("10.0.0.2")
    assert gate.enter("10.0.0.1")
    assert gate.enter("10.0.0.1")
    gate.leave("10.0.0.2")
    assert gate.enter("10.0.0.2")
    for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2"):
        gate.leave(address)
    assert (len(gate._held), gate._total) == (0, 0)


def test_a_taken_port_is_named() -> None:
    """The error says which address, and what to do."""
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"127\.0\.0\.1:{port}.*free the port"):
            bind("127.0.0.1", port)
