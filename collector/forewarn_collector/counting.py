"""Lead what a tally counted through the rules of growth and of wear."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from forewarn_checks.base import Growth, Wear
from forewarn_collector.judgement import AlertId, Judgement, Made
from forewarn_collector.rules import growth, wear
from forewarn_collector.rules.ahead import due_of
from forewarn_collector.rules.book import BookedRule, RuleBook
from forewarn_collector.rules.forecast import Date
from forewarn_collector.rules.kind import AlertState, Observation
from forewarn_collector.rules.tally import Counted, Moment
from forewarn_collector.samples import Shape
from forewarn_collector.state.hosts import KnownHost


def troubled(live: Iterable[AlertId], book: RuleBook) -> set[tuple[int, str]]:
    """Return (host, component) of those alerts that are of growth or wear."""
    names = {booked.name for booked in book.growing()}
    return {(host, component) for host, component, rule in live if rule in names}


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
            if isinstance(booked.rule, Wear):
                seen = (one for reading in readings for one, _ in reading)
                judgement.made.extend(_made(judgement, host, booked, component, booked.rule, seen))


def observation(rule: Growth | Wear, moment: Moment) -> Observation:
    """Return a moment as a rule of growth or wear sees it."""
    seen = Observation(moment.at, 0.0, received=moment.received, counters=moment.counters)
    counter = moment.counters.get(rule.metric.name) if isinstance(rule, Wear) else None
    if counter is None or not isinstance(rule, Wear):
        return seen
    ahead = wear.exhaustion(counter, rule.reaches, moment.at)
    return replace(seen, value=counter.value, ahead=ahead)


def _made(
    judgement: Judgement,
    host: KnownHost,
    booked: BookedRule,
    component: str,
    rule: Wear,
    seen: Iterable[Observation],
) -> Iterator[Made]:
    """Yield one forecast for every step: between two of them nothing new is known."""
    row = judgement.row((host.number, component, booked.name))
    for one in seen:
        counter = (one.counters or {}).get(rule.metric.name)
        if counter is None or not counter.rises or counter.rises[-1][0] != one.at:
            continue
        date = one.ahead
        yield Made(
            host=host,
            component=component,
            rule=booked.name,
            at=one.at,
            value=one.value,
            due=due_of(date, one.at) if isinstance(date, Date) and date.seconds > 0 else None,
            reached=one.at if one.value >= rule.reaches else None,
            over=not isinstance(date, Date) and (row is None or row.alert.state is AlertState.OK),
        )


def _readings(
    booked: BookedRule, moments: Sequence[Moment], shapes: Sequence[Shape]
) -> Iterator[list[tuple[Observation, Mapping[str, str]]]]:
    rule = booked.rule
    assert isinstance(rule, Growth | Wear), rule
    for moment in moments:
        labels = dict(shapes[moment.shape].labels)
        if is_about(rule, labels):
            yield [(observation(rule, moment), labels)]


def is_about(rule: Growth | Wear, labels: Mapping[str, str]) -> bool:
    """Say whether the rule's `where` picks a component with these labels."""
    if isinstance(rule, Wear):
        return wear.is_about(rule, labels)
    return growth.is_about(rule, labels)
