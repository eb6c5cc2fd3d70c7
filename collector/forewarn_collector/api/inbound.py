"""Signed calls of other tools: what they report becomes a ticket like any other.

What a tool answers about a ticket it was told of is done to that ticket, as when we had asked it.

The signature is that of the Standard Webhooks specification, checked over the exact bytes.  Nobody
learns from an answer which names there are, nor whether name, time or signature was wrong.
"""

import hmac
import json
import re
from datetime import datetime, timedelta
from typing import Annotated, Self

from anyio.to_thread import run_sync
from fastapi import Path, Request
from pydantic import Field, ValidationError, model_validator

from forewarn_collector.api.guard import Around, Collector, Problem
from forewarn_collector.api.texts import Body, Name, Note, Thing
from forewarn_collector.api.work import Grade
from forewarn_collector.destinations.webhook import sign
from forewarn_collector.state import answers, by_hand
from forewarn_collector.state.by_hand import Call
from forewarn_collector.state.tickets import NotFound
from forewarn_collector.ticket_config import InboundTable, Priority
from forewarn_collector.tickets import Progress

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
    component: Thing = ""
    impact: Grade | None = None
    urgency: Grade | None = None
    priority: Priority | None = None


class Answer(Body):
    """What became of a ticket over there, by our key or by its own name for it."""

    key: Annotated[str, Field(max_length=64)] = ""
    reference: Annotated[str, Field(max_length=300)] = ""
    progress: Progress | None = None
    assignee: Name | None = None
    text: Note | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if bool(self.key) == bool(self.reference):
            raise ValueError("name the ticket by key or by reference, not both and not neither")
        return self


class Answering(Body):
    """A call that answers."""

    answer: Answer


class Taken(Body):
    """The ticket that a call opened or answered, or had before."""

    number: int


async def receive(
    name: Annotated[str, Path(max_length=100)], request: Request, around: Around
) -> Taken:
    """Open a ticket for a signed call, or take over an ``answer`` about one.

    The same webhook-id again changes nothing and answers with the same ticket.
    """
    body = await request.body()
    collector = around.collector
    entry = collector.inbound.get(name)
    now = collector.now()
    if entry is None or not _is_signed(request, entry, body, now):
        raise Problem(401, _REFUSED)
    message_id = request.headers["webhook-id"]
    try:
        if _is_answer(body):
            answer = Answering.model_validate_json(body).answer
            return await run_sync(_take, collector, name, entry, answer, message_id)
        called = Called.model_validate_json(body)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_input=False)[0]
        where = " ".join(str(part) for part in first["loc"])
        raise Problem(422, f"body {where}: {first['msg']}") from None
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


def _is_answer(body: bytes) -> bool:
    try:
        told = json.loads(body)
    except ValueError:
        return False  # the other model says what is wrong with it
    return isinstance(told, dict) and "answer" in told


def _take(
    collector: Collector, name: str, entry: InboundTable, answer: Answer, message_id: str
) -> Taken:
    if not entry.destination:
        raise Problem(409, f"[inbound.{name}] names no destination; write whose answers these are")
    now = collector.now()
    with collector.database.write() as connection:
        known = by_hand.heard(connection, name, message_id)
        if known is not None:
            return Taken(number=known)
        try:
            place = by_hand.find_place(connection, entry.client, entry.site, allowed=None)
            meant = answers.find(
                connection,
                entry.destination,
                place.client_id,
                key=answer.key,
                reference=answer.reference,
            )
        except NotFound as unknown:
            raise Problem(409, f"[inbound.{name}]: {unknown}") from None
        said = answers.Said(
            ticket=meant,
            progress=answer.progress,
            assignee=answer.assignee or "",
            text=answer.text or "",
        )
        answers.hear(connection, entry.destination, said, now=now, telling=collector.telling)
        by_hand.remember(connection, name, message_id, meant.id, now)
    return Taken(number=meant.number)


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
