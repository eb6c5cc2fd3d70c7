"""A proxy that does what networks do: loses answers, loses requests, doubles and delays them."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

LOST_ANSWER = "lost answer"
LOST_REQUEST = "lost request"
DOUBLED = "doubled"
LATE = "late"  # our side sees a broken connection; the request arrives when it has given up
SLOW = "slow"
WELL = "well"


@dataclass
class Mischief:
    """What becomes of each request: `plan` first, then the dice."""

    upstream: str
    dice: random.Random
    odds: Mapping[str, float]
    plan: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    late: list[threading.Thread] = field(default_factory=list)
    address: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def choose(self) -> str:
        """Return what becomes of the next request."""
        with self.lock:
            way = self.plan.pop(0) if self.plan else self._thrown()
            self.counted[way] += 1
            return way

    def wait_for_late_ones(self) -> None:
        """Return when everything that was delayed has arrived."""
        for one in self.late:
            one.join()
        self.late.clear()

    def _thrown(self) -> str:
        number = self.dice.random()
        for way, odds in self.odds.items():
            number -= odds
            if number < 0:
                return way
        return WELL


@contextmanager
def mischief(upstream: str, odds: Mapping[str, float] | None = None) -> Iterator[Mischief]:
    """Serve a proxy on loopback in front of `upstream`."""
    made = Mischief(upstream, random.Random(1), odds or {})
    http = httpx.Client(base_url=upstream, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            dropped = ("host", "connection", "content-length", "accept-encoding")
            headers = {k: v for k, v in self.headers.items() if k.lower() not in dropped}

            def forward() -> httpx.Response:
                return http.request(self.command, self.path, content=body, headers=headers)

            way = made.choose()
            if way in (LOST_REQUEST, LATE):
                if way == LATE:
                    made.late.append(threading.Thread(target=_later, args=(forward,)))
                    made.late[-1].start()
                self._hang_up()
                return
            answer = forward()
            if way == DOUBLED:
                forward()
            if way == SLOW:
                time.sleep(0.3)
            if way == LOST_ANSWER:
                self._hang_up()
                return
            self.send_response(answer.status_code)
            for name in ("content-type", "location", "etag"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

        def _hang_up(self) -> None:
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.wait_for_late_ones()
        server.shutdown()
        server.server_close()
        http.close()


def _later(forward: Callable[[], httpx.Response]) -> None:
    time.sleep(0.5)
    forward()
