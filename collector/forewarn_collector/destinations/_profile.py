"""What a profile says: how one ticket system is asked, told and read.  A file, no code.

BadProfile     a profile names a word nobody knows, or asks for what would not be safe
"""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from forewarn_collector.destinations._template import words_in
from forewarn_collector.tickets import Progress

Scalar = str | int | bool

TICKET_WORDS = frozenset(
    {
        *(
            "key",
            "tag",
            "mark",
            "message_id",
            "number",
            "title",
            "subject",
            "text",
            "html",
            "note",
            "note_html",
        ),
        *("priority", "severity", "state", "client", "site", "host", "component", "rules", "url"),
        *("opened_at", "closed_at", "now", "until"),
    }
)
"""What can be said of a ticket.  `tag` is the short form of its key: ``fw-`` and 16 digits."""

# Of what others write nothing may reach a query: a name with a quote in it would change it.
_ASKING = frozenset({"tag", "reference", "now"})


class BadProfile(ValueError):
    """A profile is not sound; the text says where."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Request(_Part):
    """One request.  `keep` names words that are read out of its answer for those after it."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str = Field(pattern=r"^/")
    query: Mapping[str, str] = Field(default_factory=dict)
    headers: Mapping[str, str] = Field(default_factory=dict)
    form: Mapping[str, str] = Field(default_factory=dict)
    body: JsonValue = None
    keep: Mapping[str, str] = Field(default_factory=dict)

    def words(self) -> set[str]:
        """Return the words it needs."""
        named = (*self.query.values(), *self.headers.values(), *self.form.values())
        return {word for one in (self.path, self.body, *named) for word in words_in(one)}


class Asking(Request):
    """A request whose answer is read: `items` is where its records or texts are.

    `exact`: the system finds by equality, so a record that is not ours means it misread us.
    """

    items: str = ""
    exact: bool = False


class Record(_Part):
    """How a ticket of the other system is read; every field is a path.

    `carries` is where our key is, a text or a list; `key` what must be there.  `state` is one of
    `closed` when it is done.  Two records that agree in all of `twin` were made by one request.
    """

    reference: str
    carries: str
    key: str = "{tag}"
    whole: bool = False
    state: str
    closed: tuple[str, ...]
    twin: tuple[str, ...] = ()


class Answers(_Part):
    """What a ticket of the other system says of the work on it; every path is of its record.

    `states` says what its states mean, by their lower-case names; any other state is open, unless
    `Record.closed` has it.  `nobody` are texts at `assignee` that name no one.  `many` asks about
    several tickets in one request, else each is fetched: its ``{references}`` is `each` for every
    ticket, with `between` between them.
    """

    state: str = ""  # as in the record, unless it is elsewhere
    states: Mapping[str, Progress] = Field(default_factory=dict)
    assignee: str = ""
    nobody: tuple[str, ...] = ()
    many: Asking | None = None
    each: str = "{reference}"
    between: str = ","
    at_once: int = Field(default=25, ge=1, le=100)


class Auth(_Part):
    """How we say who we are: basic, headers, and what is fetched before and given back after."""

    user: str = ""
    password: str = ""
    headers: Mapping[str, str] = Field(default_factory=dict)
    enter: Request | None = None
    leave: Request | None = None


class Option(_Part):
    """A key of the destination's table in collector.toml, of the type of its default or example.

    Without a default it must be there, if it is not optional.  A `secret` stands in a file.
    """

    help: str
    default: Scalar | None = None
    optional: bool = False
    secret: bool = False
    example: Scalar = ""


class Map(_Part):
    """What the other system calls our priorities or severities; the administrator may change it.

    Without values nothing would be right everywhere, and the administrator must give all.
    """

    of: Literal["priority", "severity"]
    values: Mapping[str, int | str] = Field(default_factory=dict)


class Resend(_Part):
    """For systems that forget: how often what fires is told again, and how long it then holds."""

    every_seconds: int
    holds_seconds: int


class Profile(_Part):
    """One kind of ticket system.

    `proven` names the real system it was run against, "" for none yet.  A profile that `puts`
    tells the same thing under the same key again and again; others find before they create.
    """

    kind: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    name: str
    proven: str = ""
    help: str
    puts: bool = False
    lag_seconds: float = 0.0  # how long until what was created is found
    options: Mapping[str, Option] = Field(default_factory=dict)
    maps: Mapping[str, Map] = Field(default_factory=dict)
    limits: Mapping[Literal["title", "subject", "text", "note"], int] = Field(default_factory=dict)
    auth: Auth = Field(default_factory=Auth)
    find: Asking | None = None
    fetch: Asking | None = None
    heard: Asking | None = None
    record: Record | None = None
    create: Request
    reference: str = ""  # where the answer to create names the new ticket
    comment: tuple[Request, ...] = ()
    close: tuple[Request, ...]
    reopen: tuple[Request, ...] = ()
    withdraw: tuple[Request, ...] = ()
    answers: Answers | None = None
    resend: Resend | None = None

    @property
    def resend_every(self) -> timedelta | None:
        """How often what fires is told again, None for a system that remembers."""
        return None if self.resend is None else timedelta(seconds=self.resend.every_seconds)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        own = {*self.options, *self.maps}
        if own & {*TICKET_WORDS, "reference", "kept_reference", "maps"}:
            raise BadProfile(f"{self.kind}: an option or map hides a word of tickets")
        if not self.puts and not (self.find and self.fetch and self.record and self.reopen):
            raise BadProfile(f"{self.kind}: needs find, fetch, record and reopen, or puts = true")
        if self.answers and not (self.fetch and self.record):
            raise BadProfile(f"{self.kind}: answers need fetch and record")
        for where, request, kept in self._requests():
            known = own | kept | {"reference"} | TICKET_WORDS
            if where in ("find", "fetch", "heard"):
                known = (own - set(self.maps)) | kept | _ASKING | ({"key"} if self.puts else set())
            if where == "answers":
                known = (own - set(self.maps)) | kept | {"references"}
            for word in sorted(request.words() - known):
                raise BadProfile(f"{self.kind}: {where} may not use {{{word}}}")
        return self

    def _requests(self) -> Iterator[tuple[str, Request, set[str]]]:
        """Return every request with the words that earlier ones keep for it."""
        session = set(self.auth.enter.keep) if self.auth.enter else set()
        many = self.answers.many if self.answers else None
        asked = (self.find, self.fetch, self.heard, many)
        single = (self.auth.enter, *asked, self.create, self.auth.leave)
        names = ("enter", "find", "fetch", "heard", "answers", "create", "leave")
        for name, one in zip(names, single, strict=True):
            if one is not None:
                yield name, one, session
        for name, steps in (
            ("comment", self.comment),
            ("close", self.close),
            ("reopen", self.reopen),
            ("withdraw", self.withdraw),
        ):
            kept = session | {"kept_reference"}
            for step in steps:
                yield name, step, kept
                kept = kept | set(step.keep)
                kept_paths = {word for path in step.keep.values() for word in words_in(path)}
                if kept_paths - {*self.options}:
                    raise BadProfile(f"{self.kind}: a path may only use options")


def read_profile(text: str) -> Profile:
    """Return the profile a TOML text says.  Raises ValueError."""
    return Profile.model_validate(tomllib.loads(text))
