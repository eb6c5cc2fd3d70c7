"""Understand what ZFS' own ``zpool`` prints; it asks no rights for that."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from forewarn_checks.linux.sysfs import parse_number

LIST = ("list", "-Hpo", "name,size,allocated")
STATUS = ("status", "-p")

_SCAN = re.compile(r"\s*scan: scrub repaired .* with (?P<errors>\d+) errors on (?P<ended>.+)")
_ROW = re.compile(
    r"\t(?P<indent> *)\S+ +[A-Z]+ +(?P<read>\d+) +(?P<write>\d+) +(?P<checksum>\d+)\b"
)
_ENDED = "%a %b %d %H:%M:%S %Y"


@dataclass(frozen=True, slots=True)
class Pool:
    """What ``zpool`` knows of one pool besides its health; None is what it does not say."""

    allocated_ratio: float | None = None
    scrubbed_at: datetime | None = None
    errors: int | None = None


def read_pools(ask: Callable[[Sequence[str]], str]) -> dict[str, Pool]:
    """Return the pools by name; `ask` gives what ``zpool`` prints for these arguments, or ""."""
    shares = parse_list(ask(LIST))
    pools = parse_status(ask(STATUS)) if shares else {}
    return {name: Pool(share, *pools.get(name, (None, None))) for name, share in shares.items()}


def parse_list(text: str) -> dict[str, float | None]:
    """Return the allocated share of each pool by name."""
    shares: dict[str, float | None] = {}
    for line in text.splitlines():
        name, *numbers = line.split("\t")
        if len(numbers) == 2:
            size, allocated = (parse_number(number) for number in numbers)
            shares[name] = allocated / size if size and allocated is not None else None
    return shares


def parse_status(text: str) -> dict[str, tuple[datetime | None, int | None]]:
    """Return by pool when its last scrub ended and how many errors its drives have made.

    A scrub that was cancelled or still runs is none; the moment is in this system's own zone.
    """
    pools: dict[str, tuple[datetime | None, int | None]] = {}
    for block in re.split(r"^ *pool: ", text, flags=re.MULTILINE)[1:]:
        name, _, rest = block.partition("\n")
        scan = next((found for line in rest.splitlines() if (found := _SCAN.match(line))), None)
        pools[name.strip()] = (_moment(scan["ended"]) if scan else None, _errors(rest))
    return pools


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(" ".join(text.split()), _ENDED).astimezone()
    except ValueError:
        return None


def _errors(block: str) -> int | None:
    """Return the errors of the drives alone: a mirror's own row adds up those of its drives."""
    rows = [row for line in block.splitlines() if (row := _ROW.match(line))]
    below = [*(len(row["indent"]) for row in rows[1:]), 0]
    counts = [
        int(row["read"]) + int(row["write"]) + int(row["checksum"])
        for row, next_indent in zip(rows, below, strict=True)
        if next_indent <= len(row["indent"])
    ]
    return sum(counts) if counts else None
