"""What was started, refused and stopped on this host, one line each, each on disk before it counts.

A line is ``<hash> <json>``; the hash covers the line before it, so that none can be taken out or
changed unnoticed.  A start is written and synced before the script is: whatever dies afterwards,
the script is not started again.

    JournalUnusable     the file was damaged; nothing may be run until somebody has looked
"""

import hashlib
import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Final

from forewarn_agent.durable import Disk
from forewarn_scripts.decide import Past
from forewarn_scripts.order import read_moment, write_moment

assert sys.platform == "linux"  # noqa: TID251 - Windows has a helper of its own kind

_FIRST: Final = "0" * 64
_COMPACT_BYTES: Final = 1024 * 1024
_MOST_BYTES: Final = 4 * _COMPACT_BYTES
_KEPT_REFUSALS: Final = 200
_LONGEST_TEXT: Final = 500
Entry = dict[str, str]


class JournalUnusable(Exception):
    """The journal was damaged, or the disk refuses; the text says what to do."""


@dataclass(slots=True)
class _Memory:
    """What the lines add up to."""

    started: dict[str, datetime] = field(default_factory=dict)
    until: dict[str, datetime] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    revoked_before: datetime | None = None
    latest: datetime | None = None

    def take(self, entry: Entry) -> None:
        """Add one line."""
        event = entry["event"]
        if event == "started":
            self.started[entry["key"]] = read_moment(entry["at"])
            self.until[entry["key"]] = read_moment(entry["until"])
            self._passed(read_moment(entry["signed"]))
        elif event == "ended":
            self.ended.add(entry["key"])
        elif event == "revoked":
            self.revoked.add(entry["order"])
        elif event == "revoked-everything":
            before = read_moment(entry["before"])
            self.revoked_before = max(before, self.revoked_before or before)
        if event in ("started", "ended", "passed"):
            self._passed(read_moment(entry["at"]))

    def _passed(self, at: datetime) -> None:
        self.latest = max(at, self.latest or at)


class Journal:
    """The journal of one host.  One process at a time; the caller holds the folder's lock."""

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self._path = path
        self._disk = disk or Disk()
        self._memory = _Memory()
        self._chain = _FIRST
        self._trouble = ""
        self._file = self._open()

    @property
    def unusable(self) -> str:
        """Why nothing may be run, "" while the journal is whole."""
        return self._trouble

    def past(self, locked: str = "") -> Past:
        """Return what decisions need to know."""
        memory = self._memory
        return Past(
            started=dict(memory.started),
            latest=memory.latest,
            revoked=frozenset(memory.revoked),
            revoked_before=memory.revoked_before,
            locked=locked,
            unusable=self._trouble,
        )

    def interrupted(self) -> tuple[str, ...]:
        """Return the keys that were started and of whose end nothing is written."""
        return tuple(key for key in self._memory.started if key not in self._memory.ended)

    def started(
        self, key: str, *, until: datetime, signed: datetime, by: str, at: datetime
    ) -> None:
        """Put on disk that `key` begins now.  Returns only once it would survive a power cut.

        Raises JournalUnusable; then nothing may be begun.
        """
        if key in self._memory.started:
            raise JournalUnusable(f"{key} was begun before")
        self._write(
            {
                "event": "started",
                "at": write_moment(at),
                "key": key,
                "until": write_moment(until),
                "signed": write_moment(signed),
                "by": by,
            }
        )

    def ended(self, key: str, how: str, at: datetime) -> None:
        """Put on disk how it ended."""
        self._write({"event": "ended", "at": write_moment(at), "key": key, "how": how})

    def refused(self, order: str, occurrence: str, reason: str, detail: str, at: datetime) -> None:
        """Put on disk what was refused and why.  Never raises: a refusal stands without it."""
        entry = {
            "event": "refused",
            "at": write_moment(at),
            "order": order[:_LONGEST_TEXT],
            "occurrence": occurrence[:_LONGEST_TEXT],
            "reason": reason,
            "detail": detail[:_LONGEST_TEXT],
        }
        if not self._trouble:
            with suppress(JournalUnusable, OSError):
                self._write(entry)
                if self._file.tell() > _MOST_BYTES:  # somebody asks for refusals all the time
                    self._reopen()

    def revoked(self, orders: tuple[str, ...], before: datetime | None, at: datetime) -> None:
        """Put on disk what may not begin any more."""
        for order in orders:
            if order not in self._memory.revoked:
                self._write({"event": "revoked", "at": write_moment(at), "order": order})
        known = self._memory.revoked_before
        if before is not None and (known is None or before > known):
            entry = {"event": "revoked-everything", "before": write_moment(before)}
            self._write(entry | {"at": write_moment(at)})

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    # -- the file --------------------------------------------------------------------------------

    def _reopen(self) -> None:
        self._file.close()
        self._memory, self._chain = _Memory(), _FIRST
        self._file = self._open()

    def _open(self) -> FileIO:
        # O_NOFOLLOW: the folder is ours alone, and if it is not, a link must not lead us away.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        file = FileIO(os.open(self._path, flags, 0o600), "r+")
        entries = self._read(file)
        self._disk.sync_directory(self._path.parent)
        if not self._trouble and file.tell() > _COMPACT_BYTES:
            return self._compacted(file, entries)
        return file

    def _read(self, file: FileIO) -> list[Entry]:
        """Take in every line; cut off one that was never finished."""
        data, good, entries = file.readall(), 0, []
        while (end := data.find(b"\n", good)) >= 0:
            try:
                entries.append(self._line(data[good:end]))
            except (ValueError, KeyError, TypeError) as bad:
                self._trouble = (
                    f"{self._path} is damaged at byte {good} ({type(bad).__name__}); look at it, "
                    "then move it away as root: orders signed before that may run again"
                )
                return entries
            good = end + 1
        if good < len(data):
            # Never synced whole, so nothing was begun on the strength of it.
            file.truncate(good)
            self._disk.fsync(file)
        file.seek(good)
        return entries

    def _line(self, line: bytes) -> Entry:
        chain, _, text = line.decode().partition(" ")
        if chain != _link(self._chain, text):
            raise ValueError("the chain is broken")
        entry: Entry = json.loads(text)
        self._memory.take(entry)
        self._chain = chain
        return entry

    def _write(self, entry: Entry) -> None:
        if self._trouble:
            raise JournalUnusable(self._trouble)
        text = json.dumps(entry, sort_keys=True)
        chain = _link(self._chain, text)
        try:
            self._disk.write(self._file, f"{chain} {text}\n".encode())
            self._disk.fsync(self._file)
        except OSError as failure:
            # Half a line may stand there; only opening it anew finds out.
            self._trouble = f"{self._path}: {failure.strerror}; mend the disk, restart the helper"
            raise JournalUnusable(self._trouble) from failure
        self._chain = chain
        self._memory.take(entry)

    def _compacted(self, old: FileIO, entries: list[Entry]) -> FileIO:
        """Forget what can no longer matter, by the journal's own time, never by the wall clock:
        what that clock says may be an attacker's wish."""
        latest = self._memory.latest
        dead = {k for k, until in self._memory.until.items() if latest and until <= latest}
        refusals = [entry for entry in entries if entry["event"] == "refused"][-_KEPT_REFUSALS:]
        kept = [e for e in entries if e["event"] != "refused" and e.get("key") not in dead]
        carried = [entry for entry in kept if entry["event"] != "passed"]
        if latest is not None:
            carried.insert(0, {"event": "passed", "at": write_moment(latest)})
        chain, lines = _FIRST, []
        for entry in (*carried, *refusals):
            text = json.dumps(entry, sort_keys=True)
            chain = _link(chain, text)
            lines.append(f"{chain} {text}\n")
        new_path = self._path.with_suffix(".new")
        new_path.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        new = FileIO(os.open(new_path, flags, 0o600), "r+")
        self._disk.write(new, "".join(lines).encode())
        self._disk.fsync(new)
        new_path.replace(self._path)
        self._disk.sync_directory(self._path.parent)
        old.close()
        self._chain = chain
        memory = self._memory
        self._memory = replace(
            memory,
            started={k: at for k, at in memory.started.items() if k not in dead},
            until={k: at for k, at in memory.until.items() if k not in dead},
            ended=memory.ended - dead,
        )
        return new


def _link(previous: str, text: str) -> str:
    return hashlib.sha256(f"{previous} {text}".encode()).hexdigest()
