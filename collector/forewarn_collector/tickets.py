"""What a destination is told, and what it can answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Generic, TypeVar

import httpx
from pydantic import BaseModel


class Kind(StrEnum):
    """What happened to a ticket, as destinations are told."""

    OPENED = "ticket.opened"
    UPDATED = "ticket.updated"
    CLOSED = "ticket.closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing to tell one destination: the body of DESIGN, under 20 kB, as it will be sent.

    `id` stays the same on every attempt; `ticket_key` from open to close.  `reference` is what
    the other system answered when the ticket was opened there, or "".
    """

    id: str
    kind: Kind
    ticket_key: str
    body: bytes
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The other side has it.  `reference` is its own name for the ticket, if it gave one."""

    reference: str = ""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It may work later: not before `after_seconds`, if the other side said so."""

    reason: str
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Trying again would not help; a person must look.  `gone`: the address wants no more."""

    reason: str
    gone: bool = False


Delivery = Delivered | TryAgain | Refused


class Progress(StrEnum):
    """How far another system says the work on a ticket is."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"  # somebody is at it
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A ticket that another system has: our key and its own name for it."""

    ticket_key: str
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a ticket stands in another system.  `assignee` is "" where it is nobody's."""

    ticket_key: str
    progress: Progress
    assignee: str = ""


Looked = tuple[Standing, ...] | TryAgain | Refused
"""How tickets stand there, those that could be read; or why none could."""

C = TypeVar("C", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Destination(Generic[C]):
    """A kind of place tickets go: one module of `destinations`, one DESTINATION.

    `deliver` posts once and never raises for what the network or the other side does.  The
    headers of the attempt may depend on the moment, hence unix seconds as the last argument.
    `resend_every` is for systems that forget: how often what is open is told again.  `look` asks
    how tickets stand there, `at_once` of them in a request, None for places that cannot be asked;
    it never raises either.
    """

    kind: str
    config: type[C]
    deliver: Callable[[C, Message, httpx.Client, float], Delivery]
    describe: Callable[[C], Mapping[str, str]]  # what may be shown of a config: no secrets
    resend_every: timedelta | None = None
    look: Callable[[C, Sequence[Known], httpx.Client, float], Looked] | None = None
    at_once: int = 1
