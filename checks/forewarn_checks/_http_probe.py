"""Fetch one address once: how long each step took, what was answered, what certificate is shown.

No proxy, no redirect and no cookie: what is asked is what the option names, nothing else.
"""

import http.client
import re
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from forewarn_checks._certificate import not_after

_PATIENCE_SECONDS = 10.0  # of each step
_MOST_BYTES = 2**18
_PORTS = {"http": 80, "https": 443}
_FORM = re.compile(r"(?P<url>\S+)(?:\s+status\s+(?P<status>\d{3}))?(?:\s+contains\s+(?P<text>.+))?")


@dataclass(frozen=True, slots=True)
class Target:
    """What to fetch and what must come back.

    `status` is None when any below 400 will do.  `scheme` ``tls`` shakes hands and asks nothing.
    """

    scheme: str
    host: str
    port: int
    path: str
    status: int | None = None
    contains: str = ""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}{self.path.partition('?')[0]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back.  `trouble` is "" when all was as it should be."""

    trouble: str = ""
    status: int | None = None
    phases: dict[str, float] = field(default_factory=dict)
    expires: datetime | None = None
    trusted: bool | None = None


def parse_target(text: str) -> Target:
    """Return the target ``URL [status N] [contains TEXT]`` names.  Raises ValueError."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError("write https://host/path, and after it: status 200, contains TEXT")
    parts = urlsplit(match["url"])
    if parts.scheme not in {"http", "https", "tls"} or not parts.hostname:
        raise ValueError("write http://host/path, https://host/path or tls://host:port")
    if parts.username is not None:
        raise ValueError("a name or password in an address would be seen; leave it out")
    port = parts.port or _PORTS.get(parts.scheme)
    if port is None:
        raise ValueError("tls:// needs a port: tls://mail.acme.example:465")
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if not path.isascii():
        raise ValueError("write other than ASCII letters of the path as %XX")
    return Target(
        parts.scheme,
        parts.hostname,
        port,
        "" if parts.scheme == "tls" else path or "/",
        int(match["status"]) if match["status"] else None,
        match["text"] or "",
    )


class Steps:
    """A watch that is read after each step."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._last = clock()
        self.phases: dict[str, float] = {}

    def done(self, phase: str) -> None:
        """Take down how long `phase` took; it began when the one before ended."""
        now = self._clock()
        self.phases[phase] = now - self._last
        self._last = now


def fetch(target: Target, trust: ssl.SSLContext | None = None) -> Answer:
    """Fetch `target` once.  `trust` holds the authorities; None takes those of the system."""
    steps = Steps()
    try:
        plain = _connect(target, steps)
    except (OSError, UnicodeError) as error:
        return Answer(trouble=f"no connection: {error}")
    if target.scheme == "http":
        with plain:
            return _ask(target, plain, steps)
    return _fetch_secured(target, plain, steps, trust or ssl.create_default_context())


def _connect(target: Target, steps: Steps) -> socket.socket:
    rows = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    steps.done("lookup")
    refused: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in rows:
        own = socket.socket(family, kind, protocol)
        own.settimeout(_PATIENCE_SECONDS)
        try:
            own.connect(address)
        except OSError as error:
            own.close()
            refused = error
            continue
        steps.done("connect")
        return own
    raise refused


def _fetch_secured(
    target: Target, plain: socket.socket, steps: Steps, trust: ssl.SSLContext
) -> Answer:
    try:
        with trust.wrap_socket(plain, server_hostname=target.host) as secured:
            steps.done("tls")
            expires = _expires(secured)
            answer = Answer(phases=steps.phases)
            if target.scheme == "https":
                answer = _ask(target, secured, steps)
            return Answer(
                trouble=answer.trouble,
                status=answer.status,
                phases=steps.phases,
                expires=expires,
                trusted=True,
            )
    except ssl.SSLCertVerificationError as error:
        return Answer(
            trouble=f"its certificate cannot be trusted: {error.verify_message}",
            expires=_shown(target),
            trusted=False,
        )
    except (OSError, ValueError) as error:
        return Answer(trouble=f"no TLS: {error}")
    finally:
        plain.close()


def _shown(target: Target) -> datetime | None:
    """Return until when the certificate holds that cannot be trusted, to say how it is wrong."""
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE  # nothing is sent: only the certificate is looked at
    try:
        with (
            _connect(target, Steps()) as plain,
            blind.wrap_socket(plain, server_hostname=target.host) as secured,
        ):
            return _expires(secured)
    except (OSError, ValueError):
        return None


def _expires(secured: ssl.SSLSocket) -> datetime | None:
    certificate = secured.getpeercert(binary_form=True)
    return not_after(certificate) if certificate else None


def _ask(target: Target, connected: socket.socket, steps: Steps) -> Answer:
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = connected
    headers = {"user-agent": "forewarn", "accept": "*/*", "connection": "close"}
    try:
        connection.request("GET", target.path, headers=headers)
        response = connection.getresponse()
        steps.done("wait")
        body = response.read(_MOST_BYTES)
        steps.done("receive")
    except (OSError, http.client.HTTPException) as error:
        return Answer(
            trouble=f"no answer: {type(error).__name__}: {error}"[:200], phases=steps.phases
        )
    return Answer(
        trouble=_wrong(target, response.status, body), status=response.status, phases=steps.phases
    )


def _wrong(target: Target, status: int, body: bytes) -> str:
    if target.status is None and status >= 400:
        return f"status {status}"
    if target.status is not None and status != target.status:
        return f"status {status}, not {target.status}"
    if target.contains and target.contains not in body.decode("utf-8", "replace"):
        return "the text that must be in the answer is not"
    return ""
