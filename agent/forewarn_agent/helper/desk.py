"""What the helper does when it is asked: decide, write it down, run, sign the result.

DIR/                    root's alone
    lock                held while a helper runs
    journal             what was started, refused and stopped (journal.py)
    keyring             the newest keyring that was believed
    results/            signed results, until the orders they belong to are long over
    lockdown            while it is there nothing is run
"""

# ruff: noqa: E402 - nothing below exists on other systems
import sys

assert sys.platform == "linux"  # noqa: TID251 - Windows has a helper of its own kind

import hashlib
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from forewarn_agent import lockdown
from forewarn_agent.durable import Disk, take_lock
from forewarn_agent.files import make_private, write_private
from forewarn_agent.helper.execution import CannotStart, Finished, execute, sealed
from forewarn_agent.helper.frames import RunRequest
from forewarn_agent.helper.journal import Journal, JournalUnusable
from forewarn_scripts import policy as policies
from forewarn_scripts.decide import (
    Allowed,
    Asked,
    Endpoint,
    Past,
    Reason,
    Refused,
    Stop,
    decide,
    journal_key,
)
from forewarn_scripts.envelope import RESULT, BadEnvelope, Envelope, parse
from forewarn_scripts.keyring import Keyring, KeyringRefused, anchored, followed
from forewarn_scripts.order import Ended, Result, read_moment, write_moment
from forewarn_scripts.policy import MONITOR_ONLY, BadPolicy, Mode, Policy

log = logging.getLogger(__name__)

_KEPT_RESULTS = 500


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where things lie, and who this host is.  `owner` is who may have written the policy."""

    directory: Path
    policy: Path
    host: Endpoint
    public: bytes
    sign: Callable[[bytes], bytes]
    owner: int = 0
    in_unit: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What this host permits at present, for `policy-status`."""

    mode: str
    trouble: str
    locked: str
    keyring_version: int


class Desk:
    """The helper of one host.  One process at a time, one request at a time."""

    def __init__(
        self, around: Surroundings, now: Callable[[], datetime], disk: Disk | None = None
    ) -> None:
        """Open the journal and settle what an earlier helper left unfinished.

        Raises InUse when another helper runs, OSError when the folder cannot be used.
        """
        make_private(around.directory)
        make_private(around.directory / "results")
        self._around = around
        self._now = now
        self._lock = take_lock(around.directory / "lock")
        try:
            self._journal = Journal(around.directory / "journal", disk)
            self._settle()
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        """Let another helper take over."""
        self._journal.close()
        self._lock.close()

    def status(self) -> Standing:
        """Return what is permitted."""
        policy, trouble = self._policy()
        keyring = self._keyring(policy, ())
        return Standing(
            mode=str(policy.mode),
            trouble=trouble or self._journal.unusable,
            locked=self._locked(),
            keyring_version=keyring.version if keyring else 0,
        )

    def run(self, request: RunRequest) -> bytes:
        """Do what is asked, if it may be done; return the signed result, an envelope.

        What was begun before is not begun again: its own result is returned.
        """
        held = self._held(request.asked)
        if held is not None:
            return held
        policy, trouble = self._policy()
        keyring = self._keyring(policy, request.keyrings)
        past, now = self._journal.past(self._locked()), self._now()
        answer = decide(request.asked, keyring, policy, self._around.host, past, now)
        if isinstance(answer, Refused):
            if answer.reason is Reason.MONITOR_ONLY and trouble:
                answer = Refused(Reason.POLICY_UNUSABLE, trouble, answer.order, answer.occurrence)
            repeated = answer.reason is Reason.REPEATED
            held = self._result(journal_key(answer.order, answer.occurrence)) if repeated else None
            return held or self._refuse(answer)
        if isinstance(answer, Stop):
            return self._stop(answer)
        return self._begin(answer, request.asked.script, policy)

    # -- running ---------------------------------------------------------------------------------

    def _begin(self, allowed: Allowed, script: bytes, policy: Policy) -> bytes:
        work = allowed.order
        began = self._now()

        def begins() -> None:
            self._journal.started(
                allowed.key, until=work.ends, signed=work.begins, by=allowed.by, at=began
            )

        log.info("order %s begins, by %s", allowed.key, allowed.by)
        try:
            with sealed(script, work.script_sha256) as descriptor:
                finished = execute(
                    work,
                    descriptor,
                    unit=f"forewarn-order-{hashlib.sha256(allowed.key.encode()).hexdigest()[:16]}",
                    most_output=policy.limits.max_output_kib * 1024,
                    begins=begins,
                    stop=lambda: bool(self._locked()),
                    in_unit=self._around.in_unit,
                )
        except JournalUnusable as unusable:
            no = Refused(Reason.JOURNAL_UNUSABLE, str(unusable), work.id, allowed.occurrence)
            return self._refuse(no)
        except CannotStart as failure:
            return self._not_run(allowed, Ended.NOT_STARTED, str(failure))
        except OSError as failure:
            return self._not_run(allowed, Ended.UNKNOWN, str(failure))
        return self._end(allowed.key, _result_of(allowed, finished, self._around.host, began,
                                                 self._now()))  # fmt: skip

    def _not_run(self, allowed: Allowed, how: Ended, why: str) -> bytes:
        """Tell that the system refused.  It counts as begun: perhaps it did, a little."""
        key, work, now = allowed.key, allowed.order, self._now()
        if key not in self._journal.past().started:
            with suppress(JournalUnusable):
                self._journal.started(
                    key, until=work.ends, signed=work.begins, by=allowed.by, at=now
                )
        result = Result(
            order=work.id,
            occurrence=allowed.occurrence,
            host=self._around.host.fingerprint,
            script_sha256=work.script_sha256,
            ended=how,
            reason=why[:1000],
            ended_at=write_moment(now),
        )
        return self._end(key, result)

    def _end(self, key: str, result: Result) -> bytes:
        """Sign a result and keep it before it is told: it must outlive us."""
        envelope = self._sign(result)
        with suppress(OSError):
            write_private(self._result_path(key), envelope)
        with suppress(JournalUnusable):
            self._journal.ended(key, str(result.ended), self._now())
        self._forget_old_results()
        log.info("order %s ended: %s", key, result.ended)
        return envelope

    def _settle(self) -> None:
        """Say of everything that was begun and not ended that nobody knows how it ended."""
        for key in self._journal.interrupted():
            path = self._result_path(key)
            if path.exists():  # it did end; only its line is missing
                with suppress(JournalUnusable):
                    self._journal.ended(key, "known by its result", self._now())
                continue
            order, _, occurrence = key.partition("/")
            result = Result(
                order=order,
                occurrence=occurrence,
                host=self._around.host.fingerprint,
                ended=Ended.UNKNOWN,
                reason="it was started, then the helper or the host died; it is not started again",
                ended_at=write_moment(self._now()),
            )
            self._end(key, result)

    # -- not running -----------------------------------------------------------------------------

    def _refuse(self, no: Refused) -> bytes:
        now = self._now()
        self._journal.refused(no.order, no.occurrence, str(no.reason), no.detail, now)
        log.warning("order %s refused: %s %s", no.order or "?", no.reason, no.detail)
        return self._sign(
            Result(
                order=no.order,
                occurrence=no.occurrence,
                host=self._around.host.fingerprint,
                ended=Ended.REFUSED,
                reason=f"{no.reason}: {no.detail}"[:1000] if no.detail else str(no.reason),
                ended_at=write_moment(now),
            )
        )

    def _stop(self, stop: Stop) -> bytes:
        wanted, now = stop.revocation, self._now()
        before = read_moment(wanted.issued_at) if wanted.everything else None
        ended, reason = Ended.REVOKED, f"by {', '.join(sorted(stop.signers))}"
        try:
            self._journal.revoked(wanted.orders, before, now)
        except JournalUnusable as unusable:
            ended, reason = Ended.REFUSED, f"{Reason.JOURNAL_UNUSABLE}: {unusable}"[:1000]
        return self._sign(
            Result(
                order=wanted.id,
                host=self._around.host.fingerprint,
                ended=ended,
                reason=reason,
                ended_at=write_moment(now),
            )
        )

    # -- what is kept ----------------------------------------------------------------------------

    def _held(self, asked: Asked) -> bytes | None:
        """Return the result of what was begun here before, None when there is none.

        The document's own name is enough: whoever made it up gets what they may read anyway.
        """
        named = _named(asked, self._journal.past())
        return None if named is None else self._result(named)

    def _result(self, key: str) -> bytes | None:
        with suppress(OSError):
            return self._result_path(key).read_bytes()
        return None

    def _result_path(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self._around.directory / "results" / f"{name}.json"

    def _forget_old_results(self) -> None:
        found = sorted(
            (self._around.directory / "results").glob("*.json"), key=lambda p: p.stat().st_mtime
        )
        for path in found[:-_KEPT_RESULTS]:
            path.unlink(missing_ok=True)

    def _sign(self, result: Result) -> bytes:
        around = self._around
        return Envelope(RESULT, result.to_bytes()).signed(around.public, around.sign).to_bytes()

    def _locked(self) -> str:
        path = self._around.directory / lockdown.NAME
        try:
            return path.read_text("utf-8", "replace")[:200].strip() or "by lockdown"
        except FileNotFoundError:
            return ""
        except OSError as failure:
            return f"the lockdown file cannot be read: {failure.strerror}"

    def _policy(self) -> tuple[Policy, str]:
        """Return the policy in force, and what is wrong with the file."""
        try:
            return policies.load(self._around.policy, self._around.owner), ""
        except BadPolicy as bad:
            return MONITOR_ONLY, str(bad)

    def _keyring(self, policy: Policy, offered: tuple[bytes, ...]) -> Keyring | None:
        """Return the newest keyring that follows from the one root put here.

        What was believed once is kept: an older one offered later changes nothing.
        """
        if policy.mode is Mode.MONITOR_ONLY:
            return None
        path = self._around.directory / "keyring"
        try:
            data = policies.read_owned(Path(policy.trust.keyring), self._around.owner)
            root = anchored(data) if data is not None else None
        except (BadPolicy, KeyringRefused) as bad:
            log.error("the keyring cannot be used: %s", bad)
            return None
        if root is None or root.collector != self._around.host.collector:
            return None
        with suppress(OSError, KeyringRefused):
            held = anchored(path.read_bytes())
            if held.version > root.version and held.collector == root.collector:
                root = held
        newest = followed(root, offered)
        if newest.version > root.version:
            try:
                write_private(path, newest.source)
            except OSError as failure:
                # One that might be forgotten is not believed: it could be rolled back.
                log.error("keyring version %d cannot be kept: %s", newest.version, failure)
                return root
            log.warning("keyring version %d follows %d", newest.version, root.version)
        return newest


def _named(asked: Asked, past: Past) -> str | None:
    """Return the journal key that a document claims, when something of that key was begun."""
    try:
        payload = parse(asked.envelope).payload
        order = _claimed_order(payload)
    except (BadEnvelope, ValueError):
        return None
    key = journal_key(order, asked.occurrence)
    return key if key in past.started else None


def _claimed_order(payload: bytes) -> str:
    told = json.loads(payload)
    if not isinstance(told, dict) or not isinstance(told.get("id"), str):
        raise ValueError("no id")
    return str(told["id"])[:100]


def _result_of(
    allowed: Allowed, finished: Finished, host: Endpoint, began: datetime, ended: datetime
) -> Result:
    text = finished.output.text()
    return Result(
        order=allowed.order.id,
        occurrence=allowed.occurrence,
        host=host.fingerprint,
        script_sha256=allowed.order.script_sha256,
        ended=Ended.TIMED_OUT if finished.timed_out else Ended.DONE,
        started_at=write_moment(began.astimezone(UTC)),
        ended_at=write_moment(ended.astimezone(UTC)),
        exit_code=finished.exit_code,
        output_sha256=hashlib.sha256(text.encode()).hexdigest(),
        output_bytes=finished.output.total,
        truncated=finished.output.truncated,
        output=text,
    )
