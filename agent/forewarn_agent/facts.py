"""Remember which facts have left, so that only changed ones travel."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from forewarn_agent.files import write_private
from forewarn_checks.base import FactValue, Run


def digest(value: FactValue) -> str:
    """Return what tells two values of a fact apart, however the keys of its rows are ordered."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def changed(facts: Mapping[str, FactValue], known: Mapping[str, str]) -> dict[str, FactValue]:
    """Return the facts whose digest is not the known one."""
    return {name: value for name, value in facts.items() if known.get(name) != digest(value)}


class FactMemory:
    """The digests of all facts that are safely spooled, kept in one small file.

    `owner` names where they were told: host, spool, and what that spool has lost.  A file of
    another owner counts as empty, so that a new spool, a new identity and a loss each make the
    host tell everything again.
    """

    def __init__(self, path: Path, owner: str) -> None:
        self.owner = owner
        self._path = path
        self._known = _load(path, owner)

    def only_changed(self, run: Run) -> Run:
        """Return `run` with the facts that were not told before."""
        return replace(run, facts=changed(run.facts, self._known)) if run.facts else run

    def told(self, run: Run) -> None:
        """Take note that the facts of `run` are spooled.  A disk that is full costs nothing."""
        if not run.facts:
            return
        self._known |= {name: digest(value) for name, value in run.facts.items()}
        self._save()

    def _save(self) -> None:
        content = json.dumps({"owner": self.owner, "known": self._known})
        try:
            write_private(self._path, content.encode(), durable=False)
        except OSError:
            return  # then a restart tells some facts twice


def _load(path: Path, owner: str) -> dict[str, str]:
    try:
        kept = json.loads(path.read_bytes())
        if kept["owner"] != owner:
            return {}
        return {str(name): str(known) for name, known in kept["known"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
