"""Tell when two machines use one identity, and keep what the copy sends apart.

A machine that was cloned after it enrolled brings the key along, so that its requests are signed
as well as those of the first.  What gives two of them away is time: a spool and a boot belong to
one machine, and one machine does not go back and forth between two of them.

A host that comes back after a reboot, with an emptied spool, out of a backup or out of a snapshot
changes once and for good.  It is let wait a few minutes at most, and never for an ordinary reboot.
"""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum

from forewarn_checks.base import Batch
from forewarn_collector.rules.own import HOST_CLONED

RETURNS = 2
"""How often each of two must have come back after the other.  A request that lingered in some
proxy while its host was started anew makes one of them come back once."""

SILENT = timedelta(minutes=3)
"""A newcomer is let in when the one before was not heard for so long."""

FORGOTTEN = timedelta(days=1)
"""After this a change of spool or boot is no longer compared with what comes."""

OVER = timedelta(hours=3)
"""The copy is taken for gone when it was not heard for so long; it tries every hour or so."""

TOLD_AGAIN = timedelta(minutes=4)
_TOLD_AFTER = timedelta(hours=1)  # that it is over is told for so long
_PACE = timedelta(minutes=1)  # how far a boot clock may stray from ours and still have run on
_REBOOT = timedelta(seconds=30)
_MOST_DOUBTS = 20_000
_NEVER = float("-inf")


class Answer(Enum):
    """What becomes of a batch."""

    TAKE = "take"
    WAIT = "wait"  # it is not yet clear whose it is; nothing of it is taken until then
    RENEW = "renew"  # likewise, and its sender must go on as a new spool
    AWAY = "away"  # it comes from a copy


@dataclass(frozen=True, slots=True)
class Machine:
    """One of those who speak for a host.  `boot` is "" on systems that do not name their boots."""

    boot: str
    spool: str
    address: str
    name: str = ""  # what it calls itself; "" before it said so

    def __str__(self) -> str:
        return f"{self.name} at {self.address}" if self.name else self.address

    def is_like(self, other: "Machine", apart_from: "Machine") -> bool:
        """Say whether this is `other` again, of two that are known."""
        if self.boot and self.boot == other.boot != apart_from.boot:
            return True
        return self.spool == other.spool != apart_from.spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Double:
    """Two machines found with one identity: who is listened to, and who is turned away."""

    host_id: str
    kept: Machine
    copy: Machine
    found_at: datetime
    heard_at: datetime  # the copy
    settled_at: datetime | None = None

    @property
    def labels(self) -> dict[str, str]:
        """What the finding says; the same from first to last."""
        return {"kept": str(self.kept)[:200], "copy": str(self.copy)[:200]}


@dataclass(slots=True)
class _Speaker:
    """A machine as it is compared: by the hashes of its boot and spool, 0 for a boot unnamed.

    `machine` is None while only the hashes are known.
    """

    boot: int
    spool: int
    at: datetime
    boottime_seconds: float
    machine: Machine | None = None
    returns: int = 0

    def is_again(self, earlier: "_Speaker", apart_from: "_Speaker") -> bool:
        """Say whether this is `earlier` again, of two that are known."""
        if self.boot and self.boot == earlier.boot != apart_from.boot:
            return True
        return self.spool == earlier.spool != apart_from.spool

    def ran_on_since(self, earlier: "_Speaker") -> bool:
        """Say whether it can have run all the while since it was last heard."""
        if not self.boot or self.boot != earlier.boot:
            return True  # started anew; nothing can be said
        counted = timedelta(seconds=self.boottime_seconds - earlier.boottime_seconds)
        return abs((self.at - earlier.at) - counted) < _PACE

    def after(self, earlier: "_Speaker", *, came_back: bool) -> "_Speaker":
        """Return this with what was known of it earlier."""
        self.returns = earlier.returns + came_back
        named = earlier.machine.name if earlier.machine else ""
        if self.machine and named and not self.machine.name:
            self.machine = replace(self.machine, name=named)  # sent only when it changes
        return self


@dataclass(slots=True)
class _Doubt:
    first: _Speaker
    other: _Speaker
    at_first: Answer  # what became of the other's first batch
    last_is_other: bool = True


class Doubles:
    """What is remembered of who spoke for each host.  Used from one thread."""

    def __init__(self, found: Mapping[str, Double] | None = None) -> None:
        """Take up the findings there are, by host id."""
        self.found: dict[str, Double] = dict(found or {})
        self.news: list[Double] = []  # to be made durable by whoever takes them
        self._doubts: dict[int, _Doubt] = {}
        self._boots = array("q")
        self._spools = array("q")
        self._boottimes = array("d")
        self._heard = array("d")
        self._told: dict[str, datetime] = {}

    def settle(self, host_id: str, now: datetime) -> bool:
        """Forget what was found of a host: whoever speaks next is the one.  False for nothing."""
        double = self.found.get(host_id)
        if double is None or double.settled_at is not None:
            return False
        self._change(replace(double, settled_at=now))
        return True

    def is_doubled(self, host_id: str) -> bool:
        """Say whether two machines are known to use the identity of a host."""
        double = self.found.get(host_id)
        return double is not None and double.settled_at is None

    def take_news(self) -> list[Double]:
        """Return what changed since this was last asked."""
        news, self.news = self.news, []
        return news

    def heard(self, number: int, host_id: str, batch: Batch, address: str, now: datetime) -> Answer:
        """Say what becomes of a batch that `address` sent as the host of this number and id."""
        boot = _boot_of(batch)
        double = self.found.get(host_id) if self.found else None
        if double is not None and double.settled_at is None:
            return self._known(number, double, batch, Machine(boot, batch.spool, address), now)
        doubt = self._doubts.get(number)
        seen = (_number_of(boot), hash(batch.spool), batch.sent_boottime_seconds)
        if doubt is None and self._is_same(number, *seen, now):
            return Answer.TAKE
        machine = Machine(boot, batch.spool, address, _name_in(batch))
        speaker = _Speaker(seen[0], seen[1], now, seen[2], machine)
        if doubt is None:
            return self._changed(number, speaker)
        return self._doubted(number, host_id, doubt, speaker)

    def finding(self, host_id: str, now: datetime) -> tuple[str, dict[str, str], float] | None:
        """Return metric, labels and value to tell of a host now, or None."""
        if not self.found or (double := self.found.get(host_id)) is None:
            return None
        told = self._told.get(host_id)
        if told is not None and now - told < TOLD_AGAIN:
            return None
        self._told[host_id] = now
        if double.settled_at is None:
            return HOST_CLONED.name, double.labels, 1.0
        if now - double.settled_at > _TOLD_AFTER:
            del self.found[host_id]
        return HOST_CLONED.name, double.labels, 0.0

    # -- a host of which nothing is suspected ----------------------------------------------------

    def _is_same(
        self, number: int, boot: int, spool: int, boottime_seconds: float, now: datetime
    ) -> bool:
        """Say whether it is who spoke before, and take note; the first ever is."""
        missing = number + 1 - len(self._boots)
        if missing > 0:
            for column in (self._boots, self._spools):
                column.extend([0] * missing)
            for times in (self._boottimes, self._heard):
                times.extend([_NEVER] * missing)
        known = self._heard[number] != _NEVER
        if known and (self._boots[number] != boot or self._spools[number] != spool):
            return False
        self._note(number, boot, spool, boottime_seconds, now)
        return True

    def _note(
        self, number: int, boot: int, spool: int, boottime_seconds: float, now: datetime
    ) -> None:
        self._boots[number], self._spools[number] = boot, spool
        self._boottimes[number], self._heard[number] = boottime_seconds, now.timestamp()

    def _changed(self, number: int, newcomer: _Speaker) -> Answer:
        """Begin to doubt: somebody speaks for the host who is not who spoke before."""
        first = _Speaker(
            self._boots[number],
            self._spools[number],
            datetime.fromtimestamp(self._heard[number], UTC),
            self._boottimes[number],
        )
        if len(self._doubts) >= _MOST_DOUBTS:
            self._doubts.pop(next(iter(self._doubts)))
        doubt = self._doubts[number] = _Doubt(first, newcomer, _welcome(newcomer, first))
        return doubt.at_first

    # -- a host that changed of late -------------------------------------------------------------

    def _doubted(self, number: int, host_id: str, doubt: _Doubt, speaker: _Speaker) -> Answer:
        first, other = doubt.first, doubt.other
        back_and_forth = doubt.last_is_other
        if speaker.at - min(first.at, other.at) > FORGOTTEN:
            return self._begin_anew(number, speaker)
        if speaker.is_again(first, other):
            if back_and_forth and not speaker.ran_on_since(first):
                # It stood still meanwhile, as a saved machine does: there is one at a time.
                return self._begin_anew(number, speaker)
            doubt.first = speaker.after(first, came_back=back_and_forth)
            doubt.last_is_other = False
            return Answer.TAKE
        if not speaker.is_again(other, first):
            # A third one.  When the first never came back, it is one change after another.
            if not first.returns:
                doubt.first = other
            doubt.other, doubt.at_first = speaker, _welcome(speaker, doubt.first)
        else:
            if not back_and_forth and not speaker.ran_on_since(other):
                return self._begin_anew(number, speaker)
            doubt.other = speaker.after(other, came_back=not back_and_forth)
        doubt.last_is_other = True
        if min(doubt.first.returns, doubt.other.returns) >= RETURNS:
            return self._caught(number, host_id, doubt)
        if doubt.at_first is Answer.TAKE and not doubt.first.returns:
            return Answer.TAKE
        return Answer.TAKE if speaker.at - doubt.first.at > SILENT else Answer.WAIT

    def _begin_anew(self, number: int, speaker: _Speaker) -> Answer:
        self._doubts.pop(number, None)
        self._note(number, speaker.boot, speaker.spool, speaker.boottime_seconds, speaker.at)
        return Answer.TAKE

    # -- a host that was cloned ------------------------------------------------------------------

    def _caught(self, number: int, host_id: str, doubt: _Doubt) -> Answer:
        del self._doubts[number]
        assert doubt.first.machine is not None  # it came back, and so was heard
        assert doubt.other.machine is not None
        at = doubt.other.at
        self._change(
            Double(
                host_id=host_id,
                kept=doubt.first.machine,
                copy=doubt.other.machine,
                found_at=at,
                heard_at=at,
            )
        )
        return Answer.AWAY

    def _known(
        self, number: int, double: Double, batch: Batch, machine: Machine, now: datetime
    ) -> Answer:
        if not machine.is_like(double.kept, double.copy):
            if now - double.heard_at > TOLD_AGAIN:
                self._change(replace(double, heard_at=now))
            return Answer.AWAY
        if (machine.boot, machine.spool) != (double.kept.boot, double.kept.spool):
            kept = replace(double.kept, boot=machine.boot, spool=machine.spool)
            self._change(replace(double, kept=kept))
        if now - double.heard_at > OVER:
            self.settle(double.host_id, now)
        boot, spool = _number_of(machine.boot), hash(machine.spool)
        self._is_same(number, boot, spool, batch.sent_boottime_seconds, now)
        self._note(number, boot, spool, batch.sent_boottime_seconds, now)
        return Answer.TAKE

    def _change(self, double: Double) -> None:
        self.found[double.host_id] = double
        self._told.pop(double.host_id, None)
        self.news.append(double)


def _welcome(newcomer: _Speaker, before: _Speaker) -> Answer:
    """Say what becomes of the first batch of somebody new.  An ordinary reboot explains him."""
    silent = newcomer.at - before.at
    up = timedelta(seconds=newcomer.boottime_seconds)
    if silent > SILENT or (newcomer.boot != before.boot and up < silent + _REBOOT):
        return Answer.TAKE
    return Answer.RENEW if newcomer.spool == before.spool else Answer.WAIT


def _boot_of(batch: Batch) -> str:
    # Made of two clocks where the system has no name for it, such a name wobbles.
    return "" if batch.sent_boot.startswith("boot-") else batch.sent_boot


def _number_of(boot: str) -> int:
    return hash(boot) if boot else 0


def _name_in(batch: Batch) -> str:
    for run in batch.runs:
        name = run.facts.get("hostname")
        if isinstance(name, str):
            return "".join(c for c in name[:100] if c.isprintable())
    return ""
