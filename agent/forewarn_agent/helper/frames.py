"""What the agent may ask of the helper; `framing` carries it.

{"do": "run", "order": "<base64>", "script": "<base64>", "occurrence": "", "keyrings": []}
{"do": "smart"}
{"do": "policy-status"}

BadFrame        what came is no frame, or too long
"""

import base64
from dataclasses import dataclass
from typing import Final

from forewarn_agent.helper.framing import BadFrame, Json
from forewarn_scripts.decide import Asked
from forewarn_scripts.keyring import MOST_HANDED_ON

REQUEST_BYTES: Final = 3 * 1024 * 1024


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
    if not isinstance(keyrings, list) or len(keyrings) > MOST_HANDED_ON:
        raise BadFrame(f"keyrings are no list of at most {MOST_HANDED_ON}")
    asked = Asked(_decoded(told["order"]), _decoded(told["script"]), occurrence)
    return RunRequest(asked, tuple(_decoded(one) for one in keyrings))


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: object) -> bytes:
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except ValueError:
        pass
    raise BadFrame("base64 text expected")
