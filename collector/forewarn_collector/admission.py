"""Let new hosts in: make an enrolment token and the lines that install a host with it.

CannotLetIn     what was wished cannot be had; the text says what to write instead
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import JsonValue

from forewarn_checks.base.durations import parse_duration, write_duration
from forewarn_collector import packages
from forewarn_collector.instance import enrolment_string, read_pepper
from forewarn_collector.selector import HOST_CLASSES
from forewarn_collector.state import audit
from forewarn_collector.state.database import Database
from forewarn_collector.state.hosts import place
from forewarn_collector.tokens import TTL, keep_token, new_token, token_hash

LONGEST_TTL = timedelta(days=30)
MOST_USES = 100_000
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_TAG = re.compile(r"[\w.-]{1,60}")
_MOST_TAGS = 20


class CannotLetIn(Exception):
    """What was wished cannot be had; `field` names the word of it that is wrong."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which hosts a token is for, how many, and how long it is good."""

    client: str = "default"
    site: str = "main"
    host_class: str = "server"
    tags: tuple[str, ...] = ()
    max_uses: int = 1
    ttl: timedelta = TTL


@dataclass(frozen=True, slots=True)
class Line:
    """A command that installs and enrols a host of one system."""

    system: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What lets hosts in; shown once, kept nowhere.  No lines where no packages are offered."""

    id: str
    string: str
    lines: tuple[Line, ...]
    expires_at: datetime


def read_ttl(text: str) -> timedelta:
    """Return how long a token is to be good.  Raises CannotLetIn."""
    try:
        lasts = parse_duration(text)
    except ValueError as wrong:
        raise CannotLetIn("ttl", str(wrong)) from None
    if not timedelta(0) < lasts <= LONGEST_TTL:
        most = write_duration(LONGEST_TTL)
        raise CannotLetIn("ttl", f"is more than nothing, at most {most}")
    return lasts


def is_name(name: str) -> bool:
    """Say whether clients, sites and people can be called so."""
    return _NAME.fullmatch(name) is not None and name == name.strip()


def check(wish: Wish) -> None:
    """Raise CannotLetIn for a name, class, tag or number that is none."""
    for what, name in (("client", wish.client), ("site", wish.site)):
        if not is_name(name):
            raise CannotLetIn(what, "takes 1 to 100 characters without control characters")
    if wish.host_class not in HOST_CLASSES:
        raise CannotLetIn("class", f"is one of {', '.join(HOST_CLASSES)}")
    for tag in wish.tags:
        if not _TAG.fullmatch(tag):
            raise CannotLetIn("tag", f"{tag!r}: letters, digits, '.', '-' and '_' only, at most 60")
    if len(wish.tags) > _MOST_TAGS:
        raise CannotLetIn("tag", f"may be given {_MOST_TAGS} times at most")
    if not 1 <= wish.max_uses <= MOST_USES:
        raise CannotLetIn("max_uses", f"is 1 to {MOST_USES}")


def let_in(
    directory: Path, database: Database, url: str, wish: Wish, *, by: str, now: datetime
) -> Pass:
    """Make a token for hosts of a checked wish, and write to the audit log who made it.

    `directory` is the instance's; `url` where agents reach it.  Raises CannotLetIn.
    """
    check(wish)
    if not url:
        raise CannotLetIn(
            "url", "there is no url in collector.toml; write where agents reach this collector"
        )
    token = new_token()
    hashed = token_hash(read_pepper(directory), token)
    with database.write() as connection:
        token_id = keep_token(
            connection,
            hashed,
            place(connection, wish.client, wish.site, now),
            now,
            host_class=wish.host_class,
            tags=wish.tags,
            max_uses=wish.max_uses,
            ttl=wish.ttl,
            created_by=by,
        )
        data: dict[str, JsonValue] = {
            "client": wish.client,
            "site": wish.site,
            "max_uses": wish.max_uses,
        }
        audit.record(connection, now, by, "token.create", token_id, data)
    string = enrolment_string(directory, url, token)
    lines = tuple(_lines(directory, url, string))
    return Pass(id=token_id, string=string, lines=lines, expires_at=now + wish.ttl)


def _lines(directory: Path, url: str, string: str) -> Iterator[Line]:
    if any(packages.default_folder().glob("linux-*.txt")):
        yield Line("Linux", packages.install_line(directory, url, string))
    for_windows = packages.read_offer(packages.default_folder(), "windows-*.txt")
    if line := packages.windows_line(for_windows, url, string):
        yield Line("Windows", line)
