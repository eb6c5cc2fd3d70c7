"""Who gets a ticket: ordered routes, the first that fits decides, and says why."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from forewarn_collector.selector import Selectable, Selector
from forewarn_collector.sla.calendars import Calendar


class Strategy(StrEnum):
    """How one member of a team is chosen; what a strategy leaves open the next one decides."""

    STICKY = "sticky"  # who had the last one of this kind, then the same host
    LEAST_OPEN = "least_open"
    ROUND_ROBIN = "round_robin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """People who share work.  Without members its tickets wait for somebody to take them."""

    name: str
    members: tuple[str, ...] = ()
    strategy: Strategy = Strategy.LEAST_OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a route may look at.  `host` is None for a site's ticket, `rule` "" for one by hand."""

    client: str
    site: str
    host: Selectable | None
    rule: str
    priority: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Some tickets, and whose they become: a person's, or a team's.  What is empty asks nothing.

    `hours` are those it holds in, or outside of when `outside`.
    """

    name: str
    clients: Collection[str] = ()
    sites: Collection[str] = ()
    selector: Selector | None = None
    rules: Collection[str] = ()
    priorities: Collection[str] = ()
    hours: Calendar | None = None
    outside: bool = False
    to: str = ""
    team: Team | None = None

    @property
    def asks_nothing(self) -> bool:
        """True for the fallback, which takes every ticket."""
        asks = (self.clients, self.sites, self.selector, self.rules, self.priorities, self.hours)
        return not any(asks)

    def reason(self, asked: Asked) -> str | None:
        """Return why it fits, in words; None if it does not."""
        if self.asks_nothing:
            return "no other route fits"
        found: list[str] = []
        for name, value, wanted in (
            ("client", asked.client, self.clients),
            ("site", asked.site, self.sites),
            ("rule", asked.rule, self.rules),
            ("priority", asked.priority, self.priorities),
        ):
            if wanted and value not in wanted:
                return None
            if wanted:
                found.append(f"{name} {value}")
        if self.selector is not None:
            if asked.host is None or not self.selector.matches(asked.host):
                return None
            found.append(f"host {asked.host.name} is picked")
        if self.hours is not None:
            if self.hours.is_open(asked.at) is self.outside:
                return None
            found.append("outside business hours" if self.outside else "in business hours")
        return ", ".join(found)


@dataclass(frozen=True, slots=True)
class Routed:
    """Which route took a ticket, and why."""

    route: Route
    reason: str


@dataclass(frozen=True, slots=True)
class Routing:
    """The routes in their order; the last takes what no other does.  Without any nobody is chosen.

    `teams` are there to be escalated to, too.
    """

    routes: Sequence[Route] = ()
    teams: Mapping[str, Team] = field(default_factory=dict)

    def route(self, asked: Asked, away: Collection[str] = ()) -> Routed | None:
        """Return the first route that fits; one to a person who is away does not.

        The last takes every ticket all the same: nothing may be without a place.
        """
        for route in self.routes:
            if route.team is None and route.to in away and not route.asks_nothing:
                continue
            reason = route.reason(asked)
            if reason is not None:
                return Routed(route, reason)
        return None


def rank(
    team: Team,
    last_one: str | None,
    open_tickets: Mapping[str, int],
    last_turn: str | None,
    away: Collection[str] = (),
) -> tuple[str, str] | None:
    """Return which member is next, and why; None for a team of which nobody is there.

    `last_one` had the last ticket like it, `open_tickets` counts by name, `last_turn` was chosen
    before, those `away` are passed by.
    """
    after = team.members.index(last_turn) + 1 if last_turn in team.members else 0
    order = [one for one in (*team.members[after:], *team.members[:after]) if one not in away]
    if not order:
        return None
    if team.strategy is Strategy.STICKY and last_one in order:
        return str(last_one), "had the last one"
    if team.strategy is Strategy.ROUND_ROBIN:
        return order[0], "whose turn it is"
    fewest = min(order, key=lambda name: open_tickets.get(name, 0))
    return fewest, f"has the fewest open tickets: {open_tickets.get(fewest, 0)}"
