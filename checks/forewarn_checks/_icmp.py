"""Echo requests without root: the kernel's ping socket, else the program ``ping``."""

import os
import re
import socket
import struct
import sys
import time
from dataclasses import dataclass

from forewarn_checks._process import Execute, execute
from forewarn_checks.base import CannotRead, WrongSystem

SENT = 3
_PATIENCE_SECONDS = 1.0  # of each request
_APART_SECONDS = 0.2
_LONGEST_PROGRAM_SECONDS = 8.0
_PACKET = struct.Struct("!BBHHH")
_TIME = re.compile(r"[=<] ?([0-9.]+) ?ms\b")
_KINDS = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}


@dataclass(frozen=True, slots=True)
class Echoes:
    """What came back of `sent` requests: the seconds each took."""

    sent: int
    seconds: tuple[float, ...]

    @property
    def lost_ratio(self) -> float:
        """0 when all came back, 1 when none did."""
        return 1 - len(self.seconds) / self.sent

    @property
    def round_trip_seconds(self) -> float | None:
        """The median, of two the longer; None when none came back."""
        return sorted(self.seconds)[len(self.seconds) // 2] if self.seconds else None


def ping(host: str, run: Execute = execute) -> Echoes:
    """Return what comes back from `host`; all is lost when its name is not known.

    Raises CannotRead when nothing here may send an echo request.
    """
    try:
        family, address = resolve(host)
    except (OSError, UnicodeError):
        return Echoes(SENT, ())
    try:
        return by_socket(family, address)
    except PermissionError:
        return by_program(str(address[0]), run)
    except OSError:  # no route, no such interface
        return Echoes(SENT, ())


def resolve(host: str) -> tuple[int, tuple[str | int, ...]]:
    """Return family and socket address of `host`.  Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)[0]
    return int(family), (str(address[0]), *(int(part) for part in address[1:]))


def by_socket(family: int, address: tuple[str | int, ...]) -> Echoes:
    """Ask through a ping socket.  Raises PermissionError where the group may open none."""
    if sys.platform == "win32":
        raise WrongSystem
    is_six = family == socket.AF_INET6
    protocol = socket.IPPROTO_ICMPV6 if is_six else socket.IPPROTO_ICMP
    token = os.urandom(16)
    took: list[float] = []
    with socket.socket(family, socket.SOCK_DGRAM, protocol) as own:
        for number in range(SENT):
            began = time.perf_counter()
            own.sendto(request(family, number, token), address)
            if _hears(own, family, number, token, began + _PATIENCE_SECONDS):
                took.append(time.perf_counter() - began)
                time.sleep(_APART_SECONDS if number + 1 < SENT else 0)
    return Echoes(SENT, tuple(took))


def _hears(own: socket.socket, family: int, number: int, token: bytes, until: float) -> bool:
    while (left := until - time.perf_counter()) > 0:
        own.settimeout(left)
        try:
            heard = own.recv(2048)
        except OSError:  # too late, or the network says that nobody is there
            return False
        if is_reply(heard, family, number, token):
            return True
    return False


def request(family: int, number: int, token: bytes) -> bytes:
    """Return an echo request; the kernel puts in the identifier, for IPv6 also the checksum."""
    kind = _KINDS[socket.AddressFamily(family)][0]
    plain = _PACKET.pack(kind, 0, 0, 0, number) + token
    total = sum(word for (word,) in struct.iter_unpack("!H", plain))
    total = (total >> 16) + (total & 0xFFFF)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return _PACKET.pack(kind, 0, checksum, 0, number) + token


def is_reply(packet: bytes, family: int, number: int, token: bytes) -> bool:
    """Whether `packet` is the answer to request `number`, by what it carries."""
    kind = _KINDS[socket.AddressFamily(family)][1]
    return (
        len(packet) == _PACKET.size + len(token)
        and packet[0] == kind
        and packet[_PACKET.size - 2 : _PACKET.size] == struct.pack("!H", number)
        and packet[_PACKET.size :] == token
    )


def by_program(address: str, run: Execute) -> Echoes:
    """Ask through the program ``ping`` of iputils or busybox.  Raises CannotRead without one."""
    argv = ("ping", "-n", "-c", str(SENT), "-W", f"{_PATIENCE_SECONDS:g}", "--", address)
    try:
        done = run(argv, _LONGEST_PROGRAM_SECONDS)
    except OSError as error:
        raise CannotRead(
            f"no echo request may be sent: install package iputils-ping ({error}), or let the "
            "agent's group open ping sockets: sysctl net.ipv4.ping_group_range='0 2147483647'"
        ) from error
    if done.status not in {0, 1, None}:  # 1: nothing came back
        raise CannotRead(f"ping {address}: {' '.join(done.errors.split())[:200]}")
    return Echoes(SENT, parse_times(done.output)[:SENT])


def parse_times(text: str) -> tuple[float, ...]:
    """Return the seconds of each reply in what ``ping`` printed."""
    found = (_TIME.search(line) for line in text.splitlines() if "bytes from" in line)
    return tuple(float(match[1]) / 1000 for match in found if match and match[1].count(".") < 2)
