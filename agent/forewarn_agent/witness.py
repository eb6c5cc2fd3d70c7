"""Bear witness to the collector's audit log: remember what it showed, and tell when it goes back.

DIR/witness.json    {"kept": [checkpoint, …], "told": checkpoint, "told_at": seconds,
                     "rewound": "", "rewinds": ["…"]}
"""

import json
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from forewarn_agent.files import write_private
from forewarn_checks.base.checkpoint import Checkpoint, read_checkpoint

log = logging.getLogger(__name__)

NAME: Final = "witness.json"
_KEPT: Final = 10
_REWINDS: Final = 10
_TELL_SECONDS: Final = 86_400.0  # one fact a day costs 100,000 hosts' collector nothing


@dataclass(frozen=True, slots=True)
class Seen:
    """What is remembered.  `rewound` says what does not fit, "" for nothing."""

    kept: tuple[str, ...] = ()
    told: str = ""
    told_at: float = 0.0
    rewound: str = ""
    rewinds: tuple[str, ...] = ()


def contradiction(kept: tuple[Checkpoint, ...], shown: Checkpoint) -> str:
    """Say how `shown` does not follow from what was kept, oldest first; "" when it may."""
    if not kept or shown.era > kept[-1].era:
        return ""
    newest = kept[-1]
    if shown.era < newest.era:
        return f"it shows era {shown.era}, and showed era {newest.era} before"
    if shown.row < newest.row:
        return f"it ends at row {shown.row}, and ended at row {newest.row} before"
    for one in kept:
        if (one.era, one.row) == (shown.era, shown.row) and one.head != shown.head:
            return f"row {one.row} is {shown.head[:16]}, and was {one.head[:16]} before"
    return ""


def taken(seen: Seen, text: str) -> Seen:
    """Return what is remembered after the collector showed `text`."""
    shown = read_checkpoint(text)
    if shown is None or text in seen.kept[-1:]:
        return seen
    kept = tuple(one for one in map(read_checkpoint, seen.kept) if one is not None)
    wrong = contradiction(kept, shown)
    if wrong:
        # Never backwards: what was seen stays, and so does the first thing that was wrong.
        return seen if seen.rewound else replace(seen, rewound=wrong)
    newest = kept[-1] if kept else None
    if newest and (newest.era, newest.row) == (shown.era, shown.row):
        return seen
    if newest and shown.era > newest.era:
        ended = f"era {newest.era} ended at row {newest.row}: {seen.rewound or 'no rewind seen'}"
        rewinds = (*seen.rewinds, ended)[-_REWINDS:]
        return replace(seen, kept=(text,), rewound="", rewinds=rewinds)
    return replace(seen, kept=(*seen.kept, text)[-_KEPT:])


class Witness:
    """What this host was shown.  Used by the sender's thread, and read by the check `agent`."""

    def __init__(self, directory: Path) -> None:
        """Read what was kept; a file that makes no sense is begun anew, and the log says so."""
        self._path = directory / NAME
        self._seen = read(directory)

    @property
    def rewound(self) -> str:
        """What does not fit, "" for nothing."""
        return self._seen.rewound

    def shown(self, text: str) -> None:
        """Take note of what a receipt shows of the log."""
        after = taken(self._seen, text)
        if after is self._seen:
            return
        if after.rewound and not self._seen.rewound:
            log.error("the collector's audit log was set back: %s", after.rewound)
        self._keep(after)

    def tell(self, now_seconds: float) -> str:
        """Return the checkpoint to bear witness to, a new one once a day; "" before the first."""
        seen = self._seen
        is_due = not 0 <= now_seconds - seen.told_at < _TELL_SECONDS
        if seen.kept and (is_due or not seen.told) and seen.told != seen.kept[-1]:
            self._keep(replace(seen, told=seen.kept[-1], told_at=now_seconds))
        return self._seen.told

    def _keep(self, seen: Seen) -> None:
        self._seen = seen
        try:
            write_private(self._path, json.dumps(asdict(seen)).encode(), durable=False)
        except OSError as failure:
            log.warning("%s cannot be written: %s", self._path, failure)


def read(directory: Path) -> Seen:
    """Return what the agent of this folder remembers."""
    path = directory / NAME
    try:
        told = json.loads(path.read_bytes())
        return Seen(
            kept=tuple(str(one) for one in told["kept"])[-_KEPT:],
            told=str(told["told"]),
            told_at=float(told["told_at"]),
            rewound=str(told["rewound"]),
            rewinds=tuple(str(one) for one in told["rewinds"])[-_REWINDS:],
        )
    except FileNotFoundError:
        return Seen()
    except (OSError, ValueError, KeyError, TypeError) as failure:
        log.error("%s cannot be used, and is begun anew: %s", path, failure)
        return Seen()
