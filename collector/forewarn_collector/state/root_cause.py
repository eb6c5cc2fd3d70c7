"""Notice that the same is mended again and again, and ask why.  All SQL of it is in here.

Two closes are of the same fix when the same rule had raised on the same component (of a site's
ticket: at the same site), or when people wrote the same words, two at least, about the same rule of
the same client.  The third such ticket within 60 days opens one about the root cause.  Once that
one was opened, counting begins anew.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, func, insert, select

from forewarn_collector.state import opening as openings
from forewarn_collector.state import outbox
from forewarn_collector.state.history import ACTOR, Row
from forewarn_collector.state.hosts import Place, find_host
from forewarn_collector.state.links import LinkKind, link
from forewarn_collector.state.opening import NewTicket
from forewarn_collector.state.outbox import Telling
from forewarn_collector.state.tables import episodes, fixes, ticket_events, tickets
from forewarn_collector.state.ticket_text import named
from forewarn_collector.state.tickets import ENDED_STATES
from forewarn_collector.ticket_body import Shape

WITHIN = timedelta(days=60)
THIRD = 3
_WORDS = 2
"""One word, such as "done", says nothing of what was done."""
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class _Fix:
    """What a close was a fix of; `words` are people's, "" when only the rule is the same."""

    sameness: str
    rule: str
    words: str


def consider(connection: Connection, rows: Sequence[Row], now: datetime, telling: Telling) -> None:
    """Remember what tickets that were just closed mended, and open a root cause for each third."""
    mended = [row for row in rows if row["kind"] not in (Shape.OVERFLOW, Shape.ROOT_CAUSE)]
    rules = _rules(connection, [row["id"] for row in mended])
    found: dict[str, _Fix] = {}
    values = []
    for row in mended:
        for fix in _fixes(connection, row, sorted(rules[row["id"]])):
            found[fix.sameness] = fix
            value = {"ticket_id": row["id"], "client_id": row["client_id"], "at": now}
            values.append({**value, "sameness": fix.sameness})
    if values:
        connection.execute(insert(fixes), values)
    for sameness in _often(connection, list(found), now):
        _count(connection, found[sameness], now, telling)


def _rules(connection: Connection, ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the rules that raised each ticket."""
    found: dict[str, list[str]] = {ticket_id: [] for ticket_id in ids}
    for begin in range(0, len(ids), _AT_ONCE):
        some = episodes.c.ticket_id.in_(ids[begin : begin + _AT_ONCE])
        query = select(episodes.c.ticket_id, episodes.c.rule).where(some).distinct()
        for ticket_id, rule in connection.execute(query):
            found[ticket_id].append(rule)
    return found


def _often(connection: Connection, sameness: Sequence[str], now: datetime) -> list[str]:
    """Return what was mended so often of late that it may be worth a root cause."""
    found: set[str] = set()
    for begin in range(0, len(sameness), _AT_ONCE):
        some = fixes.c.sameness.in_(sameness[begin : begin + _AT_ONCE])
        query = select(fixes.c.sameness).where(some, fixes.c.at > now - WITHIN)
        often = func.count(fixes.c.ticket_id.distinct()) >= THIRD
        found |= set(connection.execute(query.group_by(fixes.c.sameness).having(often)).scalars())
    return [one for one in sameness if one in found]


def _fixes(connection: Connection, row: Row, rules: Sequence[str]) -> list[_Fix]:
    found = [_Fix(_hash("rule", row["subject"], rule), rule, "") for rule in rules]
    words = _words(connection, row) if row["first_response_at"] is not None else ""
    if len(words.split()) >= _WORDS:
        rule = rules[0] if rules else ""
        same = _hash("words", row["client_id"], rule, " ".join(words.casefold().split()))
        found.append(_Fix(same, rule, words))
    return found


def _words(connection: Connection, row: Row) -> str:
    """Return what was written when a ticket was last resolved, "" when nothing was."""
    query = select(ticket_events.c.data).where(
        ticket_events.c.ticket_id == row["id"], ticket_events.c.kind == "resolved"
    )
    data = connection.execute(query.order_by(ticket_events.c.id.desc()).limit(1)).scalar()
    return "" if data is None else str(data.get("text") or "")


def _count(connection: Connection, fix: _Fix, now: datetime, telling: Telling) -> None:
    subject = _hash("root cause", fix.sameness)[:40]
    query = select(tickets).where(tickets.c.subject == subject).order_by(tickets.c.number.desc())
    last = connection.execute(query.limit(1)).mappings().first()
    if last is not None and last["state"] not in ENDED_STATES:
        return
    since = now - WITHIN if last is None else max(now - WITHIN, last["opened_at"])
    same = (fixes.c.sameness == fix.sameness) & (fixes.c.at > since)
    newest = select(fixes.c.ticket_id, func.max(fixes.c.id).label("newest")).where(same)
    ids = [one.ticket_id for one in connection.execute(newest.group_by(fixes.c.ticket_id))]
    if len(ids) >= THIRD:
        mended = named().where(tickets.c.id.in_(ids)).order_by(tickets.c.number)
        _open(
            connection,
            fix,
            subject,
            last,
            connection.execute(mended).mappings().all(),
            now,
            telling,
        )


def _open(
    connection: Connection,
    fix: _Fix,
    subject: str,
    last: RowMapping | None,
    mended: Sequence[RowMapping],
    now: datetime,
    telling: Telling,
) -> None:
    """Open the ticket about why these came back, and link them to it."""
    newest, count = mended[-1], len(mended)
    hosts = {one["host_id"] for one in mended}
    host = (
        find_host(connection, newest["host_id"]) if len(hosts) == 1 and newest["host_id"] else None
    )
    parts = {one["component"] for one in mended}
    where = newest["component"] if len(parts) == 1 else ""
    numbers = [one["number"] for one in mended]
    new = NewTicket(
        subject=subject,
        ordinal=1 if last is None else int(last["key"].rpartition("#")[2]) + 1,
        place=Place(newest["client_id"], newest["client"], newest["site_id"], newest["site"]),
        host=host,
        component=where,
        title=_title(fix, newest, count),
        description=_description(fix, mended),
        severity="warning",
        impact=min(one["impact"] for one in mended),
        urgency=3,
        # Nothing measures it: it is over when somebody says so.
        condition="reported",
        rule=fix.rule,
        data={"rule": fix.rule, "tickets": numbers, "words": fix.words[:500]},
        kind=str(Shape.ROOT_CAUSE),
    )
    row = openings.open_ticket(connection, new, actor=ACTOR, now=now, telling=telling)
    for one in mended:
        link(connection, one["id"], row["id"], LinkKind.ROOT_CAUSE, now)
    told = openings.body(connection, row, new, (), now=now, telling=telling)
    outbox.tell_new(connection, row["id"], row["client_id"], told, now=now, telling=telling)


def _title(fix: _Fix, newest: RowMapping, count: int) -> str:
    if fix.words:
        what = f"the same fix{f' of {fix.rule}' if fix.rule else ''}"
        return f"Find the root cause: {what} {count} times in {WITHIN.days} days"
    place = newest["host"] or newest["site"]
    return f"Find the root cause: {fix.rule} on {place} {count} times in {WITHIN.days} days"


def _description(fix: _Fix, mended: Sequence[RowMapping]) -> str:
    lines = [
        f"#{one['number']} {one['title']}, closed {one['closed_at']:%Y-%m-%d}" for one in mended
    ]
    said = f'Each time: "{fix.words[:500]}"\n' if fix.words else ""
    return f"{said}It was mended before:\n" + "\n".join(lines[:50])


def _hash(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
