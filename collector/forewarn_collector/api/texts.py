"""What callers may write: bounded text of one or many lines, without what databases choke on."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints


def one_line(text: str) -> str:
    """Return text of one line, normalised.  Raises ValueError for control characters."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError("control characters are not taken")
    return unicodedata.normalize("NFC", text)


def _many_lines(text: str) -> str:
    return "\n".join(one_line(line.replace("\t", "    ")) for line in text.splitlines())


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(one_line),
]
Label = Annotated[
    str,
    StringConstraints(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"),
]
Note = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000),
    AfterValidator(_many_lines),
]


Words = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(_many_lines)]
"""A note that may be left out: "" for nothing."""
Thing = Annotated[str, StringConstraints(max_length=400), AfterValidator(one_line)]
"""What a ticket is about; "" for nothing in particular."""


class Body(BaseModel):
    """What a caller sends: what it does not know is a mistake worth telling."""

    model_config = ConfigDict(frozen=True, extra="forbid")
