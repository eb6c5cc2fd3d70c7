"""How the agent and the helper talk: one request, one answer, each a length and then JSON.

{"do": "run", "order": "<base64>", "script": "<base64>", "occurrence": "", "keyrings": []}
{"do": "smart"}
{"do": "policy-status"}

BadFrame        what came is no frame, or too long
"""

import base64
import json
import socket
import struct
from dataclasses import dataclass
from typing import Final

from forewarn_scripts.decide import Asked

REQUEST_BYTES: Final = 3 * 1024 * 1024
ANSWER_BYTES: Final = 20 * 1024 * 1024
_LENGTH: Final = struct.Struct("!I")
_MOST_KEYRINGS: Final = 8
Json = dict[str, object]


class BadFrame(ValueError):
    """What came is no frame of ours."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Run this, if it may be run; newer keyrings come along, oldest first."""

    asked: Asked
    keyrings: tuple[bytes, ...] = ()

    def to_json(self) -> Json:
        """Return what travels."""
        return {
            "do": "run",
            "order": _encoded(self.asked.envelope),
            "script": _encoded(self.asked.script),
            "occurrence": self.asked.occurrence,
            "keyrings": [_encoded(one) for one in self.keyrings],
        }


@dataclass(frozen=True, slots=True)
class SmartRequest:
    """Read the drives.  Takes no options: none of the agent's wishes reaches a privileged path."""


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """Say what the policy is."""


Request = RunRequest | SmartRequest | StatusRequest


def request_of(told: Json) -> Request:
    """Return the request in a frame.  Raises BadFrame: nothing but the three is known."""
    what = told.get("do")
    if what == "smart" and set(told) == {"do"}:
        return SmartRequest()
    if what == "policy-status" and set(told) == {"do"}:
        return StatusRequest()
    if what != "run" or set(told) != {"do", "order", "script", "occurrence", "keyrings"}:
        raise BadFrame("ask for smart, run or policy-status, with what belongs to it")
    occurrence, keyrings = told["occurrence"], told["keyrings"]
    if not isinstance(occurrence, str) or len(occurrence) > 100:
        raise BadFrame("occurrence is no short text")
    if not isinstance(keyrings, list) or len(keyrings) > _MOST_KEYRINGS:
        raise BadFrame(f"keyrings are no list of at most {_MOST_KEYRINGS}")
    asked = Asked(_decoded(told["order"]), _decoded(told["script"]), occurrence)
    return RunRequest(asked, tuple(_decoded(one) for one in keyrings))


def send(connection: socket.socket, told: Json) -> None:
    """Send one frame.  Raises OSError."""
    data = json.dumps(told).encode()
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive(connection: socket.socket, most_bytes: int) -> Json:
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


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = connection.recv(min(65536, length - len(data)))
        if not part:
            raise BadFrame("the other side hung up in the middle")
        data += part
    return bytes(data)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: object) -> bytes:
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except ValueError:
        pass
    raise BadFrame("base64 text expected")
