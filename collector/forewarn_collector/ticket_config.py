"""What collector.toml says of work on tickets: calendars, promises, teams, routes.

BadTickets     something in these tables cannot be; `path` says where
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from forewarn_collector import selector
from forewarn_collector.destinations.webhook import keys
from forewarn_collector.routing import Route, Routing, Strategy, Team
from forewarn_collector.rules.change import Duration
from forewarn_collector.sla.calendars import Calendar, Spans, holidays_of, read_spans
from forewarn_collector.sla.policy import ClockName, Policies, Policy, Step, Target, Waiting

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

Priority = Literal["P1", "P2", "P3", "P4", "P5"]
Fraction = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
Hours = tuple[str, ...]
T = TypeVar("T")

_YEARS_AHEAD = 5


class BadTickets(ValueError):
    """Something about work on tickets cannot be as written; `path` says where it stands."""

    def __init__(self, path: Sequence[str | int], text: str) -> None:
        super().__init__(text)
        self.path = tuple(path)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TicketsTable(_Table):
    """How many tickets there may be, ``[tickets]``."""

    new_per_hour: int = Field(
        default=20,
        ge=1,
        le=100_000,
        description="So many new ones a client and hour, the rest on one; critical ones again as "
        "many.",
    )


class CalendarTable(_Table):
    """Business hours, ``[calendars.NAME]``."""

    zone: str = Field(description="Whose clock it is, e.g. Europe/Berlin.")
    weekdays: Hours = Field(
        default=(), description='Hours of monday to friday: ["08:00-12:00", "13:00-17:00"].'
    )
    monday: Hours | None = Field(default=None, description="Hours of this day instead; [] is none.")
    tuesday: Hours | None = None
    wednesday: Hours | None = None
    thursday: Hours | None = None
    friday: Hours | None = None
    saturday: Hours = ()
    sunday: Hours = ()
    holidays: str = Field(
        default="", description='Whose public holidays are free: "DE", or a part of it: "DE-BE".'
    )
    exceptions: Mapping[date, Hours] = Field(
        default_factory=dict, description='Hours of single dates: "2026-12-24" = ["08:00-12:00"].'
    )


class TargetTable(_Table):
    """What is promised for one priority, ``[sla.NAME.targets.P1]``."""

    response: Duration | None = Field(default=None, description="Until somebody answers.")
    resolution: Duration | None = Field(default=None, description="Until it is mended.")
    around_the_clock: bool = Field(default=False, description="Whatever the calendar says.")


class StepTable(_Table):
    """Who hears of a delay, ``[[sla.NAME.steps]]``."""

    clock: ClockName = Field(default=ClockName.RESOLUTION, description="response or resolution")
    at: Fraction = Field(description="At this fraction of the target: 0.5 is half of it.")
    to: str = Field(min_length=1, max_length=100, description="A person's or a team's name.")
    reassign: bool = Field(default=False, description="true: the ticket becomes theirs.")


class SlaTable(_Table):
    """What is promised to some clients, ``[sla.NAME]``."""

    clients: tuple[str, ...] = Field(
        default=(), description="To whom; left out: to all that no other names."
    )
    calendar: str = Field(default="", description='Name of its calendar; "" is around the clock.')
    pause: tuple[Waiting, ...] = Field(
        default=(Waiting.CUSTOMER, Waiting.VENDOR, Waiting.MAINTENANCE, Waiting.PARTS),
        description="Waiting for these stops the resolution clock.",
    )
    warn_at: tuple[Fraction, ...] = Field(
        default=(0.75,), description="Warn at these fractions of a target."
    )
    targets: Mapping[Priority, TargetTable] = Field(
        default_factory=dict, description="What is promised, by priority."
    )
    steps: tuple[StepTable, ...] = Field(default=(), description="Who hears of delays.")


class TeamTable(_Table):
    """People who share work, ``[teams.NAME]``."""

    members: tuple[str, ...] = Field(default=(), description="Their names.")
    strategy: Strategy = Field(
        default=Strategy.LEAST_OPEN, description="sticky, least_open or round_robin"
    )


class RouteTable(_Table):
    """Whose tickets become, ``[[routes]]``; the first that fits decides, the last asks nothing."""

    name: str = Field(default="", max_length=100, description="Its name, for the history.")
    clients: tuple[str, ...] = Field(default=(), description="Of these clients.")
    sites: tuple[str, ...] = Field(default=(), description="At these sites.")
    select: str = Field(default="", description='Of these hosts, e.g. "tag:db".')
    rules: tuple[str, ...] = Field(default=(), description="Raised by these rules.")
    priorities: tuple[Priority, ...] = Field(default=(), description="Of these priorities.")
    hours: str = Field(default="", description="While this calendar is open.")
    outside_hours: str = Field(default="", description="While this calendar is shut.")
    to: str = Field(default="", max_length=100, description="A person's name.")
    team: str = Field(default="", description="Or a team's.")


class InboundTable(_Table):
    """Another tool that opens tickets, or answers them, by signed calls, ``[inbound.NAME]``."""

    client: str = Field(min_length=1, max_length=100, description="Whose tickets they become.")
    site: str = Field(
        default="", max_length=100, description="Where; only needed if there are more."
    )
    impact: int = Field(default=2, ge=1, le=3, description="Unless a call says: 1 is the most.")
    urgency: int = Field(default=2, ge=1, le=3, description="Unless a call says: 1 is the most.")
    destination: str = Field(
        default="",
        max_length=100,
        description="Which destination's tickets its answers are about; else it only opens some.",
    )
    secret: SecretStr = Field(
        description="The text of secret_file: one whsec_… a line, two while one is replaced."
    )

    @field_validator("secret")
    @classmethod
    def _keys(cls, secret: SecretStr) -> SecretStr:
        if not 1 <= len(keys(secret)) <= 2:
            raise ValueError(
                "secret_file must hold one line (two while a secret is replaced) of whsec_ and "
                "24 to 64 bytes in base64"
            )
        return secret


def calendars_of(tables: Mapping[str, CalendarTable], now: datetime) -> Mapping[str, Calendar]:
    """Return the calendars, with the holidays of this year, the last and five more.

    Raises BadTickets.
    """
    return {name: _calendar(name, table, now) for name, table in tables.items()}


def policies_of(tables: Mapping[str, SlaTable], calendars: Mapping[str, Calendar]) -> Policies:
    """Return what is promised to whom.  Raises BadTickets."""
    by_client: dict[str, Policy] = {}
    otherwise: Policy | None = None
    for name, table in tables.items():
        policy = _policy(name, table, calendars)
        for index, client in enumerate(table.clients):
            if client in by_client:
                text = f"{client!r} has {by_client[client].name} already; take it out of one"
                raise BadTickets(("sla", name, "clients", index), text)
            by_client[client] = policy
        if not table.clients:
            if otherwise is not None:
                text = f"names no clients, and neither does {otherwise.name}; name them in one"
                raise BadTickets(("sla", name), text)
            otherwise = policy
    return Policies(by_client, otherwise)


def routing_of(
    tables: Sequence[RouteTable],
    shared: Mapping[str, TeamTable],
    calendars: Mapping[str, Calendar],
) -> Routing:
    """Return who gets which tickets.  Raises BadTickets."""
    teams = {
        name: Team(name=name, members=table.members, strategy=table.strategy)
        for name, table in shared.items()
    }
    routes = tuple(_route(index, table, teams, calendars) for index, table in enumerate(tables))
    for index, route in enumerate(routes):
        is_last = index == len(routes) - 1
        if route.asks_nothing and not is_last:
            raise BadTickets(("routes", index), "takes every ticket, so put it last")
        if is_last and not route.asks_nothing:
            text = "the last route must ask nothing, so that no ticket is nobody's; add one"
            raise BadTickets(("routes", index), text)
    return Routing(routes, teams)


# -- one of each ---------------------------------------------------------------------------------


def _calendar(name: str, table: CalendarTable, now: datetime) -> Calendar:
    where = ("calendars", name)
    days: dict[date, Spans] = {}
    if table.holidays:
        years = range(now.year - 1, now.year + _YEARS_AHEAD + 1)
        try:
            days.update(dict.fromkeys(holidays_of(table.holidays, years), ()))
        except ValueError as unknown:
            raise BadTickets((*where, "holidays"), str(unknown)) from None
    for day, texts in table.exceptions.items():
        days[day] = _spans((*where, "exceptions", day.isoformat()), texts)
    week = tuple(_spans((*where, key), texts) for key, texts in _week(table))
    try:
        return Calendar(table.zone, week, days)
    except ZoneInfoNotFoundError:
        text = f"{table.zone!r} is no time zone; write one such as Europe/Berlin"
        raise BadTickets((*where, "zone"), text) from None
    except ValueError as wrong:
        raise BadTickets(where, str(wrong)) from None


def _week(table: CalendarTable) -> Iterator[tuple[str, Hours]]:
    for day in WEEKDAYS:
        own: Hours | None = getattr(table, day)
        yield ("weekdays", table.weekdays) if own is None else (day, own)


def _spans(path: Sequence[str | int], texts: Hours) -> Spans:
    try:
        return read_spans(texts)
    except ValueError as wrong:
        raise BadTickets(path, str(wrong)) from None


def _policy(name: str, table: SlaTable, calendars: Mapping[str, Calendar]) -> Policy:
    calendar = _named(("sla", name, "calendar"), table.calendar, calendars, "calendar")
    return Policy(
        name=name,
        targets={
            priority: Target(
                response=target.response,
                resolution=target.resolution,
                calendar=None if target.around_the_clock else calendar,
            )
            for priority, target in table.targets.items()
        },
        pauses=frozenset(table.pause),
        warn_at=table.warn_at,
        steps=tuple(
            Step(clock=step.clock, at=step.at, to=step.to, reassign=step.reassign)
            for step in table.steps
        ),
    )


def _route(
    index: int,
    table: RouteTable,
    teams: Mapping[str, Team],
    calendars: Mapping[str, Calendar],
) -> Route:
    where = ("routes", index)
    if bool(table.to) == bool(table.team):
        raise BadTickets(where, "name a person (to) or a team, not both and not neither")
    if table.hours and table.outside_hours:
        raise BadTickets(where, "hours and outside_hours exclude each other; keep one")
    team = _named((*where, "team"), table.team, teams, "team")
    key = "outside_hours" if table.outside_hours else "hours"
    hours = _named((*where, key), table.hours or table.outside_hours, calendars, "calendar")
    try:
        picked = selector.parse(table.select) if table.select else None
    except selector.BadSelector as bad:
        raise BadTickets((*where, "select"), str(bad)) from None
    if picked is not None and picked.asks_health:
        raise BadTickets((*where, "select"), "health is what rules decide; a route cannot ask it")
    return Route(
        name=table.name or f"route {index + 1}",
        clients=table.clients,
        sites=table.sites,
        selector=picked,
        rules=table.rules,
        priorities=table.priorities,
        hours=hours,
        outside=bool(table.outside_hours),
        to=table.to,
        team=team,
    )


def _named(path: Sequence[str | int], name: str, there: Mapping[str, T], what: str) -> T | None:
    """Return what goes by this name; None for no name."""
    if not name:
        return None
    if name not in there:
        raise BadTickets(
            path, f"there is no {what} {name!r}; there are {', '.join(there) or 'none'}"
        )
    return there[name]
