"""Fire the job of each check at its interval, whatever is done to the wall clock.

APScheduler plans by the wall clock.  A clock set back would silence it until the time comes round
again, one set forward would fire everything at once; so the caller watches the clocks and calls
`Schedule.clock_moved`, which moves every job by as much.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from forewarn_agent.lean import without_asyncio

with without_asyncio():
    from apscheduler.executors.pool import ThreadPoolExecutor
    from apscheduler.jobstores.base import JobLookupError
    from apscheduler.schedulers.background import BackgroundScheduler
    from apscheduler.triggers.base import BaseTrigger

FIRST_RUN_WITHIN = timedelta(seconds=4)
_WORKERS = 8  # more than there are checks, so that one that waits delays no other


def phase(host: str, every: timedelta) -> timedelta:
    """Return where in its interval a check runs on this host: hash(host) modulo the interval.

    Hosts are spread over the interval; on one host a run of the five-minute checks falls on a run
    of the one-minute checks, so that they share a batch.
    """
    drawn = int.from_bytes(hashlib.sha256(host.encode()).digest()[:8], "big")
    return timedelta(microseconds=drawn % (every // timedelta(microseconds=1)))


def following(now: datetime, every: timedelta, phase: timedelta) -> datetime:
    """Return the next time on the grid of `every` and `phase` at least half an interval off.

    Half an interval, so that neither the first run nor a moved clock makes two runs in a row; a
    run that starts a little late keeps its rhythm.
    """
    earliest = now.timestamp() + every.total_seconds() / 2
    step, offset = every.total_seconds(), phase.total_seconds()
    rounds = -((offset - earliest) // step)
    return datetime.fromtimestamp(rounds * step + offset, UTC)


def moved(
    planned: datetime, jump: timedelta, now: datetime, every: timedelta, phase: timedelta
) -> datetime:
    """Return when a job planned before the wall clock jumped should run by the new clock.

    A plan that does not fall inside the coming interval and a half was not made by the old clock
    (the job ran between the jump and its discovery), so it is made anew.
    """
    shifted = planned + jump
    if now - every <= shifted <= now + 1.5 * every:
        return shifted
    return following(now, every, phase)


class Cadence(BaseTrigger):
    """A trigger on the grid of an interval and a phase; time missed is never made up for."""

    def __init__(self, every: timedelta, phase: timedelta) -> None:
        self.every = every
        self.phase = phase

    def get_next_fire_time(
        self,
        previous_fire_time: datetime | None,  # noqa: ARG002 - the library's signature
        now: datetime,
    ) -> datetime:
        """Return the next time after `now`; `previous_fire_time` may be days ago."""
        return following(now, self.every, self.phase)


@dataclass(frozen=True, slots=True)
class _Job:
    every: timedelta
    phase: timedelta


class Schedule:
    """The jobs of all enabled checks.  `fire(check)` runs in a worker thread, never twice at once.

    `host` is what the phase hangs on: the host id.
    """

    def __init__(self, host: str, fire: Callable[[str], None]) -> None:
        self._host = host
        self._fire = fire
        self._jobs: dict[str, _Job] = {}
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(_WORKERS)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def start(self) -> None:
        """Begin to fire."""
        self._scheduler.start()

    def stop(self) -> None:
        """Fire no more; a run under way is left to itself."""
        self._scheduler.shutdown(wait=False)

    def apply(self, intervals: Mapping[str, timedelta], now: datetime) -> None:
        """Make the jobs those of `intervals`; a check whose interval stays keeps its place.

        A new check runs first within a few seconds, spread by host, so that a fresh host is seen
        at once and a site that gets its power back does not come as one wave.
        """
        for name in set(self._jobs) - set(intervals):
            self._scheduler.remove_job(name)
            del self._jobs[name]
        for name, every in intervals.items():
            job = _Job(every, phase(self._host, every))
            if self._jobs.get(name) == job:
                continue
            self._scheduler.add_job(
                self._fire,
                Cadence(job.every, job.phase),
                args=(name,),
                id=name,
                next_run_time=now + phase(self._host, min(FIRST_RUN_WITHIN, every)),
                replace_existing=True,
            )
            self._jobs[name] = job

    def clock_moved(self, jump: timedelta, now: datetime) -> None:
        """Keep every job's distance although the wall clock was set by `jump`.

        With a `jump` of nothing it repairs a plan that has come to lie too far ahead.
        """
        for name, job in list(self._jobs.items()):
            planned = self._planned(name)
            if planned is None:
                continue
            better = moved(planned, jump, now, job.every, job.phase)
            if better != planned:
                self._scheduler.modify_job(name, next_run_time=better)
        self._scheduler.wakeup()  # its wait was measured by the old clock

    def woke_up(self) -> None:
        """After a suspend: what is due runs once, now."""
        self._scheduler.wakeup()

    def _planned(self, name: str) -> datetime | None:
        try:
            planned: datetime | None = self._scheduler.get_job(name).next_run_time
        except (JobLookupError, AttributeError):
            return None
        return planned
