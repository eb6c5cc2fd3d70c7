"""When a run happened, whatever the host's clock says.

A run of the boot that sent it is as old as its distance on the boot clock, which nobody sets and
which counts on through a suspend.  One of an earlier boot is as old as its distance on the wall
clock; a wall clock that is wrong by a constant then changes nothing either.
"""

from datetime import UTC, datetime, timedelta

from forewarn_checks.base import Batch

EARLIEST = timedelta(days=400)  # older than this, the clock was never set
_AHEAD = timedelta(seconds=5)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Return a moment as samples carry it: whole microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def date_runs(batch: Batch, received: int) -> list[int]:
    """Return when each run happened, in microseconds.  `received` is when the batch arrived.

    Not more than 5 s after `received`, not more than 400 days before it, and to the millisecond:
    finer would be noise of the network.  Raises ValueError for a time that is none.
    """
    sent: datetime | None = None
    moments = []
    for run in batch.runs:
        if run.boot == batch.sent_boot:
            age = batch.sent_boottime_seconds - run.boottime_seconds
        else:
            sent = sent or _parse(batch.sent_at)
            age = (sent - _parse(run.started_at)).total_seconds()
        age = min(max(age, -_AHEAD.total_seconds()), EARLIEST.total_seconds())
        moments.append((received - round(age * 1e6)) // 1000 * 1000)
    return moments


def _parse(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no moment of RFC 3339") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text[:40]!r} does not say its zone; end it in Z")
    return moment
