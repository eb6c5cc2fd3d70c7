"""Maintenance windows and silences: list, make, end, delete.

A person who sees some clients only makes them for those, and sees those about nobody else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy import Connection

from forewarn_checks.base.durations import parse_duration
from forewarn_collector.api.guard import Asker, Collector, Here, Problem, missing
from forewarn_collector.api.paths import Id, Moment
from forewarn_collector.api.principal import Principal
from forewarn_collector.api.texts import Body, one_line
from forewarn_collector.queries.suppression import (
    HeldLine,
    SilenceLine,
    WindowDetail,
    WindowLine,
    find_window,
    list_held,
    list_silences,
    list_windows,
)
from forewarn_collector.selector import LONGEST, BadSelector, parse
from forewarn_collector.state import audit, suppression
from forewarn_collector.state.suppression import NewSilence, NewWindow, NotFound, Refused
from forewarn_collector.suppression.repeats import BadRepeat, Repeat, parse_repeat
from forewarn_collector.suppression.windows import (
    LONGEST_SETTLE,
    LONGEST_SILENCE,
    LONGEST_WINDOW,
    SETTLE,
)

_AGO = timedelta(minutes=5)
_FAR = timedelta(days=366)

Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500),
    AfterValidator(one_line),
]
Scope = Annotated[
    str,
    Field(max_length=LONGEST, description="Which hosts, a selector; empty for all you may see."),
]
GroupName = Annotated[str, Field(max_length=100, description="And in this group of the settings.")]
Span = Annotated[str, Field(max_length=20, description="A duration: `30m`, `2h`, `7d`.")]


class NewMaintenance(Body):
    """A window: once from `starts` (now when left out), or again and again with `repeat`."""

    select: Scope
    group: GroupName = ""
    reason: Reason
    starts: Moment | None = None
    ends: Moment | None = None
    lasts: Span | None = None
    repeat: Annotated[
        str,
        Field(
            max_length=100,
            description="`daily`, `weekly sat,sun`, `monthly 1,15`, `monthly 2nd tue`",
        ),
    ] = ""
    at: Annotated[str, Field(max_length=5, description="Local time of a repeating one.")] = ""
    zone: Annotated[str, Field(max_length=64, description="IANA time zone.")] = "UTC"
    until: Annotated[Moment | None, Field(description="No occurrence begins after it.")] = None
    settle: Span | None = None


class NewQuiet(Body):
    """A silence; it must end: give `expires` or `lasts`."""

    select: Scope
    group: GroupName = ""
    rule: Annotated[str, Field(max_length=100, description="Only this rule.")] = ""
    component: Annotated[
        str, Field(max_length=400, description="Only this component: `filesystem:/srv`.")
    ] = ""
    reason: Reason
    expires: Moment | None = None
    lasts: Span | None = None


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows that run, come, or were over not long ago."""

    windows: tuple[WindowLine, ...]


@dataclass(frozen=True, slots=True)
class Silences:
    """Silences that hold or were over not long ago."""

    silences: tuple[SilenceLine, ...]


@dataclass(frozen=True, slots=True)
class HeldNow:
    """Alerts that nobody is told of at this moment."""

    held: tuple[HeldLine, ...]


def get_maintenance(asker: Asker, collector: Here) -> Windows:
    """Return maintenance windows, what runs or comes first at first."""
    with collector.database.read() as connection:
        return Windows(list_windows(connection, asker, collector.now()))


def get_maintenance_window(id: Id, asker: Asker, collector: Here) -> WindowDetail:  # noqa: A002
    """Return one window: its verdicts, and what it held."""
    with collector.database.read() as connection:
        found = find_window(connection, asker, id, collector.now())
    if found is None:
        raise missing()
    return found


def post_maintenance(body: NewMaintenance, asker: Asker, collector: Here) -> WindowDetail:
    """Make a maintenance window."""
    return get_maintenance_window(make_window(body, asker, collector), asker, collector)


def end_maintenance(id: Id, asker: Asker, collector: Here) -> WindowDetail:  # noqa: A002
    """End what is under way of a window; the verdict comes once it has settled."""
    _change(id, asker, collector, "maintenance.end", suppression.end_window)
    return get_maintenance_window(id, asker, collector)


def delete_maintenance(id: Id, asker: Asker, collector: Here) -> None:  # noqa: A002
    """Take back what has not begun of a window."""
    _change(id, asker, collector, "maintenance.delete", suppression.delete_window)


def get_silences(asker: Asker, collector: Here) -> Silences:
    """Return silences, those that hold first."""
    with collector.database.read() as connection:
        return Silences(list_silences(connection, asker, collector.now()))


def post_silence(body: NewQuiet, asker: Asker, collector: Here) -> SilenceLine:
    """Silence a rule, or everything, on some hosts for a while."""
    silence_id = make_silence(body, asker, collector)
    return next(one for one in get_silences(asker, collector).silences if one.id == silence_id)


def delete_silence(id: Id, asker: Asker, collector: Here) -> None:  # noqa: A002
    """End a silence before it expires."""
    _change(id, asker, collector, "silence.end", suppression.end_silence)


def get_held(asker: Asker, collector: Here) -> HeldNow:
    """Return what is held at this moment: by maintenance, a silence, or a silent host."""
    with collector.database.read() as connection:
        return HeldNow(list_held(connection, asker))


# -- making --------------------------------------------------------------------------------------


def make_window(body: NewMaintenance, asker: Principal, collector: Collector) -> str:
    """Keep a window and return its id.  Raises Problem 409 or 422."""
    now = collector.now()
    _check_scope(collector, body.select, body.group)
    settle = SETTLE if body.settle is None else _span("settle", body.settle)
    if not timedelta(0) <= settle <= LONGEST_SETTLE:
        raise Problem(422, f"body settle: write at most {_hours(LONGEST_SETTLE)}")
    repeat = _repeat(body)
    starts, ends = _once(body, now) if repeat is None else _again(body, now)
    with collector.database.write() as connection:
        new = NewWindow(
            clients=suppression.clients_named(connection, body.select, asker.clients),
            selector=body.select.strip(),
            group=body.group,
            reason=body.reason,
            starts=starts,
            ends=ends,
            repeats="" if repeat is None else repeat.days,
            local_time="" if repeat is None else f"{repeat.at:%H:%M}",
            lasts=timedelta(0) if repeat is None else repeat.lasts,
            zone="UTC" if repeat is None else repeat.zone.key,
            settle=settle,
        )
        window_id = _kept(connection, new, asker, now)
        told = {"select": new.selector, "group": new.group, "reason": new.reason}
        audit.record(connection, now, asker.name, "maintenance.new", window_id, told)
    return window_id


def make_silence(body: NewQuiet, asker: Principal, collector: Collector) -> str:
    """Keep a silence and return its id.  Raises Problem 409 or 422."""
    now = collector.now()
    _check_scope(collector, body.select, body.group)
    if body.rule and body.rule not in collector.book:
        raise Problem(422, f"body rule: there is no rule {body.rule}; the checks page lists them")
    expires = _end_of("expires", body.expires, body.lasts, now)
    if not now < expires <= now + LONGEST_SILENCE:
        raise Problem(422, f"body expires: it must be ahead, by {LONGEST_SILENCE.days}d at most")
    with collector.database.write() as connection:
        new = NewSilence(
            clients=suppression.clients_named(connection, body.select, asker.clients),
            selector=body.select.strip(),
            group=body.group,
            rule=body.rule,
            component=body.component,
            reason=body.reason,
            expires=expires,
        )
        silence_id = _kept(connection, new, asker, now)
        told = {"select": new.selector, "rule": new.rule, "reason": new.reason}
        audit.record(connection, now, asker.name, "silence.new", silence_id, told)
    return silence_id


def _kept(
    connection: Connection, new: NewWindow | NewSilence, asker: Principal, now: datetime
) -> str:
    if new.clients is not None and not new.clients:
        raise Problem(422, "body select: there is no such client, or none that you may see")
    try:
        if isinstance(new, NewWindow):
            return suppression.add_window(connection, new, asker.name, now)
        return suppression.add_silence(connection, new, asker.name, now)
    except Refused as refused:
        raise Problem(409, str(refused)) from None


def _change(
    which: str,
    asker: Principal,
    collector: Collector,
    action: str,
    change: Callable[[Connection, str, str, datetime, suppression.Clients], None],
) -> None:
    now = collector.now()
    with collector.database.write() as connection:
        try:
            change(connection, which, asker.name, now, asker.clients)
        except NotFound:
            raise missing() from None
        except Refused as refused:
            raise Problem(409, str(refused)) from None
        audit.record(connection, now, asker.name, action, which)


def _check_scope(collector: Collector, select: str, group: str) -> None:
    try:
        if parse(select).asks_health:
            raise BadSelector("health is what rules decide; what is held cannot depend on it")
    except BadSelector as bad:
        raise Problem(422, f"body select: {bad}") from None
    if group and group not in collector.book.groups:
        raise Problem(422, f"body group: there is no [groups.{group}] in the settings")


def _repeat(body: NewMaintenance) -> Repeat | None:
    if not body.repeat:
        if body.at or body.until is not None:
            raise Problem(422, "body: `at` and `until` belong to a window with `repeat`")
        return None
    if body.ends is not None or body.lasts is None:
        raise Problem(422, "body: a repeating window takes `at` and `lasts`, not `ends`")
    try:
        return parse_repeat(body.repeat, body.at, _span("lasts", body.lasts), body.zone)
    except BadRepeat as bad:
        raise Problem(422, f"body {bad}") from None


def _once(body: NewMaintenance, now: datetime) -> tuple[datetime, datetime]:
    starts = body.starts or now
    ends = _end_of("ends", body.ends, body.lasts, starts)
    if not now - _AGO <= starts <= now + _FAR:
        raise Problem(422, "body starts: it must be now or within a year")
    if not timedelta(minutes=1) <= ends - starts <= LONGEST_WINDOW:
        text = f"it must be 1m to {LONGEST_WINDOW.days}d after the start"
        raise Problem(422, f"body ends: {text}")
    return starts, ends


def _again(body: NewMaintenance, now: datetime) -> tuple[datetime, datetime | None]:
    starts = body.starts or now
    if body.until is not None and body.until <= max(starts, now):
        raise Problem(422, "body until: nothing would begin before it")
    if starts > now + _FAR:
        raise Problem(422, "body starts: it must be within a year")
    return max(starts, now), body.until


def _end_of(name: str, moment: datetime | None, lasts: str | None, start: datetime) -> datetime:
    if (moment is None) == (lasts is None):
        raise Problem(422, f"body: give either `{name}` or `lasts`")
    if moment is not None:
        return moment
    try:
        return start + _span("lasts", lasts or "")
    except OverflowError:
        raise Problem(422, "body lasts: it is longer than any calendar") from None


def _span(name: str, text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as bad:
        raise Problem(422, f"body {name}: {bad}") from None


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:.0f}h"
