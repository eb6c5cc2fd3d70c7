"""Put episodes on tickets, for one transaction: which ticket carries which.

An episode goes on the open ticket of its component, if there is one; else on the open ticket of its
rule at its site.  When a rule is raised by five hosts of a site within a minute they get such a
ticket, and the single ones of that minute are absorbed by it: nobody waits for a group to gather.
What is past a client's budget of new tickets goes on one overflow ticket, and gets a ticket of its
own once the storm is over.  All SQL of it is in here.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, select, update

from forewarn_checks.base import Severity
from forewarn_collector.clock import id_floor, uuid7
from forewarn_collector.rules.together import SITE_SILENT
from forewarn_collector.state import ending, remedies, shared
from forewarn_collector.state import episodes as carried
from forewarn_collector.state.budget import Budget
from forewarn_collector.state.ending import Ending
from forewarn_collector.state.episodes import Opening
from forewarn_collector.state.history import Row
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.shared import Sharing
from forewarn_collector.state.tables import episodes, hosts, tickets
from forewarn_collector.state.tickets import ENDED_STATES, TicketState
from forewarn_collector.ticket_body import SHARED, Shape

TOGETHER = 5
"""So many hosts of a site that raise one rule within `GATHER` share a ticket."""
GATHER = timedelta(seconds=60)
_AT_ONCE = 500

Group = tuple[str, str]
"""Site and rule."""


class Register:
    """Everything episodes do to tickets in one transaction.  Call `finish` at its end."""

    def __init__(self, connection: Connection, now: datetime, telling: Telling) -> None:
        self.connection = connection
        self._now = now
        self._telling = telling
        self._budget = Budget(connection, telling.new_per_hour, now)
        self._waiting: list[tuple[str, Opening]] = []
        self._ending: list[Ending] = []
        # The hosts of what waits.
        self._opening: set[int] = set()
        self._leaving: set[int] = set()
        self._sharings: dict[str, Sharing] = {}
        self.opened: list[tuple[str, Opening]] = []
        """Every episode that began in this transaction, by its id."""

    def open(self, opening: Opening) -> str:
        """Begin an episode; return its id.  On which ticket is decided with others' together."""
        episode_id = uuid7(self._now)
        self._waiting.append((episode_id, opening))
        self._opening.add(opening.host.number)
        self.opened.append((episode_id, opening))
        return episode_id

    def change(
        self, episode_id: str, host: KnownHost, severity: Severity, evidence: Mapping[str, Any]
    ) -> None:
        """Give an episode another severity."""
        self.place_those_of(host)
        before = carried.write_change(self.connection, episode_id, severity, evidence)
        ticket = self._ticket(before["ticket_id"], host)
        if not isinstance(ticket, Sharing):
            carried.changed(
                self.connection, before, ticket, host, severity, self._now, self._telling
            )

    def note_flapping(self, episode_id: str, host: KnownHost, evidence: Mapping[str, Any]) -> None:
        """Say once that an episode comes and goes."""
        self.place_those_of(host)
        before = carried.write_evidence(self.connection, episode_id, evidence)
        ticket = self._ticket(before["ticket_id"], host)
        if not isinstance(ticket, Sharing):
            carried.flaps(self.connection, before, ticket, self._now, self._telling)

    def close(
        self, episode_id: str, host: KnownHost, evidence: Mapping[str, Any], at: datetime
    ) -> None:
        """End an episode, and its ticket if it was the last one and nobody works on it.

        It is written with others' together, before anything else happens at this host.
        """
        if host.number in self._opening:
            self._place()
        self._ending.append(Ending(episode_id=episode_id, host=host, evidence=evidence, at=at))
        self._leaving.add(host.number)

    def place_those_of(self, host: KnownHost) -> None:
        """Write down what waits of one host: something else happens there."""
        if host.number in self._opening:
            self._place()
        elif host.number in self._leaving:
            self._end()

    def finish(self) -> None:
        """Place what waits, and tell of every ticket that many hosts share."""
        self._place()
        for sharing in self._sharings.values():
            shared.settle(self.connection, sharing, self._now, self._telling)
        self._sharings.clear()

    def _end(self) -> None:
        """End every episode that is to be ended."""
        endings, self._ending = self._ending, []
        self._leaving.clear()
        ended = ending.write_ends(self.connection, endings)
        over = [(one.episode, one.ending.at) for one in ended]
        remedies.note_cleared(self.connection, over, self._now)
        singles = []
        for one in ended:
            if one.ticket["kind"] in SHARED:
                host = one.ending.host
                self._sharing(one.ticket, host).left.append(host.name)
            else:
                singles.append(one)
        ending.settle(self.connection, singles, self._now, self._telling)

    # -- which ticket ----------------------------------------------------------------------------

    def _place(self) -> None:
        """Put every episode that waits on a ticket; first what ended before it."""
        self._end()
        waiting, self._waiting = self._waiting, []
        self._opening.clear()
        if not waiting:
            return
        known = self._known([opening for _, opening in waiting])
        recent = self._recent([opening for _, opening in waiting])
        crowds = _crowds([opening for _, opening in waiting], recent)
        joining: list[tuple[str, Opening, str]] = []
        for episode_id, opening in waiting:
            sharing = self._choose(episode_id, opening, known, crowds, recent)
            if sharing is not None:
                joining.append((episode_id, opening, sharing.row["id"]))
                host = opening.host
                shared.join(sharing, host.name, host.host_class, host.tags)
        carried.insert_episodes(self.connection, joining)

    def _choose(
        self,
        episode_id: str,
        opening: Opening,
        known: dict[str, Row],
        crowds: Collection[Group],
        recent: Mapping[Group, Sequence[RowMapping]],
    ) -> Sharing | None:
        """Return the shared ticket an episode goes on; None when it is on its component's own."""
        subject, site = carried.subject_of(opening), carried.site_subject(opening)
        own, client_id = known.get(subject), opening.host.client_id
        if own is not None and own["state"] not in ENDED_STATES:
            known[subject] = self._begin(episode_id, opening, own)
            return None
        if site in known and known[site]["state"] not in ENDED_STATES:
            return self._sharing(known[site], opening.host)
        group = (opening.host.site_id, opening.rule)
        if group in crowds:
            last = known.get(site)
            if last is not None and carried.may_reopen(last, self._now):
                sharing = self._sharing(last, opening.host)
            elif group in recent or self._budget.allows(client_id, opening.severity):
                # One that takes over others makes fewer tickets, not more.
                sharing = self._open_shared(Shape.SITE, site, last, opening)
                self._budget.spend(client_id, opening.severity)
            else:
                return self._overflow(opening, known)
            # It is open from here on, whatever its row says until the end.
            known[site] = {**sharing.row, "state": TicketState.NEW}
            if self._absorb(sharing, recent.get(group, ())):
                self._budget.recount(client_id)
            return sharing
        if own is not None and carried.may_reopen(own, self._now):
            known[subject] = self._begin(episode_id, opening, own)
            return None
        if not self._budget.allows(client_id, opening.severity):
            return self._overflow(opening, known)
        known[subject] = carried.begin_anew(
            self.connection, episode_id, opening, own, self._now, self._telling
        )
        self._budget.spend(client_id, opening.severity)
        return None

    def _begin(self, episode_id: str, opening: Opening, own: Row) -> Row:
        return carried.begin(self.connection, episode_id, opening, own, self._now, self._telling)

    def _overflow(self, opening: Opening, known: dict[str, Row]) -> Sharing:
        subject = carried.overflow_subject(opening.host.client_id)
        last = known.get(subject)
        if last is not None and carried.may_reopen(last, self._now):
            return self._sharing(last, opening.host)
        sharing = self._open_shared(Shape.OVERFLOW, subject, last, opening)
        known[subject] = sharing.row
        return sharing

    def _open_shared(
        self, shape: Shape, subject: str, last: Row | None, opening: Opening
    ) -> Sharing:
        sharing = shared.open_shared(
            self.connection,
            shape,
            subject,
            last,
            opening.host,
            opening.rule,
            opening.severity,
            now=self._now,
            telling=self._telling,
        )
        self._sharings[sharing.row["id"]] = sharing
        return sharing

    def _sharing(self, row: Row, host: KnownHost) -> Sharing:
        """Return a shared ticket as this transaction changes it."""
        sharing = self._sharings.get(row["id"])
        if sharing is None:
            sharing = self._sharings[row["id"]] = shared.take_up(row, host.site)
        return sharing

    def _ticket(self, ticket_id: str, host: KnownHost) -> Sharing | Row:
        """Return the ticket of an episode: shared, or its component's own."""
        if ticket_id in self._sharings:
            return self._sharings[ticket_id]
        row = self._row(ticket_id)
        return self._sharing(row, host) if row["kind"] in SHARED else row

    # -- what there is ---------------------------------------------------------------------------

    def _known(self, openings: Iterable[Opening]) -> dict[str, Row]:
        """Return the last ticket of everything that openings may be about, by its subject."""
        subjects: set[str] = set()
        for opening in openings:
            subjects |= {carried.subject_of(opening), carried.site_subject(opening)}
            subjects.add(carried.overflow_subject(opening.host.client_id))
        found: dict[str, Row] = {}
        wanted = sorted(subjects)
        for begin in range(0, len(wanted), _AT_ONCE):
            some = tickets.c.subject.in_(wanted[begin : begin + _AT_ONCE])
            query = select(tickets).where(some).order_by(tickets.c.number)
            found |= {row["subject"]: row for row in self.connection.execute(query).mappings()}
        return found

    def _recent(self, openings: Iterable[Opening]) -> Mapping[Group, Sequence[RowMapping]]:
        """Return the episodes that began within `GATHER` and last, by site and rule.

        Each row is an episode with the columns of its ticket that tell whether it is absorbed.
        """
        rules = {opening.rule for opening in openings}
        query = (
            select(
                episodes.c.id,
                episodes.c.host_id,
                episodes.c.rule,
                tickets.c.site_id,
                tickets.c.id.label("ticket_id"),
                tickets.c.opened_at.label("ticket_opened_at"),
                hosts.c.name,
                hosts.c.host_class,
                hosts.c.tags,
            )
            .join(tickets, tickets.c.id == episodes.c.ticket_id)
            .join(hosts, hosts.c.id == episodes.c.host_id)
            .where(
                episodes.c.id >= id_floor(self._now - GATHER),
                episodes.c.closed_at.is_(None),
                tickets.c.kind.is_(None),
            )
        )
        found: dict[Group, list[RowMapping]] = defaultdict(list)
        for row in self.connection.execute(query).mappings():
            if row["rule"] in rules:
                found[row["site_id"], row["rule"]].append(row)
        return found

    def _absorb(self, sharing: Sharing, recent: Iterable[RowMapping]) -> int:
        """Take over the single tickets of the last minute that are about nothing else.

        Returns how many.
        """
        singles = []
        for row in recent:
            if row["ticket_opened_at"] <= self._now - GATHER:
                continue
            single = self._row(row["ticket_id"])
            lasting = (episodes.c.ticket_id == single["id"]) & episodes.c.closed_at.is_(None)
            ids = self.connection.execute(select(episodes.c.id).where(lasting)).scalars().all()
            touched = single["first_response_at"] is not None
            if touched or list(ids) != [row["id"]] or single["state"] in ENDED_STATES:
                continue
            moved = update(episodes).where(lasting).values(ticket_id=sharing.row["id"])
            self.connection.execute(moved)
            shared.join(sharing, row["name"], row["host_class"], row["tags"])
            singles.append(single)
        shared.absorb(self.connection, sharing, singles, self._now, self._telling)
        return len(singles)

    def _row(self, ticket_id: str) -> RowMapping:
        query = select(tickets).where(tickets.c.id == ticket_id)
        return self.connection.execute(query).mappings().one()


def _crowds(
    openings: Iterable[Opening], recent: Mapping[Group, Sequence[RowMapping]]
) -> set[Group]:
    """Return what so many hosts of a site raise together that they share a ticket."""
    hosts: dict[Group, set[str]] = defaultdict(set)
    for opening in openings:
        hosts[opening.host.site_id, opening.rule].add(opening.host.id)
    return {
        group
        for group, ids in hosts.items()
        if group[1] == SITE_SILENT
        or len(ids | {row["host_id"] for row in recent.get(group, ())}) >= TOGETHER
    }
