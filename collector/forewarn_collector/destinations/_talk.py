"""One conversation with a ticket system: ask, tell, and believe only what carries our key.

Stopped          the conversation ended; it holds the answer for the outbox
    Unreadable   an answer is no JSON
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import httpx
from pydantic import JsonValue

from forewarn_collector.destinations._answers import broken, trouble
from forewarn_collector.destinations._profile import Asking, Profile, Record, Request
from forewarn_collector.destinations._setting import Setting
from forewarn_collector.destinations._template import (
    NoSuchPlace,
    Word,
    fill,
    fill_path,
    fill_text,
    fill_texts,
    read,
    read_all,
)
from forewarn_collector.tickets import Refused, TryAgain

# What another system calls a ticket goes into addresses: nothing but such a word does.
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")


@dataclass(frozen=True, slots=True)
class Found:
    """A record of the other system that has shown our key."""

    reference: str
    closed: bool
    twin: tuple[str, ...]


class Stopped(Exception):
    """The conversation ended with this."""

    def __init__(self, delivery: TryAgain | Refused) -> None:
        super().__init__()
        self.delivery = delivery


class Unreadable(Stopped):
    """An answer is no JSON: another page, or longer than we read."""


class Talk:
    """One delivery's conversation with the other system."""

    def __init__(
        self,
        profile: Profile,
        config: Setting,
        http: httpx.Client,
        at: float,
        words: Mapping[str, Word],
    ) -> None:
        self.profile = profile
        self._config = config
        self._http = http
        self._at = at
        self._words = dict(words)

    def saying(self, more: Mapping[str, Word]) -> "Talk":
        """Return the same conversation with other words."""
        words = {**self._words, **more}
        return Talk(self.profile, self._config, self._http, self._at, words)

    def about(self, reference: str, kept: str = "") -> "Talk":
        """Return the same conversation about one ticket of the other system."""
        words = {
            **self._words,
            "reference": _number(reference),
            "kept_reference": _number(kept or reference),
        }
        return Talk(self.profile, self._config, self._http, self._at, words)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Log in if the system wants that, and out at the end."""
        auth = self.profile.auth
        if auth.enter is not None:
            self._words |= self.send(auth.enter, naming=False)[1]
        try:
            yield
        finally:
            if auth.leave is not None:
                with suppress(Stopped):  # what was told is told; a session ends by itself
                    self.send(auth.leave)

    def search(self) -> list[Found]:
        """Return the records that carry our key.  Raises Stopped."""
        asking = self.profile.find
        if asking is None:
            return []
        answer = self._look(asking)
        records = read_all(answer, asking.items) if answer is not None else []
        ours = [one for record in records if (one := self._verified(record)) is not None]
        if asking.exact and records and not ours:
            raise Stopped(
                Refused(
                    "the search answered with tickets that are not ours; nothing was touched: "
                    "see whether its user may read the field we search by"
                )
            )
        return ours

    def fetch(self, reference: str) -> Found | None:
        """Return the record of that name, None if there is none.

        Raises Stopped when it is not ours: a number was given anew, or our mark was removed.
        """
        if not reference or self.profile.fetch is None:
            return None
        if not _REFERENCE.fullmatch(reference):
            raise Stopped(Refused(f"{reference[:100]!r} is no name of a ticket"))
        asking = self.profile.fetch
        answer = self.about(reference)._look(asking)
        records = [] if answer is None else read_all(answer, asking.items)
        if not records:
            return None
        found = self._verified(records[0])
        if found is None or found.reference != reference:
            raise Stopped(
                Refused(f"{reference} does not carry our key any more; it was left as it is")
            )
        return found

    def records(self, asking: Asking) -> list[JsonValue]:
        """Return what a question is answered, whosever it is.  Raises Stopped."""
        answer = self._look(asking)
        return [] if answer is None else read_all(answer, asking.items)

    def verified(self, record: JsonValue) -> Found | None:
        """Return a record if it carries our key, else None."""
        return self._verified(record)

    def create(self) -> str:
        """Create the ticket; return its name there.  Raises Stopped."""
        answer, _ = self.send(self.profile.create)
        try:
            reference = str(read(answer, self.profile.reference))
        except NoSuchPlace:
            reference = ""
        if not _REFERENCE.fullmatch(reference):
            raise Stopped(TryAgain("it took the ticket and gave it no name", self._lag))
        return reference

    def has_heard(self) -> bool:
        """Say whether this very message is among the comments already."""
        asking = self.profile.heard
        if asking is None:
            return False
        try:
            answer = self._look(asking)
        except Unreadable:
            return False  # more was said than we read: better twice than never
        except Stopped as stopped:
            if isinstance(stopped.delivery, TryAgain):
                raise
            return False
        mark = str(self._words["mark"])
        return any(mark in text for text in read_all(answer, asking.items) if isinstance(text, str))

    def do(self, steps: tuple[Request, ...]) -> None:
        """Send requests one after the other, each with what the ones before it found."""
        kept: dict[str, Word] = {}
        for step in steps:
            kept |= self.send(step, kept)[1]

    def send(
        self, request: Request, more: Mapping[str, Word] | None = None, *, naming: bool = True
    ) -> tuple[JsonValue, dict[str, Word]]:
        """Send one request; return its answer and the words to keep of it.  Raises Stopped."""
        answer = self._post(request, {**self._words, **(more or {})}, naming=naming)
        failure = trouble(answer, self._at)
        if isinstance(failure, TryAgain) and failure.after_seconds is None and self._lag:
            failure = replace(failure, after_seconds=self._lag)
        if failure is not None:
            raise Stopped(_blamed(failure, request))
        told = _json(answer)
        paths = fill_texts(request.keep, self._words)
        return told, {name: self._kept(told, path) for name, path in paths.items()}

    @property
    def _lag(self) -> float | None:
        """After an unknown outcome a search finds nothing before this has passed."""
        return self.profile.lag_seconds or None

    def _look(self, asking: Asking) -> JsonValue:
        """Return what a question is answered, None when there is nothing.  Raises Stopped."""
        answer = self._post(asking, self._words)
        if answer.status_code == 404 and "reference" in asking.words():
            return None
        failure = trouble(answer, self._at)
        if failure is not None:
            raise Stopped(_blamed(failure, asking))
        told = _json(answer)
        if told is None and answer.status_code != 204:
            raise Unreadable(TryAgain("the answer to a search is no JSON; is url right?"))
        return told

    def _post(
        self, request: Request, words: Mapping[str, Word], *, naming: bool = True
    ) -> httpx.Response:
        auth = self.profile.auth
        headers = {**request.headers, **(auth.headers if naming else {})}
        body = None if request.body is None else fill(request.body, words)
        user = fill_text(auth.user, words), fill_text(auth.password, words)
        # The client may carry what another delivery left behind.
        self._http.cookies.clear()
        try:
            return self._http.request(
                request.method,
                self._config.url.get_secret_value().rstrip("/") + fill_path(request.path, words),
                params=fill_texts(request.query, words) or None,
                headers=fill_texts(headers, words),
                auth=user if user[0] else None,
                json=body,
                data=fill_texts(request.form, words) or None,
            )
        except httpx.TransportError as failure:
            stop = broken(failure)
            if isinstance(stop, TryAgain):
                stop = replace(stop, after_seconds=self._lag)
            raise Stopped(_blamed(stop, request)) from None

    def _kept(self, answer: JsonValue, path: str) -> Word:
        try:
            value = read(answer, path)
        except NoSuchPlace:
            raise Stopped(Refused(f"its answer holds no {path}")) from None
        if isinstance(value, dict | list):
            raise Stopped(Refused(f"its answer holds no single value at {path}"))
        return value

    def _verified(self, record: JsonValue) -> Found | None:
        """Return a record if it carries our key, else None."""
        how = self.profile.record
        assert how is not None
        key = fill_text(how.key, self._words)
        carried = read_all(record, how.carries)
        ours = any(_carries(one, key, whole=how.whole) for one in carried)
        try:
            reference = str(read(record, how.reference))
        except NoSuchPlace:
            return None
        if not ours or not _REFERENCE.fullmatch(reference):
            return None
        return Found(reference, self._is_closed(record, how), _twin(record, how))

    def _is_closed(self, record: JsonValue, how: Record) -> bool:
        closed = {fill_text(state, self._words).lower() for state in how.closed}
        return any(str(state).lower() in closed for state in read_all(record, how.state))


def _blamed(failure: TryAgain | Refused, request: Request) -> TryAgain | Refused:
    """Return an answer that also says which request it was; the path as written, no values."""
    return replace(failure, reason=f"{failure.reason} at {request.method} {request.path}")


def _number(reference: str) -> str | int:
    """Return a name as the number it is where it is one: some systems take no text there."""
    return int(reference) if reference.isdigit() and not reference.startswith("0") else reference


def _carries(value: JsonValue, key: str, *, whole: bool) -> bool:
    if isinstance(value, list):
        return key in value
    return isinstance(value, str) and (value == key if whole else key in value)


def _twin(record: JsonValue, how: Record) -> tuple[str, ...]:
    return tuple(str(value) for path in how.twin for value in read_all(record, path))


def _json(answer: httpx.Response) -> JsonValue:
    try:
        told: JsonValue = answer.json()
    except ValueError:
        return None
    return told
