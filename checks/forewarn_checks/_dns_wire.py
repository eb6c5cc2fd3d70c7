"""Ask one name server for the addresses of a name: just enough of RFC 1035 for that."""

import ipaddress
import os
import socket
import struct
import time

_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_RECURSION_DESIRED = 0x0100
_TRUNCATED = 0x0200
_KINDS = {1: 4, 28: 16}  # A and AAAA, and how long each address is
_MOST_RECORDS = 64


class NoAnswer(Exception):
    """The server did not answer, or not with an address; the text says what it said."""


def ask(server: str, name: str, seconds: float, port: int = 53) -> frozenset[str]:
    """Return the IPv4 and, without one, the IPv6 addresses that `server` knows for `name`.

    Raises NoAnswer, or OSError when the server cannot be reached.
    """
    found: frozenset[str] = frozenset()
    for kind in _KINDS:
        found = _ask_kind(server, name, kind, seconds / len(_KINDS), port)
        if found:
            return found
    raise NoAnswer(f"{server} knows no address of {name}")


def _ask_kind(server: str, name: str, kind: int, seconds: float, port: int) -> frozenset[str]:
    family, _, _, _, address = socket.getaddrinfo(server, port, type=socket.SOCK_DGRAM)[0]
    number = int.from_bytes(os.urandom(2))
    question = query(name, kind, number)
    until = time.monotonic() + seconds
    with socket.socket(family, socket.SOCK_DGRAM) as own:
        own.connect(address)  # so that only this server is heard, and its refusal, too
        own.send(question)
        while (left := until - time.monotonic()) > 0:
            own.settimeout(left)
            heard = own.recv(4096)
            if len(heard) >= _HEADER.size and _HEADER.unpack_from(heard)[0] == number:
                return addresses(heard)
    raise NoAnswer(f"{server} did not answer within {seconds:g} s")


def query(name: str, kind: int, number: int) -> bytes:
    """Return the question for `name`.  Raises NoAnswer when it cannot be a name."""
    try:
        labels = [label.encode("idna") for label in name.rstrip(".").split(".")]
    except UnicodeError:
        raise NoAnswer(f"{name!r} is no name of a host") from None
    if any(not 1 <= len(label) <= 63 for label in labels):
        raise NoAnswer(f"{name!r} is no name of a host")
    written = b"".join(bytes((len(label),)) + label for label in labels)
    return (
        _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 0)
        + written
        + b"\0"
        + struct.pack("!HH", kind, 1)
    )


def addresses(message: bytes) -> frozenset[str]:
    """Return every address among the answers.

    Raises NoAnswer when the server refused, failed, or wrote what makes no sense.
    """
    try:
        _, flags, questions, answers, _, _ = _HEADER.unpack_from(message)
        code = flags & 0xF
        if code:
            raise NoAnswer(_CODES.get(code, f"the server answered with code {code}"))
        place = _HEADER.size
        for _ in range(questions):
            place = _past_name(message, place) + 4
        found = set()
        for _ in range(min(answers, _MOST_RECORDS)):
            place = _past_name(message, place)
            kind, _, _, length = _RECORD.unpack_from(message, place)
            place += _RECORD.size
            if length == _KINDS.get(kind) and place + length <= len(message):
                found.add(str(ipaddress.ip_address(message[place : place + length])))
            place += length
    except (struct.error, IndexError):
        if flags_of(message) & _TRUNCATED:
            raise NoAnswer("the answer is longer than a packet") from None
        raise NoAnswer("the answer makes no sense") from None
    return frozenset(found)


_CODES = {
    1: "the server did not understand the question",
    2: "the server failed to find out (SERVFAIL)",
    3: "there is no such name (NXDOMAIN)",
    5: "the server refuses to answer",
}


def flags_of(message: bytes) -> int:
    """Return the flags of a message, 0 of one too short to have some."""
    return int(_HEADER.unpack_from(message)[1]) if len(message) >= _HEADER.size else 0


def _past_name(message: bytes, place: int) -> int:
    """Return where the name that begins at `place` ends.  Raises IndexError past the end."""
    while (length := message[place]) != 0:
        if length >= 0xC0:
            return place + 2
        place += 1 + length
    return place + 1
