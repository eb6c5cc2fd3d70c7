"""What operators sign: an order, a standing order, a revocation, and what an endpoint answers.

Every document has exactly one spelling: `to_bytes` writes it, and `parse` refuses all others, so
that what a person was shown is what an endpoint reads.

    BadDocument     the bytes are no document of this kind; the text says where
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Self, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from forewarn_scripts.envelope import ORDER, RESULT, REVOCATION, STANDING_ORDER

MOST_SCRIPT_BYTES = 256 * 1024
MOST_TARGETS = 2000
SAME_USER = "self"
"""`run_as` of a script that runs as whoever the helper is; only where the policy says so."""
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_TRIGGERED = re.compile(rf"([A-Za-z][A-Za-z0-9]{{0,59}}):({_UUID})")


class BadDocument(ValueError):
    """The bytes are no document of this kind."""


def script_hash(body: bytes) -> str:
    """Return the address of a script: the SHA-256 of its bytes, in hex."""
    return hashlib.sha256(body).hexdigest()


def write_moment(moment: datetime) -> str:
    """Return ``2026-11-21T08:00:00Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_moment(text: str) -> datetime:
    """Return the moment that `write_moment` wrote.  Raises ValueError for any other form."""
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    if write_moment(moment) != text:
        raise ValueError("write it as 2026-11-21T08:00:00Z")
    return moment


def _plain(text: str) -> str:
    """Refuse what a terminal would act on or show in another place than it stands."""
    if any(unicodedata.category(one) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for one in text):
        raise ValueError("control and direction characters are not taken")
    return text


def _moment(text: str) -> str:
    read_moment(text)
    return text


def _ascending(targets: tuple[str, ...]) -> tuple[str, ...]:
    if list(targets) != sorted(set(targets)):
        raise ValueError("targets are not in ascending order, or one is named twice")
    return targets


def _path(text: str) -> str:
    if any(part in ("", ".", "..") for part in text.split("/")[1:]):
        raise ValueError("an interpreter is an absolute path without detours")
    return text


Uuid = Annotated[
    str,
    StringConstraints(pattern=rf"^{_UUID}$"),
]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
KeyId = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Text = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_plain)]
Moment = Annotated[str, StringConstraints(max_length=20), AfterValidator(_moment)]
Interpreter = Annotated[
    str,
    StringConstraints(pattern=r"^/[A-Za-z0-9._+/-]+$", max_length=200),
    AfterValidator(_path),
]
Account = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]
Targets = Annotated[
    tuple[KeyId, ...], Field(min_length=1, max_length=MOST_TARGETS), AfterValidator(_ascending)
]

_FORM = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Document(BaseModel):
    """Something that is signed.  `KIND` is its DSSE payload type."""

    model_config = _FORM
    KIND: ClassVar[str]

    def to_bytes(self) -> bytes:
        """Return the one spelling of this document."""
        return self.model_dump_json().encode()


class Work(Document):
    """What an order and a standing order share: which bytes, where, as whom, and when at all.

    `targets` are the fingerprints of the hosts' own keys: a name or a selector could be made to
    mean another host.  `collector` and `client` say through whom and for whom.
    """

    LONGEST: ClassVar[timedelta]

    id: Uuid
    client: Text
    collector: Uuid
    script_sha256: Digest
    interpreter: Interpreter
    argv: Annotated[tuple[Text, ...], Field(max_length=64)] = ()
    targets: Targets
    max_hosts: int = Field(ge=1, le=MOST_TARGETS)
    not_before: Moment
    not_after: Moment
    reason: Annotated[Text, StringConstraints(min_length=1)]
    run_as: Account
    timeout_seconds: int = Field(ge=1, le=86_400)
    keyring_version: int = Field(ge=1, lt=2**31)

    @property
    def begins(self) -> datetime:
        """The moment before which it may not start."""
        return read_moment(self.not_before)

    @property
    def ends(self) -> datetime:
        """The moment from which it may not start any more."""
        return read_moment(self.not_after)

    @model_validator(mode="after")
    def _within_bounds(self) -> Self:
        if not timedelta(0) < self.ends - self.begins <= self.LONGEST:
            raise ValueError(f"it may be valid for {self.LONGEST} at most")
        if len(self.targets) > self.max_hosts:
            raise ValueError("it names more hosts than its own max_hosts")
        return self


class Order(Work):
    """Run these bytes once on each of these hosts."""

    KIND = ORDER
    LONGEST = timedelta(hours=24)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # what is not found is a KeyError
        raise ValueError("no such time zone") from None
    return name


@dataclass(frozen=True, slots=True)
class Occasion:
    """One time at which a calendar is due: its name, and from when until when it may begin."""

    name: str
    begins: datetime
    ends: datetime


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EVERY, _WORKING = ",".join(_DAYS), ",".join(_DAYS[:5])


class Calendar(BaseModel):
    """Times at which a standing order is due: on these weekdays (1 is Monday) at `at`.

    An occurrence that was missed may still begin within `window_minutes`.
    """

    model_config = _FORM

    weekdays: tuple[Annotated[int, Field(ge=1, le=7)], ...] = Field(min_length=1, max_length=7)
    at: Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    zone: Annotated[str, StringConstraints(max_length=64), AfterValidator(_zone)]
    window_minutes: int = Field(ge=1, le=1440)

    def occasion(self, now: datetime) -> Occasion | None:
        """Return the occurrence that may begin now, None when none may.

        Where clocks are put forward over `at` it is due as much later; where they are put back it
        is due once, the first time.
        """
        today = now.astimezone(ZoneInfo(self.zone)).date()
        for back in (0, 1):
            found = self._on(today - timedelta(days=back))
            if found is not None and found.begins <= now < found.ends:
                return found
        return None

    def occurrence(self, now: datetime) -> str | None:
        """Return the name of the occurrence that may begin now, None when none may."""
        found = self.occasion(now)
        return None if found is None else found.name

    def next(self, now: datetime) -> Occasion:
        """Return the occurrence that begins next after a moment."""
        today = now.astimezone(ZoneInfo(self.zone)).date()
        coming = (self._on(today + timedelta(days=ahead)) for ahead in range(9))
        return next(one for one in coming if one is not None and one.begins > now)

    def __str__(self) -> str:
        days = ",".join(_DAYS[one - 1] for one in sorted(self.weekdays))
        named = {_EVERY: "daily", _WORKING: "working days"}.get(days, days)
        return f"{named} {self.at} {self.zone}, within {self.window_minutes} min"

    def _on(self, day: date) -> Occasion | None:
        if day.isoweekday() not in self.weekdays:
            return None
        hour, minute = (int(part) for part in self.at.split(":"))
        local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZoneInfo(self.zone))
        # In UTC: two moments of one zone are compared as clock faces.
        due = local.astimezone(UTC)
        name = f"{day.isoformat()}T{self.at}"
        return Occasion(name, due, due + timedelta(minutes=self.window_minutes))


class Within(StrEnum):
    """When the collector hands a standing order over; a host's own policy bounds it besides."""

    ANY = "any"  # whenever its calendar or its rule says
    OUT_OF_HOURS = "out-of-hours"  # while the client's business hours are not open
    MAINTENANCE = "maintenance"  # inside a maintenance window of the host, and only there


class StandingOrder(Work):
    """Run these bytes again and again: by a calendar, or when a rule's episode asks for it."""

    KIND = STANDING_ORDER
    LONGEST = timedelta(days=90)

    max_runs_a_day: int = Field(ge=1, le=24)
    within: Within = Within.ANY
    calendar: Calendar | None = None
    trigger: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]{0,59}$")] | None = None

    @model_validator(mode="after")
    def _one_reason_to_run(self) -> Self:
        if (self.calendar is None) == (self.trigger is None):
            raise ValueError("it has a calendar or a trigger, not both and not neither")
        return self


def triggered(rule: str, episode_id: str) -> str:
    """Return the name of the occurrence that an episode of a rule asks for."""
    return f"{rule}:{episode_id}"


def triggered_by(occurrence: str) -> tuple[str, str] | None:
    """Return the rule and the episode an occurrence names, None when it names none."""
    match = _TRIGGERED.fullmatch(occurrence)
    return None if match is None else (match[1], match[2])


class Revocation(Document):
    """Stop: these orders, or with `everything` all that was signed before `issued_at`."""

    KIND = REVOCATION

    id: Uuid
    client: Text
    collector: Uuid
    orders: Annotated[tuple[Uuid, ...], Field(max_length=1000)] = ()
    everything: bool = False
    issued_at: Moment
    reason: Text


class Ended(StrEnum):
    """How an order ended on a host."""

    DONE = "done"  # it ran to its end; `exit_code` says how
    TIMED_OUT = "timed_out"
    NOT_STARTED = "not_started"  # the system refused to start it
    UNKNOWN = "unknown"  # it was started, and then the helper or the host died
    REFUSED = "refused"
    REVOKED = "revoked"  # a revocation was taken


class Result(Document):
    """What an endpoint says, under its own key, of one order and occurrence."""

    KIND = RESULT

    order: Annotated[str, StringConstraints(max_length=36)]
    occurrence: Annotated[str, StringConstraints(max_length=100)] = ""
    host: KeyId
    script_sha256: Annotated[str, StringConstraints(max_length=64)] = ""
    ended: Ended
    reason: Annotated[str, StringConstraints(max_length=1000)] = ""
    started_at: Annotated[str, StringConstraints(max_length=20)] = ""
    ended_at: Moment
    exit_code: int | None = None
    output_sha256: Annotated[str, StringConstraints(max_length=64)] = ""
    output_bytes: Annotated[int, Field(ge=0)] = 0
    truncated: bool = False
    output: Annotated[str, StringConstraints(max_length=MOST_SCRIPT_BYTES)] = ""


D = TypeVar("D", bound=Document)


def parse(form: type[D], payload: bytes) -> D:
    """Return the document in `payload`.  Raises BadDocument."""
    try:
        document = form.model_validate_json(payload)
    except ValidationError as failure:
        first = failure.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"][:6]) or "the whole"
        raise BadDocument(f"{where}: {first['msg']}"[:300]) from None
    if document.to_bytes() != payload:
        raise BadDocument("it is not written in the one way such a document is written")
    return document
