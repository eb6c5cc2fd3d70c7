"""Parse what ``systemctl`` prints of units."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit as systemd holds it."""

    name: str
    load: str  # loaded, not-found, masked, error …
    active: str  # active, inactive, failed, activating …
    sub: str  # running, dead, auto-restart …

    @property
    def has_failed(self) -> bool:
        """Whether it ended badly, or is about to be started again because it did."""
        return self.active == "failed" or self.sub.startswith("auto-restart")

    @property
    def is_well(self) -> bool:
        """Whether it could be used and has not failed; also what waits for its turn."""
        return self.load == "loaded" and not self.has_failed

    @property
    def runs(self) -> bool:
        """Whether it does what it is for; also while it reloads its settings."""
        return self.active in {"active", "reloading", "refreshing"}


def parse_list(text: str) -> dict[str, Unit]:
    """Return the units of ``list-units --plain --no-legend --full`` by name."""
    units: dict[str, Unit] = {}
    for line in text.splitlines():
        match line.split(maxsplit=4):
            case [name, load, active, sub, *_] if "." in name:
                units[name] = Unit(name, load, active, sub)
    return units


def parse_restarts(text: str) -> dict[str, int]:
    """Return ``NRestarts`` by unit of ``show --property=Id,NRestarts``; not of what has none."""
    restarts: dict[str, int] = {}
    for block in text.split("\n\n"):
        pairs = dict(line.partition("=")[::2] for line in block.splitlines())
        count = pairs.get("NRestarts", "")
        if "Id" in pairs and count.isascii() and count.isdecimal() and len(count) < 16:
            restarts[pairs["Id"]] = int(count)
    return restarts


def full_name(name: str) -> str:
    """Return a unit's name as systemd writes it: ``nginx`` is ``nginx.service``."""
    kinds = (".service", ".socket", ".mount", ".timer", ".path", ".swap", ".target", ".automount")
    return name if name.endswith(kinds) else f"{name}.service"


def some(names: Iterable[str], most: int, *, first: Collection[str] = ()) -> tuple[str, ...]:
    """Return `most` of the names, those among `first` before others, else by the alphabet."""
    return tuple(sorted(set(names), key=lambda name: (name not in first, name))[:most])
