"""Read what was logged since a cursor, through ``journalctl``, within bounds."""

import json
import re
from collections.abc import Iterator

from forewarn_checks._events_seen import Batch, Event
from forewarn_checks._limited import Limits, Run
from forewarn_checks._process import Execute
from forewarn_checks.base import CannotRead, NothingToRead

_PATIENCE_SECONDS = 15.0
_LIMITS = Limits(seconds=25.0, output_bytes=8 * 2**20)
_LONGEST_TEXT = 2000
_CURSOR = re.compile(r"^-- cursor: (s=[0-9a-f]+;\S{1,300})$", re.MULTILINE)
_FIELDS = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER"
_END = ("journalctl", "--no-pager", "--lines=0", "--show-cursor")
_LEVELS = {"0": "critical", "1": "critical", "2": "critical", "3": "error"}


class Journal:
    """The journal of this host, as far as this user may read it."""

    def __init__(self, ask: Execute, run: Run) -> None:
        """Take what starts programs: `ask` hears their complaints, `run` bounds their output."""
        self._ask = ask
        self._run = run

    def end(self) -> str:
        """Return the cursor of the last entry.

        Raises NothingToRead where there is no journal or this user may not read the system's,
        CannotRead when journalctl does not answer.
        """
        try:
            done = self._ask(_END, _PATIENCE_SECONDS)
        except OSError as error:
            raise NothingToRead(
                f"no journal on this host ({error}), and no other is read"
            ) from None
        if done.status is None:
            raise CannotRead(f"journalctl did not end within {_PATIENCE_SECONDS:g} s")
        if "insufficient permissions" in done.errors or "not seeing messages" in done.errors:
            raise NothingToRead(
                "the agent's user may not read the system's journal; let it: "
                "usermod --append --groups systemd-journal forewarn, then restart the agent"
            )
        found = _CURSOR.search(done.output)
        if found is None:
            if done.status == 0 or "No journal files" in done.errors:
                raise NothingToRead("there is no journal on this host, or it is empty")
            raise CannotRead(f"journalctl: {' '.join(done.errors.split())[:300]}")
        return found[1]

    def after(self, cursor: str, *, all_levels: bool) -> Batch:
        """Return what was logged after `cursor`, errors and worse or all of it."""
        argv = [
            *("journalctl", "--no-pager", "--quiet", "--output=json", "--show-cursor"),
            *(f"--output-fields={_FIELDS}", f"--after-cursor={cursor}"),
            *(() if all_levels else ("--priority=err",)),
        ]
        try:
            ended = self._run(argv, _LIMITS)
        except OSError as error:
            raise NothingToRead(f"no journal on this host ({error})") from None
        events = tuple(parse(ended.output))
        last = _CURSOR.search(ended.output[-400:])
        if ended.cut or (last is None and ended.status != 0):
            # too much, or the cursor's entry is gone and nothing is near it: go on from the end
            return Batch(events, self.end(), whole=False)
        return Batch(events, last[1] if last else cursor)


def parse(output: str) -> Iterator[Event]:
    """Yield the entries of ``--output=json``; a line cut short is passed over."""
    for line in output.split("\n"):
        if not line.startswith("{"):
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        who, what = _text(entry.get("SYSLOG_IDENTIFIER")), _text(entry.get("MESSAGE"))
        level = _LEVELS.get(_text(entry.get("PRIORITY")), "")
        yield Event(level, f"{who}: {what}"[:_LONGEST_TEXT])


def _text(value: object) -> str:
    """Return a field as text: bytes that are no text come as numbers, several as a list."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        if all(isinstance(each, int) and 0 <= each < 256 for each in value):
            return bytes(value).decode("utf-8", "replace")
        return " ".join(each for each in value if isinstance(each, str))
    return ""
