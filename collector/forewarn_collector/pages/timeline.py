"""A ticket's history in sentences, newest first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from forewarn_collector.state.tickets import TicketEvent


@dataclass(frozen=True, slots=True)
class Happening:
    """One event: who did what, when, and what they wrote.  `kind` gives its sign on the page."""

    at: datetime
    actor: str
    kind: str
    text: str
    said: str


def tell(events: Sequence[TicketEvent]) -> tuple[Happening, ...]:
    """Return the events as they are read, the newest first."""
    return tuple(
        Happening(event.at, event.actor, event.kind, _sentence(event), _said(event))
        for event in reversed(events)
    )


def _said(event: TicketEvent) -> str:
    return str(event.data.get("text") or event.data.get("root_cause") or "")


def _sentence(event: TicketEvent) -> str:
    write = _SENTENCES.get(event.kind)
    return event.kind.replace("_", " ") if write is None else write(event.data)


def _of(data: Mapping[str, Any], name: str) -> str:
    return str(data.get(name) or "")


def _used(data: Mapping[str, Any]) -> str:
    return f"{float(data.get('fraction') or 0):.0%}"


def _rule(data: Mapping[str, Any]) -> str:
    rule, severity = _of(data, "rule"), _of(data, "severity")
    return ": ".join(
        part for part in (f"{rule} ({severity})" if rule else "", _of(data, "title")) if part
    )


def _hosts(data: Mapping[str, Any]) -> str:
    """Return e.g. ``web1, web2 and 3 more``."""
    names, count = [str(name) for name in data.get("hosts") or ()], int(data.get("count") or 0)
    more = count - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _absorbed(data: Mapping[str, Any]) -> str:
    """Return which tickets were taken over."""
    numbers = ", ".join(str(number) for number in data.get("absorbed") or ())
    return f", and took over {numbers}" if numbers else ""


def _accepted(data: Mapping[str, Any]) -> str:
    """Return e.g. ``drive:Z305 (8 reallocated sectors)`` of what was accepted."""
    told = []
    for one in (data.get("accepted") or ())[:5]:
        counts = ", ".join(
            f"{value:g} {metric.partition('_')[2].replace('_', ' ')}"
            for metric, value in one["counters"].items()
            if value
        )
        told.append(f"{one['component']} ({counts or 'nothing counted'})")
    return ", ".join(told)


_SENTENCES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "opened": lambda data: f"opened the ticket. {_rule(data)}",
    "reopened": lambda data: f"opened it again. {_rule(data) or _of(data, 'because')}",
    "episode_opened": lambda data: f"added to it. {_rule(data)}",
    "severity_changed": lambda data: (
        f"changed {_of(data, 'rule')} from {_of(data, 'from')} to {_of(data, 'to')}"
    ),
    "episode_closed": lambda data: (
        f"saw the end of {_of(data, 'rule')}, "
        f"{_of(data, 'because') or 'at ' + (_of(data, 'value') or 'an unknown value')}"
    ),
    "flapping": lambda data: (
        f"saw {_of(data, 'rule')} come and go: it lasts until it is over for longer"
    ),
    "hosts_joined": lambda data: f"added {_hosts(data)}{_absorbed(data)}",
    "hosts_cleared": lambda data: (
        f"saw the end of it on {_hosts(data)}; {_of(data, 'left') or '0'} left"
    ),
    "moved_out": lambda data: (
        f"gave {_of(data, 'moved')} of it tickets of their own; {_of(data, 'left') or '0'} left"
    ),
    "absorbed": lambda data: f"closed it: it is part of ticket {_of(data, 'ticket')} now",
    "closed": lambda data: f"closed it: {_of(data, 'because') or 'the work is done'}",
    "acknowledged": lambda _data: "took it into work",
    "assigned": lambda data: (
        f"gave it to {_of(data, 'to')}"
        + (f", before {_of(data, 'from')}" if _of(data, "from") else "")
    ),
    "remedy_ran": lambda data: (
        f"ran {_of(data, 'script') or 'a script'} that stands for this: {_of(data, 'ended')}"
        + (f", exit code {_of(data, 'exit_code')}" if _of(data, "exit_code") else "")
    ),
    "remedy_cleared": lambda data: (
        f"saw it clear {_of(data, 'after_seconds') or '0'} s after the script ended"
        + (f"; {_of(data, 'days_bought')} days bought" if _of(data, "days_bought") else "")
    ),
    "note": lambda _data: "noted",
    "labour": lambda data: f"spent {_of(data, 'minutes')} minutes",
    "part": lambda data: (
        f"used {_of(data, 'quantity')} × {_of(data, 'name')}"
        + (f", {_of(data, 'cost')}" if _of(data, "cost") else "")
    ),
    "root_cause": lambda _data: "named the root cause",
    "resolved": lambda _data: "said the work is done",
    "accepted": lambda data: f"accepted {_accepted(data)} as it is: tell only if it grows",
    "started": lambda _data: "went on with it",
    "waiting": lambda data: f"made it wait for {_of(data, 'for')}",
    "cancelled": lambda _data: "called it a false alarm",
    "priority_changed": lambda data: (
        f"changed its priority from {_of(data, 'from')} to {_of(data, 'to')}"
    ),
    "routed": lambda data: (
        f"gave it to {_of(data, 'to') or _of(data, 'team')}: {_of(data, 'reason')}"
    ),
    "sla_warning": lambda data: f"warned of the {_of(data, 'clock')} time: {_used(data)} used up",
    "sla_breached": lambda data: f"saw the {_of(data, 'clock')} time run out",
    "sla_overtaken": lambda _data: "found times of the new priority run out already",
    "escalated": lambda data: (
        f"escalated it to {_of(data, 'to')}: {_used(data)} of the {_of(data, 'clock')} time used up"
    ),
}
