"""The clocks of a ticket as people read them: what is left, until when, how pressing that is."""

from dataclasses import dataclass
from datetime import datetime

from forewarn_collector.sla.clocks import Pace
from forewarn_collector.sla.shown import ClockShown, Sla
from forewarn_collector.state.tickets import Ticket

_CLOSE = 0.75  # of a target used up: from here on it is said louder


@dataclass(frozen=True, slots=True)
class ClockView:
    """One clock in words.  `level` gives shape and colour, `share` is what is used up, 0 to 1."""

    name: str
    word: str
    level: str
    share: float
    due_at: datetime | None
    target: str


def clocks_of(sla: Sla | None) -> tuple[ClockView, ...]:
    """Return the clocks of a ticket, response first; none where nothing was promised."""
    if sla is None:
        return ()
    pairs = (("Response", sla.response), ("Resolution", sla.resolution))
    return tuple(_view(name, one) for name, one in pairs if one is not None)


def pressing_clock(ticket: Ticket) -> ClockView | None:
    """Return the clock of an open ticket that runs out first, or ran out; None for none."""
    views = [one for one in clocks_of(ticket.sla) if one.level != "ok" or one.due_at is not None]
    views = [one for one in views if not one.word.startswith("met")]
    order = {"critical": 0, "high": 1, "warning": 1, "ok": 2, "info": 3}
    return min(views, key=lambda one: (order[one.level], one.due_at is None), default=None)


def span(seconds: float) -> str:
    """Return ``2 d 3 h``, ``2 h 5 min`` or ``5 min``: two parts at most, rounded down."""
    minutes = int(abs(seconds) // 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else "less than a minute"


def _view(name: str, clock: ClockShown) -> ClockView:
    left = clock.remaining_seconds
    used = 1.0 if clock.target_seconds <= 0 else 1 - left / clock.target_seconds
    share = min(max(used, 0.0), 1.0)
    word, level = _told(clock, left, share)
    due = clock.due_at if clock.pace in (Pace.RUNNING, Pace.BREACHED) else None
    return ClockView(name, word, level, share, due, span(clock.target_seconds))


def _told(clock: ClockShown, left: float, share: float) -> tuple[str, str]:
    if clock.pace is Pace.MET:
        return f"met, {span(left)} to spare", "ok"
    if clock.pace is Pace.BREACHED:
        return f"overrun by {span(left)}{'' if clock.running else ', then done'}", "critical"
    if clock.pace is Pace.PAUSED:
        return f"stands still, {span(left)} left", "info"
    return f"{span(left)} left", "warning" if share >= _CLOSE else "ok"
