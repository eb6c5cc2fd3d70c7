"""Errors that were logged, by how bad they are and by patterns of your own."""

import os
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from forewarn_checks._named import read_entries
from forewarn_checks.base import (
    Check,
    Component,
    Growth,
    Increase,
    Metric,
    Option,
    Options,
    Panel,
    Reading,
    Severity,
    Unit,
    WrongSystem,
)

if TYPE_CHECKING:
    from forewarn_checks._events_seen import Batch

ERRORS = Metric(
    "events_errors",
    Unit.COUNT,
    "Entries logged as error, and as critical or worse, since the check first ran: a counter.",
    ("event",),
)
MATCHED = Metric(
    "events_matched",
    Unit.COUNT,
    "Entries that a pattern of the option means, since then: a counter.",
    ("event",),
)
CUT = Metric(
    "events_cut",
    Unit.COUNT,
    "1 when more was logged since the run before than is read, so that more may have matched.",
)

PATTERNS = Option(
    name="patterns",
    default=(),
    help="Regular expressions, looked for in 'program: message' (on Windows 'provider number: "
    "data'), e.g. ['db gone = postgres.*could not connect', 'bad disk = disk (7|51|153): '].",
)

MEMORY_NAME = "events-seen.json"
_MOST_PATTERNS = 30


class Log(Protocol):
    """A log that can be read from where one stopped."""

    def end(self) -> str:
        """Return the cursor of the last entry."""

    def after(self, cursor: str, *, all_levels: bool) -> "Batch":
        """Return what was logged after `cursor`."""


def read_linux(options: Options) -> Iterator[Reading]:
    """Read what the journal has had since the run before."""
    if sys.platform == "win32":
        raise WrongSystem
    from forewarn_checks._limited import run_limited
    from forewarn_checks._process import execute
    from forewarn_checks.linux.journal import Journal

    yield from readings(options, Journal(execute, run_limited), _memory())


def read_windows(options: Options) -> Iterator[Reading]:
    """Read what the System and Application logs have had since the run before."""
    if sys.platform != "win32":
        raise WrongSystem
    from forewarn_checks.windows.event_log import EventLog, query

    yield from readings(options, EventLog(query), _memory())


def _memory() -> Path | None:
    directory = os.environ.get("FOREWARN_AGENT_DIR")
    return Path(directory) / MEMORY_NAME if directory else None


def readings(options: Options, log: Log, memory: Path | None) -> Iterator[Reading]:
    """Yield the counters after what `log` has had since they were kept in the file `memory`.

    The first run only takes down where the log ends.  Raises what `log` raises, and CannotRead
    at the end for patterns that make no sense.
    """
    from forewarn_checks import _events_seen as kept

    entries = read_entries(options, PATTERNS, parse_pattern, check="events", most=_MOST_PATTERNS)
    seen = kept.recall(memory)
    batch = kept.Batch((), "")
    if seen.cursor:
        batch = log.after(seen.cursor, all_levels=bool(entries.good))
    counts = {_key(name): 0 for name in ("error", "critical")}
    counts |= {_key(each.name, "matched"): 0 for each in entries}
    counts |= {name: count for name, count in seen.counts.items() if name in counts}
    for event in batch.events:
        if event.level:
            counts[_key(event.level)] += 1
        for each in entries:
            if re.search(each.thing, event.text):
                counts[_key(each.name, "matched")] += 1
    kept.remember(memory, kept.Seen(batch.cursor or log.end(), counts))
    for level in ("error", "critical"):
        yield ERRORS.sample(counts[_key(level)], event=level)
    for each in entries:
        yield MATCHED.sample(counts[_key(each.name, "matched")], event=each.name)
    yield CUT.sample(not batch.whole)
    entries.complain()


def _key(name: str, kind: str = "level") -> str:
    return f"{kind} {name}"


def parse_pattern(text: str) -> str:
    """Return `text` when it is a regular expression.  Raises ValueError."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"this is no regular expression: {error}") from error
    if not text:
        raise ValueError("write a regular expression")
    return text


CHECK = Check(
    name="events",
    help="Errors that were logged, by how bad they are and by patterns of your own.",
    every=timedelta(minutes=10),
    timeout=timedelta(seconds=60),
    metrics=(ERRORS, MATCHED, CUT),
    component=Component("log", ("event",)),
    read_linux=read_linux,
    read_windows=read_windows,
    options=(PATTERNS,),
    in_child=True,
    rules=(
        Growth(
            name="EventSeen",
            severity=Severity.WARNING,
            any_of=(Increase(metric=MATCHED, by=1),),
            window=timedelta(hours=1),
            title="{event} was logged on {host}: {value}",
            advice=(
                "Within an hour: {value}. Somebody asked to be told of these entries: "
                "[checks.events.options] patterns. Read them with what stands around them: "
                "journalctl --since -2h, on Windows Event Viewer. The ticket closes an hour after "
                "the last of them."
            ),
        ),
        Growth(
            name="CriticalLogged",
            severity=Severity.WARNING,
            any_of=(Increase(metric=ERRORS, by=10),),
            window=timedelta(hours=1),
            where={"event": "critical"},
            title="{host} logs critical entries: {value}",
            advice=(
                "Within an hour: {value}. See who and why: journalctl -p crit --since -2h, on "
                "Windows Event Viewer > Administrative Events. sudo logs mistyped passwords as "
                "alerts; many of these are somebody guessing. The kernel's are hardware, most "
                "often."
            ),
        ),
        Growth(
            name="ErrorsFlood",
            severity=Severity.WARNING,
            any_of=(Increase(metric=ERRORS, by=1000),),
            window=timedelta(hours=1),
            where={"event": "error"},
            title="{host} logs errors in floods: {value}",
            advice=(
                "Within an hour: {value}. See who: journalctl -p err --since -1h -o cat "
                "--output-fields=SYSLOG_IDENTIFIER | sort | uniq -c | sort -n. A program that "
                "tries again without a pause hides all others in the log and wears the disk; mend "
                "what it cannot reach, or stop it."
            ),
        ),
    ),
    panels=(Panel(ERRORS), Panel(MATCHED), Panel(CUT, drawn_as="state")),
)
