"""Who is away: new tickets pass them by."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import AwareDatetime
from sqlalchemy import Connection

from forewarn_collector.api.guard import Asker, Here, Problem
from forewarn_collector.api.people import find_person
from forewarn_collector.api.principal import Principal, Role
from forewarn_collector.api.texts import Body, Name
from forewarn_collector.state import absences, audit
from forewarn_collector.state.absences import Absence


@dataclass(frozen=True, slots=True)
class Absences:
    """Absences that are not over, the nearest first."""

    absences: Sequence[Absence]


class Away(Body):
    """Somebody is away until a moment, from now unless said; without `until` they are there.

    Without `person` it is oneself.
    """

    person: Name | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


def get_absences(asker: Asker, collector: Here) -> Absences:
    """Return who of those one works with is, or will be, away."""
    with collector.database.read() as connection:
        found = absences.ahead(connection, collector.now())
        return Absences([one for one in found if _works_with(connection, asker, one.person)])


def post_absence(body: Away, asker: Asker, collector: Here) -> Absences:
    """Say that somebody is away, or there again; of others only operators may."""
    now = collector.now()
    person = body.person or asker.name
    since = body.since or now
    if person != asker.name and not asker.role.reaches(Role.OPERATOR):
        raise Problem(403, "only operators may say it of others; leave person out for yourself")
    if body.until is not None and not max(since, now) < body.until:
        raise Problem(422, "body until: must lie ahead, and after since")
    if any(at is not None and not 1970 <= at.year < 2200 for at in (since, body.until)):
        raise Problem(422, "body: the year is not between 1970 and 2200")
    with collector.database.write() as connection:
        if not _works_with(connection, asker, person):
            raise Problem(422, "body person: there is nobody of this name among those you see")
        if body.until is None:
            absences.end(connection, person)
        else:
            absences.put(connection, Absence(person, since, body.until, asker.name), now)
        told = None if body.until is None else body.until.isoformat()
        audit.record(connection, now, asker.name, "absence", person, {"until": told})
    return get_absences(asker, collector)


def _works_with(connection: Connection, asker: Principal, name: str) -> bool:
    """Say whether two people share a client: others do not exist for each other."""
    if name == asker.name:
        return True
    found = find_person(connection, name)
    if found is None:
        return False
    theirs = found.principal.clients
    return asker.clients is None or (theirs is not None and bool(theirs & asker.clients))
