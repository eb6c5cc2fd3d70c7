"""How well a host is guarded, and who may do everything on it."""

import contextlib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """What a system says of its guards.  None is what it does not say.

    `firewall_by` and `antivirus_by` name the products; `signatures_age_seconds` is since the
    antivirus last learned something new; `portable` machines can be carried away.
    """

    firewall: bool | None = None
    firewall_by: str = ""
    antivirus: bool | None = None
    antivirus_by: str = ""
    signatures_age_seconds: float | None = None
    encrypted: bool | None = None
    portable: bool = False
    administrators: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """Who the administrators were, as a digest, and how often that changed."""

    digest: str = ""
    changes: int = 0

    def after(self, administrators: Iterable[str]) -> "Known":
        """Return what is known once they have been seen; the first time is no change."""
        text = "\n".join(sorted(administrators))
        digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        changed = bool(self.digest) and digest != self.digest
        return Known(digest, self.changes + changed)


def recall(memory: Path | None) -> Known:
    """Return what was remembered; nothing where the file is missing or damaged."""
    if memory is None:
        return Known()
    try:
        kept = json.loads(memory.read_text("utf-8"))
        return Known(str(kept["digest"]), int(kept["changes"]))
    except (OSError, ValueError, TypeError, KeyError):
        return Known()


def remember(memory: Path | None, known: Known) -> None:
    """Keep it; without the right to write, keep nothing."""
    if memory is None:
        return
    draft = memory.with_suffix(".new")
    with contextlib.suppress(OSError):
        draft.write_text(json.dumps({"digest": known.digest, "changes": known.changes}), "utf-8")
        draft.replace(memory)
