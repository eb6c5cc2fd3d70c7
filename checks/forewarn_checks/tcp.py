"""Whether named TCP ports take connections, and how long that takes."""

import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from forewarn_checks._at_once import AtOnce
from forewarn_checks._named import nothing_named, read_entries
from forewarn_checks.base import (
    Check,
    Component,
    Metric,
    Option,
    Options,
    Panel,
    Reading,
    Severity,
    State,
    Unit,
    WrongSystem,
)

OPEN = Metric("tcp_open", Unit.COUNT, "1 when the port takes a connection, else 0.", ("target",))
CONNECT = Metric(
    "tcp_connect_seconds",
    Unit.SECONDS,
    "Time to the connection, the look-up of the name included; not read without one.",
    ("target",),
)

TARGETS = Option(
    name="targets",
    default=(),
    help="Ports to connect to, e.g. ['mail = mail.acme.example:25', '[2001:db8::1]:443'].",
)

_MOST = 40
_PATIENCE_SECONDS = 5.0  # of one address; a name may have several
_LONGEST_SECONDS = 25.0  # of all


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Connect = Callable[[Target], float | None]
"""Returns how many seconds a connection took, None when there was none."""


def parse_target(text: str) -> Target:
    """Return the target ``host:port`` or ``[address]:port`` names.  Raises ValueError."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port or text.startswith("-") or parts.netloc != text or "@" in text:
        raise ValueError("write host:port, or [address]:port for IPv6")
    return Target(host, port)


def connect(target: Target) -> float | None:
    """Connect and hang up."""
    began = time.perf_counter()
    try:
        socket.create_connection((target.host, target.port), _PATIENCE_SECONDS).close()
    except (OSError, UnicodeError):  # UnicodeError: no name of a host
        return None
    return time.perf_counter() - began


_AT_ONCE = AtOnce(connect, width=12)


def read_linux(options: Options) -> Iterator[Reading]:
    """Connect to every target at once."""
    if sys.platform == "win32":
        raise WrongSystem
    yield from readings(options, _AT_ONCE)


def read_windows(options: Options) -> Iterator[Reading]:
    """Connect to every target at once."""
    yield from readings(options, _AT_ONCE)


def readings(options: Options, at_once: AtOnce[Target, float | None]) -> Iterator[Reading]:
    """Yield what came of each target; CannotRead at the end names entries that make no sense."""
    entries = read_entries(options, TARGETS, parse_target, check="tcp", most=_MOST)
    if not entries.good and not entries.bad:
        raise nothing_named(TARGETS, "tcp", "mail = mail.acme.example:25")
    took = dict(at_once([each.thing for each in entries], _LONGEST_SECONDS))
    for each in entries:
        seconds = took[each.thing]
        yield OPEN.sample(seconds is not None, target=each.name)
        if seconds is not None:
            yield CONNECT.sample(seconds, target=each.name)
    entries.complain()


CHECK = Check(
    name="tcp",
    help="Whether named TCP ports take connections, and how long that takes.",
    every=timedelta(minutes=1),
    timeout=timedelta(seconds=30),
    metrics=(OPEN, CONNECT),
    component=Component("port", ("target",)),
    read_linux=read_linux,
    read_windows=read_windows,
    options=(TARGETS,),
    works_on=(TARGETS,),
    rules=(
        State(
            name="PortClosed",
            metric=OPEN,
            severity=Severity.HIGH,
            when=0,
            hold_for=timedelta(minutes=2),
            hold_readings=2,
            clear_for=timedelta(minutes=2),
            title="{target} takes no connections from {host}",
            advice=(
                "Try it from {host}: nc -vz, or Test-NetConnection on Windows. Refused at once: "
                "the service does not run or listens elsewhere (ss -ltnp there). No answer: a "
                "firewall, a route or the machine. Name not known: see DNS. If others reach it, "
                "look at the network of {host}."
            ),
        ),
    ),
    panels=(Panel(OPEN, drawn_as="state"), Panel(CONNECT)),
)
