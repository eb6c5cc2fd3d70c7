"""What an agent sends and a collector answers.  The only contract between the two.

Plain dataclasses, so that the resident agent does without pydantic: it writes them with json.
The collector reads them through ``pydantic.TypeAdapter(Batch).validate_json``.

Unknown keys pass, so that an agent may be newer than its collector; NaN and infinity do not.
"""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from annotated_types import Interval, Len

SCHEMA = 1
"""Version of the envelope.  A collector of schema N accepts agents of N-1 and N+1."""

_WIRE: dict[str, Any] = {
    "extra": "ignore",
    "allow_inf_nan": False,
    "str_max_length": 256,
    "strict": True,
}
_LONG_TEXT: dict[str, Any] = _WIRE | {"str_max_length": 4096}

Sequence63 = Annotated[int, Interval(ge=0, lt=2**63)]
FactScalar = str | int | float | bool | None
FactValue = FactScalar | list[str] | list[dict[str, FactScalar]]
"""A fact is a scalar, a list of words or a small table: depth is bounded by its type."""


class Lane(StrEnum):
    """How urgent a run is.  Live leaves first; backfill is what could not leave in time."""

    LIVE = "live"
    BACKFILL = "backfill"
    RESULTS = "results"


class Outcome(StrEnum):
    """How one run of a check ended."""

    OK = "ok"
    NOTHING = "nothing"  # there is nothing of this kind on the host, e.g. no SMART disk
    UNSUPPORTED = "unsupported"  # the check has no reader for this operating system
    FAILED = "failed"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True)
class Sample:
    """One number, in the unit its metric declares."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _WIRE

    metric: str
    value: float
    labels: Annotated[dict[str, str], Len(0, 16)] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of one check on one host, with what it read.  The unit that travels.

    `samples` of a run that failed half-way are those read before the failure.  `facts` hold
    only what changed since the last run that carried facts.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _LONG_TEXT

    sequence: Sequence63  # grows by one per run and lane; lets the collector drop repeats
    check: str
    started_at: str  # RFC 3339 with Z, the agent's wall clock; for people, never for rules
    boot: str  # boot id; with boottime_seconds it dates the run however wrong the wall clock is
    boottime_seconds: float  # CLOCK_BOOTTIME when the run began; counts while suspended
    duration_seconds: float
    outcome: Outcome
    error: str = ""
    samples: tuple[Sample, ...] = ()
    facts: dict[str, FactValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Runs from one host and lane, oldest first.

    `sent_at` (RFC 3339), `sent_boot` and `sent_boottime_seconds` are read just before sending:
    their distance to a run's own gives its age whatever the wall clock says.
    `dropped` counts runs of this spool and lane that its bounds cost since the spool was made.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _WIRE

    schema: Annotated[int, Interval(ge=1, le=2)]
    host: str
    spool: str  # random per spool, so a wiped or cloned agent cannot collide with its past
    lane: Lane
    runs: Annotated[tuple[Run, ...], Len(1, 5000)]
    sent_at: str
    sent_boot: str
    sent_boottime_seconds: float
    dropped: Sequence63 = 0
    agent_version: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The collector holds, durably, every run up to and including `through` of each lane named."""

    through: dict[Lane, int]
    config_version: str = ""
    orders_waiting: bool = False
    audit_checkpoint: str = ""  # the newest row of the audit log, for hosts to remember


def to_json(value: Batch | Run | Receipt) -> dict[str, Any]:
    """Return `value` as what ``json.dumps(..., allow_nan=False)`` writes."""
    return asdict(value)
