"""Show scripts and their output as they are, to be read and not to be obeyed.

Line breaks and tabs do what they do on paper.  Every other control, every direction mark and
whatever else cannot be seen is shown by its name: who reads a script must see all of it.
"""

import unicodedata

from markupsafe import Markup, escape

_ASCII = (
    *("NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "TAB", "LF", "VT", "FF", "CR"),
    *("SO", "SI", "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB"),
    *("ESC", "FS", "GS", "RS", "US"),
)
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def printed(text: str) -> Markup:
    """Return `text` for a ``pre`` element; what is hidden in it becomes a sign."""
    parts: list[str] = []
    begin = 0
    text = text.replace("\r\n", "\n")
    for place, one in enumerate(text):
        if one in "\n\t" or unicodedata.category(one) not in _HIDDEN:
            continue
        parts += (str(escape(text[begin:place])), f'<b class="odd">{_name(one)}</b>')
        begin = place + 1
    parts.append(str(escape(text[begin:])))
    # Every part is escaped above or a name of ours.
    return Markup("").join(Markup(part) for part in parts)  # noqa: S704


def hides_something(text: str) -> bool:
    """Say whether `text` has characters that nobody would see."""
    return any(
        one not in "\r\n\t" and unicodedata.category(one) in _HIDDEN
        for one in text
        if not one.isascii() or not one.isprintable()
    )


def _name(character: str) -> str:
    code = ord(character)
    return _ASCII[code] if code < len(_ASCII) else f"U+{code:04X}"
