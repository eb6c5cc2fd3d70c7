"""A webhook receiver on loopback that verifies what it gets: for `try`, `bench` and tests.

It checks the signature itself, by the Standard Webhooks specification, and answers 401 to what
does not hold, so that a delivery it lists was really signed.
"""

import base64
import binascii
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Received:
    """One verified delivery.  `data` is the body's ``data`` object; `at` is unix seconds."""

    id: str
    type: str
    data: dict[str, object]
    at: float

    @property
    def ticket(self) -> dict[str, object]:
        """The ticket the delivery is about, or nothing."""
        ticket = self.data.get("ticket")
        return ticket if isinstance(ticket, dict) else {}


def holds(secret: str, webhook_id: str, timestamp: str, signatures: str, body: bytes) -> bool:
    """Tell whether one of the space-separated `signatures` is right for the exact body."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return False
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    right = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return any(hmac.compare_digest(right, given) for given in signatures.split())


class Receiver:
    """Listen on a free loopback port until closed.  `on_received` is called once a delivery id."""

    def __init__(self, secret: str, on_received: Callable[[Received], None] | None = None) -> None:
        self._secret = secret
        self._on_received = on_received
        self._seen: dict[str, Received] = {}
        self._lock = threading.Lock()
        self.refused = 0
        self.repeated = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = min(int(self.headers.get("content-length") or 0), _LARGEST)
                status = receiver._take(self.headers.get, self.rfile.read(length))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002, ARG002
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    @property
    def deliveries(self) -> tuple[Received, ...]:
        """What was received, each delivery once, in order."""
        with self._lock:
            return tuple(self._seen.values())

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, header: Callable[[str, str], str | None], body: bytes) -> int:
        webhook_id = header("webhook-id", "") or ""
        timestamp = header("webhook-timestamp", "") or ""
        signatures = header("webhook-signature", "") or ""
        if not holds(self._secret, webhook_id, timestamp, signatures, body):
            self.refused += 1
            return 401
        message = json.loads(body)
        received = Received(webhook_id, message["type"], message["data"], time.time())
        with self._lock:
            if webhook_id in self._seen:
                self.repeated += 1
                return 204
            self._seen[webhook_id] = received
        if self._on_received:
            self._on_received(received)
        return 204
