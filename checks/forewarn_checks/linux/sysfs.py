"""Read the small files in which the kernel says one thing each."""

from pathlib import Path


def word(path: Path) -> str:
    """Return what a file says, without its line end; "" when it is not there or will not say."""
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
    return "".join(character for character in text if character.isprintable()).strip()


def number(path: Path) -> int | None:
    """Return the whole number in a file; None when it holds none."""
    return parse_number(word(path))


def parse_number(text: str) -> int | None:
    """Return the whole number that `text` is, within 64 bits; None for anything else."""
    digits = text[1:] if text.startswith("-") else text
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 20):
        return None
    return int(text)


def folder(path: Path) -> list[Path]:
    """Return what lies in a folder, by name; nothing when it cannot be read."""
    try:
        return sorted(path.iterdir())
    except OSError:
        return []
