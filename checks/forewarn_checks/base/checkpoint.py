"""The newest row of the collector's audit log, signed, as hosts are shown and keep it.

    1.120.<hash of row 120>.<signature>

A log that was cut or written anew cannot show what it once showed: hosts remember, on machines
that whoever owns the collector does not own.  The first number, the era, grows only when a person
says that the log was set back for a good reason.
"""

import re
from dataclasses import dataclass
from typing import Final

_FORM: Final = re.compile(
    r"([1-9][0-9]{0,8})\.([1-9][0-9]{0,17})\.([0-9a-f]{64})\.([A-Za-z0-9_-]{86})"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Row `row` had the hash `head`, in this era; `signature` is base64url without padding."""

    era: int
    row: int
    head: str
    signature: str = ""

    def message(self) -> bytes:
        """Return what is signed."""
        return f"forewarn audit checkpoint {self.era} {self.row} {self.head}".encode()

    def text(self) -> str:
        """Return it in one word."""
        return f"{self.era}.{self.row}.{self.head}.{self.signature}"


def read_checkpoint(text: str) -> Checkpoint | None:
    """Return the checkpoint that `text` spells, None when it spells none."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    return Checkpoint(int(match[1]), int(match[2]), match[3], match[4])
