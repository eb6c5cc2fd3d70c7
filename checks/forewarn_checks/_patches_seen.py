"""Remember when each update was first seen, so that it ages although its list is made anew."""

import contextlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from forewarn_checks.package_managers.shape import Update

_MOST_REMEMBERED = 5000


def key_of(update: Update) -> str:
    """Return what an update is remembered by: a newer version is another update."""
    return f"{update.name} {update.offered}"


def first_offered(
    updates: Iterable[Update], seen: Mapping[str, datetime], now: datetime
) -> dict[str, datetime]:
    """Return since when each update has been on offer, at the latest, by name and version.

    Its list or advisory has a date; on a later run that may be newer, and what was `seen` before
    counts.
    """
    result = {}
    for update in updates:
        known = [update.since, seen.get(key_of(update))]
        result[key_of(update)] = min([now, *(moment for moment in known if moment is not None)])
    return result


def recall(memory: Path | None) -> dict[str, datetime]:
    """Return what was remembered; nothing where the file is missing or damaged."""
    if memory is None:
        return {}
    try:
        kept = json.loads(memory.read_text("utf-8"))
        return {name: datetime.fromtimestamp(seconds, UTC) for name, seconds in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError, OverflowError):
        return {}


def remember(memory: Path | None, offered: Mapping[str, datetime]) -> None:
    """Keep what is missing now and since when; without the right to write, keep nothing."""
    if memory is None:
        return
    kept = {name: moment.timestamp() for name, moment in list(offered.items())[:_MOST_REMEMBERED]}
    draft = memory.with_suffix(".new")
    with contextlib.suppress(OSError):
        draft.write_text(json.dumps(kept), "utf-8")
        draft.replace(memory)
