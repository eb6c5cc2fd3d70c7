"""May this be run here and now?  One pure function says so, and says why not.

What an order asks for and what the endpoint's policy grants must both allow it.  The collector
appears nowhere in this: what it says is neither believed nor needed.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from forewarn_scripts import envelope as dsse
from forewarn_scripts.envelope import ORDER, REVOCATION, STANDING_ORDER, BadEnvelope, Envelope
from forewarn_scripts.keyring import Keyring
from forewarn_scripts.order import (
    MOST_SCRIPT_BYTES,
    BadDocument,
    Order,
    Revocation,
    StandingOrder,
    parse,
    script_hash,
    triggered_by,
    write_moment,
)
from forewarn_scripts.policy import Allowed as AllowEntry
from forewarn_scripts.policy import KeyClass, Mode, Policy

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_SKEW = timedelta(minutes=5)  # an operator's clock may be ahead of ours by so much


class Reason(StrEnum):
    """Why something was refused; journals, results and tests use these words."""

    LOCKED = "locked-down"
    MONITOR_ONLY = "monitor-only"
    POLICY_UNUSABLE = "policy-unusable"
    JOURNAL_UNUSABLE = "journal-unusable"
    MALFORMED = "malformed"
    WRONG_KIND = "wrong-kind"
    NO_KEYRING = "no-keyring"
    KEYRING_EXPIRED = "keyring-expired"
    KEYRING_UNKNOWN = "keyring-version-unknown"
    NOT_SIGNED = "not-signed"
    WRONG_COLLECTOR = "wrong-collector"
    WRONG_CLIENT = "wrong-client"
    NOT_A_TARGET = "not-a-target"
    TOO_EARLY = "too-early"
    EXPIRED = "expired"
    REVOKED = "revoked"
    REPEATED = "repeated"
    WRONG_SCRIPT = "wrong-script"
    TOO_LARGE = "too-large"
    NOT_ALLOWED = "not-allowed"
    THRESHOLD = "too-few-signatures"
    RUN_AS = "run-as-not-allowed"
    INTERPRETER = "interpreter-not-allowed"
    ARGUMENTS = "arguments-not-allowed"
    TOO_MANY_HOSTS = "too-many-hosts"
    TIMEOUT = "timeout-too-long"
    TOO_OFTEN = "too-often"
    HOURS = "outside-hours"
    STANDING = "standing-not-allowed"
    NOT_DUE = "not-due"
    WRONG_RULE = "wrong-rule"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who this host is: the fingerprint of its own key, and whom it was enrolled with."""

    fingerprint: str
    client: str
    collector: str


@dataclass(frozen=True, slots=True)
class Past:
    """What the journal remembers.  `started` is when, by journal key; `latest` is the highest
    time that can be believed, so that a clock set back revives nothing."""

    started: Mapping[str, datetime] = field(default_factory=dict)
    latest: datetime | None = None
    revoked: Set[str] = frozenset()
    revoked_before: datetime | None = None  # everything signed to begin before this
    locked: str = ""
    unusable: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to be run.  `occurrence` names the episode that triggered it."""

    envelope: bytes
    script: bytes = b""
    occurrence: str = ""


@dataclass(frozen=True, slots=True)
class Allowed:
    """It may be run: once, under this journal key, by this entry of the policy."""

    order: Order | StandingOrder
    key: str
    occurrence: str
    signers: frozenset[str]
    by: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It may not.  `order` is what the document calls itself, "" when it cannot be read."""

    reason: Reason
    detail: str = ""
    order: str = ""
    occurrence: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """A revocation that is believed."""

    revocation: Revocation
    signers: frozenset[str]


class _No(Exception):
    def __init__(self, reason: Reason, detail: str = "", occurrence: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.occurrence = occurrence


Work = Order | StandingOrder


def journal_key(order: str, occurrence: str) -> str:
    """Return what must never begin twice."""
    return f"{order}/{occurrence}" if occurrence else order


def decide(
    asked: Asked,
    keyring: Keyring | None,
    policy: Policy,
    host: Endpoint,
    past: Past,
    now: datetime,
) -> Allowed | Stop | Refused:
    """Return whether `asked` may be run here now.

    `now` is the wall clock, aware; its own zone is the one in which `hours` are meant.
    """
    named = ""
    try:
        envelope = _opened(asked.envelope)
        if envelope.payload_type == REVOCATION:
            return _stop(envelope, keyring, host)
        work = _read(envelope)
        named = work.id
        _in_general(policy, past)
        by_whom = _who_signed(envelope, work, keyring, max(now, past.latest or now))
        occurrence = _concerns_us(work, asked, host, past, now)
        _script(work, asked.script)
        entry = _granted(work, policy, by_whom, past, now)
        key = journal_key(work.id, occurrence)
        return Allowed(work, key, occurrence, by_whom, entry.name)
    except _No as no:
        return Refused(no.reason, no.detail, named, no.occurrence or asked.occurrence[:100])


def _opened(data: bytes) -> Envelope:
    try:
        return dsse.parse(data)
    except BadEnvelope as bad:
        raise _No(Reason.MALFORMED, str(bad)) from None


def _in_general(policy: Policy, past: Past) -> None:
    """Refuse everything where nothing may be run."""
    if past.unusable:
        raise _No(Reason.JOURNAL_UNUSABLE, past.unusable)
    if past.locked:
        raise _No(Reason.LOCKED, past.locked)
    if policy.mode is Mode.MONITOR_ONLY:
        raise _No(Reason.MONITOR_ONLY, "the policy of this host lets nothing be run")


def _read(envelope: Envelope) -> Work:
    try:
        if envelope.payload_type == ORDER:
            return parse(Order, envelope.payload)
        if envelope.payload_type == STANDING_ORDER:
            return parse(StandingOrder, envelope.payload)
    except BadDocument as bad:
        raise _No(Reason.MALFORMED, str(bad)) from None
    raise _No(Reason.WRONG_KIND, envelope.payload_type)


def _who_signed(
    envelope: Envelope, work: Work, keyring: Keyring | None, now: datetime
) -> frozenset[str]:
    if keyring is None:
        raise _No(Reason.NO_KEYRING, "this host knows nobody who may sign")
    if keyring.expired(now):
        raise _No(Reason.KEYRING_EXPIRED, f"version {keyring.version}")
    if work.keyring_version > keyring.version:
        raise _No(Reason.KEYRING_UNKNOWN, f"{work.keyring_version}, here is {keyring.version}")
    found = dsse.signers(envelope, keyring.keys)
    if not found:
        raise _No(Reason.NOT_SIGNED, "by nobody in the keyring")
    return found


def _concerns_us(work: Work, asked: Asked, host: Endpoint, past: Past, wall: datetime) -> str:
    """Return the occurrence, once it is certain that this host is meant, now, and not again."""
    if work.collector != host.collector:
        raise _No(Reason.WRONG_COLLECTOR, work.collector)
    if work.client != host.client:
        raise _No(Reason.WRONG_CLIENT, work.client)
    if host.fingerprint not in work.targets:
        raise _No(Reason.NOT_A_TARGET)
    now = max(wall, past.latest or wall)
    if now >= work.ends:
        raise _No(Reason.EXPIRED, f"at {work.not_after}; it is {write_moment(now)} here")
    if wall + _SKEW < work.begins:
        raise _No(Reason.TOO_EARLY, f"before {work.not_before}")
    if work.id in past.revoked:
        raise _No(Reason.REVOKED)
    if past.revoked_before is not None and work.begins <= past.revoked_before:
        raise _No(Reason.REVOKED, "with everything signed before")
    occurrence = _occurrence(work, asked.occurrence, now)
    if journal_key(work.id, occurrence) in past.started:
        raise _No(Reason.REPEATED, "it was begun here before", occurrence)
    return occurrence


def _occurrence(work: Work, asked: str, now: datetime) -> str:
    if isinstance(work, Order):
        if asked:
            raise _No(Reason.MALFORMED, "an order has no occurrences")
        return ""
    if work.calendar is not None:
        # The calendar is read here: who hands the order over cannot make an occurrence up.
        due = work.calendar.occurrence(now)
        if due is None or asked not in ("", due):
            raise _No(Reason.NOT_DUE, f"{due} is due here" if due else "nothing is due here")
        return due
    told = triggered_by(asked)
    if told is None:
        raise _No(Reason.MALFORMED, "an occurrence is RULE:EPISODE")
    if told[0] != work.trigger:
        raise _No(Reason.WRONG_RULE, f"{told[0]}; this order is for {work.trigger}")
    return asked


def _script(work: Work, script: bytes) -> None:
    if len(script) > MOST_SCRIPT_BYTES:
        raise _No(Reason.TOO_LARGE, f"{len(script)} bytes")
    if script_hash(script) != work.script_sha256:
        raise _No(Reason.WRONG_SCRIPT, "these are not the bytes that were signed for")


# -- what the policy grants ----------------------------------------------------------------------


def _granted(
    work: Work, policy: Policy, by_whom: frozenset[str], past: Past, now: datetime
) -> AllowEntry | KeyClass:
    """Return the first entry that grants it; else tell why the nearest one does not."""
    if work.timeout_seconds > policy.limits.max_timeout.total_seconds():
        raise _No(Reason.TIMEOUT, f"{work.timeout_seconds} s")
    _often_enough(work, policy, past, now)
    refusals: list[_No] = []
    entries: tuple[AllowEntry | KeyClass, ...] = (
        policy.allow if policy.mode is Mode.ALLOWLIST else policy.classes
    )
    for entry in entries:
        try:
            if isinstance(entry, AllowEntry):
                _by_bytes(work, entry, by_whom)
            else:
                _by_keys(work, entry, by_whom)
            _by_any(work, entry, now)
        except _No as no:
            refusals.append(no)
        else:
            return entry
    telling = [no for no in refusals if no.reason is not Reason.NOT_ALLOWED]
    raise telling[0] if telling else _No(Reason.NOT_ALLOWED, "no entry of the policy covers it")


def _by_bytes(work: Work, entry: AllowEntry, by_whom: frozenset[str]) -> None:
    if entry.sha256 != work.script_sha256:
        raise _No(Reason.NOT_ALLOWED)
    if entry.interpreter != work.interpreter:
        raise _No(Reason.INTERPRETER, work.interpreter)
    if entry.run_as != work.run_as:
        raise _No(Reason.RUN_AS, work.run_as)
    if not entry.takes(work.argv):
        raise _No(Reason.ARGUMENTS, f"{entry.name} takes others")
    if len(by_whom) < entry.threshold:
        raise _No(Reason.THRESHOLD, f"{len(by_whom)} of {entry.threshold}")


def _by_keys(work: Work, entry: KeyClass, by_whom: frozenset[str]) -> None:
    counting = by_whom & set(entry.keys)
    if not counting:
        raise _No(Reason.NOT_ALLOWED)
    if work.run_as not in entry.run_as:
        raise _No(Reason.RUN_AS, work.run_as)
    if work.interpreter not in entry.interpreters:
        raise _No(Reason.INTERPRETER, work.interpreter)
    if len(counting) < entry.threshold:
        raise _No(Reason.THRESHOLD, f"{len(counting)} of {entry.threshold} for {entry.name}")


def _by_any(work: Work, entry: AllowEntry | KeyClass, now: datetime) -> None:
    if work.max_hosts > entry.max_hosts:
        raise _No(Reason.TOO_MANY_HOSTS, f"{work.max_hosts}; {entry.name} has {entry.max_hosts}")
    if isinstance(work, StandingOrder) and not entry.standing:
        raise _No(Reason.STANDING, f"{entry.name} is for single orders")
    if not entry.open_at(now):
        raise _No(Reason.HOURS, f"{entry.name} has {entry.hours}")


def _often_enough(work: Work, policy: Policy, past: Past, now: datetime) -> None:
    """Refuse what runs too often: for the host, and for a standing order by its own bound.

    A clock set back makes starts lie in the future; they count as well.
    """
    recent = [at for at in past.started.values() if now - at < _HOUR]
    if len(recent) >= policy.limits.max_runs_per_hour:
        raise _No(Reason.TOO_OFTEN, f"{len(recent)} scripts in the last hour")
    if isinstance(work, StandingOrder):
        own = [
            at
            for key, at in past.started.items()
            if key.startswith(f"{work.id}/") and now - at < _DAY
        ]
        if len(own) >= work.max_runs_a_day:
            raise _No(Reason.TOO_OFTEN, f"{len(own)} times within a day")


def _stop(envelope: Envelope, keyring: Keyring | None, host: Endpoint) -> Stop:
    """Return a revocation: one key of the keyring is enough, even an expired keyring's.

    Easy to stop, hard to start.
    """
    try:
        wanted = parse(Revocation, envelope.payload)
    except BadDocument as bad:
        raise _No(Reason.MALFORMED, str(bad)) from None
    if keyring is None:
        raise _No(Reason.NO_KEYRING, "this host knows nobody who may sign")
    found = dsse.signers(envelope, keyring.keys)
    if not found:
        raise _No(Reason.NOT_SIGNED, "by nobody in the keyring")
    if wanted.collector != host.collector:
        raise _No(Reason.WRONG_COLLECTOR, wanted.collector)
    if wanted.client != host.client:
        raise _No(Reason.WRONG_CLIENT, wanted.client)
    return Stop(wanted, found)
