"""Echo requests and the way out on Windows, through iphlpapi: no rights, no text to parse."""

import ctypes
import socket
import struct
import sys

from forewarn_checks._icmp import SENT, Echoes
from forewarn_checks.base import WrongSystem

_PATIENCE_MILLISECONDS = 1000
_REPLY_BYTES = 256
_NEXT_HOP_OFFSET = 12  # of MIB_IPFORWARDROW: dest, mask, policy, next hop


def ping(host: str) -> Echoes:
    """Return what comes back from `host` (IPv4); all is lost when its name is not known."""
    if sys.platform != "win32":
        raise WrongSystem
    try:
        packed = socket.inet_aton(socket.gethostbyname(host))
    except (OSError, UnicodeError):
        return Echoes(SENT, ())
    library = ctypes.windll.iphlpapi
    library.IcmpCreateFile.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(library.IcmpCreateFile())
    reply = ctypes.create_string_buffer(_REPLY_BYTES)
    took: list[float] = []
    try:
        for _ in range(SENT):
            count = library.IcmpSendEcho(
                handle,
                ctypes.c_uint32(struct.unpack("=I", packed)[0]),
                b"forewarn",
                ctypes.c_uint16(8),
                None,
                reply,
                ctypes.c_uint32(_REPLY_BYTES),
                ctypes.c_uint32(_PATIENCE_MILLISECONDS),
            )
            milliseconds = parse_reply(reply.raw) if count else None
            if milliseconds is not None:
                took.append(milliseconds / 1000)
    finally:
        library.IcmpCloseHandle(handle)
    return Echoes(SENT, tuple(took))


def parse_reply(reply: bytes) -> int | None:
    """Return the milliseconds of an ICMP_ECHO_REPLY; None when it tells of an error."""
    _, status, milliseconds = struct.unpack_from("=III", reply)
    return int(milliseconds) if status == 0 else None


def gateway() -> str | None:
    """Return the next hop of the default route; None without one."""
    if sys.platform != "win32":
        raise WrongSystem
    row = ctypes.create_string_buffer(64)
    if ctypes.windll.iphlpapi.GetBestRoute(0, 0, row) != 0:
        return None
    address = socket.inet_ntoa(row.raw[_NEXT_HOP_OFFSET : _NEXT_HOP_OFFSET + 4])
    return None if address == "0.0.0.0" else address  # noqa: S104 - no address to listen on
