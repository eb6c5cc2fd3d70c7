"""Lead what a tally counted through the rules of growth."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from forewarn_checks.base import Growth
from forewarn_collector.judgement import AlertId, Judgement
from forewarn_collector.rules.book import BookedRule, RuleBook
from forewarn_collector.rules.growth import is_about
from forewarn_collector.rules.kind import AlertState, Observation
from forewarn_collector.rules.tally import Counted, Moment
from forewarn_collector.samples import Shape
from forewarn_collector.state.alerts import AlertRow
from forewarn_collector.state.hosts import KnownHost


def troubled(held: Mapping[AlertId, AlertRow], book: RuleBook) -> set[tuple[int, str]]:
    """Return (host, component) of every alert of growth that is not ok."""
    names = {booked.name for booked in book.growing()}
    return {
        (row.host_number, row.component)
        for row in held.values()
        if row.rule in names and row.alert.state is not AlertState.OK
    }


def judge_growth(
    judgement: Judgement,
    counted: Counted,
    book: RuleBook,
    shapes: Sequence[Shape],
    host_of: Callable[[int], KnownHost | None],
    effective: Callable[[str, KnownHost], BookedRule | None],
) -> None:
    """Judge every component whose counters may matter, by every rule about any of them."""
    if not counted.moments:
        return
    rules = {booked.name: booked for booked in book.growing()}
    for (number, component), moments in counted.moments.items():
        host = host_of(number)
        if host is None or host.revoked:
            continue
        for name, form in rules.items():
            booked = effective(name, host)
            if booked is None or not set(form.counters) & set(moments[0].counters):
                continue
            readings = list(_readings(booked, moments, shapes))
            judgement.observe(host, booked, component, readings)


def observation(moment: Moment) -> Observation:
    """Return a moment as a rule of growth sees it."""
    return Observation(moment.at, 0.0, received=moment.received, counters=moment.counters)


def _readings(
    booked: BookedRule, moments: Sequence[Moment], shapes: Sequence[Shape]
) -> Iterator[list[tuple[Observation, Mapping[str, str]]]]:
    rule = booked.rule
    assert isinstance(rule, Growth), rule
    for moment in moments:
        labels = dict(shapes[moment.shape].labels)
        if is_about(rule, labels):
            yield [(observation(moment), labels)]
