"""Signed calls of other tools: what they report becomes a ticket like any other.

The signature is that of the Standard Webhooks specification, checked over the exact bytes.  Nobody
learns from an answer which names there are, nor whether name, time or signature was wrong.
"""

import hmac
import re
from datetime import datetime, timedelta
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import Path, Request
from pydantic import Field, ValidationError

from forewarn_collector.api.guard import Around, Collector, Problem
from forewarn_collector.api.texts import Body, Name, Note
from forewarn_collector.api.work import Grade
from forewarn_collector.destinations.webhook import sign
from forewarn_collector.state import by_hand
from forewarn_collector.state.by_hand import Call
from forewarn_collector.state.tickets import NotFound
from forewarn_collector.ticket_config import InboundTable, Priority

TOLERANCE = timedelta(minutes=5)
"""How far from now a call may say it was made; an older one may be a recording."""

_REFUSED = (
    "not taken: the name, the time or the signature is wrong; sign the exact body by the Standard "
    "Webhooks specification, within five minutes, with the secret of [inbound.NAME]"
)


class Called(Body):
    """What another tool reports."""

    title: Name
    text: Note | None = None
    component: Annotated[str, Field(max_length=400)] = ""
    impact: Grade | None = None
    urgency: Grade | None = None
    priority: Priority | None = None


class Taken(Body):
    """The ticket that a call opened, or had opened before."""

    number: int


async def receive(
    name: Annotated[str, Path(max_length=100)], request: Request, around: Around
) -> Taken:
    """Open a ticket for a signed call; the same webhook-id again answers with the same ticket."""
    body = await request.body()
    collector = around.collector
    entry = collector.inbound.get(name)
    now = collector.now()
    if entry is None or not _is_signed(request, entry, body, now):
        raise Problem(401, _REFUSED)
    try:
        called = Called.model_validate_json(body)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_input=False)[0]
        where = " ".join(str(part) for part in first["loc"])
        raise Problem(422, f"body {where}: {first['msg']}") from None
    message_id = request.headers["webhook-id"]
    return await run_sync(_open, collector, name, entry, called, message_id)


def _open(
    collector: Collector, name: str, entry: InboundTable, called: Called, message_id: str
) -> Taken:
    now = collector.now()
    with collector.database.write() as connection:
        try:
            place = by_hand.find_place(connection, entry.client, entry.site, allowed=None)
        except NotFound as unknown:
            raise Problem(409, f"[inbound.{name}]: {unknown}") from None
        call = Call(
            title=called.title,
            text=called.text or "",
            place=place,
            component=called.component,
            impact=called.impact or entry.impact,
            urgency=called.urgency or entry.urgency,
            priority=called.priority,
        )
        number = by_hand.receive(
            connection,
            call,
            name=name,
            message_id=message_id,
            now=now,
            telling=collector.telling,
        )
    return Taken(number=number)


def _is_signed(request: Request, entry: InboundTable, body: bytes, now: datetime) -> bool:
    message_id = request.headers.get("webhook-id", "")
    stated = request.headers.get("webhook-timestamp", "")
    offered = request.headers.get("webhook-signature", "").split()[:20]
    if not re.fullmatch(r"[\x21-\x7e]{1,200}", message_id) or not re.fullmatch(r"\d{1,12}", stated):
        return False
    if abs(now.timestamp() - int(stated)) > TOLERANCE.total_seconds():
        return False
    expected = sign(entry.secret, message_id, int(stated), body).split()
    fits = [
        hmac.compare_digest(one.encode("utf-8", "replace"), right.encode())
        for one in offered
        for right in expected
    ]
    return any(fits)
