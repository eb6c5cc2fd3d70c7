"""Make text that came from hosts safe to put before people and other systems."""

import unicodedata

_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain(text: str, longest: int = 256) -> str:
    """Return `text` without control characters, bidi controls and lone surrogates, cut to fit.

    Each leaves a replacement character, so that it shows that something was there; line breaks
    and tabs become spaces.
    """
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(_safe(character) for character in cut)


def _safe(character: str) -> str:
    if character in "\n\r\t":
        return " "
    category = unicodedata.category(character)
    if category in ("Cc", "Cs", "Zl", "Zp") or character in _DIRECTIONS:
        return "\ufffd"
    return character
