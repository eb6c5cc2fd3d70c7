"""Whether the gateway and named hosts answer echo requests, and how long that takes."""

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from forewarn_checks._at_once import AtOnce
from forewarn_checks._icmp import Echoes
from forewarn_checks._icmp import ping as ping_unprivileged
from forewarn_checks._named import nothing_named, read_entries
from forewarn_checks.base import (
    CannotRead,
    Check,
    Component,
    Fact,
    Level,
    Metric,
    NothingToRead,
    Option,
    Options,
    Panel,
    Reading,
    Severity,
    Threshold,
    Unit,
    WrongSystem,
)
from forewarn_checks.linux.gateway import parse_routes, parse_routes_six

LOST = Metric(
    "ping_lost_ratio", Unit.RATIO, "Share of three echo requests without an answer.", ("target",)
)
ROUND_TRIP = Metric(
    "ping_round_trip_seconds",
    Unit.SECONDS,
    "Median of the answers; not read without one.",
    ("target",),
)

TARGETS = Option(
    name="targets",
    default=(),
    help="Hosts to ask, e.g. ['branch = 10.2.0.1', 'dc1.acme.example'].",
)
GATEWAY = Option(
    name="gateway",
    default=False,
    help="Also ask the router of the default route; some answer no echo requests by design.",
    remote=True,
)

_MOST = 40
_LONGEST_SECONDS = 25.0  # of all together; one that is away takes three
_GATEWAY_NAME = "gateway"

Ping = AtOnce[str, Echoes | str]
"""Asks hosts; a text says why nothing may be sent from here."""


def read_linux(options: Options) -> Iterator[Reading]:
    """Send three echo requests to each target, without root."""
    if sys.platform == "win32":
        raise WrongSystem
    yield from readings(options, _linux_gateway, _AT_ONCE)


def _linux_gateway() -> str | None:
    routes = (("/proc/net/route", parse_routes), ("/proc/net/ipv6_route", parse_routes_six))
    for path, parse in routes:
        try:
            found = parse(Path(path).read_text("utf-8", "replace"))
        except OSError:
            continue
        if found:
            return found[0]
    return None


def read_windows(options: Options) -> Iterator[Reading]:
    """Send three echo requests to each target through iphlpapi."""
    if sys.platform != "win32":
        raise WrongSystem
    from forewarn_checks.windows.icmp import gateway

    yield from readings(options, gateway, _AT_ONCE)


def _ping(host: str) -> Echoes | str:
    if sys.platform == "win32":
        from forewarn_checks.windows.icmp import ping

        return ping(host)
    try:
        return ping_unprivileged(host)
    except CannotRead as error:
        return str(error)


_AT_ONCE: Ping = AtOnce(_ping, width=12)


def parse_host(text: str) -> str:
    """Return `text` when it may name a host.  Raises ValueError."""
    if not text or text.startswith("-") or any(letter.isspace() for letter in text):
        raise ValueError("write a host name or an address")
    return text


def readings(
    options: Options, gateway: Callable[[], str | None], at_once: Ping
) -> Iterator[Reading]:
    """Yield what comes back from each target, the gateway first.

    Raises CannotRead at the end for entries that make no sense, and when nothing may be sent.
    """
    entries = read_entries(options, TARGETS, parse_host, check="ping", most=_MOST)
    targets = {each.name: each.thing for each in entries}
    wants_gateway = bool(options.get(GATEWAY.name, GATEWAY.default))
    if wants_gateway:
        router = gateway()
        yield Fact("gateway", router)
        if router is not None:
            targets = {_GATEWAY_NAME: router} | targets
    elif not targets and not entries.bad:
        raise nothing_named(TARGETS, "ping", "branch = 10.2.0.1")
    if not targets and not entries.bad:
        raise NothingToRead("this host has no default route, and no other target is named")
    heard = dict(at_once(list(targets.values()), _LONGEST_SECONDS))
    refusals: list[str] = []
    for name, host in targets.items():
        answer = heard[host] or Echoes(1, ())  # None: the resolver hangs
        if isinstance(answer, str):
            refusals.append(answer)
            continue
        yield LOST.sample(answer.lost_ratio, target=name)
        if answer.round_trip_seconds is not None:
            yield ROUND_TRIP.sample(answer.round_trip_seconds, target=name)
    if refusals:
        raise CannotRead(refusals[0])
    entries.complain()


CHECK = Check(
    name="ping",
    help="Whether the gateway and named hosts answer echo requests, and how long that takes.",
    every=timedelta(minutes=1),
    timeout=timedelta(seconds=30),
    metrics=(LOST, ROUND_TRIP),
    component=Component("path", ("target",)),
    read_linux=read_linux,
    read_windows=read_windows,
    options=(TARGETS, GATEWAY),
    works_on=(TARGETS, GATEWAY),
    rules=(
        Threshold(
            name="PingLost",
            metric=LOST,
            severity=Severity.WARNING,
            above=0.3,
            clear_at=0.1,
            levels={Severity.HIGH: Level(above=0.99, clear_at=0.7)},
            hold_for=timedelta(minutes=3),
            clear_for=timedelta(minutes=5),
            title="{value} of the echo requests from {host} to {target} are lost",
            advice=(
                "See where on the way they are lost: mtr -rwbz (tracert on Windows). All lost: "
                "{target} is off, its name is not known, or a firewall drops them; try a service "
                "of it as well. Some lost: a cable, a port that counts errors, a full line or bad "
                "radio; compare with other hosts of the same site."
            ),
        ),
        Threshold(
            name="PingSlow",
            metric=ROUND_TRIP,
            severity=Severity.WARNING,
            above=0.5,
            clear_at=0.3,
            hold_for=timedelta(minutes=15),
            clear_for=timedelta(minutes=15),
            title="{target} answers {host} after {value}",
            advice=(
                "Half a second is felt in every program. Most often the line is full: see on the "
                "router who sends or receives how much, and what backups run at this hour. mtr "
                "-rwbz shows the hop from which on it is slow. Where a satellite is on the way "
                "this is normal: raise the mark for this group."
            ),
        ),
    ),
    panels=(Panel(LOST), Panel(ROUND_TRIP)),
)
