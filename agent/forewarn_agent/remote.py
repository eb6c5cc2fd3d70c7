"""Take up what the collector sets, on trial; go back to the last good when it does us no good.

DIR/remote.json     {"good": document, "trial": document, "refused": {"version", "problem"}}

A document is on trial until a batch went through a minute later.  An agent that dies under one
finds it there when it starts again, refuses it, and goes on with the last good one.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from forewarn_agent.config import ConfigError, Remote, read_remote
from forewarn_agent.files import write_private

log = logging.getLogger(__name__)

PATH: Final = "/v1/config"
STREAM: Final = "config"
NAME: Final = "remote.json"
MOST_BYTES: Final = 256 * 1024
TRIAL_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Taken:
    """One document that could be read."""

    version: str
    changes: Remote
    document: dict[str, Any]


class RemoteSettings:
    """What the collector sets of this agent.  Used by one thread at a time."""

    def __init__(self, directory: Path) -> None:
        """Read what was kept; refuse what an agent before us died under."""
        self._path = directory / NAME
        self._good: _Taken | None = None
        self._trial: _Taken | None = None
        self._since = 0.0
        self.refused = ""  # the version
        self.problem = ""
        self._recall()

    @property
    def changes(self) -> Remote:
        """What is in force."""
        taken = self._trial or self._good
        return taken.changes if taken else {}

    @property
    def version(self) -> str:
        """Version of what is in force, "" for none."""
        taken = self._trial or self._good
        return taken.version if taken else ""

    def wants(self, version: str) -> bool:
        """Say whether the document of this version should be fetched."""
        return version not in ("", self.version, self.refused)

    def offer(self, body: bytes, now: float) -> bool:
        """Take up a document, on trial from monotonic `now`; say whether settings changed."""
        before = self.changes
        try:
            taken = _read(body)
        except ConfigError as failure:
            self._refuse(_version_in(body), str(failure))
            return False
        if taken.changes:
            self._trial, self._since = taken, now
        else:
            self._good, self._trial = taken, None  # nothing changed does no harm
        self.refused = self.problem = ""
        self._keep()
        log.info("settings of the collector, version %s, are taken up", taken.version)
        return taken.changes != before

    def went_well(self, now: float) -> None:
        """Take note that a batch went through: after a while that proves what is on trial."""
        if self._trial is not None and now - self._since >= TRIAL_SECONDS:
            self._good, self._trial = self._trial, None
            self._keep()

    def let_go(self) -> None:
        """Stop in good order: what is on trial is asked for again by the next agent."""
        if self._trial is not None:
            self._trial = None
            self._keep()

    def _refuse(self, version: str, problem: str) -> None:
        self.refused, self.problem = version, problem[:2000]
        log.error("settings of the collector are refused, the last good ones stay: %s", problem)
        self._keep()

    def _recall(self) -> None:
        try:
            kept = json.loads(self._path.read_bytes())
            self._good = _read(json.dumps(kept["good"]).encode()) if kept["good"] else None
            self.refused = str(kept["refused"]["version"])
            self.problem = str(kept["refused"]["problem"])
            trial = kept["trial"]
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, ConfigError) as failure:
            log.error("%s cannot be used, and is asked for again: %s", self._path, failure)
            return
        if trial:
            version = str(trial.get("version", "")) if isinstance(trial, dict) else ""
            self._refuse(version, f"the agent did not live long under version {version}")

    def _keep(self) -> None:
        told = {
            "good": self._good.document if self._good else None,
            "trial": self._trial.document if self._trial else None,
            "refused": {"version": self.refused, "problem": self.problem},
        }
        try:
            write_private(self._path, json.dumps(told).encode())
        except OSError as failure:
            log.warning("%s cannot be written: %s", self._path, failure)


def _read(body: bytes) -> _Taken:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as failure:
        raise ConfigError([f"the collector: no JSON: {failure}"]) from failure
    changes, skipped = read_remote(document)
    version = document.get("version")
    if not isinstance(version, str) or not 0 < len(version) <= 100 or not version.isalnum():
        raise ConfigError(["the collector: version is not a plain word"])
    if skipped:
        log.info("not known to this agent, and passed over: %s", ", ".join(skipped))
    return _Taken(version, changes, document)


def _version_in(body: bytes) -> str:
    """Return what an unusable document calls itself, so that it is not asked for again."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    version = told.get("version") if isinstance(told, dict) else ""
    return version[:100] if isinstance(version, str) else ""
