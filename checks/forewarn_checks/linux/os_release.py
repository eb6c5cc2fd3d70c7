"""Parse ``os-release``: which distribution this is."""

import shlex
from dataclasses import dataclass
from pathlib import Path

# /etc first, as os-release(5) asks; /usr/lib is the vendor's own, there in the barest tree.
_PLACES = (Path("/etc/os-release"), Path("/usr/lib/os-release"))


@dataclass(frozen=True, slots=True)
class Distribution:
    """What ``os-release`` says; its own defaults where it says nothing.

    `like` are the ids of what it was made from, the nearest first; `support_end` is the day
    (YYYY-MM-DD) after which its maker publishes no more fixes.
    """

    id: str = "linux"
    name: str = "Linux"
    version: str = ""
    like: tuple[str, ...] = ()
    codename: str = ""
    support_end: str = ""


def parse_os_release(text: str) -> Distribution:
    """Return the distribution that `text` describes; lines of another form are skipped."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        if not separator or name.startswith("#"):
            continue
        try:
            values[name] = " ".join(shlex.split(value))
        except ValueError:
            continue  # a quote without its partner
    return Distribution(
        id=values.get("ID") or "linux",
        name=values.get("NAME") or "Linux",
        # rolling distributions have no version; a testing release at least has a code name
        version=values.get("VERSION_ID") or values.get("VERSION_CODENAME") or "",
        like=tuple(values.get("ID_LIKE", "").split()),
        codename=values.get("VERSION_CODENAME", ""),
        support_end=values.get("SUPPORT_END", ""),
    )


def read_distribution() -> Distribution:
    """Return the distribution of this host or container."""
    for place in _PLACES:
        try:
            return parse_os_release(place.read_text("utf-8", "replace"))
        except OSError:
            continue
    return Distribution()
