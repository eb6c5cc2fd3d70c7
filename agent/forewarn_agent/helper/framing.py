"""How the agent and the helper talk: one request, one answer, each a length and then JSON.

Without pydantic: the resident agent uses it, too.

    BadFrame        what came is no frame, or too long
"""

import json
import struct
from typing import Final, Protocol, Self

ANSWER_BYTES: Final = 20 * 1024 * 1024
_LENGTH: Final = struct.Struct("!I")
Json = dict[str, object]


class Line(Protocol):
    """A connection: a socket, or on Windows a pipe."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def sendall(self, data: bytes, /) -> None:
        """Write all of `data`.  Raises OSError."""

    def recv(self, most: int, /) -> bytes:
        """Return what came, at most `most` bytes; empty at the end.  Raises OSError."""
        ...


class BadFrame(ValueError):
    """What came is no frame of ours."""


def send(connection: Line, told: Json) -> None:
    """Send one frame.  Raises OSError."""
    data = json.dumps(told).encode()
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive(connection: Line, most_bytes: int) -> Json:
    """Return one frame.  Raises BadFrame or OSError."""
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    if length > most_bytes:
        raise BadFrame(f"{length} bytes are announced; {most_bytes} are taken")
    try:
        told = json.loads(_exactly(connection, length).decode())
    except (ValueError, RecursionError) as bad:
        raise BadFrame(f"no JSON: {type(bad).__name__}") from None
    if not isinstance(told, dict):
        raise BadFrame("no JSON object")
    return told


def _exactly(connection: Line, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = connection.recv(min(65536, length - len(data)))
        if not part:
            raise BadFrame("the other side hung up in the middle")
        data += part
    return bytes(data)
