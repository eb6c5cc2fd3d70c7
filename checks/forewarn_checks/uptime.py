"""Since when the host runs, what it is, and whether it waits for a restart."""

import platform
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

import psutil

from forewarn_checks.base import (
    CannotRead,
    Check,
    Component,
    Fact,
    Metric,
    Options,
    Panel,
    Reading,
    Severity,
    State,
    Unit,
    WrongSystem,
)
from forewarn_checks.base.wire import FactScalar
from forewarn_checks.linux.machine import read_machine
from forewarn_checks.linux.os_release import read_distribution
from forewarn_checks.linux.reboot import Reboot, read_reboot
from forewarn_checks.windows.reboot import read_reboot as read_windows_reboot

UPTIME = Metric("uptime_seconds", Unit.SECONDS, "Time since the host started.")
REBOOT_PENDING = Metric(
    "uptime_reboot_pending",
    Unit.COUNT,
    "1 when packages, a newer kernel or Windows ask for a restart, 0 when nothing does.",
)

_MOST_ADDRESSES = 64  # a container host has hundreds of interfaces


class Address(Protocol):
    """An address as psutil gives it."""

    @property
    def family(self) -> int: ...
    @property
    def address(self) -> str: ...


def read_linux(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Read uptime, distribution, kernel, addresses and whether a restart is pending."""
    if sys.platform == "win32":
        raise WrongSystem
    kernel = platform.release()
    try:
        seconds = parse_uptime(Path("/proc/uptime").read_text("utf-8", "replace"))
    except (OSError, ValueError) as error:
        raise CannotRead(f"/proc/uptime: {error}; is /proc mounted?") from error
    distribution = read_distribution()
    yield Fact("os_name", distribution.name)
    yield Fact("os_version", distribution.version)
    yield Fact("os_id", distribution.id)
    for name, told in read_machine():
        yield Fact(name, told)
    yield from _readings(seconds, kernel, read_reboot(kernel))


def read_windows(options: Options) -> Iterator[Reading]:  # noqa: ARG001 - it has none
    """Read uptime, edition, build, addresses and whether a restart is pending."""
    if sys.platform != "win32":
        raise WrongSystem
    version = platform.win32_ver()[1]
    yield Fact(
        "os_name", f"Windows {platform.win32_ver()[0]} {platform.win32_edition() or ''}".strip()
    )
    yield Fact("os_version", version)
    yield Fact("os_id", "windows")
    yield from _readings(time.time() - psutil.boot_time(), version, read_windows_reboot())


def _readings(seconds: float, kernel: str, reboot: Reboot) -> Iterator[Reading]:
    yield UPTIME.sample(seconds)
    if reboot.pending is not None:
        yield REBOOT_PENDING.sample(reboot.pending)
    yield Fact("kernel", kernel)
    yield Fact("architecture", platform.machine())
    yield Fact("hostname", socket.gethostname())
    yield Fact("booted_at", booted_at(psutil.boot_time()))
    yield Fact("reboot", reboot.reason)
    yield Fact("addresses", addresses(psutil.net_if_addrs()))


def parse_uptime(text: str) -> float:
    """Return the first number of ``/proc/uptime``.  Raises ValueError when there is none."""
    return float(text.split(maxsplit=1)[0] if text.strip() else "")


def booted_at(timestamp: float) -> str:
    """Return the start of the host, to the minute: a corrected clock moves it by seconds."""
    return datetime.fromtimestamp(timestamp // 60 * 60, UTC).isoformat().replace("+00:00", "Z")


def addresses(interfaces: Mapping[str, Sequence[Address]]) -> list[dict[str, FactScalar]]:
    """Return the addresses by which others can reach the host, by interface.

    Loopback and link-local ones are left out, and with them the hundred virtual interfaces of a
    container host.
    """
    families = {int(socket.AF_INET): "ipv4", int(socket.AF_INET6): "ipv6"}
    rows: list[dict[str, FactScalar]] = []
    for interface, found in sorted(interfaces.items()):
        for each in found:
            family = families.get(int(each.family))
            address = each.address.partition("%")[0]
            if family is not None and _is_reachable(address):
                rows.append({"interface": interface, "family": family, "address": address})
    return rows[:_MOST_ADDRESSES]


def _is_reachable(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)


CHECK = Check(
    name="uptime",
    help="Since when the host runs, what it is, and whether it waits for a restart.",
    every=timedelta(minutes=5),
    timeout=timedelta(seconds=15),
    metrics=(UPTIME, REBOOT_PENDING),
    component=Component("system"),
    read_linux=read_linux,
    read_windows=read_windows,
    rules=(
        State(
            name="RebootPending",
            metric=REBOOT_PENDING,
            severity=Severity.WARNING,
            when=1,
            hold_for=timedelta(days=7),
            title="{host} waits for a restart",
            advice=(
                "Installed updates, most often a kernel with security fixes, are not in effect "
                "until it restarts. The fact 'reboot' of the host names what asks for it. Agree "
                "a time, check that the services in use start by themselves, then: systemctl "
                "reboot (Restart-Computer on Windows)."
            ),
        ),
    ),
    panels=(Panel(UPTIME), Panel(REBOOT_PENDING, drawn_as="state")),
)
