"""What a script printed: its beginning and its end, made safe to keep and to send."""

import re
import unicodedata
from collections import deque
from typing import Final

HEAD_BYTES: Final = 64 * 1024
_HIDDEN: Final = "[redacted]"
_LONGEST_LINE: Final = 8192

# Each is bounded and begins with a fixed word, so that no text makes it slow.
_SECRETS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\bAKIA[A-Z0-9]{16}\b",
        r"\beyJ[\w-]{10,2000}\.[\w-]{10,4000}\.[\w-]{10,1000}",
        r"\b(?:fwk|fwe)_[\w-]{16,200}",
        r"(?<=bearer )[\w.~+/=-]{8,2000}",
        r"(?<=password=)[^\s&;,'\"]{1,500}",
        r"(?<=password: )\S{1,500}",
        r"(?<=passwd=)[^\s&;,'\"]{1,500}",
        r"(?<=secret=)[^\s&;,'\"]{1,500}",
        r"(?<=token=)[^\s&;,'\"]{1,500}",
        r"(?<=://)[^\s/@:]{1,200}:[^\s/@]{1,200}(?=@)",
    )
)
_BLOCK: Final = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
    re.DOTALL,
)


class HeadAndTail:
    """Takes any amount of bytes and keeps the first and the last of them."""

    def __init__(self, most_bytes: int) -> None:
        self._head_room = min(HEAD_BYTES, most_bytes // 3)
        self._tail_room = most_bytes - self._head_room
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self.total = 0

    def feed(self, data: bytes) -> None:
        """Take some more."""
        self.total += len(data)
        room = self._head_room - len(self._head)
        self._head += data[:room]
        if rest := data[room:]:
            self._tail.append(rest)
            self._tail_size += len(rest)
        while self._tail and self._tail_size - len(self._tail[0]) >= self._tail_room:
            self._tail_size -= len(self._tail.popleft())

    @property
    def truncated(self) -> bool:
        """Say whether something in the middle is gone."""
        return self.total > self._head_room + self._tail_room

    def text(self) -> str:
        """Return what is kept, as text that acts nowhere and without known secrets."""
        tail = b"".join(self._tail)[-self._tail_room :]
        middle = b""
        if self.truncated:
            gone = self.total - len(self._head) - len(tail)
            middle = b"\n[... %d bytes left out ...]\n" % gone
        whole = (bytes(self._head) + middle + tail).decode("utf-8", "replace")
        return redacted(harmless(whole))


def harmless(text: str) -> str:
    """Return `text` with every character that steers a terminal, or turns text, as ``?``."""
    plain = text.replace("\r\n", "\n")
    if plain.isascii() and plain.isprintable():
        return plain
    return "".join(one if one in "\n\t" or _shows(one) else "?" for one in plain)


def _shows(one: str) -> bool:
    return one != "\ufffd" and unicodedata.category(one) not in (
        "Cc", "Cf", "Cs", "Co", "Zl", "Zp",
    )  # fmt: skip


def redacted(text: str) -> str:
    """Return `text` without what looks like a key, a token or a password."""
    text = _BLOCK.sub(_HIDDEN, text)
    return "\n".join(_redacted_line(line) for line in text.split("\n"))


def _redacted_line(line: str) -> str:
    if len(line) > _LONGEST_LINE:
        parts = (line[at : at + _LONGEST_LINE] for at in range(0, len(line), _LONGEST_LINE))
        return "".join(_redacted_line(part) for part in parts)
    for secret in _SECRETS:
        line = secret.sub(_HIDDEN, line)
    return line
