"""Which router this host sends to what it has no other route for."""

import socket
import struct

_UP_GATEWAY = 0x3


def parse_routes(text: str) -> tuple[str, ...]:
    """Return the gateways of ``/proc/net/route``'s default routes, the preferred one first."""
    found: list[tuple[int, str]] = []
    for line in text.splitlines()[1:]:
        cells = line.split()
        if len(cells) < 8 or cells[1] != "00000000" or cells[7] != "00000000":
            continue
        try:
            flags, metric, address = int(cells[3], 16), int(cells[6]), int(cells[2], 16)
        except ValueError:
            continue
        if flags & _UP_GATEWAY == _UP_GATEWAY and address < 2**32:
            # the kernel prints the four bytes as one number in its own byte order
            found.append((metric, socket.inet_ntoa(struct.pack("=I", address))))
    return tuple(dict.fromkeys(address for _, address in sorted(found)))


def parse_routes_six(text: str) -> tuple[str, ...]:
    """Return the gateways of ``/proc/net/ipv6_route``'s default routes, with their interface."""
    found: list[tuple[int, str]] = []
    for line in text.splitlines():
        cells = line.split()
        if len(cells) != 10 or cells[0] != "0" * 32 or cells[1] != "00" or cells[4] == "0" * 32:
            continue
        try:
            address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(cells[4]))
            metric, flags = int(cells[5], 16), int(cells[8], 16)
        except ValueError:
            continue
        if flags & _UP_GATEWAY == _UP_GATEWAY:
            is_near = address.startswith("fe80:")
            found.append((metric, f"{address}%{cells[9]}" if is_near else address))
    return tuple(dict.fromkeys(address for _, address in sorted(found)))
