"""One rule: what it means, what to do about it, how good it is, and where it fires now."""

from typing import Annotated

from fastapi import Path, Request, Response

from forewarn_collector.api.guard import Asker, Collector, Here, missing
from forewarn_collector.pages.view import clock, render
from forewarn_collector.queries.alerts import list_alerts
from forewarn_collector.rules.book import BookedRule, declared
from forewarn_collector.rules.kinds import kind_of
from forewarn_collector.runbook import runbook_of
from forewarn_collector.selector import parse
from forewarn_collector.state import forecasts
from forewarn_collector.track_record import FORETELLING

_MOST_ALERTS = 50

Name = Annotated[str, Path(max_length=100, description="A rule's name.")]


def get_rule(rule: Name, request: Request, asker: Asker, collector: Here) -> Response:
    """Show the runbook of a rule, on or off, with its alerts on hosts the asker may see."""
    if rule not in collector.book:
        raise missing()
    forms = collector.book.variants(rule)
    usual = {one.name: one for one in collector.book.rules()}.get(rule)
    shown = usual or next(iter(forms), None) or _as_shipped(rule)
    with collector.database.read() as connection:
        firing = list_alerts(connection, asker, parse(""), rule=rule, limit=_MOST_ALERTS)
        record = (
            forecasts.record(connection, clients=asker.clients, rule=rule)
            if isinstance(shown.rule, FORETELLING)
            else None
        )
    return render(
        request,
        "rule.html",
        asker=asker,
        clock=clock("UTC", collector.now()),
        book=runbook_of(shown),
        standing=_standing(collector, rule),
        others=[kind_of(one.rule).explain(one.rule) for one in forms if one != shown],
        record=record,
        alerts=firing.alerts,
        has_more=firing.next is not None,
    )


def _as_shipped(rule: str) -> BookedRule:
    return next(one.booked for one in declared() if one.booked.name == rule)


def _standing(collector: Collector, rule: str) -> str:
    """Return where the rule is on, as a chip says it; "" for everywhere."""
    if not collector.book.variants(rule):
        return "off everywhere"
    on = any(one.name == rule for one in collector.book.rules())
    return "" if on else "on for some hosts only"
