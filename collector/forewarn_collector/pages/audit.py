"""The audit log: who did what, whether the chain holds, and a table to take away."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query, Request, Response

from forewarn_checks.base.checkpoint import Checkpoint
from forewarn_collector.api.guard import Asker, Collector, Here
from forewarn_collector.api.paths import Cursor
from forewarn_collector.api.principal import Principal
from forewarn_collector.clock import rfc3339
from forewarn_collector.pages.spreadsheet import to_csv
from forewarn_collector.pages.view import clock, link, render
from forewarn_collector.queries.audit import Act, Filter, list_actions, list_acts
from forewarn_collector.state import audit
from forewarn_collector.state.audit import Verified
from forewarn_collector.witnessing import verify_key

ACTS = 100
MOST_EXPORTED = 20_000
COLUMNS = ("row", "at", "actor", "action", "subject", "data")

Word = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True, slots=True)
class Shown:
    """A row of the log as the page prints it."""

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    page: str
    told: str


def get_audit(
    request: Request,
    asker: Asker,
    collector: Here,
    actor: Word = "",
    action: Word = "",
    subject: Word = "",
    since: Word = "",
    until: Word = "",
    verify: Annotated[str, Query(pattern="^(yes)?$")] = "",
    cursor: Cursor = None,
) -> Response:
    """Show what was done, the newest first."""
    query = _query(actor, action, subject, since, until)
    wanted, trouble = _wanted(actor, action, subject, since, until)
    with collector.database.read() as connection:
        page = list_acts(connection, asker, wanted, limit=ACTS, cursor=cursor)
        actions = list_actions(connection, asker)
    known = {one.subject: collector.hosts.get(one.subject) for one in page.acts}
    newest, verified = _chain(asker, collector, asked=bool(verify))
    return render(
        request,
        "audit.html",
        asker=asker,
        status=422 if trouble else 200,
        clock=clock("UTC", collector.now()),
        acts=[_shown(one) for one in page.acts],
        names={
            subject: host.name
            for subject, host in known.items()
            if host and host.name and asker.may_see(host.client_id)
        },
        actions=actions,
        query=query,
        is_narrowed=any(query.values()),
        trouble=trouble,
        newest=newest,
        verified=verified,
        may_verify=asker.clients is None,
        verify_page=link("/audit", query, verify="yes"),
        csv_page=link("/audit.csv", query),
        cursor=cursor,
        next_page=link("/audit", query, cursor=page.next) if page.next else "",
    )


def get_csv(
    asker: Asker,
    collector: Here,
    actor: Word = "",
    action: Word = "",
    subject: Word = "",
    since: Word = "",
    until: Word = "",
) -> Response:
    """Return what was done as CSV, the newest first; nothing in it is a formula."""
    wanted, _ = _wanted(actor, action, subject, since, until)
    with collector.database.read() as connection:
        page = list_acts(connection, asker, wanted, limit=MOST_EXPORTED)
    rows = (
        (str(one.number), rfc3339(one.at), one.actor, one.action, one.subject, _told(one))
        for one in page.acts
    )
    return Response(
        to_csv(COLUMNS, rows),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="forewarn-audit.csv"'},
    )


# -- parts ---------------------------------------------------------------------------------------


def _chain(
    asker: Principal, collector: Collector, *, asked: bool
) -> tuple[Checkpoint | None, Verified | None]:
    """Return the newest row, and how the chain stands when that was asked for.

    Only for who is there for every client: the chain is of all of them together.
    """
    if asker.clients is not None:
        return None, None
    with collector.database.read() as connection:
        newest = audit.checkpoint(connection)
        verified = audit.verify(connection, verify_key(collector.directory)) if asked else None
    return newest, verified


def _shown(act: Act) -> Shown:
    return Shown(act.number, act.at, act.actor, act.action, act.subject, act.page, _told(act))


def _told(act: Act) -> str:
    return json.dumps(dict(act.data), sort_keys=True, ensure_ascii=False) if act.data else ""


def _query(actor: str, action: str, subject: str, since: str, until: str) -> dict[str, str | None]:
    return {
        "actor": actor,
        "action": action,
        "subject": subject,
        "since": since,
        "until": until,
    }


def _wanted(actor: str, action: str, subject: str, since: str, until: str) -> tuple[Filter, str]:
    """Return what is looked for, and what of it could not be read."""
    try:
        begin, end = _moment(since), _moment(until)
    except ValueError:
        return Filter(actor, action, subject), "A moment is written 2026-11-21T08:00."
    return Filter(actor.strip(), action.strip(), subject.strip(), begin, end), ""


def _moment(text: str) -> datetime | None:
    """Return a moment, in UTC where it does not say.  Raises ValueError."""
    if not text.strip():
        return None
    at = datetime.fromisoformat(text.strip()[:40])
    if not 1971 <= at.year < 2199:
        raise ValueError(text)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
