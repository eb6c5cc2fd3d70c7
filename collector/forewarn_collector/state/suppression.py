"""Maintenance windows and silences: kept, ended, and read by whoever judges.  SQL is in here.

`clients` are the ids of those a person may see, None for all.  What is not theirs does not exist.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, insert, or_, select, update

from forewarn_collector.clock import uuid7
from forewarn_collector.selector import parse
from forewarn_collector.state.tables import (
    about,
    clients,
    maintenance_occurrences,
    maintenance_windows,
    silences,
)
from forewarn_collector.suppression.repeats import is_zone, parse_repeat
from forewarn_collector.suppression.windows import LONGEST_SETTLE, Scope, Silence, Window

Clients = frozenset[str] | None

MOST = 2000
"""Windows, and silences, that there may be at once: each is looked at every few seconds."""

_EDITION = "suppression_edition"  # a row of `about` that grows with every change
_REMEMBERED = timedelta(days=14)
"""What ended longer ago cannot hold anything any more."""


class NotFound(Exception):
    """There is no such window or silence, or not for this person."""


class Refused(Exception):
    """It cannot be done now; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWindow:
    """A window to be kept; what it says was checked.  `repeats` is "" for one that does not."""

    clients: Clients
    selector: str
    group: str
    reason: str
    starts: datetime
    ends: datetime | None
    repeats: str = ""
    local_time: str = ""
    lasts: timedelta = timedelta(0)
    zone: str = "UTC"
    settle: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSilence:
    """A silence to be kept; what it says was checked."""

    clients: Clients
    selector: str
    group: str
    rule: str
    component: str
    reason: str
    expires: datetime


# -- for whoever judges --------------------------------------------------------------------------


def edition(connection: Connection) -> int:
    """Return a number that grows whenever a window or silence is changed."""
    held = connection.execute(select(about.c.value).where(about.c.name == _EDITION)).scalar()
    return int(held or 0)


def load_windows(connection: Connection, now: datetime) -> list[Window]:
    """Return every window that may still hold something, now or later."""
    columns, long_ago = maintenance_windows.c, now - _REMEMBERED
    lasting = select(maintenance_windows).where(
        or_(columns.ends_at.is_(None), columns.ends_at > long_ago - LONGEST_SETTLE),
        or_(columns.deleted_at.is_(None), columns.deleted_at > long_ago),
    )
    shortened: dict[str, dict[datetime, datetime]] = {}
    early = select(maintenance_occurrences).where(
        maintenance_occurrences.c.ended_by.is_not(None),
        maintenance_occurrences.c.ends_at > long_ago,
    )
    for row in connection.execute(early):
        shortened.setdefault(row.window_id, {})[row.starts_at] = row.ends_at
    return [
        read_window(row, shortened.get(row["id"], {}))
        for row in connection.execute(lasting).mappings()
    ]


def load_silences(connection: Connection, now: datetime) -> list[Silence]:
    """Return every silence that has not expired."""
    lasting = select(silences).where(silences.c.expires_at > now, silences.c.ended_at.is_(None))
    return [
        Silence(
            id=row["id"],
            scope=_scope(row),
            reason=row["reason"],
            starts=row["created_at"],
            expires=row["expires_at"],
            rule=row["rule"],
            component=row["component"],
        )
        for row in connection.execute(lasting).mappings()
    ]


def read_window(row: RowMapping, shortened: dict[datetime, datetime]) -> Window:
    """Return the window that a row says."""
    repeat = None
    if row["repeats"]:
        lasts = timedelta(seconds=row["lasts_seconds"])
        # A zone may be gone with the next release of its database; judging must go on.
        zone = row["zone"] if is_zone(row["zone"]) else "UTC"
        repeat = parse_repeat(row["repeats"], row["local_time"], lasts, zone)
    return Window(
        id=row["id"],
        scope=_scope(row),
        reason=row["reason"],
        starts=row["starts_at"],
        ends=row["ends_at"],
        repeat=repeat,
        settle=timedelta(seconds=row["settle_seconds"]),
        shortened=shortened,
        deleted_at=row["deleted_at"],
    )


# -- for people ----------------------------------------------------------------------------------


def clients_named(connection: Connection, selector: str, allowed: Clients) -> Clients:
    """Return the ids of the clients a scope can be about, None for all.

    Narrowed by a ``client:`` term, so that the people of that client see it, and never more than
    `allowed`.
    """
    terms = [term for term in parse(selector).terms if term.key == "client"]
    if not terms:
        return allowed
    named = frozenset(
        row.id
        for row in connection.execute(select(clients.c.id, clients.c.name))
        if all(any(one.matches(row.name) for one in term.patterns) for term in terms)
    )
    return named if allowed is None else named & allowed


def add_window(connection: Connection, new: NewWindow, author: str, now: datetime) -> str:
    """Keep a window; return its id.  Raises Refused when there are too many."""
    _room(len(load_windows(connection, now)), "maintenance windows")
    window_id = uuid7(now)
    connection.execute(
        insert(maintenance_windows).values(
            id=window_id,
            clients=_listed(new.clients),
            selector=new.selector,
            group_name=new.group,
            reason=new.reason,
            author=author[:100],
            created_at=now,
            starts_at=new.starts,
            ends_at=new.ends,
            repeats=new.repeats,
            local_time=new.local_time,
            lasts_seconds=int(new.lasts.total_seconds()),
            zone=new.zone,
            settle_seconds=int(new.settle.total_seconds()),
        )
    )
    touch(connection)
    return window_id


def end_window(
    connection: Connection, window_id: str, actor: str, now: datetime, allowed: Clients
) -> None:
    """End what is under way of a window; it settles from now on.  Raises NotFound, Refused."""
    row = window_row(connection, window_id, allowed)
    window = read_window(row, shortened_of(connection, window_id))
    running = window.at(now)
    if running is None or running.end <= now:
        raise Refused("this window is not under way; what has not begun can be deleted")
    same = (maintenance_occurrences.c.window_id == window_id) & (
        maintenance_occurrences.c.starts_at == running.start
    )
    ended = update(maintenance_occurrences).where(same).values(ends_at=now, ended_by=actor[:100])
    if connection.execute(ended).rowcount == 0:
        values = {"starts_at": running.start, "ends_at": now, "ended_by": actor[:100]}
        new = insert(maintenance_occurrences).values(id=uuid7(now), window_id=window_id, **values)
        connection.execute(new)
    touch(connection)


def delete_window(
    connection: Connection, window_id: str, actor: str, now: datetime, allowed: Clients
) -> None:
    """Take back what has not begun of a window.  Raises NotFound, Refused."""
    row = window_row(connection, window_id, allowed)
    window = read_window(row, shortened_of(connection, window_id))
    if row["deleted_at"] is not None:
        raise Refused("this window was deleted already")
    if window.next(now) is None:
        raise Refused("nothing of this window is still to come; end it if it is under way")
    taken = update(maintenance_windows).where(maintenance_windows.c.id == window_id)
    connection.execute(taken.values(deleted_at=now, deleted_by=actor[:100]))
    touch(connection)


def add_silence(connection: Connection, new: NewSilence, author: str, now: datetime) -> str:
    """Keep a silence; return its id.  Raises Refused when there are too many."""
    _room(len(load_silences(connection, now)), "silences")
    silence_id = uuid7(now)
    connection.execute(
        insert(silences).values(
            id=silence_id,
            clients=_listed(new.clients),
            selector=new.selector,
            group_name=new.group,
            rule=new.rule,
            component=new.component,
            reason=new.reason,
            author=author[:100],
            created_at=now,
            expires_at=new.expires,
        )
    )
    touch(connection)
    return silence_id


def end_silence(
    connection: Connection, silence_id: str, actor: str, now: datetime, allowed: Clients
) -> None:
    """End a silence before it expires.  Raises NotFound, Refused."""
    query = select(silences).where(silences.c.id == silence_id)
    row = connection.execute(query).mappings().first()
    if row is None or not is_theirs(row["clients"], allowed):
        raise NotFound(silence_id)
    if row["ended_at"] is not None or row["expires_at"] <= now:
        raise Refused("this silence is over already")
    ended = update(silences).where(silences.c.id == silence_id)
    connection.execute(ended.values(ended_at=now, ended_by=actor[:100]))
    touch(connection)


def window_row(connection: Connection, window_id: str, allowed: Clients) -> RowMapping:
    """Return the row of a window.  Raises NotFound."""
    query = select(maintenance_windows).where(maintenance_windows.c.id == window_id)
    row = connection.execute(query).mappings().first()
    if row is None or not is_theirs(row["clients"], allowed):
        raise NotFound(window_id)
    return row


def shortened_of(connection: Connection, window_id: str) -> dict[datetime, datetime]:
    """Return when occurrences of a window were ended early, by when they began."""
    early = select(maintenance_occurrences).where(
        maintenance_occurrences.c.window_id == window_id,
        maintenance_occurrences.c.ended_by.is_not(None),
    )
    return {row.starts_at: row.ends_at for row in connection.execute(early)}


def is_theirs(covered: Iterable[str] | None, allowed: Clients) -> bool:
    """Say whether all clients a window or silence is about are this person's.

    One that is about others, too, is not shown to them: its text may name those.
    """
    return allowed is None or (covered is not None and allowed.issuperset(covered))


def touch(connection: Connection) -> None:
    """Tell whoever judges that something was changed; call it in that change."""
    number = edition(connection) + 1
    if number == 1:
        connection.execute(insert(about).values(name=_EDITION, value="1"))
    else:
        changed = update(about).where(about.c.name == _EDITION)
        connection.execute(changed.values(value=str(number)))


def _room(present: int, what: str) -> None:
    if present >= MOST:
        raise Refused(f"there are {present} {what} already; delete some that are not needed")


def _scope(row: RowMapping) -> Scope:
    covered = row["clients"]
    covered = None if covered is None else frozenset(covered)
    return Scope(covered, parse(row["selector"]), row["group_name"])


def _listed(covered: Clients) -> list[str] | None:
    return None if covered is None else sorted(covered)
