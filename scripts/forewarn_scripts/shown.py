"""Hosts and tickets as a terminal shows them: readable with and without colour."""

import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from pydantic import JsonValue
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from forewarn_checks.base import Unit
from forewarn_checks.base.amounts import write_value
from forewarn_scripts import library
from forewarn_scripts.answers import (
    Absence,
    Alert,
    AssetChange,
    ClockShown,
    Event,
    Host,
    HostLine,
    LineChange,
    PeriodReport,
    PromiseKept,
    Reading,
    Ticket,
)

_STYLES = {
    "ok": "green",
    "warning": "yellow",
    "high": "dark_orange",
    "critical": "bold red",
    "silent": "bold magenta",
    "never heard": "bold magenta",
    "firing": "bold red",
    "clearing": "yellow",
    "cleared": "green",
    "failed": "red",
    "timed_out": "red",
    "nothing": "dim",
    "unsupported": "dim",
}
RIGHT_SECONDS = 2.0
"""What a batch may take to arrive says nothing of a clock."""
_MOST_ROWS = 8  # a package list would push everything else off the screen
_UNITS = {f"_{unit}": unit for unit in Unit if unit is not Unit.COUNT}


def plain(text: str) -> str:
    """Return `text` without what could steer a terminal or turn its direction."""
    return "".join(
        "�" if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Co") and one != "\n" else one
        for one in text
    )


def hosts_table(hosts: Iterable[HostLine], now: datetime) -> Table:
    """Return one line a host."""
    table = _table("HEALTH", "HOST", "CLIENT", "SITE", "CLASS", "OS", "TAGS", "FIRING", "SEEN")
    for host in hosts:
        table.add_row(
            _word(_health(host)),
            _text(host.name),
            _text(host.client),
            _text(host.site),
            _text(host.host_class),
            _text(host.system),
            _text(",".join(host.tags)),
            _text(str(host.firing or "")),
            _text(ago(host.last_seen, now)),
        )
    return table


def host_whole(host: Host, now: datetime) -> RenderableType:
    """Return all that is known of one host."""
    head = _pairs(
        ("id", host.id),
        ("where", f"{host.client} / {host.site}"),
        ("class", host.host_class),
        ("tags", ", ".join(host.tags)),
        ("agent", host.agent_version),
        ("enrolled", when(host.enrolled_at)),
        ("last seen", ago(host.last_seen, now)),
        ("clock", _clock_error(host.clock_ahead_seconds)),
    )
    parts: list[RenderableType] = [
        Text.assemble(_text(host.name), "  ", _word(_health(host))),
        head,
    ]
    if host.alerts:
        parts += ["", _title("Alerts"), _alerts(host.alerts, now)]
    checks = _table("CHECK", "OUTCOME", "WHEN", "WHAT IT SAID")
    for check in host.checks:
        checks.add_row(
            _text(check.check), _word(check.outcome), _text(ago(check.at, now)), _text(check.error)
        )
    parts += ["", _title("Checks"), checks]
    if host.asset:
        parts += ["", _title("Asset"), _pairs(*host.asset.items())]
    if host.facts:
        told = [(fact.name, _fact(fact.value)) for fact in host.facts]
        parts += ["", _title("Facts"), _pairs(*told)]
    parts += ["", _title("Latest readings"), _readings(host.readings, now)]
    return Group(*parts)


def _health(host: HostLine) -> str:
    unheard = host.last_seen is None and host.health in ("ok", "silent")
    return "never heard" if unheard else host.health


def _clock_error(ahead: float | None) -> str:
    """Return e.g. ``3 h ahead of the collector's``; "" while it is not known."""
    if ahead is None:
        return ""
    if abs(ahead) < RIGHT_SECONDS:
        return "right"
    way = "ahead of" if ahead > 0 else "behind"
    return f"{write_value(abs(ahead), Unit.SECONDS)} {way} the collector's"


def changes_table(changes: Iterable[AssetChange]) -> Table:
    """Return one line a change of a host."""
    table = _table("WHEN", "WHAT", "BEFORE", "AFTER", "BY")
    for one in changes:
        before, after = _fact(one.before) or "-", _fact(one.after) or "-"
        who = one.by or "the host"
        table.add_row(_text(when(one.at)), _text(one.name), _text(before), _text(after), _text(who))
    return table


def imports_table(changes: Iterable[LineChange]) -> Table:
    """Return one line a field that an import changes."""
    table = _table("LINE", "HOST", "FIELD", "BEFORE", "AFTER")
    for one in changes:
        row = (str(one.line), one.host, one.name, one.before or "-", one.after or "-")
        table.add_row(*(_text(cell) for cell in row))
    return table


def absences_table(absences: Iterable[Absence]) -> Table:
    """Return one line a person who is, or will be, away."""
    table = _table("WHO", "FROM", "UNTIL")
    for one in absences:
        table.add_row(_text(one.person), _text(when(one.since)), _text(when(one.until)))
    return table


def period_whole(said: PeriodReport) -> RenderableType:
    """Return what was done over some days."""
    labour = f"{said.labour_minutes // 60} h {said.labour_minutes % 60} min"
    head = _pairs(
        ("days", f"{said.first} to {said.last}, {said.zone}"),
        ("hosts", str(said.hosts)),
        ("opened", str(said.opened)),
        ("closed", f"{said.closed}, and {said.false_alarms} false alarms"),
        ("open now", str(said.open_now)),
        ("forecast", f"{said.forecast}: {said.prevented_count} prevented, {said.reached} reached"),
        ("days bought", str(said.days_bought)),
        ("response", _kept(said.response)),
        ("resolution", _kept(said.resolution)),
        ("labour", labour if said.labour_minutes else ""),
        ("parts", " + ".join(said.parts_cost)),
        ("raised by", ", ".join(f"{rule} {n}" for rule, n in said.raised_by_rule.items())),
        ("patches", f"{said.patch_hosts_now} hosts behind now"),
    )
    parts: list[RenderableType] = [_title(said.client or "All clients"), head]
    if said.prevented:
        table = _table("TICKET", "HOST", "TITLE", "FORECAST FOR", "DAYS BOUGHT")
        for one in said.prevented:
            bought = "-" if one.days_bought is None else str(one.days_bought)
            row = (f"#{one.number}", one.host, one.title, one.forecast_due[:10], bought)
            table.add_row(*(_text(cell) for cell in row))
        parts += ["", _title("Prevented"), table]
    return Group(*parts)


def _kept(kept: PromiseKept) -> str:
    if kept.share is None:
        return ""
    return f"{kept.share:.1%} in time, {kept.met} of {kept.met + kept.breached}"


def tickets_table(tickets: Iterable[Ticket], now: datetime) -> Table:
    """Return one line a ticket."""
    table = _table("TICKET", "PRIORITY", "SEVERITY", "STATE", "HOST", "TITLE", "ASSIGNEE", "OPENED")
    for ticket in tickets:
        table.add_row(
            _text(f"#{ticket.number}"),
            _text(ticket.priority),
            _word(ticket.severity),
            _text(ticket.state),
            _text(ticket.host or "-"),
            _text(ticket.title),
            _text(ticket.assignee or "-"),
            _text(ago(ticket.opened_at, now)),
        )
    return table


def _state(ticket: Ticket) -> str:
    waiting = f" for {ticket.waiting_for}" if ticket.waiting_for else ""
    return f"{ticket.state}{waiting}, condition {ticket.condition}"


def _may_help(ticket: Ticket) -> str:
    """Return how the scripts of the library are run that may help with what still fires."""
    rules = {one.rule for one in ticket.episodes if one.closed_at is None}
    names = sorted({script.name for rule in rules for script in library.for_rule(rule)})
    return ", ".join(f"forewarn run {name}" for name in names)


def _clock(clock: ClockShown | None) -> str:
    """Return e.g. ``running, 2 h 5 min left, due 2026-11-21 10:05``; "" for no promise."""
    if clock is None:
        return ""
    minutes = round(abs(clock.remaining_seconds) / 60)
    span = f"{minutes // 60} h {minutes % 60} min"
    left = f"{span} left" if clock.remaining_seconds >= 0 else f"{span} over"
    due = "" if clock.due_at is None else f", due {when(clock.due_at)}"
    return f"{clock.pace}, {left}{due}"


def ticket_whole(ticket: Ticket) -> RenderableType:
    """Return one ticket with its episodes and its history."""
    head = _pairs(
        ("state", _state(ticket)),
        ("priority", ticket.priority),
        ("severity", ticket.severity),
        ("where", f"{ticket.client} / {ticket.site} / {ticket.host or '-'}"),
        ("component", ticket.component),
        ("assignee", " / ".join(filter(None, (ticket.team, ticket.assignee))) or "-"),
        ("description", ticket.description),
        ("promise", "" if ticket.sla is None else ticket.sla.policy),
        ("response", "" if ticket.sla is None else _clock(ticket.sla.response)),
        ("resolution", "" if ticket.sla is None else _clock(ticket.sla.resolution)),
        ("may help", _may_help(ticket)),
        ("opened", when(ticket.opened_at)),
        ("resolved", when(ticket.resolved_at)),
        ("closed", when(ticket.closed_at)),
    )
    episodes = _table("RULE", "HOST", "SEVERITY", "FROM", "TO", "ADVICE")
    for episode in ticket.episodes:
        advice = episode.evidence.get("advice")
        episodes.add_row(
            _text(episode.rule),
            _text(episode.host),
            _word(episode.severity),
            _text(when(episode.opened_at)),
            _text(when(episode.closed_at) or "still"),
            _text(advice if isinstance(advice, str) else ""),
        )
    return Group(
        Text.assemble((f"#{ticket.number}  ", "bold"), _text(ticket.title)),
        head,
        "",
        _title("Episodes"),
        episodes,
        "",
        _title("History"),
        _history(ticket.events),
    )


def when(moment: datetime | None) -> str:
    """Return a moment in local time, "" for None."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def ago(moment: datetime | None, now: datetime) -> str:
    """Return how long ago a moment was: ``3 min ago``; ``never`` for None."""
    if moment is None:
        return "never"
    passed = now - moment
    if passed < timedelta(seconds=5):
        return "just now"
    for span, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if passed >= timedelta(seconds=span):
            return f"{passed // timedelta(seconds=span)} {name} ago"
    return "just now"


def _alerts(alerts: Iterable[Alert], now: datetime) -> Table:
    table = _table("SEVERITY", "RULE", "COMPONENT", "STATE", "DATA", "SINCE", "TICKET")
    for alert in alerts:
        table.add_row(
            _word(alert.severity),
            _text(alert.rule),
            _text(alert.component),
            _word(alert.state),
            _text(alert.data),
            _text(ago(alert.since, now)),
            _text(f"#{alert.ticket}" if alert.ticket is not None else ""),
        )
    return table


def _readings(readings: Iterable[Reading], now: datetime) -> Table:
    table = _table("METRIC", "LABELS", "VALUE", "WHEN")
    table.columns[2].justify = "right"
    for reading in readings:
        labels = " ".join(f"{name}={value}" for name, value in sorted(reading.labels.items()))
        table.add_row(
            _text(reading.metric),
            _text(labels),
            _text(_amount(reading)),
            _text(ago(reading.at, now)),
        )
    return table


def _history(events: Iterable[Event]) -> Table:
    table = _table("WHEN", "WHO", "WHAT", "")
    for event in events:
        table.add_row(
            _text(when(event.at)), _text(event.actor), _text(event.kind), _text(_said(event.data))
        )
    return table


def _said(data: Mapping[str, JsonValue]) -> str:
    text = data.get("text")
    if isinstance(text, str):
        return text
    return ", ".join(f"{name} {_fact(value)}" for name, value in data.items() if value is not None)


def _amount(reading: Reading) -> str:
    if reading.value is None:
        return "-"
    unit = next((unit for end, unit in _UNITS.items() if reading.metric.endswith(end)), Unit.COUNT)
    return write_value(reading.value, unit)


def _fact(value: JsonValue) -> str:
    if isinstance(value, list) and len(value) > _MOST_ROWS:
        return f"{len(value)} of them; --json shows each"
    if isinstance(value, list):
        return "; ".join(_fact(one) for one in value)
    if isinstance(value, dict):
        return " ".join(_fact(one) for one in value.values() if one not in (None, ""))
    return "" if value is None else str(value)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _pairs(*pairs: tuple[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            table.add_row(_text(name), _text(value))
    return table


def _title(text: str) -> Text:
    return Text(text, style="bold underline")


def _text(text: str) -> Text:
    """Return text that is shown as it is: no markup in it is obeyed."""
    return Text(plain(text))


def _word(word: str) -> Text:
    return Text(plain(word), style=_STYLES.get(word, ""))
