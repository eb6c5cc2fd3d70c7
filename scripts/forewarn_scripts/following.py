"""Follow an order while hosts run it: a table that lives on a terminal, lines elsewhere."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from forewarn_scripts.answers import OrderTarget, OrderWhole
from forewarn_scripts.client import Collector, read
from forewarn_scripts.order import Work
from forewarn_scripts.shown import plain
from forewarn_scripts.terminal import note

_LOOK_SECONDS = 1.0
_ROWS = 12
_STILL_LOOKS = 3  # a halt is believed when nothing moved for so many looks


@dataclass(frozen=True, slots=True)
class Spread:
    """How an order spreads: as `forewarn run` was told."""

    canary: int = 0
    halt_after: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """How many hosts are how far, as the collector says; results are what counts."""

    well: int
    failed: int
    running: int
    waiting: int

    @property
    def words(self) -> str:
        """All of it in a line."""
        total = self.well + self.failed + self.running + self.waiting
        return (
            f"{self.well} well, {self.failed} not, {self.running} running, "
            f"{self.waiting} waiting, of {total}"
        )

    def is_halted(self, spread: Spread) -> bool:
        """Say whether failures keep it from the hosts that wait, and nobody runs it any more."""
        if self.running or not self.waiting:
            return False
        enough = bool(spread.halt_after) and self.failed >= spread.halt_after
        stuck = bool(spread.canary) and bool(self.failed) and self.well < spread.canary
        return enough or (stuck and self.well + self.failed >= spread.canary)


def counted(targets: Sequence[OrderTarget]) -> Counts:
    """Return how many hosts are how far."""
    ended = [one for one in targets if one.ended_at]
    well = sum(one.well for one in ended)
    running = sum(1 for one in targets if one.offered_at and not one.ended_at)
    return Counts(well, len(ended) - well, running, len(targets) - len(ended) - running)


def follow(
    collector: Collector,
    order: Work,
    spread: Spread,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    rest: Callable[[float], None] = time.sleep,
) -> str:
    """Stay until every host answered; return "" or why that will not be.

    The reasons are a halt, a cancellation, and that the time of the order is over.
    """
    began, still = now(), 0
    with _showing() as show:
        while True:
            whole = read(OrderWhole, collector.get(f"/orders/{order.id}"))
            counts = counted(whole.targets)
            show(whole.targets, counts, (now() - began).total_seconds())
            if not counts.running and not counts.waiting:
                return ""
            if whole.order.cancelled_at and not counts.running:
                return f"cancelled: {counts.waiting} hosts were not handed it"
            if now() >= order.ends:
                left = counts.running + counts.waiting
                return f"its time is over: {left} hosts did not answer"
            still = still + 1 if counts.is_halted(spread) else 0
            if still >= _STILL_LOOKS:
                return f"halted: {counts.failed} failed, {counts.waiting} hosts were not handed it"
            rest(_LOOK_SECONDS)


Show = Callable[[Sequence[OrderTarget], Counts, float], None]


@contextmanager
def _showing() -> Iterator[Show]:
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            yield lambda targets, counts, passed: live.update(picture(targets, counts, passed))
        return
    last = ""

    def tell(_targets: Sequence[OrderTarget], counts: Counts, _passed: float) -> None:
        nonlocal last
        if counts.words != last:
            last = counts.words
            note(last)

    yield tell


def picture(targets: Sequence[OrderTarget], counts: Counts, passed: float) -> RenderableType:
    """Return a bar, the counts, and the hosts one looks for: failures first, then who runs it."""
    bar = ProgressBar(total=max(len(targets), 1), completed=counts.well + counts.failed, width=60)
    head = Text(f"{counts.words}   {passed:.0f} s")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("HOST", "STATE"):
        table.add_column(column, overflow="fold")
    failed = [one for one in targets if one.ended_at and not one.well]
    running = [one for one in targets if one.offered_at and not one.ended_at]
    for one in (*failed, *running)[:_ROWS]:
        word, style = (one.ended, "red") if one.ended_at else ("running", "cyan")
        table.add_row(Text(_word(one.name)), Text(_word(word), style=style))
    more = len(failed) + len(running) - _ROWS
    parts: list[RenderableType] = [bar, head]
    if failed or running:
        parts.append(table)
    if more > 0:
        parts.append(Text(f"and {more} more", style="dim"))
    return Group(*parts)


def _word(text: str) -> str:
    """Return text that is one line and steers nothing."""
    return plain(text).replace("\n", " ")
