"""Whether named hosts can be looked up, how long that takes, and whether the answer is right."""

import ipaddress
import re
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from forewarn_checks._at_once import AtOnce
from forewarn_checks._dns_wire import NoAnswer, ask
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
    Threshold,
    Unit,
    WrongSystem,
)

RESOLVED = Metric("dns_resolved", Unit.COUNT, "1 when an address was found, else 0.", ("name",))
EXPECTED = Metric(
    "dns_expected",
    Unit.COUNT,
    "1 when all addresses are among those the option names, else 0; read only where it does.",
    ("name",),
)
LOOKUP = Metric(
    "dns_lookup_seconds", Unit.SECONDS, "Time to the answer; not read without one.", ("name",)
)

NAMES = Option(
    name="names",
    default=(),
    help="Names to look up, by the host's own resolver or at a server, and what must come out, "
    "e.g. ['dc1.acme.example', 'at dc1 = acme.example at 10.0.0.1 is 10.0.0.5,10.0.0.6'].",
)

_MOST = 40
_PATIENCE_SECONDS = 5.0
_LONGEST_SECONDS = 25.0
_FORM = re.compile(
    r"(?P<name>[^\s-]\S*)(?:\s+at\s+(?P<server>[^\s-]\S*))?(?:\s+is\s+(?P<expected>\S.*))?"
)


@dataclass(frozen=True, slots=True)
class Lookup:
    """What to look up, where (None: as every program here does) and what must come out."""

    name: str
    server: str | None = None
    expected: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.name} at {self.server}" if self.server else self.name


@dataclass(frozen=True, slots=True)
class Found:
    """What a look-up gave and how long it took."""

    addresses: frozenset[str]
    seconds: float


def parse_lookup(text: str) -> Lookup:
    """Return the look-up ``NAME [at SERVER] [is ADDRESS,ADDRESS]`` names.  Raises ValueError."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError("write NAME, NAME at SERVER, or either with: is ADDRESS,ADDRESS")
    expected = [each.strip() for each in (match["expected"] or "").split(",") if each.strip()]
    return Lookup(
        match["name"],
        match["server"],
        frozenset(str(ipaddress.ip_address(each)) for each in expected),
    )


def look_up(lookup: Lookup) -> Found | None:
    """Return what was found; None when nothing was."""
    began = time.perf_counter()
    try:
        if lookup.server is not None:
            addresses = ask(lookup.server, lookup.name, _PATIENCE_SECONDS)
        else:
            rows = socket.getaddrinfo(lookup.name, None, type=socket.SOCK_STREAM)
            addresses = frozenset(str(row[4][0]).partition("%")[0] for row in rows)
    except (OSError, UnicodeError, NoAnswer):
        return None
    return Found(addresses, time.perf_counter() - began)


_AT_ONCE = AtOnce(look_up, width=12)


def read_linux(options: Options) -> Iterator[Reading]:
    """Look every name up at once."""
    if sys.platform == "win32":
        raise WrongSystem
    yield from readings(options, _AT_ONCE)


def read_windows(options: Options) -> Iterator[Reading]:
    """Look every name up at once."""
    yield from readings(options, _AT_ONCE)


def readings(options: Options, at_once: AtOnce[Lookup, Found | None]) -> Iterator[Reading]:
    """Yield what came of each name; CannotRead at the end names entries that make no sense."""
    entries = read_entries(options, NAMES, parse_lookup, check="dns", most=_MOST)
    if not entries.good and not entries.bad:
        raise nothing_named(NAMES, "dns", "dc1.acme.example")
    answers = dict(at_once([each.thing for each in entries], _LONGEST_SECONDS))
    for each in entries:
        found = answers[each.thing]
        yield RESOLVED.sample(found is not None, name=each.name)
        if found is None:
            continue
        yield LOOKUP.sample(found.seconds, name=each.name)
        if each.thing.expected:
            is_right = found.addresses <= each.thing.expected
            yield EXPECTED.sample(is_right, name=each.name)
    entries.complain()


CHECK = Check(
    name="dns",
    help="Whether named hosts can be looked up, how long that takes, and what comes out.",
    every=timedelta(minutes=1),
    timeout=timedelta(seconds=30),
    metrics=(RESOLVED, EXPECTED, LOOKUP),
    component=Component("name", ("name",)),
    read_linux=read_linux,
    read_windows=read_windows,
    options=(NAMES,),
    works_on=(NAMES,),
    rules=(
        State(
            name="DnsFailing",
            metric=RESOLVED,
            severity=Severity.HIGH,
            when=0,
            hold_for=timedelta(minutes=2),
            hold_readings=2,
            clear_for=timedelta(minutes=2),
            title="{host} finds no address of {name}",
            advice=(
                "See which server is asked and what it says: resolvectl query, or dig with @ and "
                "the server (Resolve-DnsName on Windows). All names at once: the server or the "
                "way to it; look at /etc/resolv.conf or the adapter's settings. One name alone: "
                "its zone or its record. With a server named, ask it from another host, too."
            ),
        ),
        State(
            name="DnsWrong",
            metric=EXPECTED,
            severity=Severity.HIGH,
            when=0,
            hold_for=timedelta(minutes=2),
            clear_for=timedelta(minutes=2),
            title="{host} finds another address of {name} than it should",
            advice=(
                "Compare what this host, the zone's own server and another host say. A changed "
                "record that was meant: change the check's option as well. Not meant: a hosts "
                "file, a resolver that lies (a captive portal, malware), or a hijacked zone; "
                "until that is known, type no password into what answers there."
            ),
        ),
        Threshold(
            name="DnsSlow",
            metric=LOOKUP,
            severity=Severity.WARNING,
            above=2.0,
            clear_at=1.0,
            hold_for=timedelta(minutes=10),
            clear_for=timedelta(minutes=10),
            title="{host} waits {value} for the address of {name}",
            advice=(
                "Seconds mean that the first server in the list does not answer and the next one "
                "is tried: every connection waits as long. Ask each server of /etc/resolv.conf "
                "(the adapter's on Windows) by itself, and mend or remove the one that is gone."
            ),
        ),
    ),
    panels=(Panel(RESOLVED, drawn_as="state"), Panel(LOOKUP), Panel(EXPECTED, drawn_as="state")),
)
