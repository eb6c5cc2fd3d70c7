"""Remember up to where a host's log was read and what was counted, over restarts."""

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path

_MOST_COUNTS = 100


@dataclass(frozen=True, slots=True)
class Event:
    """One entry: ``critical``, ``error`` or ``""``, and who said what in one line."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What was logged since; `whole` is False when there was more than may be read."""

    events: tuple[Event, ...]
    cursor: str
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """Up to where the log was read ("" for not at all), and what was counted by name."""

    cursor: str = ""
    counts: dict[str, int] = field(default_factory=dict)


def recall(memory: Path | None) -> Seen:
    """Return what was remembered; nothing where the file is missing or damaged."""
    if memory is None:
        return Seen()
    try:
        kept = json.loads(memory.read_text("utf-8"))
        counts = {str(name): int(count) for name, count in kept["counts"].items()}
        return Seen(str(kept["cursor"]), counts)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Seen()


def remember(memory: Path | None, seen: Seen) -> None:
    """Keep it; without the right to write, keep nothing."""
    if memory is None:
        return
    counts = dict(list(seen.counts.items())[:_MOST_COUNTS])
    draft = memory.with_suffix(".new")
    with contextlib.suppress(OSError):
        draft.write_text(json.dumps({"cursor": seen.cursor, "counts": counts}), "utf-8")
        draft.replace(memory)
